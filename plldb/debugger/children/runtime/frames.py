"""The frames that plldb and a child exchange over two pipes, and the errors that are in them.

A frame is two lengths (4 bytes each, big-endian), a JSON object of the first length, which is the
header, and text of the second length, which is never looked into on the way. The package says
which frames there are.

The child loads this file, too, under the interpreter of the user's project: Python 3.8 or newer,
standard library only, and nothing of plldb.
"""

# Python 3.8 must be able to run this; it never looks at the annotations.
from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Header = dict[str, Any]

_LENGTHS = struct.Struct(">II")
# What a child writes to its terminal when it needs that no more: a command that terminals ignore
# (ECMA-48, 8.3.2), and that plldb does not pass on.
TERMINAL_MARK = b"\x1b_plldb\x1b\\"


class ErrorReport(TypedDict):
    """An error as Lambda reports it; a line of ``stackTrace`` is a frame with its source line."""

    errorType: str
    errorMessage: str
    stackTrace: list[str]


def make_error_report(kind: str, message: str, trace: list[str] | None = None) -> ErrorReport:
    return {"errorType": kind, "errorMessage": message, "stackTrace": trace or []}


def encode_frame(header: Header, text: str = "") -> bytes:
    encoded = json.dumps(header).encode()
    payload = text.encode("utf-8", "surrogatepass")
    return _LENGTHS.pack(len(encoded), len(payload)) + encoded + payload


class FrameParser:
    """Takes bytes as they come, and calls ``on_frame`` with each frame that they complete."""

    def __init__(self, on_frame: Callable[[Header, str], None]) -> None:
        self._on_frame = on_frame
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTHS.size:
            header_size, text_size = _LENGTHS.unpack_from(self._buffer)
            text_start = _LENGTHS.size + header_size
            end = text_start + text_size
            if len(self._buffer) < end:
                return
            header = json.loads(self._buffer[_LENGTHS.size : text_start])
            text = self._buffer[text_start:end].decode("utf-8", "surrogatepass")
            del self._buffer[:end]
            self._on_frame(header, text)
