"""ReaperFunction: what nobody ended is ended on a schedule. Runs as PLLDBReaperRole."""

from __future__ import annotations

import os

from ..instrumentation.awaited_requests import AwaitedInstrumentation
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
_instrumentation = os.environ[constants.INSTRUMENTATION_FUNCTION]
_started = LambdaInstrumentation(clients.lambda_(clients.SCHEDULED), _instrumentation)
_awaited = AwaitedInstrumentation(clients.lambda_(clients.WATCHING), _instrumentation)
_reaper = Reaper(
    sessions=_sessions,
    invocations=DynamoDbInvocationStore(_dynamodb, os.environ[constants.DEBUGGER_TABLE]),
    connections=_connections,
    ending=Ending(_sessions, _started, _connections),
    settling=Ending(_sessions, _awaited, _connections),
)

handler = logged("reaper", lambda _, record, now: reap(record, _reaper, now), is_scheduled=True)
