"""What the service's own model says of a request: required fields, types, lengths, enumerations.

The model of apigatewayv2 writes ranges into the names of its shapes, as
``StringWithLengthBetween1And128``. Shapes are those of botocore; nothing of it is imported.
"""

import re
from typing import Any

from .kinds import Record
from .refusals import BadRequestError

_RANGE = re.compile(
    r"(?P<type>String|Uri|Integer)WithLengthBetween(?P<low>Minus\d+|\d+)And(?P<high>\d+K?)"
)
# AWS takes longer ones than its model says: with all the variables that there are, formats are.
_UNLIMITED = ("AccessLogSettings.Format",)
_LONGEST = {"Arn": 2048, "Id": 64, "SelectionExpression": 1024, "SelectionKey": 1024}


def check_request(shape: Any, request: Record, clearing: bool = False) -> None:
    """Raise what AWS answers when ``request`` isn't one of the operation's input ``shape``.

    In an update (``clearing``), an empty text takes back an optional field of text.
    """
    for name in shape.required_members:
        if request.get(name) is None:
            raise BadRequestError(f"{name} is a required parameter")
    for name, value in request.items():
        member = shape.members.get(name)
        cleared = clearing and value == ""
        if member and not (cleared and member.type_name == "string"):
            _check(name, member, _settings_left(value) if clearing else value)


def from_query(shape: Any, request: Record) -> Record:
    """``request`` with the truth values that came as text in the query of its URL."""
    texts = {"true": True, "false": False}
    return {
        name: texts.get(value.lower(), value)
        if isinstance(value, str)
        and name in shape.members
        and shape.members[name].type_name == "boolean"
        else value
        for name, value in request.items()
    }


def _settings_left(value: Any) -> Any:
    """A map of settings without those that an empty text takes away."""
    if not isinstance(value, dict):
        return value
    return {key: content for key, content in value.items() if content != ""}


def _check(name: str, shape: Any, value: Any) -> None:
    checker = _CHECKERS.get(shape.type_name)
    if checker and value is not None:
        checker(name, shape, value)


def _check_item(name: str, shape: Any, value: Any) -> None:
    """What a list or a map holds: nothing in it may be missing."""
    _require(value is not None, name, "given")
    _check(name, shape, value)


def _check_structure(name: str, shape: Any, value: Any) -> None:
    _require(isinstance(value, dict), name, "an object")
    for member, content in value.items():
        if member in shape.members:
            _check(f"{name}.{member}", shape.members[member], content)
    for member in shape.required_members:
        if value.get(member) is None:
            raise BadRequestError(f"{name}.{member} is a required parameter")


def _check_map(name: str, shape: Any, value: Any) -> None:
    _require(isinstance(value, dict), name, "an object")
    for key, content in value.items():
        _check_item(f"{name}.{key}", shape.value, content)


def _check_list(name: str, shape: Any, value: Any) -> None:
    _require(isinstance(value, list), name, "a list")
    for item in value:
        _check_item(name, shape.member, item)


def _check_string(name: str, shape: Any, value: Any) -> None:
    _require(isinstance(value, str), name, "a string")
    if shape.enum and value not in shape.enum:
        known = ", ".join(sorted(shape.enum))
        raise BadRequestError(f"Invalid {_spoken(name)} specified. Must be one of [{known}]")
    low, high = _range_of(shape.name) or (0, _LONGEST.get(shape.name))
    if name in _UNLIMITED:
        high = None
    if len(value) < low or (high is not None and len(value) > high):
        raise BadRequestError(f"{name} must have a length between {low} and {high} characters")


def _check_integer(name: str, shape: Any, value: Any) -> None:
    _require(isinstance(value, int) and not isinstance(value, bool), name, "a number")
    limits = _range_of(shape.name)
    if limits and not limits[0] <= value <= limits[1]:
        raise BadRequestError(f"{name} must be between {limits[0]} and {limits[1]}")


def _check_number(name: str, _shape: Any, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    _require(is_number, name, "a number")


def _check_boolean(name: str, _shape: Any, value: Any) -> None:
    _require(isinstance(value, bool), name, "true or false")


_CHECKERS = {
    "structure": _check_structure,
    "map": _check_map,
    "list": _check_list,
    "string": _check_string,
    "integer": _check_integer,
    "double": _check_number,
    "boolean": _check_boolean,
}


def _spoken(name: str) -> str:
    return "protocol" if name == "ProtocolType" else name


def _require(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise BadRequestError(f"{name} must be {what}")


def _range_of(shape_name: str) -> tuple[int, int] | None:
    found = _RANGE.fullmatch(shape_name)
    return (_number(found["low"]), _number(found["high"])) if found else None


def _number(text: str) -> int:
    if text.startswith("Minus"):
        return -int(text.removeprefix("Minus"))
    return int(text[:-1]) * 1024 if text.endswith("K") else int(text)
