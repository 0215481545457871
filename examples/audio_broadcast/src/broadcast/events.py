"""What API Gateway sends to the functions of a WebSocket API, and what they answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broadcast.tokens import Role


class Refused(Exception):  # noqa: N818
    """What was asked for is not done; ``status`` is of HTTP's."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Caller:
    """Who connects."""

    connection_id: str
    user_id: str
    role: Role


def read_caller(event: Mapping[str, Any]) -> Caller:
    """Of ``$connect``: only there does AWS promise what the authorizer has found. Whose any other
    event is, the table of connections knows.
    """
    authorizer = event["requestContext"]["authorizer"]
    return Caller(read_connection_id(event), authorizer["userId"], authorizer["role"])


def read_connection_id(event: Mapping[str, Any]) -> str:
    return str(event["requestContext"]["connectionId"])


def read_message(event: Mapping[str, Any]) -> dict[str, Any]:
    """Raises Refused if it is no object of JSON."""
    try:
        message = json.loads(event.get("body") or "")
    except ValueError:
        raise Refused(400, "A message is JSON.") from None
    if not isinstance(message, dict):
        raise Refused(400, "A message is an object.")
    return message
