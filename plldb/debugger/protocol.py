"""One session on one connection, without I/O: frames and times go in, frames and events come out.

::

    CONNECTING --opened--> ATTACHED --stop--> CLOSING --"closed", or silence--> ENDED
                               \\--the server ends it, or the connection is lost--> ENDED

Whoever moves the bytes calls ``opened`` once, ``receive`` for each frame, ``advance`` when the time
``due`` has come, and ``lose`` when the connection is gone; after each of these calls, and whenever
``wake`` is called, ``take_frames`` are to be sent and ``take_events`` to be told, in this order.

All times are in seconds, by one monotonic clock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import (
    ErrorCode,
    MessageType,
    WhenAbsent,
)
from plldb.debugger.timing import Timing

logger = logging.getLogger(__name__)

_PREVIEW_CHARACTERS = 80
_NO_SESSION = "the helper stack has closed the session"
_NO_ANSWER = "the helper stack does not answer"


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
    """All functions are done; counts. While ``max_waiting`` invocations wait, others are declined.

    What another session had instrumented before is not counted: ``Resumed``.
    """

    instrumented: int
    skipped: int
    max_waiting: int


@dataclass(frozen=True)
class Resumed:
    """The session has taken over what its former one held; no function was changed."""


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
    """An invocation to claim, as in ``wire.invocation``, and the id of the session it came to.

    ``deadline`` is the helper stack's: with the request id, it names the invocation there.
    """

    session_id: str
    request_id: str
    function: str
    deadline: float
    sent_at: float
    context: dict[str, Any]
    event: str | None
    event_url: str | None


@dataclass(frozen=True)
class Replied:
    """What the helper stack answers to a message about one invocation, as in ``wire``."""

    request_id: str
    message: dict[str, Any]


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
    | Resumed
    | Taken
    | Restored
    | InvocationArrived
    | Replied
    | Silent
    | JunkArrived
    | Ended
)


@dataclass(frozen=True)
class Wish:
    """What a session is for: the functions to instrument (none: it only listens), and how.

    ``former`` is the id of the session that it replaces, and ``is_complete`` says whether that one
    had instrumented all of the functions.
    """

    functions: tuple[str, ...] = ()
    when_absent: WhenAbsent = WhenAbsent.ORIGINAL
    take_over: bool = False
    former: str | None = None
    is_complete: bool = False


class SessionProtocol:
    """``session_id`` is a credential. ``wake`` is called when there are frames to take."""

    def __init__(
        self, session_id: str, wish: Wish, timing: Timing, wake: Callable[[], None] = lambda: None
    ) -> None:
        self.session_id = session_id
        self.wake = wake
        self.state = SessionState.CONNECTING
        # Whether the functions that were wished for are all done.
        self.is_ready = not wish.functions
        self._wish = wish
        self._timing = timing
        self._frames: list[str] = []
        self._events: list[SessionEvent] = []
        # When the next heartbeat is to be sent; until when the last one must be answered; when
        # silence about functions is told; when a session that is being closed is given up.
        self._heartbeat_at: float | None = None
        self._answer_by: float | None = None
        self._silent_at: float | None = None
        self._give_up_at: float | None = None

    # --- Out --------------------------------------------------------------------------------------

    def take_frames(self) -> list[str]:
        frames, self._frames = self._frames, []
        return frames

    def take_events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events

    @property
    def due(self) -> float | None:
        """When ``advance`` is to be called next; None if nothing is awaited."""
        times = (self._heartbeat_at, self._answer_by, self._silent_at, self._give_up_at)
        return min((time for time in times if time is not None), default=None)

    # --- In ---------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The connection is open: $connect has activated the session."""
        self._change(SessionState.ATTACHED)
        self._events.append(Connected())
        self._heartbeat_at = now + self._timing.heartbeat
        if self._wish.functions and self._wish.former is not None:
            self._frames.append(wire.resume_message(self.session_id, self._wish.former))
            self._silent_at = now + self._timing.silence
        elif self._wish.functions:
            self._instrument(now)

    def receive(self, frame: str | bytes, now: float) -> None:
        """What arrived on the connection."""
        if self._silent_at is not None:
            self._silent_at = now + self._timing.silence
        if self._give_up_at is not None:
            self._give_up_at = now + self._timing.closing
        message = wire.parse(frame)
        if message is None or not isinstance(message.get("type"), str):
            self._events.append(JunkArrived(_preview(frame)))
            return
        try:
            self._act_on(message, now)
        except (KeyError, TypeError, ValueError):
            self._events.append(JunkArrived(_preview(frame)))

    def advance(self, now: float) -> None:
        """Time has passed."""
        if _is_over(self._give_up_at, now) or _is_over(self._answer_by, now):
            self._end(confirmed=False, reason=_NO_ANSWER)
        if _is_over(self._silent_at, now):
            self._silent_at = None
            self._events.append(Silent(self._timing.silence))
        if _is_over(self._heartbeat_at, now):
            self._send_heartbeat(now)

    def lose(self, code: int, reason: str) -> None:
        """The connection is closed, with this code and reason (RFC 6455, section 7.4)."""
        if self.state is not SessionState.ENDED:
            self._end(confirmed=False, reason=explain_close(code, reason))

    def stop(self, now: float) -> None:
        """The user wants to end the session. Asking twice sends nothing more."""
        if self.state is SessionState.ATTACHED:
            self._change(SessionState.CLOSING)
            self._heartbeat_at = self._answer_by = self._silent_at = None
            self._give_up_at = now + self._timing.closing
            self.send(wire.close_message(self.session_id))

    def send(self, frame: str) -> None:
        """Sends a message of ``wire`` about an invocation; it is lost if the session has ended."""
        if self.state in (SessionState.ATTACHED, SessionState.CLOSING):
            self._frames.append(frame)
            self.wake()

    # --- Messages ---------------------------------------------------------------------------------

    def _act_on(self, message: dict[str, Any], now: float) -> None:
        match message["type"]:
            case MessageType.CLOSED:
                self._end(confirmed=True, reason=str(message.get("reason") or "closed"))
            case MessageType.ERROR if message.get("code") == ErrorCode.SESSION_CLOSED:
                self._end(confirmed=False, reason=_NO_SESSION)
            case MessageType.HEARTBEAT:
                self._answer_by = None
            case MessageType.RESUMED:
                self._resumed(now)
            case MessageType.EXPIRED:
                self._instrument(now)
            case MessageType.READY:
                self._become_ready()
                self._events.append(_read_ready(message))
            case MessageType.INVOCATION:
                self._events.append(_read_invocation(message, self.session_id))
            case MessageType.GO | MessageType.VOID | MessageType.RECORDED | MessageType.UPLOAD:
                self._events.append(Replied(str(message["requestId"]), message))
                if message["type"] == MessageType.VOID:
                    # The helper stack may take this debugger for a silent one: a sign of life.
                    self._send_heartbeat(now)
            case kind:
                self._events.append(_EVENTS.get(kind, MessageArrived)(message))

    def _resumed(self, now: float) -> None:
        self._events.append(Resumed())
        if self._wish.is_complete:
            self._become_ready()
        else:
            self._instrument(now)

    def _become_ready(self) -> None:
        self.is_ready = True
        self._silent_at = None

    def _instrument(self, now: float) -> None:
        wish = self._wish
        self._silent_at = now + self._timing.silence
        self._frames.append(
            wire.instrument_message(
                self.session_id, [*wish.functions], wish.when_absent, wish.take_over
            )
        )

    def _send_heartbeat(self, now: float) -> None:
        if self.state is SessionState.ATTACHED:
            self._heartbeat_at = now + self._timing.heartbeat
            self._answer_by = self._answer_by or now + self._timing.answer
            self._frames.append(wire.heartbeat_message(self.session_id))

    def _end(self, confirmed: bool, reason: str) -> None:
        if self.state is SessionState.ENDED:
            return
        is_expected = self.state is SessionState.CLOSING
        self._heartbeat_at = self._answer_by = self._silent_at = self._give_up_at = None
        self._change(SessionState.ENDED)
        self._events.append(Ended(expected=is_expected, confirmed=confirmed, reason=reason))

    def _change(self, state: SessionState) -> None:
        logger.info("Session %s is %s.", shortened(self.session_id), state.name)
        self.state = state


