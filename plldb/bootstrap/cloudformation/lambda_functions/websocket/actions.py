"""What clients send, debuggers and functions, and everything that is none of their actions."""

from __future__ import annotations

from typing import Any

from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from . import debugger_actions, function_actions, wire
from .connect_disconnect import connection_id_of
from .relay import BadMessageError, Relay, Reply, Request
from .wire import Action, ErrorCode


def answer(event: LambdaEvent, record: Record, now: float, relay: Relay) -> dict[str, Any]:
    """Answers over the connection. A message that makes no sense gets an error, and no hang-up."""
    connection_id = connection_id_of(event)
    record["connectionId"] = shortened(connection_id)
    reply = _reply(event.get("body") or "", record, connection_id, now, relay)
    if reply is not None and not relay.connections.post(connection_id, reply):
        record["isGone"] = True
    return {"statusCode": 200}


def _reply(body: str, record: Record, connection_id: str, now: float, relay: Relay) -> Reply:
    """The answer; None where another function gives it, or where there is none."""
    if len(body.encode("utf-8", "replace")) > relay.max_message_bytes:
        limit = f"The message is over {relay.max_message_bytes} bytes."
        return _error(record, ErrorCode.BAD_REQUEST, limit)
    message = wire.parse(body)
    if message is None:
        return _error(record, ErrorCode.NOT_JSON, "The message is not a JSON object.")
    action = message.get("action")
    if not isinstance(action, str) or action not in list(Action):
        known = ", ".join(Action)
        return _error(record, ErrorCode.UNKNOWN_ACTION, f"'action' must be one of: {known}.")
    record["route"] = action
    # A function shows its token, a debugger its session's id.
    act = function_actions.act if "token" in message else debugger_actions.act
    try:
        return act(Request(Action(action), message, record, connection_id, now), relay)
    except BadMessageError as error:
        return _error(record, error.code, str(error))


def _error(record: Record, code: ErrorCode, message: str) -> Reply:
    record |= {"level": "WARNING", "outcome": code}
    return wire.error(code, message, record.get("invocation"))
