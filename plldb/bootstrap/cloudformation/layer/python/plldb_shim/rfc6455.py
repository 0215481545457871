"""WebSockets as a client speaks them: bytes in, bytes out, no socket and no clock.

https://www.rfc-editor.org/rfc/rfc6455, without extensions and subprotocols.
"""

from __future__ import annotations

import os
import sys
from binascii import b2a_base64

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

# Codes of close frames.
NORMAL_CLOSURE = 1000
PROTOCOL_ERROR = 1002
NO_STATUS = 1005
INVALID_TEXT = 1007
MESSAGE_TOO_BIG = 1009

# API Gateway passes on no larger message, whatever number of frames it has:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MAX_RECEIVED_BYTES = 128 * 1024
MAX_RESPONSE_BYTES = 16 * 1024

_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_END_OF_RESPONSE = b"\r\n\r\n"
_MAX_CONTROL_BYTES = 125
# Lengths from these on are given in two bytes, and in eight.
_FROM_TWO_BYTES = 126
_FROM_EIGHT_BYTES = 1 << 16


class BrokenProtocolError(ConnectionError):
    """The other end does not speak WebSocket; ``code`` is what a close frame tells it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class UpgradeRefusedError(ConnectionError):
    """The handshake was answered, but not with 101."""

    def __init__(self, status: int) -> None:
        super().__init__("the handshake was answered with " + str(status))
        self.status = status

    @property
    def is_busy(self) -> bool:
        """Whether another attempt may succeed: the server failed, or was throttled, this once."""
        return self.status == 429 or self.status >= 500

    @property
    def is_denied(self) -> bool:
        """Whether the server knows no such client."""
        return self.status in (401, 403)


# --- Handshake ------------------------------------------------------------------------------------


def new_key() -> bytes:
    return b2a_base64(os.urandom(16), newline=False)


def request(host: str, target: str, headers: dict[str, str], key: bytes) -> bytes:
    """The upgrade; ``target`` is the path with its query, ``key`` one of ``new_key``."""
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key.decode("ascii"),
        "Sec-WebSocket-Version": "13",
    }
    fields.update(headers)
    lines = [name + ": " + value for name, value in fields.items()]
    return "\r\n".join(["GET " + target + " HTTP/1.1", *lines, "", ""]).encode("latin-1")


def split_response(received: bytes) -> tuple[bytes, bytes] | None:
    """(response, what follows it); None as long as the response is not complete."""
    end = received.find(_END_OF_RESPONSE)
    if end < 0 and len(received) <= MAX_RESPONSE_BYTES:
        return None
    if end < 0:
        raise BrokenProtocolError(PROTOCOL_ERROR, "the handshake's answer has no end")
    return received[:end], received[end + len(_END_OF_RESPONSE) :]


def check_response(response: bytes, key: bytes) -> None:
    """Raises UpgradeRefusedError, or BrokenProtocolError for what is no WebSocket server."""
    first, *lines = response.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest.partition(" ")[0]
    if not version.startswith("HTTP/1.") or not (status.isdigit() and len(status) == 3):
        raise BrokenProtocolError(PROTOCOL_ERROR, "the handshake's answer is no HTTP")
    if status != "101":
        raise UpgradeRefusedError(int(status))
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    connection = [token.strip() for token in headers.get("connection", "").lower().split(",")]
    if (
        headers.get("upgrade", "").lower() != "websocket"
        or "upgrade" not in connection
        or headers.get("sec-websocket-accept") != accept_value(key)
        # None was asked for.
        or "sec-websocket-extensions" in headers
        or "sec-websocket-protocol" in headers
    ):
        raise BrokenProtocolError(PROTOCOL_ERROR, "the handshake's answer is no WebSocket's")


def accept_value(key: bytes) -> str:
    """What a server makes of the key, to show that it knows what it was asked."""
    from hashlib import sha1

    # Where a policy forbids SHA-1, it still does for what is no secret.
    options: dict[str, bool] = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}
    digest = sha1(key + _ACCEPT_SUFFIX, **options).digest()  # nosec B324  # noqa: S324 - RFC 6455
    return b2a_base64(digest, newline=False).decode("ascii")


# --- Frames out -----------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame, masked as a client's has to be."""
    length = len(payload)
    head = bytearray([0x80 | opcode])
    if length < _FROM_TWO_BYTES:
        head.append(0x80 | length)
    elif length < _FROM_EIGHT_BYTES:
        head.append(0x80 | 126)
        head += length.to_bytes(2, "big")
    else:
        head.append(0x80 | 127)
        head += length.to_bytes(8, "big")
    mask = os.urandom(4)
    return bytes(head) + mask + _masked(payload, mask)


