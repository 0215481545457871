"""A template as it is once CloudFormation has expanded it: its loops, and the files it includes.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-languageextensions.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-include.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plldb.debugger.sources.intrinsics import Scope, UnknownValueError
from plldb.debugger.sources.project import is_file, is_remote, make_absolute
from plldb.errors import SourceError
from plldb.templates import as_dict, as_list, read_values

_LOOP = "Fn::ForEach::"
_TRANSFORM = "Fn::Transform"
_INCLUDE = "AWS::Include"
# A template may have 500 resources.
_MOST_RESOURCES = 5000
_NOT_A_WORD = re.compile(r"[^A-Za-z0-9]")


def expand(path: Path, scope: Scope) -> dict[str, Any]:
    """The resources of the template that ``path`` has, by their logical ids.

    A loop over values that are not known gives none, and neither does a file that is not on this
    machine. Raises SourceError if there are far more of them than a template may have.
    """
    template = scope.template
    include = _Inclusion(path.parent, scope)
    resources = dict(as_dict(template.get("Resources")))
    for one in as_list(template.get("Transform")):
        resources |= as_dict(as_dict(include.read(one)).get("Resources"))
    included = as_dict(include.put_in(resources))
    included.pop(_TRANSFORM, None)
    expanded: dict[str, Any] = {}
    for key, value in _expand_loops(included, scope, {}):
        expanded[key] = value
        if len(expanded) > _MOST_RESOURCES:
            raise SourceError(
                f"{path} expands to more than {_MOST_RESOURCES} resources.",
                "CloudFormation takes 500 in a template.",
            )
    return expanded


# --- Included files -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Inclusion:
    """``folder`` is what locations are relative to."""

    folder: Path
    scope: Scope

    def put_in(self, value: Any) -> Any:
        """The value with what its transforms include, at any depth; other transforms stay."""
        if isinstance(value, list):
            return [self.put_in(one) for one in value]
        if not isinstance(value, dict):
            return value
        found = {key: self.put_in(one) for key, one in value.items() if key != _TRANSFORM}
        others = []
        for one in as_list(value.get(_TRANSFORM)):
            included = self.read(one)
            if included is None:
                others.append(one)
            elif not found and not isinstance(included, dict):
                return included
            else:
                found |= as_dict(included)
        if others:
            found[_TRANSFORM] = others[0] if len(others) == 1 else others
        return found

    def read(self, transform: Any) -> Any:
        """What a transform includes; None if it is another one, or its file is not here."""
        path = self.find(transform)
        return read_values(path) if path is not None and is_file(path) else None

    def find(self, transform: Any) -> Path | None:
        """The file that a transform includes, if it names one of this machine."""
        if as_dict(transform).get("Name") != _INCLUDE:
            return None
        location = self.scope.find_text(as_dict(transform.get("Parameters")).get("Location"))
        is_local = location is not None and not is_remote(location)
        return make_absolute(self.folder / str(location)) if is_local else None


def list_inclusions(value: Any, folder: Path) -> Iterator[Path]:
    """The files of this machine that a template's transforms include, at any depth."""
    inclusion = _Inclusion(folder, Scope({}))
    for key, one in _walk(value):
        for transform in as_list(one) if key in (_TRANSFORM, "Transform") else ():
            path = inclusion.find(transform)
            if path is not None:
                yield path


def has_transform(value: Any) -> bool:
    """Whether a macro has a part in a value, at any depth."""
    return any(key == _TRANSFORM for key, _ in _walk(value))


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Each key and its value, at any depth."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield str(key), one
            yield from _walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from _walk(one)


def put_in_files(template: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A template with what it includes of this machine, for those who can't read that."""
    inclusion = _Inclusion(folder, Scope({}))
    whole = dict(as_dict(inclusion.put_in(dict(template))))
    transforms = as_list(template.get("Transform"))
    included = [one for one in transforms if inclusion.find(one) is not None]
    if included:
        whole["Transform"] = [one for one in transforms if one not in included]
    for one in included:
        for section, content in as_dict(inclusion.read(one)).items():
            whole[section] = as_dict(whole.get(section)) | as_dict(content)
    return whole


# --- Loops ----------------------------------------------------------------------------------------


def _expand_loops(
    table: Mapping[str, Any], scope: Scope, variables: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if not is_loop(key):
            yield _put_in(str(key), variables), _put_in(value, variables)
            continue
        match value:
            case [str() as name, collection, dict() as body]:
                for one in _list_values(collection, scope, variables):
                    yield from _expand_loops(body, scope, {**variables, name: one})


def list_resources(resources: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The resources of a template as they are written, those within loops included."""
    for key, value in resources.items():
        match value:
            case [str(), _, dict() as body] if is_loop(key):
                yield from list_resources(body)
            case _:
                yield str(key), value


def is_loop(key: object) -> bool:
    return str(key).startswith(_LOOP)


def write_out_loop(key: str, loop: Any, scope: Scope) -> dict[str, Any]:
    """The resources of a loop over values that are known; any other loop as it is."""
    unchanged = {key: loop}
    match loop:
        case [str() as name, collection, dict() as body]:
            values = _find_values(collection, scope)
            if values is None:
                return unchanged
            written: dict[str, Any] = {}
            for one in values:
                for inner, value in _put_in(body, {name: one}).items():
                    one_more = {inner: value}
                    if is_loop(inner):
                        one_more = write_out_loop(inner, value, scope)
                    written |= one_more
            return unchanged if any(map(is_loop, written)) else written
    return unchanged


def _list_values(collection: Any, scope: Scope, variables: Mapping[str, str]) -> list[str]:
    return _find_values(_put_in(collection, variables), scope) or []


def _find_values(collection: Any, scope: Scope) -> list[str] | None:
    try:
        found = scope.resolve(collection)
    except UnknownValueError:
        return None
    flat: list[str] = []
    for one in as_list(found):
        # A parameter's list may stand among literals.
        flat += [str(part) for part in as_list(one)]
    return flat


def _put_in(value: Any, variables: Mapping[str, str]) -> Any:
    """The value with a loop's variables put in: ``${Name}``, ``&{Name}`` and ``!Ref Name``."""
    if not variables:
        return value
    if isinstance(value, str):
        for name, text in variables.items():
            value = value.replace(f"${{{name}}}", text)
            # Such a one is for logical ids.
            value = value.replace(f"&{{{name}}}", _NOT_A_WORD.sub("", text))
        return value
    if isinstance(value, list):
        return [_put_in(one, variables) for one in value]
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("Ref"), str) and value["Ref"] in variables:
            return variables[value["Ref"]]
        return {_put_in(key, variables): _put_in(one, variables) for key, one in value.items()}
    return value
