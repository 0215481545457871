"""Asks the attached debugger for the answer to an invocation, over a WebSocket to the helper stack.

The connection is the environment's, and outlives an invocation. The messages are described where
the helper stack has them: ``lambda_functions/websocket/wire.py``. Nothing of the function's
environment goes out: only its logical id, its token, what Lambda's context object says of this
invocation, and the event.

An invocation runs in one place. Whether that is here says the helper stack: as soon as it may have
the invocation, only its word (``absent``) makes the function run its own handler. There is one
exception, for a helper stack that says nothing at all: it records no invocation later than
``acceptBefore``, so one that it has not accepted by then, over a connection that held, is not
recorded. (``abandon`` is sent then as well, in case that the word was lost, not the invocation.)
"""

from __future__ import annotations

import json
import time

from . import constants, function_context, presigned, remote, rfc6455, websocket_client

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .websocket_client import WebSocket

# Kept of the function's own time, for telling the caller what happened.
MARGIN_SECONDS = 1.0
# A connection: over all addresses of the host, with TLS; and what an answer to the handshake may
# take, for which functions of the helper stack may have to be started.
CONNECT_SECONDS = 2.0
HANDSHAKE_SECONDS = 5.0
UPLOAD_SECONDS = 5.0
# How long a helper stack that is busy is tried to be reached with an invocation.
BUSY_SECONDS = 2.0
# A connection that nobody has used for so long may be dead without anybody having noticed: the
# environment is frozen between invocations.
IDLE_SECONDS = 120.0
# When the helper stack has to have recorded an invocation; how long a message is on its way.
ACCEPT_SECONDS = 2.0
ON_THE_WAY_SECONDS = 0.25
# When a debugger that is there has begun.
START_SECONDS = 5.0
# How often the helper stack is asked, for a debugger that may have gone, and when it has to answer.
AWAIT_SECONDS = 30.0
REPLY_SECONDS = 10.0
# Between attempts: doubled each time, up to the longest.
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
# A session that is lost has a minute to come back. Whom the helper stack does not admit for longer
# will not hear of it any more.
DENIED_SECONDS = 90.0
# What is left to an environment that is being stopped, and how soon it finds out.
STOPPING_SECONDS = 1.0
LISTENING_SECONDS = 0.25
# A larger message leaves its event in the bucket.
MAX_INLINE_BYTES = 28000
FETCH_ATTEMPTS = 5

_NEVER = float("inf")
# What the helper stack says of an invocation.
_WORDS = ("accepted", "absent", "answer", "gone", "started")


class AbsentError(Exception):
    """Nothing of the invocation has run, or will run, at a debugger; says why."""