def close_frame(code: int = NORMAL_CLOSURE) -> bytes:
    """Without a code if there is none to tell."""
    return frame(CLOSE, b"" if code == NO_STATUS else code.to_bytes(2, "big"))


def _masked(payload: bytes, mask: bytes) -> bytes:
    # As one large number: byte by byte would take Python milliseconds.
    length = len(payload)
    repeated = (mask * (length // 4 + 1))[:length]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(length, "big")


# --- Frames in ------------------------------------------------------------------------------------


class Decoder:
    """Puts whole messages and control frames together, from pieces of any size."""

    def __init__(self) -> None:
        self._received = bytearray()
        # The message under way: its opcode (CONTINUATION if there is none) and its parts.
        self._opcode = CONTINUATION
        self._message = bytearray()

    def feed(self, data: bytes) -> None:
        self._received += data

    def next(self) -> tuple[int, bytes] | None:
        """(TEXT, BINARY, CLOSE, PING or PONG; payload); None if more has to be received first.

        Raises BrokenProtocolError, after which there is nothing to expect any more.
        """
        while True:
            one = self._next_frame()
            if one is None:
                return None
            is_last, opcode, payload = one
            if opcode >= CLOSE:
                return opcode, payload
            self._opcode = self._opcode or opcode
            self._message += payload
            if is_last:
                break
        opcode, message = self._opcode, bytes(self._message)
        self._opcode = CONTINUATION
        self._message.clear()
        return opcode, message

    def _next_frame(self) -> tuple[bool, int, bytes] | None:
        received = self._received
        if len(received) < 2:
            return None
        is_last, opcode, length = bool(received[0] & 0x80), received[0] & 0x0F, received[1] & 0x7F
        self._check_head(is_last, opcode, length)
        start = {126: 4, 127: 10}.get(length, 2)
        if len(received) < start:
            return None
        if start > 2:
            length = self._extended(int.from_bytes(received[2:start], "big"), start)
        if opcode < CLOSE and len(self._message) + length > MAX_RECEIVED_BYTES:
            raise BrokenProtocolError(MESSAGE_TOO_BIG, "a message is too long")
        if len(received) < start + length:
            return None
        payload = bytes(received[start : start + length])
        del received[: start + length]
        return is_last, opcode, payload

    def _check_head(self, is_last: bool, opcode: int, length: int) -> None:
        if self._received[0] & 0x70:
            reason = "an extension is used that nobody asked for"
        elif self._received[1] & 0x80:
            reason = "a frame of a server is masked"
        elif opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            reason = "a frame is of a kind that there is not"
        elif opcode >= CLOSE and not (is_last and length <= _MAX_CONTROL_BYTES):
            reason = "a control frame is in parts, or too long"
        elif opcode < CLOSE and (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            reason = "a part of a message is missing"
        else:
            return
        raise BrokenProtocolError(PROTOCOL_ERROR, reason)

    def _extended(self, length: int, start: int) -> int:
        if length < (_FROM_TWO_BYTES if start == 4 else _FROM_EIGHT_BYTES):
            raise BrokenProtocolError(PROTOCOL_ERROR, "a length is given in too many bytes")
        return length


def text_of(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        raise BrokenProtocolError(INVALID_TEXT, "a text is not UTF-8") from None


def close_code(payload: bytes) -> int:
    """Of a close frame; NO_STATUS if it has none."""
    if not payload:
        return NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    is_known = code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999
    if len(payload) == 1 or not is_known:
        raise BrokenProtocolError(PROTOCOL_ERROR, "a close frame makes no sense")
    text_of(payload[2:])
    return code
