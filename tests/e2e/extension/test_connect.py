"""Opening a connection: the authorizer, $connect, and what the client sees when refused."""

import json
import re
import time
import uuid

import pytest
import requests
from aws_lambda_powertools.utilities.parser.models import APIGatewayWebSocketConnectEventModel
from websockets.exceptions import InvalidStatus, NegotiationError
from websockets.sync.client import connect as websocket_connect

from .cloud import Cloud, Stack, message, wait_for
from .journal import journal


def refusal(cloud: Cloud, stack: Stack, **query: str) -> tuple[int, dict[str, str]]:
    with (
        pytest.raises(InvalidStatus) as refused,
        cloud.connect(stack.outputs["ApiId"], "test", **query),
    ):
        pass
    body = refused.value.response.body or b""
    return refused.value.response.status_code, json.loads(body) if b"{" in body else {}


@pytest.mark.parametrize(
    ("token", "status", "text"),
    [
        ("deny", 403, "User is not authorized to access this resource with an explicit deny"),
        ("elsewhere", 403, "User is not authorized to access this resource"),
        ("unauthorized", 401, "Unauthorized"),
        ("raise", 500, "Internal server error"),
        ("malformed", 500, "Internal server error"),
        ("", 401, "Unauthorized"),
    ],
)
def test_authorizer_refuses_as_on_aws(
    cloud: Cloud, playground: Stack, token: str, status: int, text: str
) -> None:
    got, body = refusal(cloud, playground, token=token)
    assert got == status
    assert text in body.values()


def test_identity_source_is_missing(cloud: Cloud, playground: Stack) -> None:
    assert refusal(cloud, playground, other="x")[0] == 401


@pytest.mark.parametrize(
    ("answer", "status"),
    [("403", 403), ("500", 500), ("302", 302), ("raise", 502), ("99", 502), ("999", 502)],
)
def test_connect_route_refuses(cloud: Cloud, playground: Stack, answer: str, status: int) -> None:
    assert refusal(cloud, playground, token="allow", connect=answer)[0] == status


def test_connect_answer_without_a_status_is_malformed(cloud: Cloud, playground: Stack) -> None:
    status, body = refusal(cloud, playground, token="allow", connect="malformed")
    assert status == 502
    assert body["message"] == "Internal server error"


def test_refused_connection_leaves_no_record(cloud: Cloud, playground: Stack) -> None:
    before = cloud.diagnostics()["connections"]
    refusal(cloud, playground, token="allow", connect="403")
    after = wait_for(cloud.diagnostics, lambda now: now["connections"] <= before)
    assert after["connections"] <= before


def test_unknown_api_and_stage_are_forbidden(cloud: Cloud, playground: Stack) -> None:
    for api_id, stage in (("nonesuch00", "test"), (playground.outputs["ApiId"], "nonesuch")):
        with pytest.raises(InvalidStatus) as refused, cloud.connect(api_id, stage, token="allow"):
            pass
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Version": None}, 400),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Connection": "keep-alive"}, 400),
        ({"Host": "\u00fc..example".encode()}, 400),
    ],
)
def test_malformed_handshake(
    cloud: Cloud, playground: Stack, changed: dict[str, str | bytes | None], status: int
) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **changed,
    }
    url = cloud.stage_url(playground.outputs["ApiId"], "test")
    assert requests.get(url, headers=headers, timeout=20).status_code == status


def test_nothing_else_takes_upgrades(cloud: Cloud) -> None:
    url = cloud.endpoint.replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as refused, websocket_connect(f"{url}/chat"):
        pass
    assert refused.value.response.status_code == 404


def test_handshake_is_a_get(cloud: Cloud, playground: Stack) -> None:
    url = cloud.stage_url(playground.outputs["ApiId"], "test")
    answer = requests.post(url, headers={"Upgrade": "websocket"}, timeout=20)
    assert (answer.status_code, answer.json()) == (400, {"message": "Bad Request"})


def test_socket_opens_only_after_connect_returned(cloud: Cloud, playground: Stack) -> None:
    began = time.monotonic()
    with cloud.connect(playground.outputs["ApiId"], "test", token="allow", delay="0.7"):
        assert time.monotonic() - began >= 0.7


def test_subprotocol_that_connect_picks(cloud: Cloud, playground: Stack) -> None:
    with cloud.connect(
        playground.outputs["ApiId"], "test", token="allow", protocol="b", subprotocols=["a", "b"]
    ) as socket:
        assert socket.subprotocol == "b"


def test_subprotocol_that_the_client_did_not_offer(cloud: Cloud, playground: Stack) -> None:
    """The function's choice reaches the client, which refuses it; $connect has run."""
    with (
        pytest.raises(NegotiationError, match="unsupported subprotocol: c"),
        cloud.connect(
            playground.outputs["ApiId"], "test", token="allow", protocol="c", subprotocols=["a"]
        ),
    ):
        pass
    assert wait_for(lambda: cloud.diagnostics()["connections"], lambda count: count == 0) == 0


def test_compression_is_not_negotiated(cloud: Cloud, playground: Stack) -> None:
    with cloud.connect(
        playground.outputs["ApiId"], "test", token="allow", compression="deflate"
    ) as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        socket.send(message("echo", text="x" * 2000))
        assert json.loads(socket.recv(timeout=30))["action"] == "echo"


def test_connect_event(cloud: Cloud, playground: Stack) -> None:
    with cloud.connect(
        playground.outputs["ApiId"],
        "test",
        token="allow",
        additional_headers={"X-Colour": "green"},
    ) as socket:
        socket.send(message("inspect"))
        connection_id = json.loads(socket.recv(timeout=30))["requestContext"]["connectionId"]
    event = journal(cloud, playground, connection_id)["$connect"]
    context = event["requestContext"]
    assert context["eventType"] == "CONNECT"
    assert context["routeKey"] == "$connect"
    assert context["apiId"] == playground.outputs["ApiId"]
    assert context["stage"] == "test"
    assert context["connectionId"] == connection_id
    assert context["authorizer"]["token"] == "allow"
    assert event["headers"]["X-Colour"] == "green"
    assert event["multiValueHeaders"]["X-Colour"] == ["green"]
    assert event["queryStringParameters"] == {"token": "allow"}
    assert event["multiValueQueryStringParameters"] == {"token": ["allow"]}
    assert event["isBase64Encoded"] is False
    assert "body" not in event
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", event["headers"]["X-Amzn-Trace-Id"])
    APIGatewayWebSocketConnectEventModel(**event)


def test_client_that_leaves_during_connect(cloud: Cloud, playground: Stack) -> None:
    """What ``$connect`` made for it is undone by ``$disconnect``, as for any other client."""
    mark = uuid.uuid4().hex
    with (
        pytest.raises(TimeoutError),
        cloud.connect(
            playground.outputs["ApiId"],
            "test",
            token="allow",
            delay="2",
            mark=mark,
            open_timeout=0.5,
        ),
    ):
        pass
    scan = cloud.client("dynamodb").scan

    def connection_ids() -> list[str]:
        items = scan(TableName=playground.outputs["JournalName"])["Items"]
        return [item["ConnectionId"]["S"] for item in items if mark in item["Body"]["S"]]

    (connection_id,) = wait_for(connection_ids)
    events = journal(cloud, playground, connection_id, until="$disconnect")
    assert events["$disconnect"]["requestContext"]["disconnectStatusCode"] == 1006
    assert wait_for(lambda: cloud.diagnostics()["connections"], lambda count: count == 0) == 0
