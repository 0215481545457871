"""Errors of the debugger's side, raised here with the same type name, message and stack trace."""

from __future__ import annotations

import linecache
import re
from types import TracebackType

from . import lambda_client

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    # (file, line number, function, source line)
    _Entry = tuple[str, int, str, str]

    from collections.abc import Iterable, Iterator
    from types import CodeType, FrameType
    from typing import Any

# The first line of an entry of Lambda's stackTrace, as traceback.format_list() makes them. The
# source line follows on a line of its own.
_ENTRY = re.compile(r'\s*File "(?P<file>.+)", line (?P<line>\d{1,9}), in (?P<name>.+)')
# What stands for further entries like the one before.
_REPEATED = re.compile(r"  \[Previous line repeated (\d{1,6}) more times?\]\n")
_MAX_FRAMES = 20000
# A trace may name any line; linecache needs all lines before it.
_MAX_LINES = 100000

# Files whose sources linecache has from a trace. They may differ from the function's own files of
# the same names, so they are forgotten with the next invocation.
_sources: set[str] = set()


class ReportedError(Exception):
    """What the caller is to see, without the frames that it comes from."""


def error(name: str, message: str) -> ReportedError:
    """An exception whose type has that name; its text is the message."""
    # Tracebacks name the module of a type, unless it is built in.
    exception: ReportedError = type(name, (ReportedError,), {"__module__": "builtins"})(message)
    return exception


def from_answer(remote_error: dict[str, Any]) -> Exception:
    """The exception for ``{"errorType", "errorMessage", "stackTrace": [text, …]}``."""
    name = str(remote_error.get("errorType") or "Exception")
    message = str(remote_error.get("errorMessage") or "")
    trace = [str(entry) for entry in remote_error.get("stackTrace") or []]
    frames = list(_list_frames(trace))
    if _format(frames) != trace:
        # It can't be raised again so that just this is reported.
        fault = lambda_client.make_fault(name, message, trace)
        if fault is not None:
            return fault
    try:
        exception = error(name, message)
    except ValueError:  # no name that a type can have
        return lambda_client.make_fault(name, message, trace) or error("Exception", message)
    return exception.with_traceback(_traceback(frames))


def forget_sources() -> None:
    while _sources:
        linecache.cache.pop(_sources.pop(), None)


def _list_frames(entries: list[str]) -> Iterator[_Entry]:
    """The frames of a trace, those that are only counted in it included."""
    last: _Entry | None = None
    count = 0
    for entry in entries:
        frame, repeated = _parsed(entry), _REPEATED.fullmatch(entry)
        repeats = 0 if repeated is None or last is None else int(repeated[1])
        last = frame or last
        if last is not None:
            for _ in range(1 if frame else min(repeats, _MAX_FRAMES - count)):
                count += 1
                yield last


def _format(frames: list[_Entry]) -> list[str] | None:
    """How Lambda will report them; without frames, it reports its own."""
    import traceback

    return traceback.format_list([(*frame[:3], frame[3] or None) for frame in frames]) or None


def _traceback(frames: list[_Entry]) -> TracebackType | None:
    """A traceback with the given frames, the outermost first; None if there are none."""
    _remember_sources(frames)
    made: dict[tuple[str, str], FrameType] = {}
    traceback: TracebackType | None = None
    for filename, line, name, _ in reversed(frames):
        if (filename, name) not in made:
            made[filename, name] = _frame(filename, name)
        # No instruction: the line counts that is given here, whatever the frame's code says.
        traceback = TracebackType(traceback, made[filename, name], -1, line)
    return traceback


def _parsed(entry: str) -> _Entry | None:
    """(file, line, function, source line) of an entry; None for what is none."""
    first, _, rest = str(entry).partition("\n")
    found = _ENTRY.fullmatch(first)
    if found is None:
        return None
    return found["file"], int(found["line"]), found["name"], rest.partition("\n")[0].strip()


def _frame(filename: str, name: str) -> FrameType:
    """A frame of a function that has that name in that file."""
    code = compile("raise StopIteration", filename, "exec")
    named = code.replace(co_name=name, **_qualified(code, name))
    try:
        exec(named, {})  # nosec B102  # noqa: S102 - the code above, and none of anybody else
    except StopIteration as stop:
        # Behind this function's own frame.
        traceback: Any = stop.__traceback__
        frame: FrameType = traceback.tb_next.tb_frame
        return frame
    raise AssertionError("unreachable")


def _qualified(code: CodeType, name: str) -> dict[str, Any]:
    return {"co_qualname": name} if hasattr(code, "co_qualname") else {}


def _remember_sources(frames: Iterable[_Entry]) -> None:
    """Lets linecache give the lines of the trace, whose files are on another machine."""
    lines: dict[str, dict[int, str]] = {}
    for filename, line, _, text in frames:
        if text and line <= _MAX_LINES:
            lines.setdefault(filename, {})[line] = text
    for filename, numbered in lines.items():
        source = [numbered.get(number, "") + "\n" for number in range(1, max(numbered) + 1)]
        # Without a modification time, linecache does not look for the file.
        linecache.cache[filename] = (sum(map(len, source)), None, source, filename)
        _sources.add(filename)
