"""DisconnectFunction: ``$disconnect`` of the WebSocket API."""

from __future__ import annotations

import os

from ..instrumentation.request import LambdaInstrumentation
from ..sessions.dynamodb import DynamoDbSessionStore
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.connect_disconnect import disconnect

_sessions = DynamoDbSessionStore(clients.dynamodb(), os.environ[constants.SESSIONS_TABLE])
_instrumentation = LambdaInstrumentation(
    clients.lambda_(), os.environ[constants.INSTRUMENTATION_FUNCTION]
)

handler = logged(
    "$disconnect", lambda event, record, _: disconnect(event, record, _sessions, _instrumentation)
)