def ask(
    event: Any,
    context: Any,
    taken: dict[str, str],
    is_stopping: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """``{"result": value}`` or ``{"error": {"errorType", "errorMessage", "stackTrace"}}``.

    Raises AbsentError, or an error for the caller: a debugger may have run the invocation, and
    there is no answer. ``is_stopping`` tells whether this environment has about a second to live.
    """
    invocation = _Invocation(context, taken, is_stopping)
    try:
        invocation.send(event)
        return invocation.answer()
    finally:
        invocation.leave()


def hang_up() -> None:
    """Closes the environment's connection, if there is one."""
    _idle.close()


class _IdleConnection:
    """The environment's connection while no invocation uses it."""

    def __init__(self) -> None:
        self._connection: WebSocket | None = None
        self._since = (0.0, 0.0)

    def put(self, connection: WebSocket) -> None:
        self.close()
        self._connection = connection
        self._since = time.monotonic(), time.time()

    def take(self) -> WebSocket | None:
        """None if there is none that is to be trusted.

        What has come meanwhile is an answer that nobody waits for any more.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return None
        if self._idle_seconds() <= IDLE_SECONDS and _is_alive(connection):
            return connection
        connection.close()
        return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _idle_seconds(self) -> float:
        """One of the clocks may have stood still while the environment did, or been put back."""
        monotonic, wall = self._since
        return max(time.monotonic() - monotonic, time.time() - wall)


_idle = _IdleConnection()


def _is_alive(connection: WebSocket) -> bool:
    """As far as is known here. Reads all that has come."""
    try:
        while connection.receive(0) is not None:
            pass
    except OSError:
        return False
    return True


class _Progress:
    """How far an invocation is that was sent, as the helper stack says, and what is due when."""

    def __init__(self, accept_by: float) -> None:
        self.is_accepted = False
        self.is_started = False
        # Whether the connection has held, so that whatever was said has come.
        self.has_held = True
        # When to ask what has become of it, and when there has to be a word.
        self.ask_at = accept_by + ON_THE_WAY_SECONDS
        self.hear_by = accept_by + 2 * ON_THE_WAY_SECONDS

    @property
    def is_refused_by_silence(self) -> bool:
        """What silence at ``hear_by`` means; else that the connection is dead."""
        return self.has_held and not (self.is_accepted or self.is_started)

    def hear(self, kind: str) -> None:
        """A word about the invocation."""
        now = time.monotonic()
        self.hear_by = _NEVER
        if kind in ("started", "answer"):
            self.is_started = True
            self.ask_at = now + AWAIT_SECONDS
        elif kind == "accepted" and not (self.is_accepted or self.is_started):
            self.is_accepted = True
            self.ask_at = now + START_SECONDS

    def asked(self, action: str) -> None:
        now = time.monotonic()
        if self.is_started:
            self.ask_at = now + AWAIT_SECONDS
        elif action == "abandon":
            self.ask_at = now + REPLY_SECONDS
        if not self.is_refused_by_silence:
            self.hear_by = now + REPLY_SECONDS


class _Invocation:
    """One invocation's conversation with the helper stack."""

    def __init__(
        self, context: Any, taken: dict[str, str], is_stopping: Callable[[], bool] | None
    ) -> None:
        left = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        # When the caller has to be told something, and what that is.
        self._end = time.monotonic() + left
        self._error = (
            "PlldbTimeout",
            "plldb: the debugger did not answer before the function's timeout",
        )
        self._deadline = round(time.time() + left, 3)
        self._context = context
        self._id: str = context.aws_request_id
        self._taken = taken
        self._is_stopping = is_stopping
        self._connection: WebSocket | None = None
        # None as long as nobody can have the invocation.
        self._progress: _Progress | None = None
        self._pause_seconds = 0.0

    # --- Sending it -------------------------------------------------------------------------------

    def send(self, event: Any) -> None:
        """Raises AbsentError if it can't be sent."""
        self._check_time()
        self._connection = _idle.take()
        try:
            text = json.dumps(event)
            if self._is_short(text):
                self._over_a_connection(lambda: self._invoke(event=text))
            else:
                key = self._upload(text)
                self._over_a_connection(lambda: self._invoke(eventKey=key))
        except OSError as error:
            raise AbsentError("the helper stack can't be reached: " + _text_of(error)) from None
        except ValueError as error:
            raise AbsentError("the helper stack can't be asked: " + str(error)) from None

    def _is_short(self, event: str) -> bool:
        if len(event) > MAX_INLINE_BYTES:
            return False
        return len(self._invoke_message(0, event=event)) <= MAX_INLINE_BYTES

    def _invoke(self, **payload: str) -> None:
        now = time.monotonic(), time.time()
        self._opened().send(self._invoke_message(now[1] + ACCEPT_SECONDS, **payload))
        self._progress = _Progress(now[0] + ACCEPT_SECONDS)
        self._pause_seconds = 0.0

    def _invoke_message(self, accept_before: float, **payload: str) -> str:
        return self._message(
            "invoke",
            function=self._taken.get(constants.FUNCTION, ""),
            deadline=self._deadline,
            acceptBefore=min(round(accept_before, 3), self._deadline),
            context=function_context.describe(self._context),
            **payload,
        )

    def _upload(self, event: str) -> str:
        """Puts the event into the bucket, and gives its key. Raises OSError."""
        upload = self._over_a_connection(self._ask_for_upload)
        presigned.put(upload["url"], event.encode("ascii"), self._seconds_left())
        self._check_time()
        return str(upload["key"])

    def _ask_for_upload(self) -> dict[str, Any]:
        self._opened().send(self._message("upload"))
        by = time.monotonic() + UPLOAD_SECONDS
        while time.monotonic() < by:
            self._check_time()
            message = self._receive(by, ("upload", "absent"))
            if message is not None and message["type"] == "absent":
                raise _absent(message)
            if message is not None:
                return message
        raise OSError("it does not answer")

    def _over_a_connection(self, use: Callable[[], Any]) -> Any:
        """What ``use`` gives, over a new connection if the one that was kept turns out dead."""
        if self._connection is not None:
            try:
                return use()
            except OSError:
                self._drop_connection()
        self._connection = self._open_if_busy()
        return use()

    def _open_if_busy(self) -> WebSocket:
        by = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._open()
            except rfc6455.RefusedError as refused:
                if not refused.is_busy or time.monotonic() >= by:
                    raise
            self._pause()

    # --- Waiting for the answer -------------------------------------------------------------------

    def answer(self) -> dict[str, Any]:
        attempts = 0
        while True:
            message = self._next_word()
            kind = message["type"]
            if kind == "gone" or (kind == "absent" and self._sent().is_started):
                raise _lost("the debugger went away while it ran this invocation")
            if kind == "absent":
                raise _absent(message)
            if kind == "answer":
                attempts += 1
                body = self._body(message, attempts)
                if body is not None:
                    return body
                self._sent().ask_at = 0

    def _next_word(self) -> dict[str, Any]:
        """Of the helper stack, about this invocation; asks for it when it is time to."""
        progress = self._sent()
        while True:
            self._check_time()
            try:
                if self._connection is None:
                    self._reopen()
                if time.monotonic() >= progress.ask_at:
                    self._ask("await" if progress.is_started else "abandon")
                message = self._receive(min(progress.ask_at, progress.hear_by), _WORDS)
            except OSError:
                self._lose_connection()
                continue
            if message is not None:
                self._pause_seconds = 0.0
                progress.hear(message["type"])
                return message
            if time.monotonic() >= progress.hear_by:
                self._take_silence()

    def _take_silence(self) -> None:
        if self._sent().is_refused_by_silence:
            raise AbsentError("the helper stack did not accept the invocation in time")
        self._lose_connection()

    def _ask(self, action: str) -> None:
        self._opened().send(self._message(action, deadline=self._deadline))
        self._sent().asked(action)

    def _lose_connection(self) -> None:
        self._drop_connection()
        self._sent().has_held = False

    def _reopen(self) -> None:
        """Raises the error for the caller if that does not succeed in time; or OSError."""
        denied_at = _NEVER
        while True:
            # At once at first, and then only after a pause, unless something was heard meanwhile.
            if self._pause_seconds:
                self._pause()
            else:
                self._pause_seconds = FIRST_PAUSE_SECONDS
            try:
                self._connection = self._open()
                break
            except rfc6455.RefusedError as refused:
                denied_at = min(denied_at, time.monotonic()) if refused.is_denied else _NEVER
            except OSError:
                denied_at = _NEVER
            if time.monotonic() - denied_at >= DENIED_SECONDS:
                raise _lost("the helper stack does not know this function any more")
        self._ask("await")

    def _body(self, message: dict[str, Any], attempts: int) -> dict[str, Any] | None:
        """What the handler gave; None if it can't be fetched just now."""
        text = message.get("body")
        try:
            if text is None:
                text = presigned.get(str(message.get("bodyUrl")), self._seconds_left())
        except OSError as error:
            if attempts < FETCH_ATTEMPTS:
                self._sleep(FIRST_PAUSE_SECONDS * 2**attempts)
                return None
            raise _lost("the debugger's answer can't be fetched: " + _text_of(error)) from None
        body = _parsed(text)
        if body is None or not ("result" in body or "error" in body):
            raise _lost("the debugger's answer makes no sense")
        return body

    # --- The connection, and the time -------------------------------------------------------------

    def leave(self) -> None:
        """The next invocation may use the connection, unless it has left a question unanswered."""
        if self._progress is not None and self._progress.hear_by < _NEVER:
            self._drop_connection()
        if self._connection is not None:
            _idle.put(self._connection)
            self._connection = None

    def _open(self) -> WebSocket:
        """Raises OSError, RefusedError among them."""
        connection = websocket_client.dial(
            self._taken.get(constants.WEBSOCKET_URL, "")
            + "?sessionId="
            + self._taken.get(constants.SESSION, ""),
            {"Authorization": "Bearer " + self._taken.get(constants.TOKEN, "")},
            min(CONNECT_SECONDS, self._seconds_left()),
        )
        by = time.monotonic() + HANDSHAKE_SECONDS
        try:
            while not connection.is_open(self._listen_until(by)):
                self._check_time()
                if time.monotonic() >= by:
                    raise OSError("it does not answer")
        except BaseException:
            connection.close()
            raise
        return connection

    def _opened(self) -> WebSocket:
        assert self._connection is not None
        return self._connection

    def _sent(self) -> _Progress:
        assert self._progress is not None
        return self._progress

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _message(self, action: str, **fields: Any) -> str:
        head = {
            "action": action,
            "token": self._taken.get(constants.TOKEN, ""),
            "requestId": self._id,
        }
        return json.dumps({**head, **fields})

    def _receive(self, until: float, kinds: tuple[str, ...]) -> dict[str, Any] | None:
        """A message of these kinds about this invocation, by then; None if there is none yet.

        Raises OSError.
        """
        text = self._opened().receive(self._listen_until(until))
        message = None if text is None else _parsed(text)
        if message is None or message.get("requestId") != self._id:
            return None
        return message if message.get("type") in kinds else None

    def _listen_until(self, until: float) -> float:
        """Never beyond the end, and if the environment may be stopped, not for long."""
        if self._is_stopping is not None:
            until = min(until, time.monotonic() + LISTENING_SECONDS)
        return min(until, self._end)

    def _pause(self) -> None:
        """Longer each time."""
        seconds = self._pause_seconds or FIRST_PAUSE_SECONDS
        self._pause_seconds = min(2 * seconds, LONGEST_PAUSE_SECONDS)
        self._sleep(seconds)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(max(self._listen_until(until) - time.monotonic(), 0))
            self._check_time()

    def _seconds_left(self) -> float:
        self._check_time()
        return self._end - time.monotonic()

    def _check_time(self) -> None:
        """Raises AbsentError, or the error for the caller, if there is none left."""
        if self._is_stopping is not None and self._is_stopping():
            self._stop()
        if time.monotonic() < self._end:
            return
        if self._progress is None:
            raise AbsentError("too little of the function's time was left to ask for one")
        raise remote.error(*self._error)

    def _stop(self) -> None:
        """Leaves the helper stack a moment to say whether the function may run its own handler."""
        self._is_stopping = None
        if self._progress is None:
            raise AbsentError("this environment is being stopped")
        self._error = (
            "PlldbDebuggerLost",
            "plldb: this environment was stopped while the debugger ran its invocation",
        )
        self._end = min(self._end, time.monotonic() + STOPPING_SECONDS)
        if not self._progress.is_started:
            self._progress.ask_at = 0


def _parsed(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object; None for anything else."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _absent(message: dict[str, Any]) -> AbsentError:
    return AbsentError(str(message.get("reason") or "the helper stack knows of none"))


def _lost(what: str) -> Exception:
    return remote.error("PlldbDebuggerLost", "plldb: " + what)


def _text_of(error: OSError) -> str:
    """A sentence of ours as it is; else with the kind of error."""
    return str(error) if type(error) in (OSError, rfc6455.RefusedError) else repr(error)
