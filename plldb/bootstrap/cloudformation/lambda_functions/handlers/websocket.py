"""WebSocketFunction: who may connect to the WebSocket API, and whatever comes of a connection.

These are one function, since they follow one another: after a cold start of the first, the next
ones find an environment that is awake, and so does the first invocation.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from ..instrumentation.request import LambdaInstrumentation
from ..invocations.dynamodb import DynamoDbClaims, DynamoDbInvocationStore
from ..invocations.grants import Grants
from ..invocations.payloads import S3Payloads
from ..sessions.dynamodb import DynamoDbSessionStore
from ..sessions.ending import Ending
from ..sessions.function_lists import DynamoDbFunctionLists
from ..shared import clients, constants
from ..shared.log import LambdaEvent, logged
from ..websocket.actions import answer
from ..websocket.admission import Admission, authorize
from ..websocket.connect_disconnect import connect, disconnect
from ..websocket.connections import ApiGatewayConnections
from ..websocket.relay import Relay

_dynamodb = clients.direct_dynamodb()
# Every invocation needs this client: it is made before the first one comes.
_post = clients.direct_connections()
_post()
_connections = ApiGatewayConnections(_post)
_sessions = DynamoDbSessionStore(_dynamodb, os.environ[constants.SESSIONS_TABLE])
_invocations = DynamoDbInvocationStore(_dynamodb, os.environ[constants.DEBUGGER_TABLE])
_instrumentation = LambdaInstrumentation(
    clients.lambda_(), os.environ[constants.INSTRUMENTATION_FUNCTION]
)
_relay = Relay(
    sessions=_sessions,
    invocations=_invocations,
    claims=DynamoDbClaims(_dynamodb, os.environ[constants.DEBUGGER_TABLE], clients.credentials),
    grants=Grants(_invocations, _sessions),
    payloads=S3Payloads(
        clients.s3(),
        os.environ[constants.PAYLOADS_BUCKET],
        os.environ[constants.PAYLOADS_PREFIX],
    ),
    lists=DynamoDbFunctionLists(_dynamodb, os.environ[constants.SESSIONS_TABLE]),
    connections=_connections,
    instrumentation=_instrumentation,
    ending=Ending(_sessions, _instrumentation, _connections),
    max_message_bytes=int(os.environ[constants.MAX_MESSAGE_BYTES]),
    allows_credentials=os.environ.get(constants.FUNCTION_CREDENTIALS) == constants.ALLOWED,
)

_authorize = logged("authorizer", partial(authorize, admission=Admission(_sessions, _invocations)))
_handlers = {
    "CONNECT": logged("$connect", partial(connect, store=_sessions)),
    "DISCONNECT": logged("$disconnect", partial(disconnect, store=_sessions)),
    "MESSAGE": logged("message", partial(answer, relay=_relay)),
}


def handler(event: LambdaEvent, context: Any) -> Any:
    """The authorizer is asked with the event of ``$connect``, and the ARN that it has to judge."""
    if "methodArn" in event:
        return _authorize(event, context)
    return _handlers[event["requestContext"]["eventType"]](event, context)
