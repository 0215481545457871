"""ReaperFunction: what nobody ended is ended on a schedule. Runs as PLLDBReaperRole."""

from __future__ import annotations

import os

from ..instrumentation.request import LambdaInstrumentation
from ..invocations.dynamodb import DynamoDbInvocationStore
from ..sessions.dynamodb import DynamoDbSessionStore
from ..sessions.reaping import Reaper, reap
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.connections import ApiGatewayConnections

_dynamodb = clients.dynamodb(clients.SCHEDULED)
_reaper = Reaper(
    sessions=DynamoDbSessionStore(_dynamodb, os.environ[constants.SESSIONS_TABLE]),
    invocations=DynamoDbInvocationStore(_dynamodb, os.environ[constants.DEBUGGER_TABLE]),
    connections=ApiGatewayConnections(clients.connections(clients.SCHEDULED)),
    instrumentation=LambdaInstrumentation(
        clients.lambda_(clients.SCHEDULED), os.environ[constants.INSTRUMENTATION_FUNCTION]
    ),
)

handler = logged("reaper", lambda _, record, now: reap(record, _reaper, now))
