"""Open sockets, on Twisted's reactor: bytes, timers, and who is connected.

rolo, which accepts the connection, neither answers close frames nor ends the TCP connection, and
keeps a thread for each. So once the handshake is done this protocol takes its place.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from typing import Protocol as TypingProtocol

from rolo import Response
from rolo.websocket import WebSocketDisconnectedError, WebSocketRequest
from twisted.internet import reactor
from twisted.internet.protocol import Protocol
from twisted.internet.threads import blockingCallFromThread
from twisted.protocols.policies import ProtocolWrapper
from werkzeug.datastructures import Headers

from ..settings import SETTINGS
from .executors import DISCONNECTS, MESSAGES, Lane
from .framing import Framing
from .turns import Turns

ABNORMAL = 1006
GOING_AWAY = 1001
CLOSE_GRACE_SECONDS = 5.0
DISCONNECT_TURNS = Turns(DISCONNECTS, SETTINGS.websocket_disconnect_threads, reactor)


class Listener(TypingProtocol):
    """Told of everything on worker threads: of messages in order, of the end at the end."""

    def on_message(self, message: str) -> None: ...

    def on_close(self, code: int, reason: str) -> None: ...


def refuse(request: WebSocketRequest, response: Response) -> Response:
    """Answer the handshake with ``response``; returns what is left for rolo to do.

    rolo would write the answer on the worker's thread, where nothing of Twisted may be touched: now
    and then the reactor then never reads the next connection that gets the same file descriptor.
    """
    return blockingCallFromThread(reactor, _refuse, request, response)


def _refuse(request: WebSocketRequest, response: Response) -> Response:
    if request.socket.channel.closed:
        return Response(status=101)  # the client has left: there is nobody to answer
    request.reject(response)
    return response


def _protocol_header(subprotocol: str | None) -> Headers | None:
    """What ``$connect`` chose goes to the client as it is, even if the client did not offer it:
    API Gateway leaves it to the client to refuse. wsproto would not send it by its own means."""
    return Headers([("Sec-WebSocket-Protocol", subprotocol)]) if subprotocol else None


class Socket(Protocol):
    """One accepted WebSocket. Its public methods may be called from any thread."""

    def __init__(self, listener: Listener, on_gone: Callable[[], None]) -> None:
        self.last_active_at = time.time()
        self._listener = listener
        self._on_gone = on_gone
        self._lane = Lane(SETTINGS.websocket_parallel_messages, MESSAGES, DISCONNECT_TURNS)
        self._framing: Framing
        self._wire: Any
        self._close: tuple[int, str] | None = None
        self._gone = False
        self._timers: dict[str, Any] = {}

    @classmethod
    def accept(
        cls,
        request: WebSocketRequest,
        subprotocol: str | None,
        listener: Listener,
        register: Callable[["Socket"], None],
        on_gone: Callable[[], None],
    ) -> "Socket":
        """Complete the handshake. ``register`` runs before the client can know of it.

        Raises WebSocketDisconnectedError when the client has left meanwhile.
        """
        socket = cls(listener, on_gone)
        blockingCallFromThread(reactor, socket._take_over, request, subprotocol, register)
        return socket

    def send(self, message: str | bytes) -> None:
        reactor.callFromThread(self._send, message)

    def close(self, code: int, reason: str) -> None:
        reactor.callFromThread(self._start_closing, code, reason)

    def go_away(self) -> None:
        """Close for a reason that is not the client's."""
        self.close(GOING_AWAY, "Going away")

    # on the reactor's thread

    def _take_over(
        self,
        request: WebSocketRequest,
        subprotocol: str | None,
        register: Callable[["Socket"], None],
    ) -> None:
        channel = request.socket.channel
        self._wire = channel.request.transport
        self._wire.unregisterProducer()  # the HTTP channel, for which closing would wait
        try:
            self._wire.setTcpNoDelay(True)
            self._wire.setTcpKeepAlive(True)
        except AttributeError as error:  # the client has left, and Twisted let go of the socket
            raise WebSocketDisconnectedError from error
        register(self)
        try:
            request.accept(headers=_protocol_header(subprotocol), timeout=0)
        except Exception:
            self._vanish()
            raise
        self._framing = Framing(
            channel.wsproto,
            SETTINGS.websocket_max_frame_bytes,
            SETTINGS.websocket_max_message_bytes,
        )
        if isinstance(self._wire, ProtocolWrapper):
            self._wire.wrappedProtocol = self
        else:
            self._wire.protocol = self
        self._start_timer("idle", SETTINGS.websocket_idle_seconds, self._check_idle)
        self._start_timer("age", SETTINGS.websocket_max_seconds, self.go_away)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        for received in self._framing.receive(data):
            if received.reply:
                self._wire.write(received.reply)
            if received.message is not None:
                self._touch()
                self._lane.put(partial(self._listener.on_message, received.message))
            if received.closed:
                self._closed(*received.closed)
                self._drop()
        if self._framing.closing:
            self._await_drop()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802  # Twisted's name
        self._closed(ABNORMAL, "")
        self._stop_timers()

    def _send(self, message: str | bytes) -> None:
        if not self._gone:
            self._touch()
            self._wire.write(self._framing.send(message))

    def _start_closing(self, code: int, reason: str) -> None:
        if self._gone or self._framing.closing:
            return
        self._close = (code, reason)
        self._wire.write(self._framing.close(code, reason))
        self._await_drop()

    def _closed(self, code: int, reason: str) -> None:
        """Once for each connection: whoever closed first says why."""
        if self._gone:
            return
        self._vanish()
        code, reason = self._close or (code, reason)
        self._lane.finish(lambda: self._listener.on_close(code, reason))

    def _vanish(self) -> None:
        self._gone = True
        self._on_gone()

    def _drop(self) -> None:
        self._wire.loseConnection()
        self._await_drop()

    def _await_drop(self) -> None:
        """The peer has some seconds for its part of the closing handshake."""
        if "drop" not in self._timers:
            self._start_timer("drop", CLOSE_GRACE_SECONDS, self._abort)

    def _abort(self) -> None:
        self._wire.abortConnection()

    # limits

    def _touch(self) -> None:
        self.last_active_at = time.time()

    def _check_idle(self) -> None:
        left = self.last_active_at + SETTINGS.websocket_idle_seconds - time.time()
        if left > 0:
            self._start_timer("idle", left, self._check_idle)
        else:
            self.go_away()

    def _start_timer(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._timers[name] = reactor.callLater(seconds, action)

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._timers.clear()
