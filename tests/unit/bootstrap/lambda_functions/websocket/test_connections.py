"""Posting to connections of API Gateway, and ending them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lambda_functions.websocket.connections import ApiGatewayConnections

from tests.unit.fakes import client_error


class Client:
    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self._error = error

    def post_to_connection(self, **call: Any) -> None:
        self.calls.append(call)
        if self._error:
            raise self._error

    delete_connection = get_connection = post_to_connection


def test_a_message_is_sent_as_json() -> None:
    client = Client()
    assert ApiGatewayConnections(lambda: client).post("c", {"type": "x", "text": "ä"})
    (call,) = client.calls
    assert call["ConnectionId"] == "c"
    assert json.loads(call["Data"]) == {"type": "x", "text": "ä"}


def test_a_connection_that_is_gone_is_told() -> None:
    client = Client(client_error("GoneException"))
    connections = ApiGatewayConnections(lambda: client)
    assert connections.post("c", {}) is False
    assert connections.drop("c") is False
    assert connections.is_open("c") is False


def test_one_that_is_there_is_dropped_or_found() -> None:
    client = Client()
    assert ApiGatewayConnections(lambda: client).drop("c")
    assert ApiGatewayConnections(lambda: client).is_open("c")
    assert client.calls == [{"ConnectionId": "c"}] * 2


def test_any_other_failure_is_one() -> None:
    client = Client(client_error("ForbiddenException"))
    connections = ApiGatewayConnections(lambda: client)
    for act in (lambda: connections.post("c", {}), lambda: connections.is_open("c")):
        with pytest.raises(Exception, match="ForbiddenException"):
            act()
