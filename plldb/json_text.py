"""JSON of other people's making, read so that all that is done with the value can be done.

Python reads what is nested about a thousand levels deep, or much deeper, by its version; but to go
through it, to write it or to compare it may be too much then, here or for whoever reads it next.
"""

from __future__ import annotations

import json
from typing import Any

# jq 1.6 reads 256 levels, and what is read here is written within some others.
DEEPEST = 200


def read_json(text: str | bytes) -> Any:
    """The value. Raises ValueError for what is no JSON, or nested more than DEEPEST levels."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if is_deep(value):
        raise ValueError("it is nested too deeply")
    return value


def is_deep(value: Any, limit: int = DEEPEST) -> bool:
    """Whether a JSON value has lists and objects in more than ``limit`` levels."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return bool(level)
