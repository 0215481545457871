"""A template as it is once CloudFormation has expanded it: its loops, and the files it includes.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-languageextensions.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-include.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plldb.debugger.sources.intrinsics import Scope, UnknownValueError
from plldb.debugger.sources.project import is_file
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
    resources = dict(as_dict(template.get("Resources")))
    for one in as_list(template.get("Transform")):
        resources |= as_dict(_include(one, path.parent, scope).get("Resources"))
    included = _put_in_files(resources, path.parent, scope)
    expanded: dict[str, Any] = {}
    for key, value in _expand_loops(as_dict(included), scope, {}):
        expanded[key] = value
        if len(expanded) > _MOST_RESOURCES:
            raise SourceError(
                f"{path} expands to more than {_MOST_RESOURCES} resources.",
                "CloudFormation takes 500 in a template.",
            )
    return expanded


# --- Included files -------------------------------------------------------------------------------


def _put_in_files(value: Any, folder: Path, scope: Scope) -> Any:
    """The value with what its transforms include, at any depth."""
    if isinstance(value, list):
        return [_put_in_files(one, folder, scope) for one in value]
    if not isinstance(value, dict):
        return value
    found = {
        key: _put_in_files(one, folder, scope) for key, one in value.items() if key != _TRANSFORM
    }
    for one in as_list(value.get(_TRANSFORM)):
        found |= _include(one, folder, scope)
    return found


def _include(transform: Any, folder: Path, scope: Scope) -> dict[str, Any]:
    """What a transform includes; nothing if it is another one, or its file is not here."""
    if as_dict(transform).get("Name") != _INCLUDE:
        return {}
    location = scope.find_text(as_dict(transform.get("Parameters")).get("Location"))
    if location is None or not is_file(folder / location):
        return {}
    return as_dict(read_values(folder / location))


# --- Loops ----------------------------------------------------------------------------------------


def _expand_loops(
    table: Mapping[str, Any], scope: Scope, variables: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if not str(key).startswith(_LOOP):
            yield _put_in(str(key), variables), _put_in(value, variables)
            continue
        match value:
            case [str() as name, collection, dict() as body]:
                for one in _list_values(collection, scope, variables):
                    yield from _expand_loops(body, scope, {**variables, name: one})


def _list_values(collection: Any, scope: Scope, variables: Mapping[str, str]) -> list[str]:
    try:
        found = scope.resolve(_put_in(collection, variables))
    except UnknownValueError:
        return []
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
