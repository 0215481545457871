"""What travels over the WebSocket, in both directions.

The developer's machine uses this module too.

A client connects with the query parameter ``sessionId`` and, to move the session to that
connection, ``refreshToken`` beside it.

A client's message is a JSON object whose ``action`` names what it wants. The server's is one whose
``type`` says what it is; a client ignores a type that it does not know.

::

    client                                     server
    instrument {functions, whenAbsent,    →    instrumented, skipped, warning: one a function
                takeOver, replaces}            ready {instrumented, skipped}: counts, once all are
                                               done
                                          ←    invocation: one to run, see ``invocation``
                                          ←    taken: another session took a function over
    heartbeat                             →    heartbeat {ttl}
    refresh                               →    refresh {token, expires}
    close                                 →    restored: one a function; closed
                                          ←    closed {reason}: somebody else ended the session
    anything else                         →    error {code, message}
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

# The query parameter that carries the session's id to $connect.
SESSION_ID_PARAMETER = "sessionId"
# With this one beside it, an ACTIVE session moves to the new connection.
REFRESH_TOKEN_PARAMETER = "refreshToken"  # nosec B105  # noqa: S105 - a name


class Action(StrEnum):
    """What a client may ask for."""

    CLOSE = "close"
    HEARTBEAT = "heartbeat"
    INSTRUMENT = "instrument"
    REFRESH = "refresh"


class MessageType(StrEnum):
    """What a server's message is."""

    CLOSED = "closed"
    ERROR = "error"
    HEARTBEAT = "heartbeat"
    INSTRUMENTED = "instrumented"
    INVOCATION = "invocation"
    READY = "ready"
    REFRESH = "refresh"
    RESTORED = "restored"
    SKIPPED = "skipped"
    TAKEN = "taken"
    WARNING = "warning"


class ErrorCode(StrEnum):
    BAD_REQUEST = "bad_request"
    NOT_JSON = "not_json"
    UNKNOWN_ACTION = "unknown_action"


class WhenAbsent(StrEnum):
    """What an instrumented function does while nobody is attached."""

    ORIGINAL = "original"
    ERROR = "error"


def close_message() -> str:
    return json.dumps({"action": Action.CLOSE})


def heartbeat_message() -> str:
    return json.dumps({"action": Action.HEARTBEAT})


def refresh_message() -> str:
    return json.dumps({"action": Action.REFRESH})


def instrument_message(
    functions: list[str],
    when_absent: WhenAbsent = WhenAbsent.ORIGINAL,
    take_over: bool = False,
    replaces: str | None = None,
) -> str:
    """``functions`` are shell patterns of logical ids or function names; all, if empty.

    ``replaces`` is the whole id of a former session of the same owner and stack: it ends, and what
    it holds is taken without a question.
    """
    message = {
        "action": Action.INSTRUMENT,
        "functions": functions,
        "whenAbsent": when_absent,
        "takeOver": take_over,
    }
    return json.dumps(message | ({"replaces": replaces} if replaces is not None else {}))


def closed(reason: str | None = None) -> dict[str, Any]:
    """The session is CLOSED.

    Without a reason, the client asked for it, and its functions are restored: it may hang up. With
    one, somebody else wished the end, and the client does not attach again by itself.
    """
    return {"type": MessageType.CLOSED} | ({} if reason is None else {"reason": reason})


def error(code: ErrorCode, message: str) -> dict[str, Any]:
    return {"type": MessageType.ERROR, "code": code, "message": message}


def heartbeat(ttl: int) -> dict[str, Any]:
    """The session lives until ``ttl``, seconds since the epoch, unless there is another one."""
    return {"type": MessageType.HEARTBEAT, "ttl": ttl}


def refresh(token: str, expires: int) -> dict[str, Any]:
    """``token`` opens a second connection, once, until ``expires`` (seconds since the epoch).

    The session moves there. What is being posted to this connection still arrives: it must stay
    open for a while.
    """
    return {"type": MessageType.REFRESH, "token": token, "expires": expires}


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
) -> dict[str, Any]:
    """A function's invocations come here from now on.

    ``function`` is its logical id; ``handler``, ``timeout`` (seconds) and ``variables`` are as the
    user deployed them, without plldb's own.
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
    }


def skipped(function: str, reason: str) -> dict[str, Any]:
    return {"type": MessageType.SKIPPED, "function": function, "reason": reason}


def warning(function: str, message: str) -> dict[str, Any]:
    return {"type": MessageType.WARNING, "function": function, "message": message}


def ready(instrumented: int, skipped: int) -> dict[str, Any]:
    return {"type": MessageType.READY, "instrumented": instrumented, "skipped": skipped}


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
    event: str | None,
) -> dict[str, Any]:
    """An invocation to run. ``deadline``: seconds since the epoch, when the function gives up.

    ``sentAt`` is what time it was here, in the same unit: the client's clock may be off, but
    what is left is ``deadline - sentAt``.

    ``context`` has what Lambda's context object has, under the same names. ``event`` is the
    event's JSON text; where it is too long for a message it is null, and fetched by request id.
    """
    return {
        "type": MessageType.INVOCATION,
        "requestId": request_id,
        "function": function,
        "deadline": deadline,
        "sentAt": sent_at,
        "context": context,
        "event": event,
    }


def parse(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object in a message; None for anything else, however malformed."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
