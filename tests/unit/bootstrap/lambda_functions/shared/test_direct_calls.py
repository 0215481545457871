"""Calls past boto3's clients do as those do: they are signed, repeated, and fail as well."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from lambda_functions.shared.direct_calls import DirectCalls, DirectConnections, DirectDynamoDb

from tests.unit.fakes import (
    Answer,
    FakeDynamoDb,
    Request,
    count_connections,
    dynamodb_over_http,
    local_server,
)
from tests.unit.polling import poll

KEY = {"SessionId": {"S": "s"}}
ITEM = KEY | {"Owner": {"S": "ä"}, "TTL": {"N": "5"}, "Silent": {"BOOL": True}}


class Direct:
    """Both clients, and boto3's for the same endpoint; ``pauses`` are what was slept."""

    def __init__(self, url: str) -> None:
        self.pauses: list[float] = []
        session = boto3.Session("AK", "secret", "session-token", "eu-west-1")
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        self.boto3 = session.client("dynamodb", endpoint_url=url, config=config)
        self.gateway = session.client(
            "apigatewaymanagementapi", endpoint_url=f"{url}/_aws/execute-api/id/v1", config=config
        )
        credentials: Any = session.get_credentials()
        self._calls = [
            DirectCalls(client, credentials.get_frozen_credentials, self.pauses.append)
            for client in (self.boto3, self.gateway)
        ]
        self.dynamodb: Any = DirectDynamoDb(self.boto3, self._calls[0])
        self.connections: Any = DirectConnections(self.gateway, self._calls[1])
        self._clients = (self.boto3, self.gateway)

    def close(self) -> None:
        for one in (*self._calls, *self._clients):
            one.close()


def direct(url: str) -> closing[Direct]:
    return closing(Direct(url))


def put_if_new(client: Any) -> Any:
    return client.put_item(
        TableName="t",
        Item=ITEM,
        ConditionExpression="attribute_not_exists(#id)",
        ExpressionAttributeNames={"#id": "SessionId"},
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )


def test_a_table_says_the_same_to_both() -> None:
    with (
        local_server(dynamodb_over_http(FakeDynamoDb())) as server,
        direct(server.url) as clients,
    ):
        found = []
        for client in (clients.boto3, clients.dynamodb):
            client.put_item(TableName="t", Item=ITEM)
            got = client.get_item(TableName="t", Key=KEY)["Item"]
            missed = client.get_item(TableName="t", Key={"SessionId": {"S": "other"}})
            with pytest.raises(ClientError) as refused:
                put_if_new(client)
            response: Any = refused.value.response
            found.append((got, missed.get("Item"), response["Error"], response["Item"]))
    assert found[0] == found[1]
    assert found[1][:2] == (ITEM, None)


def test_all_other_calls_are_boto3s() -> None:
    with (
        local_server(dynamodb_over_http(FakeDynamoDb())) as server,
        direct(server.url) as clients,
    ):
        assert clients.dynamodb.scan(TableName="t")["Items"] == []
        assert clients.dynamodb.meta is clients.boto3.meta


def test_they_are_signed_as_boto3_signs_them() -> None:
    with local_server(lambda _: Answer(200, "{}")) as server, direct(server.url) as clients:
        for client in (clients.boto3, clients.dynamodb):
            client.get_item(TableName="t", Key=KEY)
    theirs, ours = server.requests
    assert theirs.credential_scope[:1] + theirs.credential_scope[2:] == [
        *ours.credential_scope[:1],
        *ours.credential_scope[2:],
    ]
    for name in ("x-amz-target", "content-type", "x-amz-security-token", "host"):
        assert theirs.headers[name] == ours.headers[name]
    signed = ours.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert {"host", "x-amz-date", "x-amz-security-token", "x-amz-target"} <= {*signed.split(";")}
    assert json.loads(theirs.body) == json.loads(ours.body)


def test_what_is_posted_goes_to_one_connection() -> None:
    with local_server(lambda _: Answer(200)) as server, direct(server.url) as clients:
        for client in (clients.gateway, clients.connections):
            client.post_to_connection(ConnectionId="c/ä=", Data=b"{}")
    theirs, request = server.requests
    assert (theirs.url, theirs.body) == (request.url, request.body)
    assert "content-type" not in {*theirs.headers, *request.headers}
    assert request.method == "POST"
    assert request.path == "/_aws/execute-api/id/v1/@connections/c%2F%C3%A4%3D"
    assert request.credential_scope[2:4] == ["eu-west-1", "execute-api"]
    assert request.body == "{}"


def test_a_connection_that_is_gone_is_told_by_the_headers_too() -> None:
    gone = Answer(410, "", {"x-amzn-ErrorType": "GoneException:http://internal.amazon.com/x/"})
    with local_server(lambda _: gone) as server, direct(server.url) as clients:
        with pytest.raises(ClientError) as error:
            clients.connections.post_to_connection(ConnectionId="c", Data=b"{}")
        assert len(server.requests) == 1
    assert error.value.response["Error"]["Code"] == "GoneException"


THROTTLED = Answer(400, '{"__type": "com.amazonaws#ProvisionedThroughputExceededException"}')
PASSING = [THROTTLED, Answer(500, "{}"), Answer(503, "<html>"), Answer(429, '{"message": "no"}')]


