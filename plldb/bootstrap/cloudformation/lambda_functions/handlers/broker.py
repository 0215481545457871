"""BrokerFunction: where instrumented functions hand their invocations over, and wait."""

from __future__ import annotations

import os
import time

from ..api import broker
from ..api.rest import Operation, dispatch
from ..instrumentation.request import LambdaInstrumentation
from ..invocations.dynamodb import DynamoDbInvocationStore
from ..invocations.payloads import S3Payloads
from ..sessions.dynamodb import DynamoDbSessionStore
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.connections import ApiGatewayConnections


class _SystemClock:
    now = staticmethod(time.time)
    sleep = staticmethod(time.sleep)


_dynamodb = clients.dynamodb()
_broker = broker.Broker(
    sessions=DynamoDbSessionStore(_dynamodb, os.environ[constants.SESSIONS_TABLE]),
    invocations=DynamoDbInvocationStore(_dynamodb, os.environ[constants.DEBUGGER_TABLE]),
    payloads=S3Payloads(
        clients.s3(),
        os.environ[constants.PAYLOADS_BUCKET],
        os.environ[constants.PAYLOADS_PREFIX],
    ),
    connections=ApiGatewayConnections(clients.connections()),
    instrumentation=LambdaInstrumentation(
        clients.lambda_(), os.environ[constants.INSTRUMENTATION_FUNCTION]
    ),
    clock=_SystemClock(),
)

OPERATIONS: dict[str, Operation] = {
    "POST /debug/uploads": lambda event, record, _: broker.upload(event, record, _broker),
    "POST /debug/invocations": lambda event, record, _: broker.invoke(event, record, _broker),
    "GET /debug/invocations/{requestId}": lambda event, record, _: broker.await_answer(
        event, record, _broker
    ),
    "GET /debug/session": lambda event, record, _: broker.check_session(event, record, _broker),
}

handler = logged("broker", dispatch(OPERATIONS))
