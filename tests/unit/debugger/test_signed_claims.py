"""A claim goes to the table as it was signed, and counts only if the table says so."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.debugger.signed_claims import SignedClaims
from tests.unit.fakes import Answer, count_connections, local_server

BODY = '{"TableName": "t", "Key": {"RequestId": {"S": "é"}}}'
HEADERS = {
    "Host": "dynamodb.here",
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.UpdateItem",
    "Authorization": "AWS4-HMAC-SHA256 Credential=A, SignedHeaders=host, Signature=5ecre7",
}


def claim_at(url: str) -> SignedRequest:
    return {"url": url, "headers": HEADERS, "body": BODY}


def take(url: str, reach: Callable[[str], str] = str) -> bool:
    """What becomes of a claim."""

    async def work() -> bool:
        async with SignedClaims(reach) as claims:
            return await claims.take(claim_at(url))

    return asyncio.run(work())


def test_it_is_sent_as_it_was_signed() -> None:
    with local_server(lambda _: Answer(200, "{}")) as table:
        assert take(f"{table.url}/")
    (request,) = table.requests
    assert (request.method, request.url, request.body) == ("POST", f"{table.url}/", BODY)
    assert (
        HEADERS.items() <= {name.title(): value for name, value in request.headers.items()}.items()
    )


def test_it_goes_where_the_table_can_be_reached_from_here() -> None:
    with local_server(lambda _: Answer(200, "{}")) as table:
        reach = {"http://inside:4566/": f"{table.url}/"}.__getitem__
        assert take("http://inside:4566/", reach=reach)
    (request,) = table.requests
    assert request.headers["host"] == "dynamodb.here"


@pytest.mark.parametrize("status", [302, 400, 403, 429, 500, 503])
def test_any_other_answer_says_nothing_for_sure_and_is_not_asked_for_again(status: int) -> None:
    answer = Answer(status, "{}", {"Location": "/elsewhere"})
    with local_server(lambda _: answer) as table:
        assert not take(f"{table.url}/")
    assert len(table.requests) == 1


@pytest.mark.parametrize("url", ["nonsense://x", "http://[bad", "http://", "no url", ""])
def test_nor_does_a_url_that_is_none(url: str) -> None:
    assert not take(url)


def test_nor_does_a_table_that_is_out_of_reach() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert not take(f"http://127.0.0.1:{probe.getsockname()[1]}/")


@contextlib.asynccontextmanager
async def table_that_says(
    answer: bytes, *, hangs_up: bool = False
) -> AsyncIterator[tuple[str, list[int]]]:
    """Its URL, and how many claims came over each connection so far."""
    claims: list[int] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(claims)
        claims.append(0)
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while not hangs_up or not claims[number]:
                await reader.readuntil(BODY.encode())
                claims[number] += 1
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", claims
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def open_lines(claims: SignedClaims) -> int:
    return sum(line.is_open for lines in claims._kept.values() for line in lines)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "verdict", "hangs_up", "per_connection"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", True, False, [3]),
        (OK + b"Content-Length: 2\r\n\r\n{}", True, True, [1, 1, 1]),
        (OK + b"content-length:2\r\nConnection: close\r\n\r\n{}", True, False, [1, 1, 1]),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", True, False, [1, 1, 1]),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", True, False, [1, 1, 1]),
        (OK + b"Content-Length: 9\r\n\r\n{", False, True, [1, 1, 1]),
        (b"what?\r\n\r\n", False, False, [1, 1, 1]),
        (b"HTTP/1.1 fine\r\n\r\n", False, False, [1, 1, 1]),
        (b"", False, True, [1, 1, 1]),
    ],
)
def test_a_connection_is_kept_as_far_as_the_table_keeps_it(
    answer: bytes, verdict: bool, hangs_up: bool, per_connection: list[int]
) -> None:
    async def work() -> None:
        async with (
            table_that_says(answer, hangs_up=hangs_up) as (url, claims),
            SignedClaims() as ours,
        ):
            for _ in range(3):
                assert await ours.take(claim_at(url)) is verdict
                while hangs_up and open_lines(ours):
                    await asyncio.sleep(0.001)
            assert claims == per_connection

    asyncio.run(work())


def test_those_that_come_at_once_have_a_connection_each_and_none_is_left_at_the_end() -> None:
    async def work(url: str) -> None:
        async with SignedClaims() as claims:
            assert all(await asyncio.gather(*(claims.take(claim_at(url)) for _ in range(5))))

    with local_server(lambda _: Answer(200, "{}")) as table:
        asyncio.run(work(f"{table.url}/"))
        assert len(table.requests) == 5
        assert count_connections(table) == 0


def test_a_connection_that_takes_too_long_to_be_opened_is_there_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(url: str) -> None:
        may_connect = asyncio.Event()
        connect = asyncio.open_connection

        async def connect_late(*arguments: object, **options: object) -> object:
            await may_connect.wait()
            return await connect(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(asyncio, "open_connection", connect_late)
        async with SignedClaims() as claims:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await claims.take(claim_at(url))
            may_connect.set()
            while not open_lines(claims):
                await asyncio.sleep(0.001)
            may_connect.clear()
            assert await claims.take(claim_at(url))

    with local_server(lambda _: Answer(200, "{}")) as table:
        asyncio.run(work(f"{table.url}/"))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://table.example/", "table.example:80"),
        ("http://[2001:db8::1]:8000/", "[2001:db8::1]:8000"),
    ],
)
def test_a_proxy_is_told_where_to_connect_to(
    url: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[str] = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await reader.readuntil(BODY.encode())
        writer.write(OK + b"Content-Length: 2\r\n\r\n{}")
        writer.close()

    async def work() -> bool:
        async with await asyncio.start_server(connect, "127.0.0.1", 0) as proxy:
            port = proxy.sockets[0].getsockname()[1]
            monkeypatch.setenv("http_proxy", f"http://us%40er:se%3Acret@127.0.0.1:{port}")
            async with SignedClaims() as claims:
                return await claims.take(claim_at(url))

    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert asyncio.run(work())
    (head,) = heads
    assert head.split("\r\n") == [
        f"CONNECT {target} HTTP/1.1",
        f"Host: {target}",
        "Proxy-Authorization: Basic dXNAZXI6c2U6Y3JldA==",
        "",
        "",
    ]
