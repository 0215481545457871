"""One WebSocket: opened, and then messages in and out, each with a time to be done by.

Times are of ``time.monotonic()``. Whatever goes wrong with a connection is an OSError.
"""

from __future__ import annotations

import time

from . import rfc6455, tcp
from .constants import MAX_FRAME_BYTES

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from socket import socket

# A message fits what the operating system buffers; who takes none of it for so long is dead.
SEND_SECONDS = 2.0

_READ_BYTES = 65536


class ClosedError(ConnectionError):
    """The other end has ended the connection, with a close frame or without."""


def dial(url: str, headers: dict[str, str], seconds: float) -> WebSocket:
    """A connection whose handshake was begun, within ``seconds``. Raises OSError.

    ``url`` is one of ``ws:`` or ``wss:``; anything else raises ValueError.
    """
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("not the URL of a WebSocket: " + repr(url))
    is_secure = parts.scheme == "wss"
    connection = tcp.open_socket(parts.hostname, parts.port or (443 if is_secure else 80), seconds)
    try:
        if is_secure:
            connection = tcp.secure(connection, parts.hostname)
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        key = rfc6455.new_key()
        connection.sendall(rfc6455.request(parts.netloc, target, headers, key))
    except BaseException:
        connection.close()
        raise
    return WebSocket(connection, key)


class WebSocket:
    def __init__(self, connection: socket, key: bytes) -> None:
        self._socket = connection
        self._key = key
        self._response = b""
        self._decoder = rfc6455.Decoder()

    def is_open(self, until: float) -> bool:
        """Whether the handshake is over by then; to be asked again if not.

        Raises UpgradeRefusedError, or another OSError.
        """
        while True:
            found = rfc6455.split_response(self._response)
            if found is not None:
                break
            data = self._read(until)
            if data is None:
                return False
            self._response += data
        response, rest = found
        rfc6455.check_response(response, self._key)
        self._decoder.feed(rest)
        return True

    def send(self, text: str) -> None:
        """As one whole frame. If OSError is raised, it did not arrive as a whole."""
        payload = text.encode("utf-8")
        if len(payload) > MAX_FRAME_BYTES:
            raise ValueError("a message has " + str(len(payload)) + " bytes")
        self._send(rfc6455.frame(rfc6455.TEXT, payload))

    def receive(self, until: float) -> str | None:
        """The next message; None if there is none by then. Pings are answered meanwhile."""
        try:
            while True:
                one = self._decoder.next()
                if one is None:
                    data = self._read(until)
                    if data is None:
                        return None
                    self._decoder.feed(data)
                    continue
                opcode, payload = one
                if opcode == rfc6455.PING:
                    self._send(rfc6455.frame(rfc6455.PONG, payload))
                elif opcode == rfc6455.CLOSE:
                    self._answer_close(rfc6455.close_code(payload))
                elif opcode != rfc6455.PONG:
                    return rfc6455.text_of(payload)
        except rfc6455.BrokenProtocolError as error:
            self._say_goodbye(error.code)
            raise

    def close(self) -> None:
        """Tells the other end, and does not wait for an answer."""
        self._say_goodbye(rfc6455.NORMAL_CLOSURE)
        self._socket.close()

    def _answer_close(self, code: int) -> None:
        self._say_goodbye(code)
        raise ClosedError("the connection was closed with " + str(code))

    def _say_goodbye(self, code: int) -> None:
        try:
            self._socket.settimeout(0)
            self._socket.send(rfc6455.close_frame(code))
        except OSError:
            return

    def _read(self, until: float) -> bytes | None:
        """What has come; None if nothing has by then."""
        self._socket.settimeout(max(until - time.monotonic(), 0))
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            if tcp.is_timeout(error):
                return None
            raise
        if not data:
            raise ClosedError("the connection ended")
        return data

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(SEND_SECONDS)
        self._socket.sendall(data)
