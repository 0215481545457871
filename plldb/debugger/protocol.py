"""The session as the debugger's side sees it, without I/O: frames go in, events come out.

::

    CONNECTING --opened--> ATTACHED --stop--> CLOSING --"closed"--> ENDED
                               \\--the server ends it, or the connection is lost--> ENDED

While ATTACHED, it may move to another connection: what is sent goes to the new one from then on,
and what arrives on either counts. ::

    request_refresh → RefreshGranted → moving → moved       (the new connection is the current one)
                                          \\--> not_moved   (the old one still is, if it is there)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import ErrorCode, MessageType

_PREVIEW_CHARACTERS = 80
_REFUSAL = (MessageType.ERROR, ErrorCode.BAD_REQUEST)
_NO_SESSION = "the helper stack has closed the session"


class SessionState(Enum):
    CONNECTING = auto()
    ATTACHED = auto()
    CLOSING = auto()
    ENDED = auto()


@dataclass(frozen=True)
class Connected:
    """The session is ACTIVE."""


@dataclass(frozen=True)
class MessageArrived:
    message: dict[str, Any]


@dataclass(frozen=True)
class Instrumented:
    """The function's invocations come here from now on; ``info``: see ``wire.instrumented``."""

    function: str
    info: dict[str, Any]


@dataclass(frozen=True)
class Skipped:
    function: str
    reason: str


@dataclass(frozen=True)
class Warned:
    """The function is instrumented, but some of its invocations won't come here."""

    function: str
    message: str


@dataclass(frozen=True)
class Ready:
    """All functions are done; counts."""

    instrumented: int
    skipped: int


@dataclass(frozen=True)
class Taken:
    """Another session took the function over; ``by`` says whose."""

    function: str
    by: str


@dataclass(frozen=True)
class Restored:
    function: str


@dataclass(frozen=True)
class InvocationArrived:
    """An invocation to run here, as in ``wire.invocation``."""

    request_id: str
    function: str
    deadline: float
    context: dict[str, Any]
    event: str | None
    sent_at: float | None = None


@dataclass(frozen=True)
class Prolonged:
    """A heartbeat was answered."""


