"""WebSocket frames in and out within AWS's limits, over wsproto. No sockets here.

Clients may send text only; a binary frame closes the connection with 1003:
https://docs.aws.amazon.com/apigateway/latest/developerguide/
websocket-api-develop-binary-media-types.html

A frame may have 32 KB and a message 128 KB; larger ones close the connection with 1009:
https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-execution-service-websocket-limits-table.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wsproto import WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

UNSUPPORTED_DATA = 1003
MESSAGE_TOO_BIG = 1009
NO_STATUS = 1005
NO_STATUS_REASON = "Client-side close frame status not set"


@dataclass(frozen=True)
class Received:
    """What a piece of input amounts to, in order."""

    reply: bytes = b""
    message: str | None = None
    closed: tuple[int, str] | None = None


class Framing:
    """One open connection. ``closing`` is set once this side has sent a close frame."""

    def __init__(self, connection: WSConnection, max_frame: int, max_message: int) -> None:
        self._connection = connection
        self._max_frame = max_frame
        self._max_message = max_message
        self._parts: list[str] = []
        self._message_size = 0
        self._frame_size = 0
        self.closing = False

    def receive(self, data: bytes) -> Iterator[Received]:
        """Never raises: a violation of the protocol comes out as a close frame."""
        if self._connection.state is ConnectionState.CLOSED:
            return
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, CloseConnection):
                yield self._client_close(event)
            elif isinstance(event, Ping):
                yield Received(reply=self._encode(event.response()))
            elif isinstance(event, Message) and not self.closing:
                yield from self._collect(event)

    def send(self, message: str | bytes) -> bytes:
        """A message in frames within the limit; nothing once this side is closing."""
        if self.closing:
            return b""
        pieces = split(message, self._max_frame)
        return b"".join(
            self._connection.send(_frame(piece, is_last=number == len(pieces)))
            for number, piece in enumerate(pieces, start=1)
        )

    def close(self, code: int, reason: str) -> bytes:
        if self.closing:
            return b""
        self.closing = True
        return self._encode(CloseConnection(code, reason))

    def _client_close(self, event: CloseConnection) -> Received:
        reply = b"" if self.closing else self._encode(event.response())
        self.closing = True
        if event.code == NO_STATUS:
            return Received(reply=reply, closed=(NO_STATUS, NO_STATUS_REASON))
        return Received(reply=reply, closed=(int(event.code), event.reason or ""))

    def _collect(self, event: Any) -> Iterator[Received]:
        if not isinstance(event, TextMessage):
            yield Received(reply=self.close(UNSUPPORTED_DATA, "Binary frames are not supported"))
            return
        size = len(event.data.encode())
        self._frame_size += size
        self._message_size += size
        if self._frame_size > self._max_frame or self._message_size > self._max_message:
            yield Received(reply=self.close(MESSAGE_TOO_BIG, "Message too long"))
            return
        self._parts.append(event.data)
        if event.frame_finished:
            self._frame_size = 0
        if event.message_finished:
            message = "".join(self._parts)
            self._parts, self._message_size = [], 0
            yield Received(message=message)

    def _encode(self, event: Any) -> bytes:
        try:
            encoded: bytes = self._connection.send(event)
        except LocalProtocolError:
            return b""  # the closing handshake has overtaken it
        return encoded


def _frame(piece: str | bytes, is_last: bool) -> TextMessage | BytesMessage:
    if isinstance(piece, str):
        return TextMessage(data=piece, message_finished=is_last)
    return BytesMessage(data=piece, message_finished=is_last)


def split(message: str | bytes, limit: int) -> list[str | bytes]:
    """Pieces of at most ``limit`` bytes; text is cut between characters. At least one piece."""
    if isinstance(message, bytes):
        return [message[i : i + limit] for i in range(0, len(message), limit)] or [b""]
    data = message.encode()
    pieces: list[str | bytes] = []
    start = 0
    while start < len(data):
        end = start + limit
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(data[start:end].decode())
        start = end
    return pieces or [""]