def _is_over(time: float | None, now: float) -> bool:
    return time is not None and now >= time


def _read_ready(message: dict[str, Any]) -> Ready:
    return Ready(
        instrumented=int(message["instrumented"]),
        skipped=int(message["skipped"]),
        max_waiting=int(message["maxWaiting"]),
    )


def _read_invocation(message: dict[str, Any], session_id: str) -> InvocationArrived:
    event, event_url = message["event"], message["eventUrl"]
    if (event is None) == (event_url is None):
        raise ValueError("either an event or its URL")
    return InvocationArrived(
        session_id=session_id,
        request_id=str(message["requestId"]),
        function=str(message["function"]),
        deadline=float(message["deadline"]),
        sent_at=float(message["sentAt"]),
        context=dict(message["context"]),
        event=None if event is None else str(event),
        event_url=None if event_url is None else str(event_url),
    )


_EVENTS: dict[str, Callable[[dict[str, Any]], SessionEvent]] = {
    MessageType.INSTRUMENTED: lambda m: Instrumented(str(m["function"]), m),
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


def explain_close(code: int, reason: str) -> str:
    """Why a connection was closed, in words."""
    text = _CLOSE_CODES.get(code, "the server closed the connection")
    return f"{text} (code {code}{': ' + reason if reason else ''})"


def _preview(frame: str | bytes) -> str:
    text = frame if isinstance(frame, str) else frame.decode("utf-8", errors="replace")
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(shown) <= _PREVIEW_CHARACTERS:
        return shown
    return shown[:_PREVIEW_CHARACTERS] + "…"