@pytest.mark.parametrize("answer", PASSING)
def test_what_is_refused_for_the_moment_is_tried_again_after_a_pause(answer: Answer) -> None:
    answers = [answer, answer, Answer(200, '{"Item": {}}')]
    with local_server(lambda _: answers.pop(0)) as server, direct(server.url) as clients:
        assert clients.dynamodb.get_item(TableName="t", Key=KEY) == {"Item": {}}
        told = [request.headers["amz-sdk-request"] for request in server.requests]
        ids = {request.headers["amz-sdk-invocation-id"] for request in server.requests}
    assert told == ["attempt=1; max=3", "attempt=2; max=3", "attempt=3; max=3"]
    assert len(ids) == 1
    assert len(clients.pauses) == 2
    assert all(0 <= pause <= 1 for pause in clients.pauses)


@pytest.mark.parametrize("answer", PASSING)
def test_but_not_for_ever(answer: Answer) -> None:
    with local_server(lambda _: answer) as server, direct(server.url) as clients:
        with pytest.raises(ClientError) as error:
            clients.dynamodb.get_item(TableName="t", Key=KEY)
        assert len(server.requests) == 3
    response = error.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == answer.status
    assert response["Error"]["Code"] in (
        "ProvisionedThroughputExceededException",
        str(answer.status),
    )


@pytest.mark.parametrize("body", ["", "[]", "null", '{"__type": 5}', '{"message": "x"}', "<html>"])
def test_what_is_refused_for_good_is_told_at_once_whatever_it_says(body: str) -> None:
    with local_server(lambda _: Answer(400, body)) as server, direct(server.url) as clients:
        with pytest.raises(ClientError):
            clients.dynamodb.get_item(TableName="t", Key=KEY)
        assert len(server.requests) == 1
        assert clients.pauses == []


def test_a_connection_is_kept_and_threads_have_one_each() -> None:
    together = threading.Barrier(4)

    def respond(request: Request) -> Answer:
        if request.headers["x-amz-target"].endswith("PutItem"):
            together.wait(timeout=20)
        return Answer(200, "{}")

    with local_server(respond) as server, direct(server.url) as clients:
        for _ in range(5):
            clients.dynamodb.get_item(TableName="t", Key=KEY)
        assert count_connections(server) == 1
        with ThreadPoolExecutor(4) as pool:
            puts = [
                pool.submit(clients.dynamodb.put_item, TableName="t", Item=ITEM) for _ in range(4)
            ]
            assert [put.result() for put in puts] == [{}] * 4
        assert count_connections(server) == 4


class Got(list[str]):
    """And how many connections were closed."""

    closed = 0


@contextmanager
def scripted(answers: Sequence[str | None]) -> Iterator[tuple[str, Got]]:
    """A server that says so to one request after the other, hangs up with a reset for None, and in
    order after LAST.

    With it come the "amz-sdk-request" of what it got.
    """
    got = Got()
    left = list(answers)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connected: socket.socket) -> None:
        with connected, connected.makefile("rb") as stream:
            while left and stream.readline():
                headers = {}
                while line := stream.readline().strip().decode():
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                stream.read(int(headers["content-length"]))
                got.append(headers["amz-sdk-request"].partition(";")[0])
                answer = left.pop(0)
                if answer is None:
                    now = struct.pack("ii", 1, 0)
                    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                    return
                connected.sendall(answer.encode())
                if answer is LAST:
                    return

    def accept() -> None:
        while left:
            connected, _ = listening.accept()
            with suppress(OSError):  # the client has gone, and left something unread
                serve(connected)
            got.closed += 1

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", got
    finally:
        left.clear()
        # Whether it waits for one or not: not every system lets listening sockets be shut down.
        socket.create_connection(listening.getsockname()).close()
        thread.join()
        listening.close()


FINE = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAST = FINE.replace("\r\n\r\n", "\r\nA: b\r\n\r\n")


def test_a_connection_that_the_other_end_has_closed_is_replaced_at_once() -> None:
    with scripted([FINE, None, FINE]) as (url, got), direct(url) as clients:
        for _ in range(2):
            assert clients.dynamodb.get_item(TableName="t", Key=KEY) == {}
        assert got == ["attempt=1", "attempt=1", "attempt=2"]
        assert clients.pauses == []


def test_nothing_is_sent_on_one_that_is_known_to_be_closed() -> None:
    with scripted([LAST, FINE]) as (url, got), direct(url) as clients:
        assert clients.dynamodb.get_item(TableName="t", Key=KEY) == {}
        poll(lambda: got.closed)
        assert clients.dynamodb.get_item(TableName="t", Key=KEY) == {}
        assert got == ["attempt=1", "attempt=1"]


def test_a_new_one_that_breaks_is_after_a_pause() -> None:
    with scripted([None, "nonsense\r\n", FINE]) as (url, got), direct(url) as clients:
        assert clients.dynamodb.get_item(TableName="t", Key=KEY) == {}
        assert got == ["attempt=1", "attempt=2", "attempt=3"]
        assert len(clients.pauses) == 2


def test_nobody_there_is_what_boto3_calls_it() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with direct(f"http://127.0.0.1:{probe.getsockname()[1]}") as clients:
            with pytest.raises(EndpointConnectionError):
                clients.dynamodb.get_item(TableName="t", Key=KEY)
            assert len(clients.pauses) == 2
