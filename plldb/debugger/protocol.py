"""One session on one connection, without I/O: frames and times go in, frames and events come out.

::

    CONNECTING --opened--> ATTACHED --stop--> CLOSING --"closed", or silence--> ENDED
                            |  \\--retire--> RETIRED --its time is over--> ENDED
                            \\--the server ends it, or the connection is lost--> ENDED

Whoever moves the bytes calls ``opened`` once, ``receive`` for each frame, ``advance`` when the time
``due`` has come, and ``lose`` when the connection is gone; after each of these calls, and whenever
``wake`` is called, what ``take_events`` gives is to be told, and what ``take_frame`` gives, frame
by frame, to be sent.

All times are in seconds, by one monotonic clock.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import (
    ErrorCode,
    MessageType,
    RoleCredentials,
    WhenAbsent,
)
from plldb.debugger.held_functions import Changes, HeldFunctions
from plldb.debugger.timing import Timing

logger = logging.getLogger(__name__)

_PREVIEW_CHARACTERS = 80
_NO_SESSION = "the helper stack has closed the session"
_NO_ANSWER = "the helper stack does not answer"
_REPLACED = "another session has taken its place"


class SessionState(Enum):
    CONNECTING = auto()
    ATTACHED = auto()
    CLOSING = auto()
    # Another session has what it had; what was on its way to this one still arrives.
    RETIRED = auto()
    ENDED = auto()


@dataclass(frozen=True)
class Connected:
    """The session is ACTIVE."""


@dataclass(frozen=True)
class MessageArrived:
    message: dict[str, Any]


@dataclass(frozen=True)
class Instrumented:
    """The function's invocations come here from now on; ``info``: see ``wire.instrumented``.

    ``is_again``: as of ``Skipped`` and ``Ready``, it was asked for after a deployment.
    """

    function: str
    info: dict[str, Any]
    is_again: bool = False


@dataclass(frozen=True)
class Skipped:
    """``revision`` is the one that was refused; empty if it is worth asking again.

    ``is_unchosen``: the developer has left it out.
    """

    function: str
    reason: str
    revision: str = ""
    is_again: bool = False
    is_unchosen: bool = False


@dataclass(frozen=True)
class Warned:
    """The function is instrumented, but some of its invocations won't come here."""

    function: str
    message: str


@dataclass(frozen=True)
class Ready:
    """All functions are done; counts. While ``max_waiting`` invocations wait, others are declined.

    ``stack`` says which deployment of the stack they are of. After ``Resumed``, there is none of it
    if nothing was left to be instrumented.
    """

    instrumented: int
    skipped: int
    max_waiting: int
    stack: str = ""
    is_again: bool = False


@dataclass(frozen=True)
class Changed:
    """Somebody has deployed the stack again, or changed functions, or is about to."""

    changes: Changes


@dataclass(frozen=True)
class Resumed:
    """The session has taken over what its former one held; no function was changed."""


@dataclass(frozen=True)
class Expired:
    """The former session could not be resumed: its functions are instrumented anew."""


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
    ``claim`` is a request that claims it without asking there.
    ``credentials`` are those of the function's role, if the session has asked for them.
    """

    session_id: str
    request_id: str
    function: str
    deadline: float
    sent_at: float
    context: dict[str, Any]
    event: str | None
    event_url: str | None
    claim: SignedRequest | None = field(default=None, repr=False)
    credentials: RoleCredentials | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Replied:
    """What the helper stack answers to a message about one invocation, as in ``wire``.

    ``deadline`` is None where it does not say which try of the invocation it means.
    """

    request_id: str
    deadline: float | None
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
    | Changed
    | Resumed
    | Expired
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

    ``as_function``: their invocations are to bring the credentials of their roles. ``members`` are
    the functions of a stack that is a mere list: their names at Lambda, by those in the session.
    ``aliases``: callers of their aliases are to come here, whoever else calls the functions.

    ``former`` is the id of the session that it replaces, and ``is_complete`` says whether that one
    had instrumented all of the functions.
    """

    functions: tuple[str, ...] = ()
    when_absent: WhenAbsent = WhenAbsent.ORIGINAL
    take_over: bool = False
    as_function: bool = False
    members: Mapping[str, str] | None = None
    aliases: bool = False
    former: str | None = None
    is_complete: bool = False


