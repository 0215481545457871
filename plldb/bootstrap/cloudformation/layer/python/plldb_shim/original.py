"""The function's own handler, found as Lambda finds it."""

from __future__ import annotations

import importlib
import sys

from . import remote

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_loaded: dict[str, Callable[[Any, Any], Any]] = {}


def load(name: str) -> Callable[[Any, Any], Any]:
    """The function that a Handler setting names, like ``pkg.module.function``.

    Raises what Lambda reports for a handler that can't be loaded. An exception of the module's own
    comes through as it is.
    """
    if name not in _loaded:
        _loaded[name] = _load(name)
    return _loaded[name]


def _load(name: str) -> Any:
    module_name, _, function_name = name.rpartition(".")
    if not module_name:
        raise remote.error(
            "Runtime.MalformedHandlerName",
            f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)",
        )
    if module_name.partition(".")[0] in sys.builtin_module_names:
        raise remote.error(
            "Runtime.BuiltInModuleConflict",
            f"Cannot use built-in module {module_name} as a handler module",
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise remote.error(
            "Runtime.ImportModuleError",
            f"Unable to import module '{module_name}': {error}",
        ) from None
    except SyntaxError as error:
        raise remote.error(
            "Runtime.UserCodeSyntaxError",
            f"Syntax error in module '{module_name}': {error}",
        ) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise remote.error(
            "Runtime.HandlerNotFound",
            f"Handler '{function_name}' missing on module '{module_name}'",
        ) from None
