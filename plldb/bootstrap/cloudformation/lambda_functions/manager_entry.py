"""The handler that runs as PLLDBManagerRole. Clients are opened here, once an environment."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from http import HTTPStatus

import boto3
from botocore.config import Config

from . import instrumentation
from .configuration import Layer
from .connections import ApiGatewayConnections
from .functions import AwsFunctions
from .log import logged

# The control plane throttles: adaptive retries slow down with it. Threads share the clients.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=20,
    retries={"mode": "adaptive", "total_max_attempts": 10},
    parameter_validation=False,
    max_pool_connections=32,
)
_SESSION_CHECK_SECONDS = 10


def _connection_of(token: str) -> str | None:
    """Asks the broker which connection holds the token's session; None if it is over."""
    url = f"{_broker_url}/debug/session"
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the template's URL
    try:
        with urllib.request.urlopen(  # nosec B310  # noqa: S310 - the same
            request, timeout=_SESSION_CHECK_SECONDS
        ) as answer:
            return str(json.load(answer)["connectionId"])
    except urllib.error.HTTPError as error:
        if error.code in (HTTPStatus.GONE, HTTPStatus.UNAUTHORIZED):
            return None
        raise


_broker_url = os.environ["PLLDB_BROKER_URL"]
_manager = instrumentation.Manager(
    functions=AwsFunctions(
        boto3.client("lambda", config=_CONFIG),
        boto3.client("cloudformation", config=_CONFIG),
        boto3.client("sqs", config=_CONFIG),
    ),
    connections=ApiGatewayConnections(
        boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=os.environ["PLLDB_CONNECTIONS_URL"],
            config=_CONFIG,
        )
    ),
    layer=Layer(os.environ["PLLDB_LAYER_ARN"]),
    broker_url=_broker_url,
    connection_of=_connection_of,
)

handle_instrumentation = logged(
    "instrumentation", lambda event, record: instrumentation.handle(event, record, _manager)
)
