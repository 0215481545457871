"""A file of JSON objects, one a line, that grows to a limit: written by one, read by any.

A line is written in one call, and a reader takes whole lines only. So whatever ends the writer,
all but its last line can be read, and it goes on below that.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

logger = logging.getLogger(__name__)

_MAX_BYTES = 32_000_000
# Of what is to be written: whoever is faster than the disk for so long loses lines, and nothing
# else.
_MOST_WAITING = 20_000


class JsonLinesWriter:
    """Appends to ``path``, in a thread of its own; ``prepare`` is called there, with each object.

    ``prepare`` gives what is written in its place, without secrets. When the file has ``max_bytes``
    it becomes ``<path>.1``, in the place of an older one. What can't be prepared or written is
    counted, and said by the next line, ``{"event": "lost", "lines": N}``. Only its user can read
    the file. Each begins with ``first``, if that is given, and is locked until it is closed.
    Closing waits for what is being written. Raises OSError if there can be no such file.
    """

    def __init__(
        self,
        path: Path,
        prepare: Callable[[Any], Any],
        max_bytes: int = _MAX_BYTES,
        most_waiting: int = _MOST_WAITING,
        first: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = path
        self._first = first
        self._prepare = prepare
        self._max_bytes = max_bytes
        self._lost = 0
        # The file may end with a part of a line: the disk was full.
        self._is_torn = False
        self._counting = threading.Lock()
        self._waiting: queue.Queue[Callable[[], Mapping[str, Any]] | None]
        self._waiting = queue.Queue(most_waiting)
        self._descriptor = self._open()
        self._thread = threading.Thread(target=self._run, name=path.name, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, value: Mapping[str, Any]) -> None:
        """Takes an object, at once; it must not be changed afterwards."""
        self.put_later(lambda: value)

    def put_later(self, make: Callable[[], Mapping[str, Any]]) -> None:
        """The same for one that is made in the other thread."""
        try:
            self._waiting.put_nowait(make)
        except queue.Full:
            self._count(1)

    def close(self) -> None:
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()
            os.close(self._descriptor)

    def _run(self) -> None:
        while (make := self._waiting.get()) is not None:
            if self._write(make):
                self._say_what_is_lost()
        self._say_what_is_lost()

    def _write(self, make: Callable[[], Mapping[str, Any]]) -> bool:
        try:
            line = json.dumps(self._prepare(make())).encode() + b"\n"
            self._append(line)
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            logger.debug("a line of %s is lost: %s", self._path.name, type(error).__name__)
            self._count(1)
            return False
        return True

    def _say_what_is_lost(self) -> None:
        if lost := self._lost:
            with suppress(OSError):
                self._append(json.dumps({"event": "lost", "lines": lost}).encode() + b"\n")
                self._count(-lost)

    def _count(self, lines: int) -> None:
        with self._counting:
            self._lost += lines

    def _append(self, line: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        if size and size + len(line) > self._max_bytes:
            self._path.replace(name_older(self._path))
            full, self._descriptor = self._descriptor, self._open()
            os.close(full)
        left = memoryview(b"\n" + line if self._is_torn else line)
        self._is_torn = True
        while left:
            left = left[os.write(self._descriptor, left) :]
        self._is_torn = False

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if not size and self._first is not None:
                os.write(descriptor, json.dumps(self._first).encode() + b"\n")
            elif size and os.pread(descriptor, 1, size - 1) != b"\n":
                os.write(descriptor, b"\n")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def is_being_written(path: Path) -> bool:
    """Whether the writer of a file is still there. Raises OSError."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def name_older(path: Path) -> Path:
    """The file that has what was written before."""
    return path.with_name(f"{path.name}.1")


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in the older file and in this one; half a line, or one of junk, is passed over.

    Raises OSError; a file that is not there has none.
    """
    for one in (name_older(path), path):
        with suppress(FileNotFoundError), one.open("rb") as file:
            for line in file:
                yield from parse_line(line)


def parse_line(line: bytes) -> Iterator[dict[str, Any]]:
    """The object in a line, if it is whole and has one."""
    with suppress(ValueError, RecursionError):
        if line.endswith(b"\n") and isinstance(value := json.loads(line), dict):
            yield value
