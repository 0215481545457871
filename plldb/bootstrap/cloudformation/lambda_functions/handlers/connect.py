"""ConnectFunction: ``$connect`` of the WebSocket API."""

from __future__ import annotations

import os
from functools import partial

from ..sessions.dynamodb import DynamoDbSessionStore
from ..shared import clients, constants
from ..shared.log import logged
from ..websocket.connect_disconnect import connect

_sessions = DynamoDbSessionStore(clients.direct_dynamodb(), os.environ[constants.SESSIONS_TABLE])

handler = logged("$connect", partial(connect, store=_sessions))
