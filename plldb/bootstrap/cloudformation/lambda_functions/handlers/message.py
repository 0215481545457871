"""MessageFunction: every message that an attached debugger sends over the WebSocket API."""

from __future__ import annotations

import os
from functools import partial

from ..instrumentation.request import LambdaInstrumentation
from ..invocations.dynamodb import DynamoDbInvocationStore
from ..sessions.dynamodb import DynamoDbSessionStore
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.actions import Backend, answer
from ..websocket.connections import ApiGatewayConnections

_dynamodb = clients.dynamodb()
_backend = Backend(
    sessions=DynamoDbSessionStore(_dynamodb, os.environ[constants.SESSIONS_TABLE]),
    invocations=DynamoDbInvocationStore(_dynamodb, os.environ[constants.DEBUGGER_TABLE]),
    instrumentation=LambdaInstrumentation(
        clients.lambda_(), os.environ[constants.INSTRUMENTATION_FUNCTION]
    ),
    connections=ApiGatewayConnections(clients.connections()),
    max_message_bytes=int(os.environ[constants.MAX_MESSAGE_BYTES]),
)

handler = logged("message", partial(answer, backend=_backend))
