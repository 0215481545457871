"""What travels over the WebSocket API, in all directions.

Both ends of a debugged invocation are connections of the one API: the debugger on the developer's
machine, and the function (plldb's shim in it). The developer's machine uses this module too; the
shim spells its few messages itself, and a unit test holds them against these.

A debugger connects with the query parameter ``sessionId``, the id of a PENDING session. A function
connects with the header ``Authorization: Bearer <token>``, and with ``sessionId``, the part of the
id that may be shown: it names the session in logs and admits nobody.

A client's message is a JSON object whose ``action`` names what it wants. The server's is one whose
``type`` says what it is; a client ignores a type that it does not know. A debugger's messages carry
the id of the session that they are about (``sessionId``), a function's its ``token``: these prove
who sends them; those about invocations may come by any connection, the others only by the session's
own. Times are seconds since the epoch.

An invocation is named by ``requestId`` and ``deadline`` together: Lambda tries one again under the
same request id, and what is said of the former try may come late. So every message about one has
both, but for those about uploads, and none is taken for another's.

::

    debugger                                   server
    resume {replaces}                     →    resumed, or expired
    instrument {functions, whenAbsent,    →    instrumented, skipped, warning: one a function
                takeOver, asFunction, aliases, ready {instrumented, skipped, maxWaiting}, at last
                members}
                                          ←    taken: another session took a function over
                                          ←    invocation: one to claim, see ``invocation``
    claim                                 →    go: run it, now and only now
                                               void {state}: not any more
    decline                               →    (the function runs its own handler)
    upload {requestId}                    →    upload {requestId, key, url}: PUT a large body there
    answer {body or bodyKey}              →    recorded {state}
    heartbeat                             →    heartbeat {ttl, time}
    watch {stack, functions}              →    changed {stack, isUpdating, functions, lost, gone}:
                                               only if it is not as the message says
    close                                 →    restored: one a function; closed
                                          ←    closed {reason}: somebody else ended the session;
                                               also said in place of an answer

    function                                   server
    upload {requestId}                    →    upload {requestId, key, url}: PUT a large event there
    invoke {function, acceptBefore,       →    accepted
            context, event or eventKey,        absent {reason}: run your own handler
            credentials}
                                          ←    answer {body or bodyUrl}
    abandon                               →    absent, if no debugger had begun; else as for await
    await                                 →    started: a debugger has begun
                                               answer {body or bodyUrl}
                                               gone: it had begun, and is lost

    anything else                         →    error {code, message, requestId}

``body`` is the JSON text of what the handler gave: ``{"result": …}``, ``{"base64": …}`` for bytes
that are no JSON, or ``{"error": {"errorType", "errorMessage", "stackTrace"}}``. Bodies and events
that do not fit a message of MAX_FRAME_BYTES pass through the artifacts bucket, by presigned URLs.

``credentials`` are those of the function's own role, where a session has asked for them
(``asFunction``). They are passed on in the run that receives them, and are in no record: a debugger
that did not get them gets them never. So they are always in the message, wherever the event is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypedDict

from ..shared.signed_request import SignedRequest

# The query parameter that names a debugger's session, or the beginning of a function's.
SESSION_ID_PARAMETER = "sessionId"


class Action(StrEnum):
    """What a client may ask for."""

    # Of debuggers
    ANSWER = "answer"
    CLAIM = "claim"
    CLOSE = "close"
    DECLINE = "decline"
    HEARTBEAT = "heartbeat"
    INSTRUMENT = "instrument"
    RESUME = "resume"
    WATCH = "watch"
    # Of functions
    ABANDON = "abandon"
    AWAIT = "await"
    INVOKE = "invoke"
    # Of both
    UPLOAD = "upload"


class MessageType(StrEnum):
    """What a server's message is."""

    # To debuggers
    CHANGED = "changed"
    CLOSED = "closed"
    EXPIRED = "expired"
    GO = "go"
    HEARTBEAT = "heartbeat"
    INSTRUMENTED = "instrumented"
    INVOCATION = "invocation"
    READY = "ready"
    RECORDED = "recorded"
    RESTORED = "restored"
    RESUMED = "resumed"
    SKIPPED = "skipped"
    TAKEN = "taken"
    VOID = "void"
    WARNING = "warning"
    # To functions
    ABSENT = "absent"
    ACCEPTED = "accepted"
    ANSWER = "answer"
    GONE = "gone"
    STARTED = "started"
    # To both
    ERROR = "error"
    UPLOAD = "upload"


