"""JSON output, held against its schema: what is not in it, no command may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import plldb

SCHEMA: dict[str, Any] = json.loads(
    Path(plldb.__file__).with_name("output.schema.json").read_text(encoding="utf-8")
)


def forbid_others(schema: Any) -> Any:
    """The same with no members but those that are named."""
    if isinstance(schema, list):
        return [forbid_others(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: forbid_others(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        strict.setdefault("additionalProperties", False)
    return strict


STRICT = forbid_others(SCHEMA)


def check(name: str, value: Any) -> Any:
    """The value. Raises ValidationError unless it has the shape of that name."""
    schema = {"$schema": STRICT["$schema"], "$defs": STRICT["$defs"], "$ref": f"#/$defs/{name}"}
    Draft202012Validator(schema).validate(value)
    return value
