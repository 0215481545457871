"""What a module says of itself, read without running any code of the user's."""

from __future__ import annotations

from typing import Any


def read_attribute(module: object, name: str) -> Any:
    """None if there is none: whatever is in sys.modules may answer in its own way.

    Asked as usual, one of importlib.util.LazyLoader would be imported by that, and another would
    make something up, or raise.
    """
    try:
        return object.__getattribute__(module, "__dict__").get(name)
    except Exception:  # noqa: BLE001 (without a __dict__ of its own)
        return None
