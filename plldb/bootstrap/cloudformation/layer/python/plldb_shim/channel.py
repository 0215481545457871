"""Asks the attached debugger for the answer to an invocation, over a WebSocket to the helper stack.

The connection is the environment's, and outlives an invocation. The messages are described where
the helper stack has them: ``lambda_functions/websocket/wire.py``. Nothing of the function's
environment goes out but X-Ray's header: only its logical id, its token, what Lambda's context
object says of this invocation, and the event; and if the session has asked for it, the credentials
of the function's role.

An invocation runs in one place, and the helper stack says where. As soon as it may have the
invocation, only its word (``absent``) makes the function run its own handler. The one exception is
a helper stack that says nothing at all: it records no invocation later than ``acceptBefore``, so
one that it has not accepted by then, over a connection that held, is not recorded. (``abandon`` is
sent then all the same: it may be that only the word was lost.)
"""

from __future__ import annotations

import json
import time

from . import (
    constants,
    function_context,
    presigned,
    progress,
    remote,
    tcp,
    variables,
    websocket_client,
)
from .idle_connection import IdleConnection
from .progress import Progress
from .rfc6455 import UpgradeRefusedError

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .websocket_client import WebSocket

    Used = TypeVar("Used")

# Kept of the function's own time, for telling the caller what happened.
MARGIN_SECONDS = 1.0
# What an answer to the handshake, or for an upload, may take: functions of the helper stack may
# have to be started for it.
HANDSHAKE_SECONDS = 5.0
UPLOAD_SECONDS = 5.0
# How long a helper stack that is busy is tried to be reached with an invocation.
BUSY_SECONDS = 2.0
# How long each of these may take, and a debugger to begin, where the developer wants callers to
# wait: in tests, nobody is served by an answer from elsewhere.
PATIENCE_SECONDS = 60.0
# Between attempts: doubled each time, up to the longest.
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
# A session that is lost has a minute to come back. Whoever is not admitted for longer than that
# will not hear of it any more.
DENIED_SECONDS = 90.0
# What is left to an environment that is being stopped, and how soon it finds out.
STOPPING_SECONDS = 1.4
LISTENING_SECONDS = 0.25
# A larger message leaves its event in the bucket.
MAX_INLINE_BYTES = 28000
FETCH_ATTEMPTS = 5

# How an answer begins that has a result and nothing else.
_RESULT_START = '{"result": '

_idle = IdleConnection()


class AbsentError(Exception):
    """Nothing of the invocation has run, or will run, at a debugger; says why."""


