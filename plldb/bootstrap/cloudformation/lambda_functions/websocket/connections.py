"""The WebSocket connections of debuggers and functions: posting to them, and ending them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from botocore.exceptions import ClientError


class Connections(Protocol):
    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        """Sends one message; False if that connection is gone."""
        ...

    def drop(self, connection_id: str) -> bool:
        """Ends the connection; False if it is gone already."""
        ...

    def is_open(self, connection_id: str) -> bool: ...


class ApiGatewayConnections:
    """``client`` gives a boto3 client for apigatewaymanagementapi."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        data = json.dumps(message).encode()
        return self._finds("post_to_connection", connection_id, Data=data)

    def drop(self, connection_id: str) -> bool:
        return self._finds("delete_connection", connection_id)

    def is_open(self, connection_id: str) -> bool:
        return self._finds("get_connection", connection_id)

    def _finds(self, operation: str, connection_id: str, **arguments: Any) -> bool:
        """Whether the connection that the operation is about is there."""
        try:
            getattr(self._client(), operation)(ConnectionId=connection_id, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] == "GoneException":
                return False
            raise
        return True
