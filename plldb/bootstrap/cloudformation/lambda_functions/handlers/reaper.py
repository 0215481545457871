"""ReaperFunction: what nobody ended is ended on a schedule. Runs as PLLDBReaperRole."""

from __future__ import annotations

import os

from ..instrumentation.request import LambdaInstrumentation
from ..invocations.dynamodb import DynamoDbInvocationStore
from ..sessions.dynamodb import DynamoDbSessionStore
from ..sessions.ending import Ending
from ..sessions.reaping import Reaper, reap
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.connections import ApiGatewayConnections

_dynamodb = clients.dynamodb(clients.SCHEDULED)
_sessions = DynamoDbSessionStore(_dynamodb, os.environ[constants.SESSIONS_TABLE])
_connections = ApiGatewayConnections(clients.connections(clients.SCHEDULED))
_reaper = Reaper(
    sessions=_sessions,
    invocations=DynamoDbInvocationStore(_dynamodb, os.environ[constants.DEBUGGER_TABLE]),
    connections=_connections,
    ending=Ending(
        sessions=_sessions,
        instrumentation=LambdaInstrumentation(
            clients.lambda_(clients.SCHEDULED), os.environ[constants.INSTRUMENTATION_FUNCTION]
        ),
        connections=_connections,
    ),
)

handler = logged("reaper", lambda _, record, now: reap(record, _reaper, now), is_scheduled=True)
