"""``@connections`` through boto3's apigatewaymanagementapi client, and without a signature."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import requests
from requests_aws4auth import AWS4Auth
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from .cloud import REGION, Cloud, Stack, message
from .journal import journal


@pytest.fixture
def management(cloud: Cloud, playground: Stack) -> Any:
    return cloud.management(playground.outputs["ApiId"], "test")


@pytest.fixture
def socket(cloud: Cloud, playground: Stack) -> Iterator[ClientConnection]:
    with cloud.connect(playground.outputs["ApiId"], "test", token="allow") as socket:
        yield socket


def id_of(socket: ClientConnection) -> str:
    socket.send(message("inspect"))
    connection_id: str = json.loads(socket.recv(timeout=30))["requestContext"]["connectionId"]
    return connection_id


def test_post(management: Any, socket: ClientConnection) -> None:
    connection_id = id_of(socket)
    for data in (b"plain", "großé".encode(), b"\x00\xff", b""):
        management.post_to_connection(ConnectionId=connection_id, Data=data)
    assert [socket.recv(timeout=30) for _ in range(4)] == ["plain", "großé", b"\x00\xff", ""]


def test_posts_arrive_in_order(management: Any, socket: ClientConnection) -> None:
    connection_id = id_of(socket)
    for number in range(100):
        management.post_to_connection(ConnectionId=connection_id, Data=str(number).encode())
    assert [socket.recv(timeout=30) for _ in range(100)] == [str(n) for n in range(100)]


def test_post_up_to_128_kb(management: Any, socket: ClientConnection) -> None:
    connection_id = id_of(socket)
    largest = "é" * (64 * 1024)
    management.post_to_connection(ConnectionId=connection_id, Data=largest.encode())
    assert socket.recv(timeout=30) == largest
    with pytest.raises(management.exceptions.PayloadTooLargeException):
        management.post_to_connection(ConnectionId=connection_id, Data=largest.encode() + b"x")


def test_get(management: Any, socket: ClientConnection) -> None:
    found = management.get_connection(ConnectionId=id_of(socket))
    now = datetime.now(UTC)
    assert now - found["ConnectedAt"] < timedelta(minutes=5)
    assert found["ConnectedAt"] <= found["LastActiveAt"]
    assert "websockets" in found["Identity"]["UserAgent"]
    assert found["Identity"]["SourceIp"]


def test_delete_closes_gracefully(
    cloud: Cloud, playground: Stack, management: Any, socket: ClientConnection
) -> None:
    connection_id = id_of(socket)
    management.delete_connection(ConnectionId=connection_id)
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=30)
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1000
    event = journal(cloud, playground, connection_id, "$disconnect")["$disconnect"]
    assert event["requestContext"]["disconnectStatusCode"] == 1000
    with pytest.raises(management.exceptions.GoneException):
        management.get_connection(ConnectionId=connection_id)


def test_gone(management: Any, socket: ClientConnection) -> None:
    connection_id = id_of(socket)
    socket.close()
    for call, extra in (
        (management.post_to_connection, {"Data": b"x"}),
        (management.get_connection, {}),
        (management.delete_connection, {}),
    ):
        for gone in (connection_id, "AAAAAAAAAAAAAAA="):
            with pytest.raises(management.exceptions.GoneException):
                call(ConnectionId=gone, **extra)


def test_connection_of_another_stage_is_gone(
    cloud: Cloud, playground: Stack, socket: ClientConnection
) -> None:
    other = cloud.management(playground.outputs["ApiId"], "other")
    with pytest.raises(other.exceptions.GoneException):
        other.get_connection(ConnectionId=id_of(socket))


def test_encoded_path(cloud: Cloud, playground: Stack, socket: ClientConnection) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-how-to-call-websocket-api-connections.html has a line for awscurl with ``%40``."""
    base = cloud.stage_url(playground.outputs["ApiId"], "test")
    url = f"{base}/%40connections/{quote(id_of(socket))}"
    signed = AWS4Auth("test", "test", REGION, "execute-api")
    # Clients double the slash whose endpoint ends with one.
    for written in (url, url.replace("/%40", "//@")):
        assert requests.post(written, data=b"encoded", auth=signed, timeout=30).status_code == 200
        assert socket.recv(timeout=30) == "encoded"


def test_unsigned_request_is_refused(
    cloud: Cloud, playground: Stack, socket: ClientConnection
) -> None:
    base = cloud.stage_url(playground.outputs["ApiId"], "test")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{base}/@connections/{id_of(socket)}", data=b"x")
    assert refused.value.code == 403
    assert json.load(refused.value) == {"message": "Missing Authentication Token"}
