"""``GetModelTemplate``: a mapping template that writes what a model describes.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-models-modelid-template.html
"""

import json
from typing import Any


def sample_template(schema: str) -> str:
    """A velocity template over ``$inputRoot``, or an empty one where the schema isn't JSON."""
    try:
        parsed = json.loads(schema)
    except ValueError:
        return ""
    return f"#set($inputRoot = $input.path('$'))\n{_sample(parsed, 0)}"


def _sample(schema: Any, depth: int) -> str:
    kind = schema.get("type") if isinstance(schema, dict) else None
    indent = "  " * (depth + 1)
    if kind == "object":
        members = [
            f'{indent}"{name}" : {_sample(member, depth + 1)}'
            for name, member in (schema.get("properties") or {}).items()
        ]
        return "{\n" + ",\n".join(members) + "\n" + "  " * depth + "}"
    if kind == "array":
        return f"[ {_sample(schema.get('items') or {}, depth)} ]"
    return {"boolean": "true", "integer": "42", "number": "42"}.get(str(kind), '"foo"')