def ask(
    event: Any,
    context: Any,
    taken: dict[str, str],
    is_stopping: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """``{"result": value, "text": its JSON}``, ``{"base64": bytes}`` or ``{"error": {"errorType",
    "errorMessage", "stackTrace"}}``.

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


class _Invocation:
    """One invocation's conversation with the helper stack."""

    def __init__(
        self, context: Any, taken: dict[str, str], is_stopping: Callable[[], bool] | None
    ) -> None:
        left = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        # When the caller has to be told something, and what that is.
        self._end: float = time.monotonic() + left
        self._error = (
            "PlldbTimeout",
            "plldb: the debugger did not answer before the function's timeout",
        )
        self._deadline = round(time.time() + left, 3)
        self._context = context
        self._id: str = context.aws_request_id
        self._taken = taken
        self._is_stopping = is_stopping
        is_patient = taken.get(constants.WHEN_ABSENT) == variables.WAIT
        self._patience = PATIENCE_SECONDS if is_patient else 0.0
        self._connection: WebSocket | None = None
        # None as long as nobody can have the invocation.
        self._progress: Progress | None = None
        self._pause_seconds = 0.0

    # --- Sending it -------------------------------------------------------------------------------

    def send(self, event: Any) -> None:
        """Raises AbsentError if it can't be sent."""
        self._check_time()
        self._connection = _idle.take()
        text = json.dumps(event)
        try:
            if self._is_short(text):
                self._over_a_connection(lambda: self._invoke(event=text))
            else:
                key = self._upload(text)
                self._over_a_connection(lambda: self._invoke(eventKey=key))
        except OSError as error:
            raise AbsentError("the helper stack can't be reached: " + _reason(error)) from None
        except ValueError as error:
            raise AbsentError("the helper stack can't be asked: " + str(error)) from None

    def _is_short(self, event: str) -> bool:
        if len(event) > MAX_INLINE_BYTES:
            return False
        return len(self._invoke_message(0, event=event)) <= MAX_INLINE_BYTES

    def _invoke(self, **payload: str) -> None:
        accept_seconds = max(progress.ACCEPT_SECONDS, self._patience)
        accept_by = time.monotonic() + accept_seconds
        accept_before = time.time() + accept_seconds
        self._opened().send(self._invoke_message(accept_before, **payload))
        self._progress = Progress(accept_by, self._patience)
        self._pause_seconds = 0.0

    def _invoke_message(self, accept_before: float, **payload: str) -> str:
        return self._message(
            "invoke",
            function=self._taken.get(constants.FUNCTION, ""),
            deadline=self._deadline,
            acceptBefore=min(round(accept_before, 3), self._deadline),
            context=function_context.describe(self._context),
            **payload,
            **self._credentials(),
        )

    def _credentials(self) -> dict[str, Any]:
        wanted = constants.AS_FUNCTION in self._taken
        found = function_context.find_credentials() if wanted else None
        return {} if found is None else {"credentials": found}

    def _upload(self, event: str) -> str:
        """Puts the event into the bucket, and gives its key. Raises OSError."""
        upload = self._over_a_connection(self._ask_for_upload)
        presigned.put(upload["url"], event.encode("ascii"), self._seconds_left())
        return str(upload["key"])

    def _ask_for_upload(self) -> dict[str, Any]:
        self._opened().send(self._message("upload"))
        by = time.monotonic() + max(UPLOAD_SECONDS, self._patience)
        while time.monotonic() < by:
            self._check_time()
            message = self._receive(by, ("upload", "absent"))
            if message is not None and message["type"] == "absent":
                raise _absent(message)
            if message is not None:
                return message
        raise OSError("it does not answer")

    def _over_a_connection(self, use: Callable[[], Used]) -> Used:
        """What ``use`` gives, over a new connection if the one that was kept turns out dead."""
        if self._connection is not None:
            try:
                return use()
            except OSError:
                self._drop_connection()
        self._connection = self._open_unless_busy()
        return use()

    def _open_unless_busy(self) -> WebSocket:
        by = time.monotonic() + max(BUSY_SECONDS, self._patience)
        while True:
            try:
                return self._open()
            except UpgradeRefusedError as refused:
                if not refused.is_busy or time.monotonic() >= by:
                    raise
            self._pause()

    # --- Waiting for the answer -------------------------------------------------------------------

    def answer(self) -> dict[str, Any]:
        """What the handler gave. Raises AbsentError, or the error for the caller."""
        attempts = 0
        while True:
            was_started = self._sent().is_started
            message = self._next_word()
            word = message["type"]
            if word == "gone" or (word == "absent" and was_started):
                raise _lost("the debugger went away while it ran this invocation")
            if word == "absent":
                raise _absent(message)
            if word == "answer":
                attempts += 1
                body = self._body(message, attempts)
                if body is not None:
                    return body
                self._sent().ask_now()

    def _next_word(self) -> dict[str, Any]:
        """Of the helper stack, about this invocation; asks for it when it is time to."""
        sent = self._sent()
        while True:
            self._check_time()
            try:
                if self._connection is None:
                    self._reopen()
                # Taken before the look: this process may be starved of time right after it, and
                # what comes meanwhile has to be looked for before anything counts as unsaid.
                now = time.monotonic()
                message = self._receive(min(sent.ask_at, sent.hear_by), progress.WORDS)
                if message is not None:
                    self._pause_seconds = 0.0
                    sent.hear(message["type"], time.monotonic())
                    return message
                if now >= sent.hear_by:
                    self._take_silence()
                elif now >= sent.ask_at:
                    self._ask(sent.question)
            except OSError:
                self._lose_connection()

    def _take_silence(self) -> None:
        if self._sent().is_refused_by_silence:
            raise AbsentError("the helper stack did not accept the invocation in time")
        self._lose_connection()

    def _ask(self, action: str) -> None:
        self._opened().send(self._message(action, deadline=self._deadline))
        self._sent().asked(action, time.monotonic())

    def _lose_connection(self) -> None:
        self._drop_connection()
        self._sent().lost_connection()

    def _reopen(self) -> None:
        """Raises the error for the caller if it can't be done in time; OSError if it did not last.

        At once at first, and then only after a pause, unless something was heard meanwhile.
        """
        denied_since: float | None = None
        while self._connection is None:
            if self._pause_seconds:
                self._pause()
            else:
                self._pause_seconds = FIRST_PAUSE_SECONDS
            try:
                self._connection = self._open()
            except OSError as error:
                if not (isinstance(error, UpgradeRefusedError) and error.is_denied):
                    denied_since = None
                    continue
                now = time.monotonic()
                denied_since = denied_since or now
                if now - denied_since >= DENIED_SECONDS:
                    lost = _lost("the helper stack does not know this function any more")
                    raise lost from None
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
            raise _lost("the debugger's answer can't be fetched: " + _reason(error)) from None
        body = _read_body(text)
        if body is None:
            raise _lost("the debugger's answer makes no sense")
        return body

    # --- The connection ---------------------------------------------------------------------------

    def leave(self) -> None:
        """The next invocation may use the connection, unless a question was left unanswered."""
        if self._progress is not None and self._progress.is_word_due:
            self._drop_connection()
        if self._connection is not None:
            _idle.put(self._connection)
            self._connection = None

    def _open(self) -> WebSocket:
        """Raises OSError, UpgradeRefusedError among them."""
        connection = websocket_client.dial(
            self._taken.get(constants.WEBSOCKET_URL, "")
            + "?sessionId="
            + self._taken.get(constants.SESSION, ""),
            {"Authorization": "Bearer " + self._taken.get(constants.TOKEN, "")},
            min(tcp.CONNECT_SECONDS, self._seconds_left()),
        )
        by = time.monotonic() + max(HANDSHAKE_SECONDS, self._patience)
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

    def _sent(self) -> Progress:
        assert self._progress is not None
        return self._progress

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _message(self, action: str, **fields: Any) -> str:
        token = self._taken.get(constants.TOKEN, "")
        return json.dumps({"action": action, "token": token, "requestId": self._id, **fields})

    def _receive(self, until: float, kinds: tuple[str, ...]) -> dict[str, Any] | None:
        """A message of these kinds about this invocation, by then; None if there is none yet.

        Raises OSError.
        """
        while True:
            text = self._opened().receive(self._listen_until(until))
            if text is None:
                return None
            message = _parsed(text) or {}
            if self._is_about_this(message) and message.get("type") in kinds:
                return message

    def _is_about_this(self, message: dict[str, Any]) -> bool:
        """Lambda tries an invocation again under the same id: what is said names the deadline."""
        deadline = message.get("deadline", self._deadline)
        return message.get("requestId") == self._id and deadline == self._deadline

    # --- The time ---------------------------------------------------------------------------------

    def _seconds_left(self) -> float:
        self._check_time()
        return self._end - time.monotonic()

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
            self._progress.ask_now()


def _read_body(text: str | bytes) -> dict[str, Any] | None:
    """None for what is none. A result's text is what stands there, with all of its digits."""
    body = _parsed(text)
    if body is None or not any(key in body for key in ("result", "error", "base64")):
        return None
    if "result" in body:
        whole = text if isinstance(text, str) else text.decode("utf-8")
        is_bare = whole.startswith(_RESULT_START) and whole.endswith("}") and len(body) == 1
        value = whole[len(_RESULT_START) : -1] if is_bare else json.dumps(body["result"])
        body["text"] = value
    return body


def _parsed(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object; None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _absent(message: dict[str, Any]) -> AbsentError:
    return AbsentError(str(message.get("reason") or "the helper stack knows of none"))


def _lost(what: str) -> remote.ReportedError:
    return remote.error("PlldbDebuggerLost", "plldb: " + what)


def _reason(error: OSError) -> str:
    """What is said here is clear; anything else is, with the kind of the error."""
    return str(error) if type(error) in (OSError, UpgradeRefusedError) else repr(error)
