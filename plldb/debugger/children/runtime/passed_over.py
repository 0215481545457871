"""Breakpoints while there is no debugger: the code goes on, and a line says so."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .import_hook import ImportHook

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

_HOW = "attach with --pdb or --debugpy"


def pass_breakpoints_over() -> None:
    """``breakpoint()``, whatever PYTHONBREAKPOINT says, and pdb and its relatives do nothing."""
    sys.breakpointhook = _pass_breakpoint_over
    pass_debuggers_over()


def pass_debuggers_over() -> None:
    """pdb and its relatives do nothing: there is no terminal to talk to."""
    # ipdb makes a whole IPython before it stops, and pudb asks for a terminal.
    entries = dict.fromkeys(("ipdb", "pudb"), _pass_entry_over)
    ImportHook({"bdb": _disarm_debuggers, **entries}).install()


def pass_over(what: str, frame: FrameType | None, why: str = _HOW) -> None:
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"
    sys.stderr.write(f"{what} at {where} was passed over: {why}.\n")


def follow_subclasses(base: Any, change: Callable[[Any], None]) -> None:
    """Changes a class, and all that are made of it from now on, as they are made."""

    def on_subclass(cls: Any, **options: Any) -> None:
        super(base, cls).__init_subclass__(**options)
        change(cls)

    base.__init_subclass__ = classmethod(on_subclass)  # type: ignore[arg-type]
    change(base)


def _pass_breakpoint_over(*_arguments: Any, **_options: Any) -> None:
    pass_over("breakpoint()", sys._getframe(1))


def _pass_entry_over(module: ModuleType) -> None:
    def set_trace(*_arguments: Any, **_options: Any) -> None:
        pass_over(f"{module.__name__}.set_trace()", sys._getframe(1))

    module.set_trace = set_trace  # type: ignore[attr-defined]


def _disarm_debuggers(bdb: ModuleType) -> None:
    def set_trace(_debugger: Any, frame: Any = None, *_arguments: Any, **_options: Any) -> None:
        pass_over("a debugger", frame or sys._getframe(1))

    def interaction(debugger: Any, frame: Any, *_arguments: Any, **_options: Any) -> None:
        pass_over("a debugger", frame or sys._getframe(1))
        debugger.set_continue()

    def disarm(debugger: Any) -> None:
        for method in (set_trace, interaction):
            if method.__name__ in debugger.__dict__:
                setattr(debugger, method.__name__, method)

    follow_subclasses(bdb.Bdb, disarm)
