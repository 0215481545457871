"""boto3 clients, as the helper stack's functions need them: made once for each environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config

from . import constants
from .direct_calls import DirectCalls, DirectConnections, DirectDynamoDb

# An emulator says so to the functions that it runs.
ON_EMULATOR = bool(os.environ.get("AWS_ENDPOINT_URL"))
# Parameters are built by this package, so on AWS nobody waits for botocore to validate them. On
# emulators they are held against AWS's models, also those of direct calls: an emulator may take
# what AWS would not.
_VALIDATION = ON_EMULATOR

# Somebody waits for the answer: fail within the function's timeout.
AWAITED = Config(
    connect_timeout=2,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 3},
    parameter_validation=_VALIDATION,
    tcp_keepalive=True,
    # botocore's own one takes a tenth of a millisecond for each call.
    user_agent="plldb",
)
# Whoever asks whether all is well needs an answer rather than patience.
PROBING = AWAITED.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
# On AWS, presigned URLs name the bucket's own region in the host; emulators are reached by path.
PRESIGNING = AWAITED.merge(
    Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if ON_EMULATOR else "virtual"},
    )
)
# CloudFormation throttles: adaptive retries slow down with it. Threads share the client.
CONTROL_PLANE = Config(
    connect_timeout=2,
    read_timeout=20,
    retries={"mode": "adaptive", "total_max_attempts": 10},
    parameter_validation=_VALIDATION,
    max_pool_connections=64,
)
# Lambda's control plane counts each request: they take turns, and so do repetitions.
LAMBDA_CONTROL_PLANE = CONTROL_PLANE.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 1})
)
# What fails is tried again when the schedule says so. Threads share the client.
SCHEDULED = Config(
    connect_timeout=2,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 4},
    parameter_validation=_VALIDATION,
    max_pool_connections=32,
)

# Somebody else works, and may take longer than it makes sense to wait: asked again, it would begin
# again.
WATCHING = SCHEDULED.merge(
    Config(read_timeout=15, retries={"mode": "standard", "total_max_attempts": 1})
)

# How long an update of a function takes at least: it makes no sense to look before.
SHORTEST_UPDATE_SECONDS = 0.56 if ON_EMULATOR else 1.0

Client = Callable[[], Any]

# Threads must not make clients at once:
# https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html
_making = Lock()


def lazily(make: Client) -> Client:
    """Gives what ``make`` gives; it is called once, by the first who needs it, in any thread."""
    make_once = cache(make)

    def client() -> Any:
        with _making:
            return make_once()

    return client


def dynamodb(config: Config = AWAITED) -> Any:
    return boto3.client("dynamodb", config=config)


def direct_dynamodb() -> Any:
    """For those that somebody waits for; all that they call for one item has little to do."""
    client = dynamodb()
    return DirectDynamoDb(client, DirectCalls(client, credentials, is_strict=_VALIDATION))


def credentials() -> Any:
    """What the clients made here sign with, as it is now."""
    session: Any = boto3.DEFAULT_SESSION
    return session.get_credentials().get_frozen_credentials()


def connections(config: Config = AWAITED) -> Client:
    """The client that posts to the connections of this helper stack's WebSocket API."""
    url = os.environ[constants.CONNECTIONS_URL]
    return lazily(lambda: boto3.client("apigatewaymanagementapi", endpoint_url=url, config=config))


def direct_connections() -> Client:
    """The same for those that somebody waits for: posting has little to do."""
    make = connections()

    @cache
    def client() -> Any:
        calls = DirectCalls(make(), credentials, is_strict=_VALIDATION)
        return DirectConnections(make(), calls)

    return client


def lambda_(config: Config = AWAITED) -> Client:
    return lazily(lambda: boto3.client("lambda", config=config))


def s3() -> Client:
    return lazily(lambda: boto3.client("s3", config=PRESIGNING))
