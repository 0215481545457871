"""The names that AWS gives APIs lead to the emulator: upgrades, requests, clients of functions."""

import json
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket_connect

from .cloud import REGION, Cloud, Stack, wait_for

NAMES = (f"execute-api.{REGION}.amazonaws.com", "execute-api.localhost.localstack.cloud")


@pytest.fixture(scope="module")
def chat(cloud: Cloud) -> Iterator[Stack]:
    with cloud.stack("domain_chat") as stack:
        yield stack


def upgrade(
    cloud: Cloud, host: str, path: str, trust: ssl.SSLContext | None = None
) -> ClientConnection:
    """A connection to the emulator that says ``host``, as a client does that resolves it so."""
    address = urlsplit(cloud.endpoint)
    there = socket.create_connection((address.hostname, address.port), timeout=60)
    scheme = "wss" if trust else "ws"
    return websocket_connect(
        f"{scheme}://{host}{path}", sock=there, ssl=trust, open_timeout=60, ping_interval=None
    )


@pytest.mark.parametrize("name", NAMES)
def test_upgrade_by_host(cloud: Cloud, chat: Stack, name: str) -> None:
    with upgrade(cloud, f"{chat.outputs['ApiId']}.{name}", "/Prod") as client:
        client.send(json.dumps({"action": "sendmessage", "data": "hello"}))
        assert client.recv(timeout=20) == "hello"


@pytest.mark.parametrize("name", NAMES)
def test_upgrade_over_tls_that_is_verified(cloud: Cloud, chat: Stack, name: str) -> None:
    certificate = requests.get(f"{cloud.endpoint}/_tokenfree/certificate.pem", timeout=20)
    trust = ssl.create_default_context(cadata=certificate.text)
    host = f"{chat.outputs['ApiId']}.{name}"
    with upgrade(cloud, host, "/Prod", trust) as client:
        client.send(json.dumps({"action": "sendmessage", "data": "hello"}))
        assert client.recv(timeout=20) == "hello"


@pytest.mark.parametrize(
    ("api", "path"), [("", "/Prod/deeper"), ("", "/nonesuch"), ("", "/"), ("nonesuch00", "/Prod")]
)
def test_upgrade_at_a_wrong_place(cloud: Cloud, chat: Stack, api: str, path: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        upgrade(cloud, f"{api or chat.outputs['ApiId']}.{NAMES[0]}", path),
    ):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("api", "path", "status"),
    [
        ("", "/Prod", 426),
        ("", "/Prod/", 426),
        ("", "/Prod/deeper", 403),
        ("", "/nonesuch", 403),
        ("nonesuch00", "/Prod", 404),
    ],
)
@pytest.mark.parametrize("by_host", [True, False])
def test_request_without_an_upgrade(
    cloud: Cloud, chat: Stack, api: str, path: str, status: int, by_host: bool
) -> None:
    api_id = api or chat.outputs["ApiId"]
    base = "" if by_host else f"/_aws/execute-api/{api_id}"
    headers = {"Host": f"{api_id}.{NAMES[0]}"} if by_host else {}
    response = requests.get(f"{cloud.endpoint}{base}{path}", headers=headers, timeout=20)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"


def test_chat_that_posts_to_its_own_domain(cloud: Cloud, chat: Stack) -> None:
    with (
        cloud.connect(chat.outputs["ApiId"], "Prod") as ann,
        cloud.connect(chat.outputs["ApiId"], "Prod") as bob,
    ):
        ann.send(json.dumps({"action": "sendmessage", "data": "hello"}))
        assert ann.recv(timeout=20) == "hello"
        assert bob.recv(timeout=20) == "hello"
    table = chat.outputs["TableName"]
    scan = cloud.client("dynamodb").scan
    assert wait_for(lambda: scan(TableName=table)["Count"], lambda count: count == 0) == 0


def test_custom_domain(cloud: Cloud, chat: Stack) -> None:
    """The only way when the API's own name is closed:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-custom-domain-names.html
    """
    control, api_id = cloud.client("apigatewayv2"), chat.outputs["ApiId"]
    with cloud.custom_domain(api_id, {"c": "Prod"}) as name:
        try:
            control.update_api(ApiId=api_id, DisableExecuteApiEndpoint=True)
            with pytest.raises(InvalidStatus), cloud.connect(api_id, "Prod"):
                pass
            with upgrade(cloud, name, "/c") as client:
                client.send(json.dumps({"action": "sendmessage", "data": "hello"}))
                assert client.recv(timeout=20) == "hello"
        finally:
            control.update_api(ApiId=api_id, DisableExecuteApiEndpoint=False)


def test_output_names_this_machine(chat: Stack) -> None:
    url = urlsplit(chat.outputs["WebSocketURI"])
    assert url.scheme == "ws"
    assert url.hostname == f"{chat.outputs['ApiId']}.{NAMES[1]}"
    assert url.path == "/Prod"
    assert chat.outputs["Command"] == f"wscat -c {url.geturl()}"
