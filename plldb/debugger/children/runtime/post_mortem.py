"""An exception that the handler did not catch is looked at before the caller hears of it.

A debugger stops where it was raised. Which one is as for ``breakpoint()``: PYTHONBREAKPOINT names
it, if that has a ``post_mortem``; otherwise it is pdb. The developer chooses: the caller gets the
error, or the same event is run again by the code as it is saved by then.
"""

from __future__ import annotations

import bdb
import contextlib
import importlib
import inspect
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from .faults import Fault, explain, has_more_to_say, skip_to_user_code
from .terminal_debuggers import RetryRequested

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from .terminal_debuggers import BorrowedTerminal

# Lambda's longest time. Who has more waits for nobody's answer.
_LONGEST_SECONDS = 900
_CHOICES = "retry reads the saved code again and runs the same event; c reports the error."
_QUESTION = "retry, c to report the error, or d to look again: "


def is_to_be_looked_at(error: BaseException) -> bool:
    """Whether it is a failure, and not what the developer has ended the invocation by."""
    if isinstance(error, (RetryRequested, KeyboardInterrupt, GeneratorExit)):
        return False
    return not any(map(_is_quit, _list_chain(error)))


def find_exit_status(error: BaseException) -> int:
    """With which status the process ends because of what is no Exception."""
    code = error.code if isinstance(error, SystemExit) else 1
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


class Place(NamedTuple):
    """A line of the user's code, and what can be looked at there: for a failure without a frame of
    that code, such as a result that is no JSON.
    """

    filename: str
    line: int
    scope: dict[str, Any]
    names: dict[str, Any]


def find_place(name: str, code_dir: str, handler: Any, names: dict[str, Any]) -> Place:
    """Where the handler is, or its module, or where that was looked for."""
    if handler is not None:
        code = getattr(inspect.unwrap(handler), "__code__", None)
        if code is not None:
            scope = getattr(inspect.unwrap(handler), "__globals__", {})
            return Place(code.co_filename, code.co_firstlineno, scope, names)
    path = name.rpartition(".")[0].replace(".", "/")
    module = sys.modules.get(path.replace("/", "."))
    filename = os.path.join(code_dir, f"{path}.py")  # noqa: PTH118
    scope = {"__name__": path.replace("/", ".")} if module is None else vars(module)
    return Place(str(scope.get("__file__") or filename), 1, scope, names)


class PostMortem:
    """Of one exception, at ``place`` if it has no frame in the user's code. ``title`` is what
    Lambda's runtime says of it, ``remedy`` what a developer can do about it.
    """

    def __init__(self, error: BaseException, title: str, remedy: str, place: Place) -> None:
        cause = error.__cause__ if isinstance(error, Fault) else None
        self._error = error if cause is None else cause
        self._title = title
        self._remedy = remedy
        if isinstance(error, Fault) and isinstance(self._error, SyntaxError):
            place = _find_syntax_error(self._error, place)
            self._trace = _make_trace(place)
        else:
            self._trace = self._find_trace() or _make_trace(place)

    def hold(self, terminal: BorrowedTerminal, deadline: float) -> bool:
        """Whether the event is to be run again. Raises what makes the process end meanwhile."""
        terminal.begin(deadline)
        usual = self._error.__traceback__
        try:
            # An exception may be a frozen dataclass.
            self._error.with_traceback(self._trace)
            with terminal.borrow(says_time=True):
                self._introduce(deadline)
                answer = "d"
                while answer == "d":
                    # Ctrl-C between two prompts chooses nothing.
                    with contextlib.suppress(KeyboardInterrupt):
                        answer = "c" if self._look(terminal) else _ask()
                return answer == "retry"
        except RetryRequested:
            return True
        finally:
            self._error.with_traceback(usual)
            terminal.end()

    def _find_trace(self) -> TracebackType | None:
        """None if the exception does not come out of the user's code."""
        is_ours = isinstance(self._error, Fault)
        return None if is_ours else skip_to_user_code(self._error.__traceback__)

    def _introduce(self, deadline: float) -> None:
        left = int(deadline - time.time())
        for text in (
            self._describe(),
            self._remedy,
            f"{left} s left until the caller's deadline." if left <= _LONGEST_SECONDS else "",
            _CHOICES,
        ):
            if text:
                print(_make_printable(text.rstrip("\n")))  # noqa: T201 (at the terminal)

    def _describe(self) -> str:
        error = self._error
        with contextlib.suppress(Exception):  # raised by the user's errors
            if not isinstance(error, Fault):
                only = traceback.format_exception_only(type(error), error)
                return explain(error) if has_more_to_say(error) else "".join(only)
        return self._title

    def _look(self, terminal: BorrowedTerminal) -> bool:
        """Whether the developer leaves the debugger by letting the error go on to the caller."""
        terminal.talker = None
        module = _find_debugger()
        if module.__name__ == "pudb":
            module.post_mortem(self._trace, type(self._error), self._error)
        elif module.__name__ == "pdb" and sys.version_info >= (3, 13):
            # It knows the causes, too.
            module.post_mortem(self._error)
        else:
            module.post_mortem(self._trace)
        talker: Any = terminal.talker
        # What is not made of pdb has no command to choose by.
        has_choice = hasattr(talker, "do_retry")
        return has_choice and (talker.quitting or talker.stoplineno == -1)