class ErrorCode(StrEnum):
    BAD_REQUEST = "bad_request"
    NOT_JSON = "not_json"
    UNKNOWN_ACTION = "unknown_action"
    SESSION_CLOSED = "session_closed"
    # The helper stack passes no credentials of functions on.
    CREDENTIALS_DENIED = "credentials_denied"


class WhenAbsent(StrEnum):
    """What an instrumented function does while nobody is attached.

    WAIT is ERROR, after a minute in place of seconds where somebody is, and takes long to answer.
    """

    ORIGINAL = "original"
    ERROR = "error"
    WAIT = "wait"


class RoleCredentials(TypedDict):
    """Temporary credentials of a function's own role."""

    accessKeyId: str
    secretAccessKey: str
    sessionToken: str


class InvocationMessage(TypedDict):
    """An invocation to claim, and then to run: see ``invocation``."""

    type: str
    requestId: str
    function: str
    deadline: float
    sentAt: float
    context: dict[str, Any]
    event: str | None
    eventUrl: str | None
    claim: SignedRequest | None
    credentials: RoleCredentials | None


# --- From a debugger ------------------------------------------------------------------------------


def close_message(session_id: str) -> str:
    return json.dumps({"action": Action.CLOSE, "sessionId": session_id})


def heartbeat_message(session_id: str) -> str:
    return json.dumps({"action": Action.HEARTBEAT, "sessionId": session_id})


def resume_message(session_id: str, replaces: str) -> str:
    """``replaces`` is the whole id of a former session of the same stack and owner.

    It ends, and what it held is held by this session, without any change to a function.
    """
    return json.dumps({"action": Action.RESUME, "sessionId": session_id, "replaces": replaces})


def instrument_message(
    session_id: str,
    functions: list[str],
    when_absent: WhenAbsent = WhenAbsent.ORIGINAL,
    take_over: bool = False,
    as_function: bool = False,
    members: Mapping[str, str] | None = None,
    aliases: bool = False,
) -> str:
    """``functions`` are shell patterns of logical ids or function names; all, if empty.

    ``as_function``: their invocations come with the credentials of their roles. ``members`` are the
    functions of a stack that CloudFormation does not know: their names in Lambda by what they are
    called in place of a logical id. ``aliases``: callers of their aliases come here, too, even
    where the functions have other callers.
    """
    return json.dumps(
        {
            "action": Action.INSTRUMENT,
            "sessionId": session_id,
            "functions": functions,
            "whenAbsent": when_absent,
            "takeOver": take_over,
            "asFunction": as_function,
            "aliases": aliases,
        }
        | ({} if members is None else {"members": dict(members)})
    )


def watch_message(session_id: str, stack: str, functions: Mapping[str, str]) -> str:
    """Asks whether the stack was deployed again, or a function changed, whoever did it.

    ``stack`` is what ``changed`` said of it last, or empty; ``functions`` are the names of those
    that the session holds, each with the ``revision`` that ``instrumented`` told last.
    """
    return json.dumps(
        {
            "action": Action.WATCH,
            "sessionId": session_id,
            "stack": stack,
            "functions": dict(functions),
        }
    )


def claim_message(session_id: str, request_id: str, deadline: float) -> str:
    """Asks whether the invocation may be run here; ``session_id`` is the one that it came to.

    Safe to repeat: the answer is the same, as long as the invocation has not ended.
    """
    return json.dumps(
        {
            "action": Action.CLAIM,
            "sessionId": session_id,
            "requestId": request_id,
            "deadline": deadline,
        }
    )


def decline_message(session_id: str, request_id: str, deadline: float) -> str:
    """The invocation will not be run here: too many wait, or the function can't be run."""
    return json.dumps(
        {
            "action": Action.DECLINE,
            "sessionId": session_id,
            "requestId": request_id,
            "deadline": deadline,
        }
    )


def upload_message(session_id: str, request_id: str) -> str:
    return json.dumps({"action": Action.UPLOAD, "sessionId": session_id, "requestId": request_id})


def answer_message(
    session_id: str,
    request_id: str,
    deadline: float,
    *,
    body: str | None = None,
    body_key: str | None = None,
) -> str:
    """``body`` is JSON text; in its place, ``body_key`` names an upload. Safe to repeat."""
    return json.dumps(
        {
            "action": Action.ANSWER,
            "sessionId": session_id,
            "requestId": request_id,
            "deadline": deadline,
        }
        | ({"body": body} if body_key is None else {"bodyKey": body_key})
    )


# --- From a function ------------------------------------------------------------------------------


