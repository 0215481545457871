"""The handler that runs as PLLDBReaperRole. Clients are opened here, once an environment."""

from __future__ import annotations

import os
import time
from typing import Any

import boto3
from botocore.config import Config

from . import reaper
from .connections import ApiGatewayConnections
from .dynamodb import DynamoDbSessionStore
from .instrumentation_request import LambdaInstrumentation
from .invocation_table import DynamoDbInvocationStore
from .log import logged

# What fails is tried again when the schedule says so. Threads share the clients.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 4},
    parameter_validation=False,
    max_pool_connections=32,
)

_dynamodb: Any = boto3.client("dynamodb", config=_CONFIG)
_connections: Any = boto3.client(
    "apigatewaymanagementapi", endpoint_url=os.environ["PLLDB_CONNECTIONS_URL"], config=_CONFIG
)
_reaper = reaper.Reaper(
    sessions=DynamoDbSessionStore(_dynamodb, os.environ["PLLDB_SESSIONS_TABLE"]),
    invocations=DynamoDbInvocationStore(_dynamodb, os.environ["PLLDB_DEBUGGER_TABLE"]),
    connections=ApiGatewayConnections(_connections),
    instrumentation=LambdaInstrumentation(
        lambda: boto3.client("lambda", config=_CONFIG),
        os.environ["PLLDB_INSTRUMENTATION_FUNCTION"],
    ),
)

handle_reaper = logged("reaper", lambda _, record: reaper.reap(record, _reaper, time.time()))
