"""ManagementFunction: the management API, whose callers AWS_IAM has checked."""

from __future__ import annotations

import os
from functools import partial

from ..api.close_session import Closing, close_session, close_sessions
from ..api.create_session import SessionCreation, create_session
from ..api.get_session import get_session
from ..api.health import Probe, check_health
from ..api.list_sessions import list_sessions
from ..api.rest import Operation, dispatch
from ..instrumentation.request import LambdaInstrumentation
from ..invocations.dynamodb import DynamoDbInvocationStore
from ..sessions.dynamodb import DynamoDbSessionStore
from ..sessions.ending import Ending
from ..sessions.pending_cap import PendingCap
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.connections import ApiGatewayConnections

_sessions_table = os.environ[constants.SESSIONS_TABLE]
_debugger_table = os.environ[constants.DEBUGGER_TABLE]
_instrumentation_function = os.environ[constants.INSTRUMENTATION_FUNCTION]
_sessions = DynamoDbSessionStore(clients.direct_dynamodb(), _sessions_table)
_creation = SessionCreation(
    sessions=_sessions,
    pending=PendingCap(_sessions, int(os.environ[constants.MAX_PENDING_SESSIONS])),
    max_body_bytes=int(os.environ[constants.MAX_REQUEST_BYTES]),
    helper_stack=os.environ[constants.HELPER_STACK],
    instrumentation=LambdaInstrumentation(
        clients.lambda_(clients.PROBING), _instrumentation_function
    ),
)
_closing = Closing(
    sessions=_sessions,
    ending=Ending(
        sessions=_sessions,
        instrumentation=LambdaInstrumentation(clients.lambda_(), _instrumentation_function),
        connections=ApiGatewayConnections(clients.direct_connections()),
    ),
)
_probing = clients.lazily(partial(clients.dynamodb, clients.PROBING))
_probes: dict[str, Probe] = {
    "sessions": lambda: DynamoDbSessionStore(_probing(), _sessions_table).get("health"),
    "debugger": lambda: DynamoDbInvocationStore(_probing(), _debugger_table).get("health"),
}

OPERATIONS: dict[str, Operation] = {
    "POST /sessions": partial(create_session, creation=_creation),
    "GET /sessions": partial(list_sessions, store=_sessions),
    "DELETE /sessions": partial(close_sessions, closing=_closing),
    "GET /sessions/{sessionId}": partial(get_session, store=_sessions),
    "DELETE /sessions/{sessionId}": partial(close_session, closing=_closing),
    # The same for one stack, so that a policy can name it.
    "POST /stacks/{stackName}/sessions": partial(create_session, creation=_creation),
    "GET /stacks/{stackName}/sessions": partial(list_sessions, store=_sessions),
    "DELETE /stacks/{stackName}/sessions": partial(close_sessions, closing=_closing),
    "GET /stacks/{stackName}/sessions/{sessionId}": partial(get_session, store=_sessions),
    "DELETE /stacks/{stackName}/sessions/{sessionId}": partial(close_session, closing=_closing),
    "GET /health": partial(check_health, probes=_probes),
}

handler = logged("management", dispatch(OPERATIONS))
