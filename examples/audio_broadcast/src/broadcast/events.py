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
    """Who is at the other end of a connection, as the authorizer found at ``$connect``."""

    connection_id: str
    user_id: str
    role: Role
    source_ip: str


def read_caller(event: Mapping[str, Any]) -> Caller:
    context = event["requestContext"]
    authorizer = context["authorizer"]
    return Caller(
        context["connectionId"],
        authorizer["userId"],
        authorizer["role"],
        context["identity"]["sourceIp"],
    )


def read_message(event: Mapping[str, Any]) -> dict[str, Any]:
    """Raises Refused if it is no object of JSON."""
    try:
        message = json.loads(event.get("body") or "")
    except ValueError:
        raise Refused(400, "A message is JSON.") from None
    if not isinstance(message, dict):
        raise Refused(400, "A message is an object.")
    return message
