"""The way back: messages to connections, by API Gateway's management API."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import boto3

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient


class Gateway(Protocol):
    def post(self, connection_id: str, message: Mapping[str, Any]) -> None:
        """Nothing happens if the connection is gone; ``$disconnect`` comes for it."""

    def close(self, connection_id: str) -> None: ...


@dataclass(frozen=True)
class ManagementApi:
    client: ApiGatewayManagementApiClient

    def post(self, connection_id: str, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode()
        try:
            self.client.post_to_connection(ConnectionId=connection_id, Data=data)
        except self.client.exceptions.GoneException:
            return

    def close(self, connection_id: str) -> None:
        try:
            self.client.delete_connection(ConnectionId=connection_id)
        except self.client.exceptions.GoneException:
            return


def find_endpoint(context: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Where the management API of an event's API is. Emulators have it by path."""
    if (emulator := environ.get("AWS_ENDPOINT_URL")) is not None:
        return f"{emulator}/_aws/execute-api/{context['apiId']}/{context['stage']}"
    return f"https://{context['domainName']}/{context['stage']}"


def make_gateway(event: Mapping[str, Any]) -> Gateway:
    return _make_gateway(find_endpoint(event["requestContext"], os.environ))


@cache
def _make_gateway(endpoint: str) -> Gateway:
    return ManagementApi(boto3.client("apigatewaymanagementapi", endpoint_url=endpoint))
