"""Errors of the debugger's side, raised here with the same type name, message and stack trace."""

from __future__ import annotations

import linecache
import re
from types import TracebackType

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    # (file, line number, function, source line)
    _Entry = tuple[str, int, str, str]

    from collections.abc import Iterable
    from types import CodeType, FrameType
    from typing import Any

# The first line of an entry of Lambda's stackTrace, as traceback.format_list() makes them. The
# source line follows on a line of its own.
_ENTRY = re.compile(r'\s*File "(?P<file>.+)", line (?P<line>\d{1,9}), in (?P<name>.+)')
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


def from_answer(remote_error: dict[str, Any]) -> ReportedError:
    """The exception for ``{"errorType", "errorMessage", "stackTrace": [text, …]}``."""
    exception = error(
        remote_error.get("errorType") or "Exception", remote_error.get("errorMessage") or ""
    )
    return exception.with_traceback(_traceback(remote_error.get("stackTrace") or []))


def forget_sources() -> None:
    while _sources:
        linecache.cache.pop(_sources.pop(), None)


def _traceback(entries: Iterable[str]) -> TracebackType | None:
    """A traceback with the given frames, the outermost first; None if there are none."""
    frames = [frame for frame in map(_parsed, entries) if frame is not None]
    _remember_sources(frames)
    traceback: TracebackType | None = None
    for filename, line, name, _ in reversed(frames):
        # No instruction: the line counts that is given here, whatever the frame's code says.
        traceback = TracebackType(traceback, _frame(filename, name), -1, line)
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
