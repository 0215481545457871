"""The handler that runs as PLLDBManagerRole. Clients are opened here, once an environment."""

from __future__ import annotations

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


def _is_attached(token: str) -> bool:
    """Asks the broker whether the token's session is still attached."""
    url = f"{_broker_url}/debug/session"
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the template's URL
    try:
        with urllib.request.urlopen(request, timeout=_SESSION_CHECK_SECONDS):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        if error.code in (HTTPStatus.GONE, HTTPStatus.UNAUTHORIZED):
            return False
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
    is_attached=_is_attached,
)

handle_instrumentation = logged(
    "instrumentation", lambda event, record: instrumentation.handle(event, record, _manager)
)