class _Timer(Enum):
    """What is to happen at a time, unless something happens before."""

    # A heartbeat is sent; the session is lost, since none was answered.
    HEARTBEAT = auto()
    ANSWER = auto()
    # It is asked again whether the former session can be resumed.
    RESUME = auto()
    # It is told that nothing was heard of functions.
    SILENCE = auto()
    # It is asked whether the stack was deployed again.
    WATCH = auto()
    # A session that is being closed, or that is retired, is given up.
    END = auto()


class SessionProtocol:
    """``session_id`` is a credential. ``wake`` is called when there are frames to take.

    With ``held``, it is watched whether the stack is deployed again.
    """

    def __init__(
        self,
        session_id: str,
        wish: Wish,
        timing: Timing,
        wake: Callable[[], None] = lambda: None,
        held: HeldFunctions | None = None,
    ) -> None:
        self.session_id = session_id
        self.wake = wake
        self.state = SessionState.CONNECTING
        # Whether the functions that were wished for are all done, and the former session replaced.
        self.is_ready = not wish.functions and wish.former is None
        self._wish = wish
        self._timing = timing
        self._frames: list[str] = []
        self._events: list[SessionEvent] = []
        self._timers: dict[_Timer, float] = {}
        self._takes_frames = True
        # Whether anything was heard of the functions since they were asked for.
        self._was_heard_of = False
        self._held = held
        self._is_instrumenting_again = False

    # --- Out --------------------------------------------------------------------------------------

    def take_frame(self) -> str | None:
        return self._frames.pop(0) if self._frames else None

    def take_events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events

    @property
    def due(self) -> float | None:
        """When ``advance`` is to be called next; None if nothing is awaited."""
        return min(self._timers.values(), default=None)

    # --- In ---------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The connection is open: $connect has activated the session."""
        self._events.append(Connected())
        if self.state is SessionState.CLOSING:
            self._timers[_Timer.END] = now + self._timing.closing
            return
        self._change(SessionState.ATTACHED)
        self._timers[_Timer.HEARTBEAT] = now + self._timing.heartbeat
        if self._held is not None:
            self._timers[_Timer.WATCH] = now + self._timing.watch
        if self._wish.former is not None:
            self._timers[_Timer.SILENCE] = now + self._timing.silence
            self._resume(self._wish.former, now)
        else:
            self._instrument(now)

    def receive(self, frame: str | bytes, now: float) -> None:
        """What arrived on the connection."""
        if self.state is SessionState.ENDED:
            return
        if self.state is SessionState.CLOSING:
            self._timers[_Timer.END] = now + self._timing.closing
        message = wire.parse(frame)
        try:
            if message is None:
                raise ValueError("no JSON object")
            self._act_on(_text(message, "type"), message, now)
        except (KeyError, TypeError, ValueError, OverflowError):
            self._events.append(JunkArrived(_preview(frame)))

    def advance(self, now: float) -> None:
        """Time has passed."""
        for timer in [timer for timer, time in self._timers.items() if time <= now]:
            # One before it may have ended the session.
            if self._timers.pop(timer, None) is not None:
                self._ring(timer, now)

    def lose(self, code: int, reason: str) -> None:
        """The connection is closed, with this code and reason (RFC 6455, section 7.4)."""
        self._end(confirmed=False, reason=explain_close(code, reason))

    def stop(self, now: float) -> None:
        """The user wants to end the session. Asking twice sends nothing more.

        Before ``opened``, nothing is instrumented any more.
        """
        match self.state:
            case SessionState.CONNECTING | SessionState.ATTACHED:
                self._change(SessionState.CLOSING)
                self._timers = {_Timer.END: now + self._timing.closing}
                self.send(wire.close_message(self.session_id))
            case SessionState.RETIRED:
                self._end(confirmed=False, reason=_REPLACED)

    def retire(self, now: float) -> None:
        """Another session has taken its place: it sends nothing more, and ends after a while.

        What was being posted to its connection meanwhile still arrives.
        """
        if self.state is SessionState.ATTACHED:
            self._change(SessionState.RETIRED)
            self._timers = {_Timer.END: now + self._timing.grace}

    def instrument_again(self, functions: Iterable[str], now: float) -> None:
        """Asks for functions that were deployed again, or are new, unless it does so at the moment.

        Others, who have taken some of them meanwhile, keep those.
        """
        is_free = self.is_ready and not self._is_instrumenting_again
        if self.state is SessionState.ATTACHED and is_free:
            self._is_instrumenting_again = True
            self._timers[_Timer.SILENCE] = now + self._timing.silence
            self._ask_for(functions, take_over=False)

    def send(self, frame: str) -> None:
        """Sends a message of ``wire`` about an invocation; it is dropped if nobody would get it.

        After a confirmed end there still is a connection, until it is hung up.
        """
        if self._takes_frames:
            self._frames.append(frame)
            self.wake()

    # --- Times ------------------------------------------------------------------------------------

    def _ring(self, timer: _Timer, now: float) -> None:
        match timer:
            case _Timer.HEARTBEAT:
                self._timers[_Timer.HEARTBEAT] = now + self._timing.heartbeat
                self._timers.setdefault(_Timer.ANSWER, now + self._timing.answer)
                self.send(wire.heartbeat_message(self.session_id))
            case _Timer.RESUME:
                assert self._wish.former is not None  # it was asked for
                self._resume(self._wish.former, now)
            case _Timer.WATCH:
                self._watch(now)
            case _Timer.SILENCE if self._is_instrumenting_again:
                # What was not told of is asked for again, once it turns out to be as it was.
                self._is_instrumenting_again = False
            case _Timer.SILENCE:
                self._events.append(Silent(self._timing.silence))
                # The request may have been lost: it is made again until something is heard.
                if not self._was_heard_of and _Timer.RESUME not in self._timers:
                    self._instrument(now)
            case _Timer.END if self.state is SessionState.RETIRED:
                self._end(confirmed=False, reason=_REPLACED)
            case _Timer.ANSWER | _Timer.END:
                self._end(confirmed=False, reason=_NO_ANSWER)

    # --- Messages ---------------------------------------------------------------------------------

    def _act_on(self, kind: str, message: dict[str, Any], now: float) -> None:
        match kind:
            case MessageType.CLOSED:
                reason = message.get("reason")
                self._end(True, reason if isinstance(reason, str) else "closed")
            case MessageType.ERROR:
                self._take_error(message)
            case MessageType.HEARTBEAT:
                self._timers.pop(_Timer.ANSWER, None)
            case MessageType.RESUMED | MessageType.EXPIRED:
                self._take_verdict(kind, now)
            case MessageType.INVOCATION:
                self._events.append(_read_invocation(message, self.session_id))
            case MessageType.UPLOAD:
                _ = _text(message, "key"), _text(message, "url")
                self._events.append(Replied(_text(message, "requestId"), None, message))
            case MessageType.GO | MessageType.VOID | MessageType.RECORDED:
                request_id, deadline = _text(message, "requestId"), _number(message, "deadline")
                self._events.append(Replied(request_id, deadline, message))
                if kind == MessageType.VOID and _Timer.HEARTBEAT in self._timers:
                    # Its function may have taken this debugger for a silent one: a sign of life.
                    self._timers[_Timer.HEARTBEAT] = now
            case MessageType.CHANGED:
                self._events.append(Changed(_read_changes(message)))
            case _ if kind in _READERS:
                self._events.append(self._mark(_READERS[kind](message)))
                self._hear_of_functions(is_all=kind == MessageType.READY, now=now)
            case _:
                self._events.append(MessageArrived(message))

    def _take_error(self, message: dict[str, Any]) -> None:
        """Something that was sent was refused.

        Of a session that is retired, that is no wonder, nor of one that is being closed: the close
        may overtake what was sent before it.
        """
        is_of_session = message.get("code") == ErrorCode.SESSION_CLOSED
        if message.get("code") == ErrorCode.UNKNOWN_ACTION and self._held is not None:
            # A helper stack of an earlier version.
            self._held = None
            self._timers.pop(_Timer.WATCH, None)
        elif isinstance(request_id := message.get("requestId"), str):
            self._events.append(Replied(request_id, None, message))
        elif message.get("code") == ErrorCode.CREDENTIALS_DENIED:
            self._end(confirmed=False, reason=_text(message, "message").rstrip("."))
        elif not is_of_session:
            self._events.append(MessageArrived(message))
        elif self.state not in (SessionState.CLOSING, SessionState.RETIRED):
            self._end(confirmed=False, reason=_NO_SESSION)

    def _take_verdict(self, kind: str, now: float) -> None:
        """What became of the former session. As the question, the answer may be repeated."""
        if self._timers.pop(_Timer.RESUME, None) is None:
            return
        is_resumed = kind == MessageType.RESUMED
        self._events.append(Resumed() if is_resumed else Expired())
        if is_resumed and self._wish.is_complete:
            self._become_ready()
        else:
            self._instrument(now)

    def _hear_of_functions(self, is_all: bool, now: float) -> None:
        self._was_heard_of = True
        if is_all:
            self._become_ready()
        elif _Timer.SILENCE in self._timers:
            self._timers[_Timer.SILENCE] = now + self._timing.silence

    # --- Steps ------------------------------------------------------------------------------------

    def _resume(self, former: str, now: float) -> None:
        self._timers[_Timer.RESUME] = now + self._timing.repeat
        self.send(wire.resume_message(self.session_id, former))

    def _instrument(self, now: float) -> None:
        wish = self._wish
        if not wish.functions:
            self._become_ready()
            return
        self._timers[_Timer.SILENCE] = now + self._timing.silence
        self._ask_for(wish.functions, wish.take_over)

    def _ask_for(self, functions: Iterable[str], take_over: bool) -> None:
        wish = self._wish
        self.send(
            wire.instrument_message(
                self.session_id,
                [*functions],
                wish.when_absent,
                take_over,
                wish.as_function,
                wish.members,
                wish.aliases,
            )
        )

    def _become_ready(self) -> None:
        self.is_ready = True
        self._is_instrumenting_again = False
        self._timers.pop(_Timer.SILENCE, None)

    def _mark(self, event: SessionEvent) -> SessionEvent:
        if self._is_instrumenting_again and isinstance(event, Instrumented | Skipped | Ready):
            return replace(event, is_again=True)
        return event

    def _watch(self, now: float) -> None:
        """Asks, unless the answer would be about functions that are being instrumented."""
        if self._held is None:
            return
        self._timers[_Timer.WATCH] = now + self._timing.watch
        if self.is_ready and not self._is_instrumenting_again:
            stack, revisions = self._held.stack, self._held.revisions
            self.send(wire.watch_message(self.session_id, stack, revisions))

    def _end(self, confirmed: bool, reason: str) -> None:
        if self.state is SessionState.ENDED:
            return
        is_expected = self.state in (SessionState.CLOSING, SessionState.RETIRED)
        if not confirmed:
            self._takes_frames = False
            self._frames.clear()
        self._timers = {}
        self._change(SessionState.ENDED)
        self._events.append(Ended(expected=is_expected, confirmed=confirmed, reason=reason))

    def _change(self, state: SessionState) -> None:
        logger.info("session %s is %s", shortened(self.session_id), state.name)
        self.state = state