def _make_printable(text: str) -> str:
    """A message may have words of the event in it, and so commands to the terminal."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\ufffd" for c in text)


def _find_debugger() -> Any:
    name = os.environ.get("PYTHONBREAKPOINT", "").rpartition(".")[0]
    if name:
        try:
            module = importlib.import_module(name)
        except Exception:  # noqa: BLE001 (whatever it is that is named)
            module = None
        if hasattr(module, "post_mortem"):
            return module
    return importlib.import_module("pdb")


def _ask() -> str:
    """``retry``, ``c`` or ``d``."""
    while True:
        try:
            words = input(_QUESTION).split()
        except EOFError:
            return "c"
        word = words[0] if words else ""
        for answer, others in _ANSWERS.items():
            if word in others:
                return answer


_ANSWERS = {
    "retry": ("retry", "restart", "run", "r"),
    "c": ("c", "cont", "continue", "q", "quit", "exit"),
    "d": ("d", "debug", "pdb"),
}


def _list_chain(error: BaseException) -> Iterator[BaseException]:
    """With what it was raised from or during, and what it is made of."""
    seen: set[int] = set()
    found: list[Any] = [error]
    while found:
        one = found.pop()
        # Some code makes a circle of them, and what it calls exceptions may be anything.
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = getattr(one, "exceptions", None)
        found += [one.__cause__, one.__context__]
        found += inner if isinstance(inner, (tuple, list)) else []


def _is_quit(error: BaseException) -> bool:
    """Since Python 3.14, pdb leaves by SystemExit where it was opened by ``breakpoint()``."""
    if isinstance(error, bdb.BdbQuit):
        return True
    trace = error.__traceback__
    if not isinstance(error, SystemExit) or trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return isinstance(trace.tb_frame.f_locals.get("self"), bdb.Bdb)


def _find_syntax_error(error: SyntaxError, place: Place) -> Place:
    if not error.filename:
        return place
    return place._replace(filename=error.filename, line=max(1, error.lineno or 1))


def _make_trace(place: Place) -> TracebackType:
    """That of an exception in this line, where none was raised."""
    code = compile("\n" * (place.line - 1) + "raise Exception", place.filename, "exec")
    try:
        # The line above, and nothing of the user's.
        exec(code, place.scope, place.names)  # noqa: S102 # nosec B102
    except Exception as raised:  # noqa: BLE001
        trace = raised.__traceback__ and raised.__traceback__.tb_next
    assert trace is not None
    return trace
