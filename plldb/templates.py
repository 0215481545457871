"""CloudFormation's templates as values: YAML with its short forms, or JSON.

The short forms of functions, such as ``!Sub x``, are made long ones: ``{"Fn::Sub": "x"}``. So one
form of each is all that anyone has to know. The decoders of cfn-flip, cfn-lint and
aws-sam-translator do that, too; with PyYAML, which is here anyway, it is a page, and libyaml makes
it fast.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from plldb.errors import SourceError

TEMPLATE_HINT = "Name the template with --template PATH, or the code with --code FUNCTION=DIR."
# libyaml's parser takes a template of a megabyte in a second, the other one in twenty.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Those whose long form is spelled like the short one.
_PLAIN = ("Ref", "Condition")
# Far more than a template of a megabyte can have, which is the most that CloudFormation takes.
_DEEPEST = 200
_MOST_VALUES = 1_000_000


class TemplateError(ValueError):
    """It is no template; the text says why, in words that follow the template's name."""


def read_template(path: Path) -> dict[str, Any]:
    """The template in a file. Raises SourceError if there is none."""
    try:
        return _check_template(_read(path))
    except TemplateError as error:
        raise SourceError(f"{path} {error}.", TEMPLATE_HINT) from None


def read_values(path: Path) -> Any:
    """What stands in a file that a template includes. Raises SourceError if it can't be read."""
    try:
        return _read(path)
    except TemplateError as error:
        raise SourceError(f"{path} {error}.", "Mend the file.") from None


def parse_template(text: str, is_json: bool = False) -> dict[str, Any]:
    """The template that a text is. Raises TemplateError if it is none."""
    return _check_template(_parse(text, is_json))


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"There is no template {path}.", TEMPLATE_HINT) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The template {path} can't be read: {error}.", TEMPLATE_HINT) from None
    return _parse(text, path.suffix == ".json")


def _parse(text: str, is_json: bool) -> Any:
    try:
        value = json.loads(text) if is_json else parse_yaml(text)
        _measure(value, {})
        if "\\u" in text:
            # There may be half of a character, which no file can have.
            json.dumps(value, ensure_ascii=False, default=str, skipkeys=True).encode()
        return value
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        what = "JSON" if is_json else "YAML"
        reason = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise TemplateError(f"is not {what}: {reason}") from None


def _measure(value: Any, sizes: dict[int, int], depth: int = 0) -> int:
    """How many values there are, of those that have several names as often as they are named.

    Raises ValueError if they are more than anyone can work with. ``sizes`` are by id; that of what
    is being measured is 0.
    """
    if not isinstance(value, (dict, list)):
        return 1
    if depth > _DEEPEST or sizes.get(id(value)) == 0:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep, or in itself")
    if id(value) not in sizes:
        sizes[id(value)] = 0
        parts = value.values() if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_measure(part, sizes, depth + 1) for part in parts)
    if sizes[id(value)] > _MOST_VALUES:
        raise ValueError(f"its aliases make more than {_MOST_VALUES} values of it")
    return sizes[id(value)]


def _check_template(template: Any) -> dict[str, Any]:
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError("is no template: it has no Resources")
    return template


def as_dict(value: Any) -> dict[str, Any]:
    """What is no table counts as an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """What CloudFormation computes counts as one."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def is_computed(value: Any) -> bool:
    """Whether only CloudFormation knows the value, as that of ``!Sub``, of ``!Ref``, and of a text
    with a dynamic reference.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
    """
    if isinstance(value, str):
        return "{{resolve:" in value
    return len(as_dict(value)) == 1 and any(
        key == "Ref" or str(key).startswith("Fn::") for key in value
    )


# --- YAML -----------------------------------------------------------------------------------------


class _TemplateLoader(_Loader):  # type: ignore[misc]
    """YAML in which CloudFormation's short forms may stand, and any other tag.

    On, Off, Yes and No are texts, since they may be logical ids; so are dates, times, and a mere =.
    """

    yaml_implicit_resolvers = {
        first: [
            (tag, pattern)
            for tag, pattern in found
            if (first in "tTfF" or "bool" not in tag) and not tag.endswith((":timestamp", ":value"))
        ]
        for first, found in _Loader.yaml_implicit_resolvers.items()
    }


def _construct_function(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in _PLAIN else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _construct_function)


def parse_yaml(text: str) -> Any:
    """Any document in which short forms may stand. Raises ValueError or yaml.YAMLError."""
    if text.lstrip().startswith("{"):
        # It may be JSON, of which YAML reads most: no halves of characters, for example.
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    return yaml.load(text, Loader=_TemplateLoader)  # nosec B506  # noqa: S506 (a SafeLoader)