def _text(message: dict[str, Any], name: str) -> str:
    value = message[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _number(message: dict[str, Any], name: str) -> float:
    value = message[name]
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{name} is no number")
    return float(value)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _read_invocation(message: dict[str, Any], session_id: str) -> InvocationArrived:
    names = [name for name in ("event", "eventUrl") if message[name] is not None]
    if len(names) != 1:
        raise ValueError("either an event or its URL")
    payload = {name: _text(message, name) for name in names}
    return InvocationArrived(
        session_id=session_id,
        request_id=_text(message, "requestId"),
        function=_text(message, "function"),
        deadline=_number(message, "deadline"),
        sent_at=_number(message, "sentAt"),
        context=dict(message["context"]),
        event=payload.get("event"),
        event_url=payload.get("eventUrl"),
        claim=_read_claim(message.get("claim")),
        credentials=_read_credentials(message.get("credentials")),
    )


def _read_claim(found: Any) -> SignedRequest | None:
    """There is none beside a long event, nor from a helper stack of another version."""
    if found is None:
        return None
    headers = {str(name): _text(found["headers"], name) for name in found["headers"]}
    return SignedRequest(url=_text(found, "url"), headers=headers, body=_text(found, "body"))


def _read_credentials(found: Any) -> RoleCredentials | None:
    """A helper stack of another version says nothing of them."""
    if found is None:
        return None
    return RoleCredentials(
        accessKeyId=_text(found, "accessKeyId"),
        secretAccessKey=_text(found, "secretAccessKey"),
        sessionToken=_text(found, "sessionToken"),
    )


def _read_changes(message: dict[str, Any]) -> Changes:
    names = [message[name] for name in ("functions", "lost", "gone")]
    if not all(map(_is_list_of_texts, names)):
        raise TypeError("functions are no list of names")
    return Changes(
        _text(message, "stack"), bool(message["isUpdating"]), *(tuple(one) for one in names)
    )


def _read_instrumented(message: dict[str, Any]) -> Instrumented:
    for name in ("functionName", "functionArn", "handler", "runtime"):
        _text(message, name)
    for name in ("timeout", "memorySize"):
        _number(message, name)
    variables = message["variables"]
    if not isinstance(variables, dict):
        raise TypeError("variables is no object")
    for name in variables:
        _text(variables, name)
    # A helper stack of another version says nothing of these.
    message.setdefault("revision", "")
    if not _is_list_of_texts(message.setdefault("aliases", [])):
        raise TypeError("aliases is no list of texts")
    layers = message.setdefault("layers", None)
    if layers is not None and not _is_list_of_texts(layers):
        raise TypeError("layers is no list of texts")
    logging_config = message.setdefault("logging", {})
    if not isinstance(logging_config, dict):
        raise TypeError("logging is no object")
    for name in logging_config:
        _text(logging_config, name)
    return Instrumented(_text(message, "function"), message)


# What is told of functions.
_READERS: dict[str, Callable[[dict[str, Any]], SessionEvent]] = {
    MessageType.INSTRUMENTED: _read_instrumented,
    MessageType.READY: lambda m: Ready(
        int(_number(m, "instrumented")),
        int(_number(m, "skipped")),
        int(_number(m, "maxWaiting")),
        str(m.get("stack", "")),
    ),
    MessageType.RESTORED: lambda m: Restored(_text(m, "function")),
    MessageType.SKIPPED: lambda m: Skipped(
        _text(m, "function"), _text(m, "reason"), str(m.get("revision", ""))
    ),
    MessageType.TAKEN: lambda m: Taken(_text(m, "function"), _text(m, "by")),
    MessageType.WARNING: lambda m: Warned(_text(m, "function"), _text(m, "message")),
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
