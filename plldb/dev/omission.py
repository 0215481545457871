"""Leaves a resource out of a template, whose rest stays whole and can be deployed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# It is made at once, and does nothing.
_INERT_TYPE = "AWS::CloudFormation::WaitConditionHandle"


def leave_out(
    logical_id: str, body: dict[str, Any], attributes: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Something inert has its logical id then, for what refers to it or depends on it.

    What asks for its attributes gets those of ``attributes``, and a name that nobody has for any
    other.
    """
    resource = body["Resources"][logical_id]
    resource["Type"] = _INERT_TYPE
    resource.pop("Properties", None)
    _put_in(body, logical_id, attributes)


def _put_in(within: Any, logical_id: str, attributes: Mapping[str, Any]) -> None:
    in_text = re.compile(rf"\$\{{({re.escape(logical_id)}\.\w[\w.]*)\}}")
    items = within.items() if isinstance(within, dict) else enumerate(within)
    for key, value in list(items):
        match value:
            case {"Fn::GetAtt": [str() as name, str() as attribute]} if name == logical_id:
                within[key] = attributes.get(attribute, f"{logical_id}.{attribute}")
            case dict() | list():
                _put_in(value, logical_id, attributes)
            case str() if key in ("Fn::Sub", 0):
                within[key] = in_text.sub(r"\1", value)
