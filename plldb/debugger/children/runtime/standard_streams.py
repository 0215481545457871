"""Where this process writes its log, and what its standard streams are."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from . import output


class LogSink:
    """Where the log goes, as Lambda's has a descriptor of its own: whatever becomes of sys.stdout.

    Without a ``mark``, a terminal has all output: then nothing is told apart.
    """

    def __init__(self, mark: bytes | None) -> None:
        self._mark = mark
        self._descriptor = os.dup(1)

    def log(self, message: str, frame_type: object = None) -> None:
        """A record, which need not end with a line feed. Raises what its encoding does."""
        self._write(output.LOG, message if message.endswith("\n") else message + "\n")

    def log_error(self, lines: list[str]) -> None:
        self.log("\n".join(lines))

    def note(self, text: str) -> None:
        """For the developer; no part of the log."""
        self._write(output.NOTE, text.encode("utf-8", "backslashreplace").decode())

    def enter_request(self, request_id: str) -> None:
        """What is written from now on belongs to it; an empty one is no request."""
        if self._mark is not None:
            self._write(output.REQUEST, request_id)

    def _write(self, kind: bytes, text: str) -> None:
        encoded = text.encode("utf-8")
        if self._mark is None:
            write_all(self._descriptor, encoded)
        else:
            for piece in output.make_pieces(self._mark, kind, encoded):
                write_all(self._descriptor, piece)


class _MarkedStderr(io.RawIOBase):
    """Descriptor 2, which is the same pipe as 1: what is written here is marked as stderr's."""

    name = "<stderr>"
    mode = "wb"

    def __init__(self, mark: bytes) -> None:
        super().__init__()
        self._mark = mark
        self._pipe = os.fstat(2)

    def fileno(self) -> int:
        return 2

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        pieces = output.make_pieces(self._mark, output.STDERR, content)
        for piece in pieces if self._is_pipe() else (content,):
            write_all(2, piece)
        return len(content)

    def _is_pipe(self) -> bool:
        """Whether descriptor 2 is what it was: the user's code may redirect it."""
        return os.path.samestat(os.fstat(2), self._pipe)


def mark_stderr(mark: bytes) -> None:
    stream = io.TextIOWrapper(
        _MarkedStderr(mark),
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )
    sys.stderr = sys.__stderr__ = stream  # type: ignore[misc]


def write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
