"""What a child writes to its stdout and stderr, which are one pipe, so that the order is kept.

On Lambda, too, both are one stream. Whoever writes to it (the user's code, a library in C, a
subprocess) just writes bytes, and those are taken for stdout. What is known to be something else is
written as a piece with a head: a mark of 16 bytes that is another one in each child, a kind (1
byte) and a length (2 bytes, big-endian). A piece goes out in one write that no other can cut in
two.

plldb imports this file, too: see ``frames``.
"""

from __future__ import annotations

import os
import select
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Kinds of pieces. What Python writes to sys.stderr; records of the log and errors, as Lambda's
# runtime writes them; what plldb adds for the developer; and the id of the request that what
# follows belongs to, empty between invocations.
RAW, STDERR, LOG, NOTE, REQUEST = b"", b"e", b"l", b"n", b"r"

_MARK_BYTES = 16
# No byte of UTF-8: bytes that may be the beginning of a mark have to be held back.
_FIRST = b"\xff"
_KIND_AND_LENGTH = struct.Struct(">cH")
_HEAD_BYTES = _MARK_BYTES + _KIND_AND_LENGTH.size


def make_mark() -> bytes:
    return _FIRST + os.urandom(_MARK_BYTES - 1)


def make_pieces(mark: bytes, kind: bytes, payload: bytes) -> Iterator[bytes]:
    """The payload in as many pieces as it takes."""
    size = select.PIPE_BUF - _HEAD_BYTES
    for start in range(0, max(len(payload), 1), size):
        part = payload[start : start + size]
        yield mark + _KIND_AND_LENGTH.pack(kind, len(part)) + part


class OutputParser:
    """Takes bytes as they come, and calls ``on_piece`` with the kind and the payload of each piece.

    Bytes without a head are of the kind RAW.
    """

    def __init__(self, mark: bytes, on_piece: Callable[[bytes, bytes], None]) -> None:
        self._mark = mark
        self._on_piece = on_piece
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while True:
            start = self._buffer.find(self._mark)
            if start < 0:
                self._take_raw(len(self._buffer) - self._count_held())
                return
            self._take_raw(start)
            if len(self._buffer) < _HEAD_BYTES:
                return
            kind, size = _KIND_AND_LENGTH.unpack_from(self._buffer, _MARK_BYTES)
            end = _HEAD_BYTES + size
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEAD_BYTES:end])
            del self._buffer[:end]
            self._on_piece(kind, payload)

    def flush(self) -> None:
        """Takes what was held back for what it is: no mark."""
        if not self._buffer.startswith(self._mark):
            self._take_raw(len(self._buffer))

    def _take_raw(self, size: int) -> None:
        if size:
            raw = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._on_piece(RAW, raw)

    def _count_held(self) -> int:
        """How many bytes at the end may be the beginning of a mark."""
        sizes = range(min(_MARK_BYTES - 1, len(self._buffer)), 0, -1)
        return next((size for size in sizes if self._buffer.endswith(self._mark[:size])), 0)
