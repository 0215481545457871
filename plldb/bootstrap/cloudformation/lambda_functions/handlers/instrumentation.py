"""InstrumentationFunction: redirects and restores functions. Runs as PLLDBManagerRole."""

from __future__ import annotations

import os
import time

import boto3

from ..instrumentation.control_plane import (
    CALLS_PER_SECOND,
    CALLS_PER_SECOND_ALONE,
    LambdaControlPlane,
)
from ..instrumentation.redirect import Layer
from ..instrumentation.scope import DebuggingScope
from ..instrumentation.service import Instrumenter, handle
from ..invocations.dynamodb import DynamoDbInvocationStore
from ..invocations.grants import Grants
from ..invocations.invocation import token_key
from ..sessions.dynamodb import DynamoDbSessionStore
from ..sessions.function_lists import DynamoDbFunctionLists
from ..sessions.session import Session
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.connections import ApiGatewayConnections

_dynamodb = clients.dynamodb(clients.SCHEDULED)
_grants = Grants(
    DynamoDbInvocationStore(_dynamodb, os.environ[constants.DEBUGGER_TABLE]),
    DynamoDbSessionStore(_dynamodb, os.environ[constants.SESSIONS_TABLE]),
)


def _find_connection(token: str) -> str | None:
    """The connection of the token's session, or of its latest heir; None if nobody is attached."""
    session = _find_session(token)
    return session.connection_id if session and session.is_attached(time.time()) else None


def _is_over(token: str) -> bool:
    session = _find_session(token)
    return session is None or session.is_over(time.time())


def _find_session(token: str) -> Session | None:
    opened = _grants.find(token_key(token))
    return opened.session if opened else None


_connections_url = os.environ[constants.CONNECTIONS_URL]
_instrumenter = Instrumenter(
    control_plane=LambdaControlPlane(
        clients.lambda_(clients.LAMBDA_CONTROL_PLANE)(),
        boto3.client("cloudformation", config=clients.CONTROL_PLANE),
        boto3.client("sqs", config=clients.CONTROL_PLANE),
        first_pause=clients.SHORTEST_UPDATE_SECONDS,
        calls_per_second=CALLS_PER_SECOND_ALONE if clients.ON_EMULATOR else CALLS_PER_SECOND,
    ),
    lists=DynamoDbFunctionLists(_dynamodb, os.environ[constants.SESSIONS_TABLE]),
    connections=ApiGatewayConnections(clients.connections(clients.CONTROL_PLANE)),
    layer=Layer(os.environ[constants.LAYER_ARN]),
    # Connections are posted to where they are opened, but for the scheme: http(s) for ws(s).
    websocket_url="ws" + _connections_url.removeprefix("http"),
    max_waiting=int(os.environ[constants.MAX_WAITING_INVOCATIONS]),
    find_connection=_find_connection,
    is_over=_is_over,
    scope=DebuggingScope(
        os.environ[constants.DEBUGGABLE_FUNCTIONS], os.environ[constants.DEBUGGABLE_TAG]
    ),
)

handler = logged("instrumentation", lambda event, record, _: handle(event, record, _instrumenter))
