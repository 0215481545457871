"""The handlers that template.yaml names. Clients are opened here, once for each environment."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from . import authorizer, connection, management, message
from .connections import ApiGatewayConnections
from .dynamodb import DynamoDbSessionStore
from .log import logged

# Answers are awaited: fail within a function's timeout. Parameters are built by this package, so
# botocore need not validate them again on every call.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 3},
    parameter_validation=False,
    tcp_keepalive=True,
)

_store = DynamoDbSessionStore(
    boto3.client("dynamodb", config=_CONFIG), os.environ["PLLDB_SESSIONS_TABLE"]
)


@cache
def _connections() -> ApiGatewayConnections:
    """Made by the one function that posts; the others have no such URL."""
    url = os.environ["PLLDB_CONNECTIONS_URL"]
    client: Any = boto3.client("apigatewaymanagementapi", endpoint_url=url, config=_CONFIG)
    return ApiGatewayConnections(client)


handle_management = logged(
    "POST /sessions",
    lambda event, record: management.create_session(event, record, _store, time.time()),
)
handle_authorizer = logged(
    "authorizer", lambda event, record: authorizer.authorize(event, record, _store, time.time())
)
handle_connect = logged(
    "$connect", lambda event, record: connection.connect(event, record, _store, time.time())
)
handle_disconnect = logged(
    "$disconnect", lambda event, record: connection.disconnect(event, record, _store)
)
handle_message = logged(
    "message", lambda event, record: message.answer(event, record, _store, _connections())
)
