"""Messages: which route gets them, what its function sees, what comes back, and the end."""

import json
import socket as tcp
import struct
import time
from contextlib import suppress
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from .cloud import DEADLINE_SECONDS, STACK_SECONDS, Cloud, Stack, message, wait_for
from .conftest import IDLE_SECONDS
from .journal import journal

KB = 1024


def connect(cloud: Cloud, stack: Stack, **options: Any) -> ClientConnection:
    return cloud.connect(stack.outputs["ApiId"], "test", token="allow", **options)


def inspect(socket: ClientConnection) -> dict[str, Any]:
    socket.send(message("inspect"))
    event: dict[str, Any] = json.loads(socket.recv(timeout=30))
    return event


def test_message_event(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        socket.send(message("inspect", n=1))
        event = json.loads(socket.recv(timeout=30))
    context = event["requestContext"]
    assert json.loads(event["body"]) == {"action": "inspect", "n": 1}
    assert event["isBase64Encoded"] is False
    assert event["stageVariables"] == {"colour": "green"}
    assert context["eventType"] == "MESSAGE"
    assert context["routeKey"] == "inspect"
    assert context["messageDirection"] == "IN"
    assert context["messageId"]
    assert len(context["connectionId"]) == 16
    assert context["connectedAt"] <= context["requestTimeEpoch"]
    authorizer = context["authorizer"]
    assert (authorizer["principalId"], authorizer["number"], authorizer["yes"]) == (
        "user",
        "7",
        "true",
    )
    APIGatewayWebSocketMessageEventModel(**event)


@pytest.mark.parametrize(
    "text", ["not json", "[1]", '"echo"', '{"action": "unknown"}', '{"action": 3}', "", "$connect"]
)
def test_default_route_takes_the_rest(cloud: Cloud, playground: Stack, text: str) -> None:
    with connect(cloud, playground) as socket:
        socket.send(text)
        event = json.loads(socket.recv(timeout=30))
    assert event["requestContext"]["routeKey"] == "$default"
    assert event.get("body", "") == text


def test_reserved_routes_cannot_be_called(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        socket.send(message("$disconnect"))
        assert json.loads(socket.recv(timeout=30))["requestContext"]["routeKey"] == "$default"


def test_binary_message_closes_with_1003(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        socket.send(b"\x00\xff")
        assert closed_with(socket) == 1003


def test_failing_route_tells_the_client(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        connection_id = inspect(socket)["requestContext"]["connectionId"]
        socket.send(message("fail"))
        answer = json.loads(socket.recv(timeout=30))
    assert answer["message"] == "Internal server error"
    assert answer["connectionId"] == connection_id
    assert answer["requestId"]


def test_route_without_a_response_sends_nothing(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        socket.send(message("one-way"))
        socket.send(message("echo"))
        assert json.loads(socket.recv(timeout=30))["action"] == "echo"


def test_function_posts_to_its_own_connection(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        socket.send(message("post"))
        assert socket.recv(timeout=30) == "posted"


def test_answers_keep_the_order_of_messages(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        for number in range(50):
            socket.send(message("echo", n=number))
        assert [json.loads(socket.recv(timeout=30))["n"] for _ in range(50)] == list(range(50))


def test_largest_message_in_frames(cloud: Cloud, playground: Stack) -> None:
    """128 KB, in frames of 32 KB: whole on the way in, and whole on the way out."""
    text = message("echo", pad="ä" * 100)
    text = text[:-2] + "x" * (128 * KB - len(text.encode())) + text[-2:]
    frames = [text[i : i + 32 * KB] for i in range(0, len(text), 32 * KB)]
    with connect(cloud, playground) as socket:
        socket.send(iter(frames))
        assert socket.recv(timeout=30) == text


def closed_with(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=30)
    return closed.value.rcvd.code if closed.value.rcvd else None


def test_frame_over_32_kb_closes_with_1009(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        connection_id = inspect(socket)["requestContext"]["connectionId"]
        socket.send("x" * (32 * KB + 1))
        assert closed_with(socket) == 1009
    event = journal(cloud, playground, connection_id, "$disconnect")["$disconnect"]
    assert event["requestContext"]["disconnectStatusCode"] == 1009


def test_message_over_128_kb_closes_with_1009(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        with suppress(ConnectionClosed):  # it may close before the last frame is sent
            socket.send(iter(["x" * 32 * KB] * 4 + ["x"]))
        assert closed_with(socket) == 1009


def test_ping_is_answered(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        assert socket.ping().wait(30)


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (4001, ""), (1001, "going")])
def test_disconnect_event_has_code_and_reason(
    cloud: Cloud, playground: Stack, code: int, reason: str
) -> None:
    with connect(cloud, playground) as socket:
        connection_id = inspect(socket)["requestContext"]["connectionId"]
        socket.close(code, reason)
        assert socket.close_code == code
    event = journal(cloud, playground, connection_id, "$disconnect")["$disconnect"]
    context = event["requestContext"]
    assert context["eventType"] == "DISCONNECT"
    assert context["disconnectStatusCode"] == code
    assert context["disconnectReason"] == reason
    assert context["authorizer"]["token"] == "allow"
    APIGatewayWebSocketDisconnectEventModel(**event)


def test_abrupt_drop_ends_in_disconnect(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        connection_id = inspect(socket)["requestContext"]["connectionId"]
        reset = struct.pack("ii", 1, 0)
        socket.socket.setsockopt(tcp.SOL_SOCKET, tcp.SO_LINGER, reset)
        socket.socket.shutdown(tcp.SHUT_RDWR)
        socket.socket.close()
        event = journal(cloud, playground, connection_id, "$disconnect")["$disconnect"]
        assert event["requestContext"]["disconnectStatusCode"] == 1006


def test_protocol_violation_closes(cloud: Cloud, playground: Stack) -> None:
    with connect(cloud, playground) as socket:
        inspect(socket)
        socket.socket.sendall(b"\xff\xff\xff\xff")
        assert closed_with(socket) == 1002


def test_wss_on_the_same_port(cloud: Cloud, playground: Stack) -> None:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    secure = Cloud(cloud.endpoint.replace("http://", "https://"))
    with connect(secure, playground, ssl=context) as socket:
        socket.send(message("echo", n=1))
        assert json.loads(socket.recv(timeout=30))["n"] == 1


def test_idle_limit(impatient_cloud: Cloud) -> None:
    with impatient_cloud.stack("playground") as stack:
        connection_id = wait_for(lambda: outlive(impatient_cloud, stack), seconds=STACK_SECONDS)
        assert connection_id, "the busy one was always idle for as long"
        event = journal(impatient_cloud, stack, connection_id, "$disconnect")["$disconnect"]
        assert event["requestContext"]["disconnectReason"] == "Going away"


def test_age_limit(aging_cloud: Cloud) -> None:
    """Never idle, yet not for ever."""
    with aging_cloud.stack("playground") as stack, connect(aging_cloud, stack) as socket:
        assert wait_for(lambda: is_over(socket))


def outlive(cloud: Cloud, stack: Stack) -> str:
    """The id of a connection that has ended for its idleness, unlike a busy one beside it.

    Nothing if that one was not busy enough, as on a busy machine, or idle from the beginning.
    """
    with connect(cloud, stack) as idle:
        try:
            connection_id: str = inspect(idle)["requestContext"]["connectionId"]
        except ConnectionClosed:
            return ""
        spoken = time.monotonic()
        with connect(cloud, stack) as busy:
            connected = time.monotonic()
            while not has_ended(idle) or time.monotonic() < connected + 2 * IDLE_SECONDS:
                since, spoken = spoken, time.monotonic()
                assert spoken < connected + DEADLINE_SECONDS, "it does not end"
                if is_over(busy):
                    assert time.monotonic() - since > IDLE_SECONDS, "it was never idle"
                    return ""
        assert closed_with(idle) == 1001
        return connection_id


def has_ended(socket: ClientConnection) -> bool:
    try:
        socket.recv(timeout=0)
    except TimeoutError:
        return False
    except ConnectionClosed:
        return True
    raise AssertionError("nobody asked it anything")


def is_over(socket: ClientConnection) -> bool:
    try:
        socket.send(message("echo"))
        socket.recv(timeout=1)
    except TimeoutError:
        return False
    except ConnectionClosed as closed:
        return closed.rcvd is not None and closed.rcvd.code == 1001
    return False
