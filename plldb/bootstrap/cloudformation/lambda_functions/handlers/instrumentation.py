"""InstrumentationFunction: redirects and restores functions. Runs as PLLDBManagerRole."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from http import HTTPStatus

import boto3

from ..instrumentation.control_plane import LambdaControlPlane
from ..instrumentation.redirect import Layer
from ..instrumentation.service import Instrumenter, handle
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.connections import ApiGatewayConnections

_SESSION_CHECK_SECONDS = 10


def _find_connection(token: str) -> str | None:
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


_broker_url = os.environ[constants.BROKER_URL]
_instrumenter = Instrumenter(
    control_plane=LambdaControlPlane(
        clients.lambda_(clients.CONTROL_PLANE)(),
        boto3.client("cloudformation", config=clients.CONTROL_PLANE),
        boto3.client("sqs", config=clients.CONTROL_PLANE),
    ),
    connections=ApiGatewayConnections(clients.connections(clients.CONTROL_PLANE)),
    layer=Layer(os.environ[constants.LAYER_ARN]),
    broker_url=_broker_url,
    find_connection=_find_connection,
)

handler = logged("instrumentation", lambda event, record, _: handle(event, record, _instrumenter))
