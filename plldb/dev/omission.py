"""Leaves a resource out of a template, whose rest stays whole and can be deployed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from plldb.deployed import PLACEHOLDER_TYPE


def leave_out(
    logical_id: str, body: dict[str, Any], attributes: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """A placeholder has its logical id then, for what refers to it or depends on it.

    What asks for its attributes gets those of ``attributes``, and a name that nobody has for any
    other.
    """
    asked_in_text = re.compile(rf"\$\{{({re.escape(logical_id)}\.\w[\w.]*)\}}")

    def put_in(within: Any) -> None:
        items = within.items() if isinstance(within, dict) else enumerate(within)
        for key, value in list(items):
            match value:
                case {"Fn::GetAtt": [str() as name, str() as attribute]} if name == logical_id:
                    within[key] = attributes.get(attribute, f"{logical_id}.{attribute}")
                case dict() | list():
                    put_in(value)
                case str() if key in ("Fn::Sub", 0):
                    within[key] = asked_in_text.sub(r"\1", value)

    resource = body["Resources"][logical_id]
    resource["Type"] = PLACEHOLDER_TYPE
    resource.pop("Properties", None)
    put_in(body)
