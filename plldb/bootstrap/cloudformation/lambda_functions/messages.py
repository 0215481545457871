"""What travels over the WebSocket, in both directions. The debugger's side imports this module too.

A client's message is a JSON object whose ``action`` names what it wants. The server's is one whose
``type`` says what it is; a client ignores a type that it does not know.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

# The query parameter that carries the session's id to $connect.
SESSION_ID_PARAMETER = "sessionId"


class Action(StrEnum):
    """What a client may ask for."""

    CLOSE = "close"


class MessageType(StrEnum):
    """What a server's message is."""

    CLOSED = "closed"
    ERROR = "error"


class ErrorCode(StrEnum):
    NOT_JSON = "not_json"
    UNKNOWN_ACTION = "unknown_action"


def request(action: Action) -> str:
    return json.dumps({"action": action})


def closed() -> dict[str, Any]:
    """The session is CLOSED; the client may hang up."""
    return {"type": MessageType.CLOSED}


def error(code: ErrorCode, message: str) -> dict[str, Any]:
    return {"type": MessageType.ERROR, "code": code, "message": message}


def parse(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object in a message; None for anything else, however malformed."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