def invoke_message(
    token: str,
    request_id: str,
    function: str,
    *,
    deadline: float,
    accept_before: float,
    context: dict[str, Any],
    event: str | None = None,
    event_key: str | None = None,
    credentials: RoleCredentials | None = None,
) -> str:
    """An invocation to pass on, unless it arrives after ``accept_before``.

    ``function`` is the logical id, ``deadline`` when the function gives up; see ``invocation``.
    ``event`` is JSON text; in its place, ``event_key`` names an upload.
    """
    return json.dumps(
        {
            "action": Action.INVOKE,
            "token": token,
            "requestId": request_id,
            "function": function,
            "deadline": deadline,
            "acceptBefore": accept_before,
            "context": context,
        }
        | ({"event": event} if event_key is None else {"eventKey": event_key})
        | ({} if credentials is None else {"credentials": credentials})
    )


def abandon_message(token: str, request_id: str, deadline: float) -> str:
    """Takes the invocation back, unless a debugger has begun it. Safe to repeat."""
    return json.dumps(
        {
            "action": Action.ABANDON,
            "token": token,
            "requestId": request_id,
            "deadline": deadline,
        }
    )


def await_message(token: str, request_id: str, deadline: float) -> str:
    """Asks what became of the invocation, to hear of it over this connection from now on."""
    return json.dumps(
        {
            "action": Action.AWAIT,
            "token": token,
            "requestId": request_id,
            "deadline": deadline,
        }
    )


# --- To a debugger --------------------------------------------------------------------------------


def closed(reason: str | None = None) -> dict[str, Any]:
    """The session is CLOSED.

    Without a reason, the client asked for it, and its functions are restored: it may hang up. With
    one, somebody else wished the end, and the client does not attach again by itself.
    """
    return {"type": MessageType.CLOSED} | ({} if reason is None else {"reason": reason})


def error(code: ErrorCode, message: str, request_id: str | None = None) -> dict[str, Any]:
    """What is wrong with a message, and the invocation that it was about, if it said so."""
    return {"type": MessageType.ERROR, "code": code, "message": message, "requestId": request_id}


def heartbeat(ttl: int, time: float) -> dict[str, Any]:
    """The session lives until ``ttl``, unless there is another one. ``time`` is what it is here."""
    return {"type": MessageType.HEARTBEAT, "ttl": ttl, "time": time}


def resumed() -> dict[str, Any]:
    """What the former session held is this one's; nothing need be instrumented."""
    return {"type": MessageType.RESUMED}


def expired() -> dict[str, Any]:
    """The former session is over and its functions are restored, or being so: instrument them."""
    return {"type": MessageType.EXPIRED}


def instrumented(
    function: str,
    *,
    function_name: str,
    function_arn: str,
    handler: str,
    runtime: str,
    timeout: int,
    memory_size: int,
    variables: dict[str, str],
    layers: Iterable[str] = (),
    logging: dict[str, str] | None = None,
    revision: str = "",
    aliases: Iterable[str] = (),
) -> dict[str, Any]:
    """A function's invocations come here from now on.

    ``function`` is its logical id; ``handler``, ``timeout`` (seconds), ``variables`` and ``layers``
    (the ARNs of their versions, in order) are as the user deployed them, without plldb's own.
    ``logging`` is its LoggingConfig:
    https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html
    ``revision`` is its RevisionId, by which ``watch`` finds that somebody has changed it since.
    ``aliases`` are those whose callers come here, too.
    """
    return {
        "type": MessageType.INSTRUMENTED,
        "function": function,
        "functionName": function_name,
        "functionArn": function_arn,
        "handler": handler,
        "runtime": runtime,
        "timeout": timeout,
        "memorySize": memory_size,
        "variables": variables,
        "layers": [*layers],
        "logging": logging or {},
        "revision": revision,
        "aliases": [*aliases],
    }


def skipped(function: str, reason: str, revision: str = "") -> dict[str, Any]:
    """``revision`` is the function's, if nothing can come of asking again while it has that."""
    return {
        "type": MessageType.SKIPPED,
        "function": function,
        "reason": reason,
        "revision": revision,
    }


def warning(function: str, message: str) -> dict[str, Any]:
    return {"type": MessageType.WARNING, "function": function, "message": message}


def ready(instrumented: int, skipped: int, max_waiting: int, stack: str = "") -> dict[str, Any]:
    """All functions are done. A debugger declines invocations while ``max_waiting`` wait.

    ``stack`` says which deployment of the stack they are of: see ``watch``.
    """
    return {
        "type": MessageType.READY,
        "instrumented": instrumented,
        "skipped": skipped,
        "maxWaiting": max_waiting,
        "stack": stack,
    }


