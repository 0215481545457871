"""Posting to the WebSocket connection of an attached debugger."""

from __future__ import annotations

import json
from typing import Any, Protocol

from botocore.exceptions import ClientError


class Connections(Protocol):
    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        """Sends one message; False if that connection is gone."""
        ...


class ApiGatewayConnections:
    """``client`` is a boto3 client for apigatewaymanagementapi."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        try:
            self._client.post_to_connection(
                ConnectionId=connection_id, Data=json.dumps(message).encode()
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "GoneException":
                return False
            raise
        return True
