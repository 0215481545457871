"""Finds a handler as Lambda does, and makes the next import read saved code."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from .faults import Fault, TraceFormatter

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

    Handler = Callable[[Any, Any], Any]


def load_handler(name: str, traces: TraceFormatter) -> Handler:
    """The function of ``module.function`` or ``folder/module.function``.

    Raises Fault, or whatever the module raises while it is imported.
    """
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName",
            f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)",
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict",
            f"Cannot use built-in module {module_name} as a handler module",
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault(
            "Runtime.ImportModuleError",
            f"Unable to import module '{module_name}': {error}",
        ) from error
    except SyntaxError as error:
        files = traces.lambda_path(error.filename or "None"), error.filename
        here = [f'  File "{file}" Line {error.lineno}\n    {error.text}' for file in files]
        raise Fault(
            "Runtime.UserCodeSyntaxError",
            f"Syntax error in module '{module_name}': {error}",
            here[:1],
            here[1:],
        ) from error
    try:
        handler: Handler = getattr(module, function_name)
    except AttributeError:
        raise Fault(
            "Runtime.HandlerNotFound",
            f"Handler '{function_name}' missing on module '{module_name}'",
        ) from None
    return handler


def forget_modules(code_dir: str) -> None:
    """Makes the next import read the user's modules again.

    Those of a package with compiled parts stay: such a part can't be loaded twice.
    """
    root = pathlib.Path(os.path.realpath(code_dir))
    compiled = {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", None)).endswith(
            tuple(importlib.machinery.EXTENSION_SUFFIXES)
        )
    }
    for name, module in list(sys.modules.items()):
        path = pathlib.Path(os.path.realpath(_find_path(module)))
        inside = path.relative_to(root).parts if root in path.parents else ()
        is_code = inside and not any(
            part.startswith(".") or part == "site-packages" for part in inside
        )
        if is_code and name.partition(".")[0] not in compiled and name != "__main__":
            del sys.modules[name]
    importlib.invalidate_caches()


def _find_path(module: types.ModuleType) -> str:
    path = getattr(module, "__file__", None)
    if path is None:
        with contextlib.suppress(Exception):
            path = next(iter(module.__path__))
    return str(path or os.sep)


class FallbackFinder:
    """Finds packages that the project does not have in a folder of plldb's own.

    ``folders`` is by the package's name. No other package of those folders can be imported.
    """

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if path is not None or name not in self._folders:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [self._folders[name]])
