"""What Lambda's own runtime client (awslambdaric) offers, so that an answer leaves as it came.

It is loaded already, for it has called the handler. Emulators that run functions by other means
have none of it; there, values and errors take the way that is left.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from typing import Any

# In the runtime of Python 3.8, its modules are in no package.
_PACKAGES = ("awslambdaric.", "")


def pass_on(value: Any, text: str) -> Any:
    """What the handler returns, so that the caller gets this text; ``value`` is what it means.

    If the runtime would write that otherwise, as with the digits of a number, it is given the text.
    """
    marshaller = _find("lambda_runtime_marshaller")
    simplejson: Any = getattr(marshaller, "json", None)
    if not hasattr(simplejson, "RawJSON") or not hasattr(marshaller, "to_json"):
        return value
    try:
        is_same = marshaller.to_json(value) == text
    except (ValueError, RecursionError):
        is_same = False
    return value if is_same else simplejson.RawJSON(text)


def make_fault(name: str, message: str, trace: list[str]) -> Exception | None:
    """An exception that is reported just so, without a frame of its own; None if there is none."""
    kind = getattr(_find("lambda_runtime_exception"), "FaultException", None)
    return None if kind is None else kind(name, message, trace)


def _find(name: str) -> Any:
    for package in _PACKAGES:
        if package + name in sys.modules:
            return sys.modules[package + name]
    return None