def changed(
    stack: str,
    is_updating: bool,
    functions: Sequence[str] = (),
    lost: Sequence[str] = (),
    gone: Sequence[str] = (),
) -> dict[str, Any]:
    """The stack or functions are not any more as ``watch`` has said; functions by their names.

    ``stack`` says which deployment it is that was made last; while it is being made, nobody should
    change a function. ``lost`` are those of ``functions`` that call their own handler again, and
    ``gone`` were deleted. Of very many, only some are named: they are found again.
    """
    return {
        "type": MessageType.CHANGED,
        "stack": stack,
        "isUpdating": is_updating,
        "functions": [*functions],
        "lost": [*lost],
        "gone": [*gone],
    }


def taken(function: str, by: str) -> dict[str, Any]:
    return {"type": MessageType.TAKEN, "function": function, "by": by}


def restored(function: str) -> dict[str, Any]:
    return {"type": MessageType.RESTORED, "function": function}


def invocation(
    request_id: str,
    function: str,
    *,
    deadline: float,
    sent_at: float,
    context: dict[str, Any],
    event: str | None = None,
    event_url: str | None = None,
    claim: SignedRequest | None = None,
    credentials: RoleCredentials | None = None,
) -> InvocationMessage:
    """An invocation to claim. ``deadline`` is when the function gives up.

    ``sentAt`` is what time it was here: the client's clock may be off, but what is left is
    ``deadline - sentAt``.

    ``context`` has what Lambda's context object has, under the same names, and ``trace_id``, the
    header of X-Ray; a shim of another version may leave some out. ``event`` is the event's JSON
    text; where it is too long for a message, ``eventUrl`` is where to GET it. Sending
    ``claim`` does what the message of that name does: the invocation is the debugger's if the
    answer's status is 200; whatever else comes of it, the message is to be sent. ``credentials``
    come last: what quotes the beginning of a message quotes none of them.
    """
    return {
        "type": MessageType.INVOCATION,
        "requestId": request_id,
        "function": function,
        "deadline": deadline,
        "sentAt": sent_at,
        "context": context,
        "event": event,
        "eventUrl": event_url,
        "claim": claim,
        "credentials": credentials,
    }


def go(request_id: str, deadline: float) -> dict[str, Any]:
    """The invocation is this debugger's: nobody else runs it."""
    return {"type": MessageType.GO, "requestId": request_id, "deadline": deadline}


def void(request_id: str, deadline: float, state: str) -> dict[str, Any]:
    """The invocation is not to be run here: ``state`` is what became of it, or UNKNOWN."""
    return {
        "type": MessageType.VOID,
        "requestId": request_id,
        "deadline": deadline,
        "state": state,
    }


def recorded(request_id: str, deadline: float, state: str) -> dict[str, Any]:
    """An answer was received. Unless ``state`` is ANSWERED, nobody waited for it any more."""
    return {
        "type": MessageType.RECORDED,
        "requestId": request_id,
        "deadline": deadline,
        "state": state,
    }


# --- To a function --------------------------------------------------------------------------------


def accepted(request_id: str, deadline: float) -> dict[str, Any]:
    """The invocation is recorded, and on its way to the debugger."""
    return {"type": MessageType.ACCEPTED, "requestId": request_id, "deadline": deadline}


def absent(request_id: str, deadline: float, reason: str) -> dict[str, Any]:
    """No debugger has run, or will run, the invocation: the function does what WHEN_ABSENT says."""
    return {
        "type": MessageType.ABSENT,
        "requestId": request_id,
        "deadline": deadline,
        "reason": reason,
    }


def started(request_id: str, deadline: float) -> dict[str, Any]:
    """A debugger runs the invocation: wait for the answer."""
    return {"type": MessageType.STARTED, "requestId": request_id, "deadline": deadline}


def answer(
    request_id: str, deadline: float, *, body: str | None = None, body_url: str | None = None
) -> dict[str, Any]:
    """What the handler gave: the body's JSON text, or where to GET it."""
    return {
        "type": MessageType.ANSWER,
        "requestId": request_id,
        "deadline": deadline,
        "body": body,
        "bodyUrl": body_url,
    }


def gone(request_id: str, deadline: float) -> dict[str, Any]:
    """A debugger had begun the invocation, and is lost: it must not be run again."""
    return {"type": MessageType.GONE, "requestId": request_id, "deadline": deadline}


# --- To both --------------------------------------------------------------------------------------


def upload(request_id: str, key: str, url: str) -> dict[str, Any]:
    """PUT the payload to ``url``, then name it by ``key``."""
    return {"type": MessageType.UPLOAD, "requestId": request_id, "key": key, "url": url}


def parse(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object in a message; None for anything else, however malformed."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
