"""AuthorizerFunction: who may connect to the WebSocket API."""

from __future__ import annotations

import os
from functools import partial

from ..invocations.dynamodb import DynamoDbInvocationStore
from ..sessions.dynamodb import DynamoDbSessionStore
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.admission import Admission, authorize

_dynamodb = clients.direct_dynamodb()
_admission = Admission(
    sessions=DynamoDbSessionStore(_dynamodb, os.environ[constants.SESSIONS_TABLE]),
    invocations=DynamoDbInvocationStore(_dynamodb, os.environ[constants.DEBUGGER_TABLE]),
)

handler = logged("authorizer", partial(authorize, admission=_admission))
