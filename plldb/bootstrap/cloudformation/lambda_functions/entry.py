"""The handlers that template.yaml names. Clients are opened here, once for each environment."""

from __future__ import annotations

import os
import time
from functools import cache, partial
from typing import Any

import boto3
from botocore.config import Config

from . import (
    administration,
    answers,
    authorizer,
    broker,
    connection,
    health,
    management,
    message,
    rest,
)
from .connections import ApiGatewayConnections
from .dynamodb import DynamoDbSessionStore
from .instrumentation_request import LambdaInstrumentation
from .invocation_table import DynamoDbInvocationStore
from .log import logged
from .payloads import S3Payloads
from .pending import PendingCap

# Answers are awaited: fail within a function's timeout. Parameters are built by this package, so
# botocore need not validate them again on every call.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 3},
    parameter_validation=False,
    tcp_keepalive=True,
)
# On AWS, presigned URLs name the bucket's own region in the host; emulators are reached by path.
_S3_CONFIG = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path" if os.environ.get("AWS_ENDPOINT_URL") else "virtual"},
)

# Whoever asks whether all is well needs an answer rather than patience.
_PROBE_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 1})

_dynamodb: Any = boto3.client("dynamodb", config=_CONFIG)
_store = DynamoDbSessionStore(_dynamodb, os.environ["PLLDB_SESSIONS_TABLE"])


# The others are made by the functions that use them; the rest have no such variables.


@cache
def _connections() -> ApiGatewayConnections:
    url = os.environ["PLLDB_CONNECTIONS_URL"]
    client: Any = boto3.client("apigatewaymanagementapi", endpoint_url=url, config=_CONFIG)
    return ApiGatewayConnections(client)


@cache
def _invocations() -> DynamoDbInvocationStore:
    return DynamoDbInvocationStore(_dynamodb, os.environ["PLLDB_DEBUGGER_TABLE"])


@cache
def _payloads() -> S3Payloads:
    return S3Payloads(
        lambda: boto3.client("s3", config=_CONFIG.merge(_S3_CONFIG)),
        os.environ["PLLDB_PAYLOADS_BUCKET"],
        os.environ["PLLDB_PAYLOADS_PREFIX"],
    )


@cache
def _instrumentation() -> LambdaInstrumentation:
    return LambdaInstrumentation(
        lambda: boto3.client("lambda", config=_CONFIG),
        os.environ["PLLDB_INSTRUMENTATION_FUNCTION"],
    )


@cache
def _answers() -> answers.Answers:
    return answers.Answers(_invocations(), _payloads())


@cache
def _management() -> management.Management:
    cap = int(os.environ["PLLDB_MAX_PENDING_SESSIONS"])
    return management.Management(
        _store,
        PendingCap(_store, cap),
        int(os.environ["PLLDB_MAX_REQUEST_BYTES"]),
        os.environ["PLLDB_HELPER_STACK"],
    )


@cache
def _administration() -> administration.Administration:
    return administration.Administration(_store, _instrumentation(), _connections())


@cache
def _probe_client() -> Any:
    return boto3.client("dynamodb", config=_CONFIG.merge(_PROBE_CONFIG))


@cache
def _probes() -> dict[str, health.Probe]:
    client = _probe_client()
    sessions = DynamoDbSessionStore(client, os.environ["PLLDB_SESSIONS_TABLE"])
    invocations = DynamoDbInvocationStore(client, os.environ["PLLDB_DEBUGGER_TABLE"])
    return {
        "sessions": partial(sessions.get, "health"),
        "debugger": partial(invocations.get, "health"),
    }


@cache
def _message_backend() -> message.Backend:
    return message.Backend(
        _store,
        _invocations(),
        _instrumentation(),
        _connections(),
        int(os.environ["PLLDB_MAX_MESSAGE_BYTES"]),
    )


class _SystemClock:
    now = staticmethod(time.time)
    sleep = staticmethod(time.sleep)


@cache
def _broker() -> broker.Broker:
    return broker.Broker(
        sessions=_store,
        invocations=_invocations(),
        payloads=_payloads(),
        connections=_connections(),
        instrumentation=_instrumentation(),
        clock=_SystemClock(),
    )


MANAGEMENT_OPERATIONS: dict[str, rest.Operation] = {
    "POST /sessions": lambda event, record: management.create_session(
        event, record, _management(), time.time()
    ),
    "GET /sessions": lambda event, record: administration.list_sessions(
        event, record, _store, time.time()
    ),
    "DELETE /sessions": lambda event, record: administration.close_sessions(
        event, record, _administration(), time.time()
    ),
    "GET /sessions/{sessionId}": lambda event, record: administration.get_session(
        event, record, _store, time.time()
    ),
    "DELETE /sessions/{sessionId}": lambda event, record: administration.close_session(
        event, record, _administration(), time.time()
    ),
    "GET /health": lambda _, record: health.check(record, _probes(), time.time()),
    "GET /invocations/{requestId}/event": lambda event, record: answers.fetch_event(
        event, record, _answers(), time.time()
    ),
    "POST /invocations/{requestId}/uploads": lambda event, record: answers.upload(
        event, record, _answers(), time.time()
    ),
    "POST /invocations/{requestId}/result": lambda event, record: answers.post_result(
        event, record, _answers(), time.time()
    ),
}
BROKER_OPERATIONS: dict[str, rest.Operation] = {
    "POST /debug/uploads": lambda event, record: broker.upload(event, record, _broker()),
    "POST /debug/invocations": lambda event, record: broker.invoke(event, record, _broker()),
    "GET /debug/invocations/{requestId}": lambda event, record: broker.await_answer(
        event, record, _broker()
    ),
    "GET /debug/session": lambda event, record: broker.check_session(event, record, _broker()),
}

handle_management = logged("management", rest.dispatch(MANAGEMENT_OPERATIONS))
handle_broker = logged("broker", rest.dispatch(BROKER_OPERATIONS))
handle_authorizer = logged(
    "authorizer", lambda event, record: authorizer.authorize(event, record, _store, time.time())
)
handle_connect = logged(
    "$connect", lambda event, record: connection.connect(event, record, _store, time.time())
)
handle_disconnect = logged(
    "$disconnect",
    lambda event, record: connection.disconnect(event, record, _store, _instrumentation()),
)
handle_message = logged(
    "message", lambda event, record: message.answer(event, record, _message_backend(), time.time())
)