@dataclass(frozen=True)
class RefreshGranted:
    """A second connection may be opened with ``token``, a credential."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class Refreshed:
    """The session has moved to a new connection."""


@dataclass(frozen=True)
class RefreshFailed:
    """It has not moved, and is tried again after ``delay`` seconds."""

    reason: str
    delay: float


@dataclass(frozen=True)
class Silent:
    """Nothing was heard for so many seconds of functions that are being instrumented."""

    seconds: float


@dataclass(frozen=True)
class JunkArrived:
    """Something that is no message; ``preview`` is its printable beginning."""

    preview: str


@dataclass(frozen=True)
class Ended:
    """``expected``: the user asked for it. ``confirmed``: the server said that it is CLOSED."""

    expected: bool
    confirmed: bool
    reason: str


SessionEvent = (
    Connected
    | MessageArrived
    | Instrumented
    | Skipped
    | Warned
    | Ready
    | Taken
    | Restored
    | InvocationArrived
    | Prolonged
    | RefreshGranted
    | Refreshed
    | RefreshFailed
    | Silent
    | JunkArrived
    | Ended
)


class SessionProtocol:
    """Connections are numbered by their user, from 0; ``current`` is the one to send on."""

    def __init__(self) -> None:
        self.state = SessionState.CONNECTING
        self.current = 0
        # Whether the functions that were asked for are all done; until then, nothing moves.
        self.is_ready = True
        self._is_moving = False
        # How the current connection ended while the session may have moved already.
        self._lost: tuple[int, str] | None = None

    def opened(self) -> SessionEvent:
        self.state = SessionState.ATTACHED
        return Connected()

    def instrument(self, request: str) -> list[str]:
        """The frames to send to ask for functions; ``request``: ``wire.instrument_message``."""
        self.is_ready = False
        return [request]

    def received(self, frame: str | bytes, connection: int = 0) -> SessionEvent:
        """What arrived on any of the connections."""
        message = wire.parse(frame)
        if message is None or not isinstance(message.get("type"), str):
            return JunkArrived(_preview(frame))
        kind = message["type"]
        if kind == MessageType.CLOSED:
            return self._ended(confirmed=True, reason=str(message.get("reason") or "closed"))
        try:
            event = _EVENTS.get(kind, MessageArrived)(message)
        except (KeyError, TypeError, ValueError):
            # The frame itself may hold a token.
            return JunkArrived(kind if kind == MessageType.REFRESH else _preview(frame))
        self.is_ready = self.is_ready or isinstance(event, Ready)
        if self._says_that_it_has_no_session(message, connection):
            return self._ended(confirmed=False, reason=_NO_SESSION)
        return event

    def _says_that_it_has_no_session(self, message: dict[str, Any], connection: int) -> bool:
        """Heartbeats and refreshes have nothing in them that could be wrong.

        They are refused if the session was closed, or has moved to a connection that never opened.
        """
        is_refusal = (message["type"], message.get("code")) == _REFUSAL
        is_ours = self.is_ready and not self._is_moving and connection == self.current
        return is_refusal and is_ours and self.state is SessionState.ATTACHED

    def stop(self) -> list[str]:
        """The user wants to end it: the frames to send. Asking twice sends nothing more."""
        if self.state is not SessionState.ATTACHED:
            return []
        self.state = SessionState.CLOSING
        return [wire.close_message()]

    def request_refresh(self) -> list[str]:
        """The frames to send; none while functions are being instrumented, or the session ends."""
        may_move = self.state is SessionState.ATTACHED and self.is_ready and not self._is_moving
        return [wire.refresh_message()] if may_move else []

    def moving(self) -> None:
        """A second connection is being opened: the server may give it the session any moment."""
        self._is_moving = True

    def moved(self, connection: int) -> SessionEvent:
        """The second connection is open: it is the current one."""
        self.current = connection
        self._is_moving, self._lost = False, None
        return Refreshed()

    def not_moved(self) -> Ended | None:
        """The second connection did not open; the end, if the first was lost meanwhile."""
        self._is_moving = False
        if self._lost is None or self.state is SessionState.ENDED:
            return None
        return self._ended(confirmed=False, reason=close_reason(*self._lost))

    def connection_closed(self, connection: int, code: int, reason: str) -> Ended | None:
        """A WebSocket is closed, with this code and reason (RFC 6455, section 7.4).

        None if the session lives on, or perhaps does, by another one.
        """
        if connection != self.current or self.state is SessionState.ENDED:
            return None
        if self._is_moving and self.state is SessionState.ATTACHED:
            self._lost = (code, reason)
            return None
        return self._ended(confirmed=False, reason=close_reason(code, reason))

    def _ended(self, confirmed: bool, reason: str) -> Ended:
        expected = self.state is SessionState.CLOSING
        self.state = SessionState.ENDED
        return Ended(expected=expected, confirmed=confirmed, reason=reason)


def _invocation(message: dict[str, Any]) -> InvocationArrived:
    return InvocationArrived(
        request_id=str(message["requestId"]),
        function=str(message["function"]),
        deadline=float(message["deadline"]),
        context=dict(message["context"]),
        event=None if message["event"] is None else str(message["event"]),
        sent_at=None if message.get("sentAt") is None else float(message["sentAt"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value


_EVENTS: dict[str, Callable[[dict[str, Any]], SessionEvent]] = {
    MessageType.HEARTBEAT: lambda _: Prolonged(),
    MessageType.INSTRUMENTED: lambda m: Instrumented(str(m["function"]), m),
    MessageType.INVOCATION: _invocation,
    MessageType.READY: lambda m: Ready(int(m["instrumented"]), int(m["skipped"])),
    MessageType.REFRESH: lambda m: RefreshGranted(_text(m["token"])),
    MessageType.RESTORED: lambda m: Restored(str(m["function"])),
    MessageType.SKIPPED: lambda m: Skipped(str(m["function"]), str(m["reason"])),
    MessageType.TAKEN: lambda m: Taken(str(m["function"]), str(m["by"])),
    MessageType.WARNING: lambda m: Warned(str(m["function"]), str(m["message"])),
}


# https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1, and what API Gateway means by them:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-disconnect.html
_CLOSE_CODES = {
    1000: "the server closed the connection",
    1001: "the server closed the connection: 2 hours passed, 10 minutes went by without a message, "
    "or it was shut down",
    1006: "the connection broke",
    1008: "the server closed the connection: too many messages at once",
    1009: "the server closed the connection: a message was too big",
    1011: "the server closed the connection after an error of its own",
}


def close_reason(code: int, reason: str) -> str:
    """Why a connection was closed, in words."""
    text = _CLOSE_CODES.get(code, "the server closed the connection")
    return f"{text} (code {code}{': ' + reason if reason else ''})"


def _preview(frame: str | bytes) -> str:
    text = frame if isinstance(frame, str) else frame.decode("utf-8", errors="replace")
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(shown) <= _PREVIEW_CHARACTERS:
        return shown
    return shown[:_PREVIEW_CHARACTERS] + "…"
