"""The session as the debugger's side sees it, without I/O: frames go in, events come out.

::

    CONNECTING --opened--> ATTACHED --stop--> CLOSING --"closed"--> ENDED
                               \\--the server ends it, or the connection is lost--> ENDED
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from plldb.bootstrap.cloudformation.lambda_functions import messages
from plldb.bootstrap.cloudformation.lambda_functions.messages import MessageType

_PREVIEW_CHARACTERS = 80


class State(Enum):
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
    """The function's invocations come here from now on; ``info``: see ``messages.instrumented``."""

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
    """An invocation to run here, as in ``messages.invocation``."""

    request_id: str
    function: str
    deadline: float
    context: dict[str, Any]
    event: str | None


@dataclass(frozen=True)
class Prolonged:
    """A heartbeat was answered."""


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


Event = (
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
    | JunkArrived
    | Ended
)


class SessionProtocol:
    def __init__(self) -> None:
        self.state = State.CONNECTING

    def opened(self) -> Event:
        self.state = State.ATTACHED
        return Connected()

    def received(self, frame: str | bytes) -> Event:
        message = messages.parse(frame)
        if message is None or not isinstance(message.get("type"), str):
            return JunkArrived(_preview(frame))
        if message["type"] == MessageType.CLOSED:
            return self._ended(confirmed=True, reason=str(message.get("reason") or "closed"))
        try:
            return _EVENTS.get(message["type"], MessageArrived)(message)
        except (KeyError, TypeError, ValueError):
            return JunkArrived(_preview(frame))

    def stop(self) -> list[str]:
        """The user wants to end it: the frames to send. Asking twice sends nothing more."""
        if self.state is not State.ATTACHED:
            return []
        self.state = State.CLOSING
        return [messages.close_request()]

    def connection_closed(self, code: int, reason: str) -> Ended:
        """The WebSocket is closed, with this code and reason (RFC 6455, section 7.4)."""
        return self._ended(confirmed=False, reason=close_reason(code, reason))

    def _ended(self, confirmed: bool, reason: str) -> Ended:
        expected = self.state is State.CLOSING
        self.state = State.ENDED
        return Ended(expected=expected, confirmed=confirmed, reason=reason)


def _invocation(message: dict[str, Any]) -> InvocationArrived:
    return InvocationArrived(
        request_id=str(message["requestId"]),
        function=str(message["function"]),
        deadline=float(message["deadline"]),
        context=dict(message["context"]),
        event=None if message["event"] is None else str(message["event"]),
    )


_EVENTS: dict[str, Callable[[dict[str, Any]], Event]] = {
    MessageType.HEARTBEAT: lambda _: Prolonged(),
    MessageType.INSTRUMENTED: lambda m: Instrumented(str(m["function"]), m),
    MessageType.INVOCATION: _invocation,
    MessageType.READY: lambda m: Ready(int(m["instrumented"]), int(m["skipped"])),
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
