"""ConnectFunction: ``$connect`` of the WebSocket API, and the answers of debuggers."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from ..sessions.dynamodb import DynamoDbSessionStore
from ..shared import clients, constants
from ..shared.log import LambdaEvent, logged
from ..websocket.connect_disconnect import connect
from . import message

_sessions = DynamoDbSessionStore(clients.dynamodb(), os.environ[constants.SESSIONS_TABLE])
_connect = logged("$connect", partial(connect, store=_sessions))


def handler(event: LambdaEvent, context: Any) -> Any:
    is_answer = event["requestContext"].get("routeKey") == "answer"
    return (message.handler if is_answer else _connect)(event, context)
