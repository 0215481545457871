"""AuthorizerFunction: who may connect to the WebSocket API."""

from __future__ import annotations

import os
from functools import partial

from ..sessions.dynamodb import DynamoDbSessionStore
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.admission import authorize

_sessions = DynamoDbSessionStore(clients.dynamodb(), os.environ[constants.SESSIONS_TABLE])

handler = logged("authorizer", partial(authorize, store=_sessions))
