"""Changes modules as they are imported, if they ever are."""

from __future__ import annotations

import contextlib
import importlib.machinery
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


class ImportHook:
    """``after`` are called with a module that was just imported, by its name; ``during`` give
    context managers to import it in.
    """

    def __init__(
        self,
        after: dict[str, Callable[[ModuleType], None]],
        during: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] | None = None,
    ) -> None:
        self._after = after
        self._during = during or {}

    def install(self) -> None:
        """What is imported already is changed at once."""
        for name, change in self._after.items():
            if name in sys.modules:
                change(sys.modules[name])
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self._after and name not in self._during:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        loader: Any = spec and spec.loader
        if not hasattr(loader, "exec_module"):
            return None
        execute = loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            with self._during.get(name, contextlib.nullcontext)():
                execute(module)
            if name in self._after:
                self._after[name](module)

        loader.exec_module = execute_and_change
        return spec
