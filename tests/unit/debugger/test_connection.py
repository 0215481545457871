"""The session's WebSocket against a real server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import http
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.datastructures import Headers

from plldb.bootstrap.cloudformation.lambda_functions import messages
from plldb.debugger import connection
from plldb.debugger.connection import run_session
from plldb.debugger.protocol import (
    Connected,
    Ended,
    Event,
    JunkArrived,
    MessageArrived,
    Prolonged,
    Ready,
)
from plldb.errors import ConnectionLostError, EndpointError, PlldbError, SessionError

SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
DEADLINE = 10

Serve = Callable[[ServerConnection], Awaitable[None]]
Refuse = Callable[[ServerConnection, Request], Response | None]


class Played:
    """One session against one server: what was reported, and how it ended."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.requests: list[str] = []
        self.ended: Ended | None = None
        self.error: PlldbError | None = None


def play(
    handler: Serve,
    *,
    stop_on: Callable[[Event], bool] = lambda _: False,
    refuse: Refuse | None = None,
    first_message: str | None = None,
) -> Played:
    """``stop_on`` says at which event the user presses Ctrl-C."""
    played = Played()

    def process_request(server: ServerConnection, request: Request) -> Response | None:
        played.requests.append(request.path)
        return refuse(server, request) if refuse else None

    async def main() -> None:
        stop = asyncio.Event()

        def report(event: Event) -> None:
            played.events.append(event)
            if stop_on(event):
                stop.set()

        async with serve(
            handler, "127.0.0.1", 0, process_request=process_request, close_timeout=1
        ) as server:
            port = server.sockets[0].getsockname()[1]
            async with asyncio.timeout(DEADLINE):
                try:
                    played.ended = await run_session(
                        f"ws://127.0.0.1:{port}/plldb", SESSION_ID, stop, report, first_message
                    )
                except PlldbError as error:
                    played.error = error
        # Nothing of the session goes on after its end.
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    return played


def everything_said_by(error: BaseException | None) -> str:
    """The text of an error and of all that led to it."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), str(getattr(error, "hint", ""))]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(texts)


async def confirm_close(server: ServerConnection) -> None:
    """Answers a close action as the helper stack does."""
    async for frame in server:
        if json.loads(frame) == {"action": "close"}:
            await server.send('{"type": "closed"}')


def on_connected(event: Event) -> bool:
    return isinstance(event, Connected)


class TestExpectedEnd:
    def test_ctrl_c_closes_the_session_and_the_server_confirms(self) -> None:
        received: list[Any] = []

        async def handler(server: ServerConnection) -> None:
            async for frame in server:
                received.append(json.loads(frame))
                await server.send('{"type": "closed"}')

        played = play(handler, stop_on=on_connected)
        assert received == [{"action": "close"}]
        assert played.ended == Ended(expected=True, confirmed=True, reason="closed")
        assert played.events == [Connected(), played.ended]

    def test_the_id_goes_in_the_query_once(self) -> None:
        played = play(confirm_close, stop_on=on_connected)
        assert played.requests == [f"/plldb?sessionId={SESSION_ID}"]

    def test_messages_and_junk_are_reported_in_order(self) -> None:
        async def handler(server: ServerConnection) -> None:
            for frame in ('{"type": "a"}', "junk", b"\xff\xfe", '{"type": "b"}'):
                await server.send(frame)
            await confirm_close(server)

        played = play(handler, stop_on=lambda event: event == MessageArrived({"type": "b"}))
        assert [type(event) for event in played.events] == [
            Connected,
            MessageArrived,
            JunkArrived,
            JunkArrived,
            MessageArrived,
            Ended,
        ]
        assert played.ended is not None
        assert played.ended.expected

    def test_a_server_that_never_confirms_does_not_hold_up_the_user(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "_CLOSE_SECONDS", 0.05)

        async def handler(server: ServerConnection) -> None:
            async for _ in server:
                pass

        played = play(handler, stop_on=on_connected)
        assert played.ended is not None
        assert (played.ended.expected, played.ended.confirmed) == (True, False)

    def test_a_server_that_hangs_up_instead_of_confirming(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.recv()

        played = play(handler, stop_on=on_connected)
        assert played.ended is not None
        assert (played.ended.expected, played.ended.confirmed) == (True, False)


class TestFirstMessage:
    @pytest.mark.parametrize("text", ["{}", "x" * 100_000, "\N{GRINNING FACE}" * 20_000])
    def test_it_arrives_whole_in_frames_that_api_gateway_takes(self, text: str) -> None:
        received: list[Any] = []
        frames: list[int] = []

        async def handler(server: ServerConnection) -> None:
            parts = [part async for part in server.recv_streaming()]
            frames.extend(len(str(part).encode()) for part in parts)
            received.append("".join(map(str, parts)))
            await server.send('{"type": "ready", "instrumented": 0, "skipped": 0}')
            await confirm_close(server)

        play(handler, stop_on=lambda event: isinstance(event, Ready), first_message=text)
        assert received == [text]
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
        assert max(frames) <= 32 * 1024

    def test_a_server_that_hangs_up_before_it_is_an_end_like_any_other(self) -> None:
        async def handler(server: ServerConnection) -> None:
            server.transport.abort()

        played = play(handler, first_message="x" * 10_000_000)
        assert isinstance(played.error, ConnectionLostError)

    def test_none_is_sent_by_who_has_changed_his_mind_meanwhile(self) -> None:
        received: list[Any] = []

        async def handler(server: ServerConnection) -> None:
            async for frame in server:
                received.append(json.loads(frame))
                await server.send('{"type": "closed"}')

        play(handler, stop_on=on_connected, first_message='{"action": "instrument"}')
        assert received == [{"action": "close"}]


class TestHeartbeat:
    def test_it_is_sent_again_and_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "_HEARTBEAT_SECONDS", 0.01)
        received: list[Any] = []

        async def handler(server: ServerConnection) -> None:
            async for frame in server:
                message = json.loads(frame)
                received.append(message)
                ttl = len(received)
                reply = messages.closed() if message["action"] == "close" else None
                await server.send(json.dumps(reply or messages.heartbeat(ttl)))

        seen: list[Event] = []

        def at_the_third(event: Event) -> bool:
            seen.append(event)
            return seen.count(Prolonged()) == 3

        played = play(handler, stop_on=at_the_third)
        assert received.count({"action": "heartbeat"}) >= 3
        assert {message["action"] for message in received} == {"heartbeat", "close"}
        assert played.ended is not None
        assert played.ended.confirmed


class TestStopWhileConnecting:
    def stop_before(self, answer: Response | None, monkeypatch: pytest.MonkeyPatch) -> Played:
        """The user presses Ctrl-C while the server takes its time; it gives this answer, if any."""
        played = Played()
        if answer is None:
            monkeypatch.setattr(connection, "_CLOSE_SECONDS", 0.05)

        async def main() -> None:
            stop, left = asyncio.Event(), asyncio.Event()

            async def process_request(_: ServerConnection, __: Request) -> Response | None:
                stop.set()
                if answer is None:
                    await left.wait()
                return answer

            async with serve(
                confirm_close, "127.0.0.1", 0, process_request=process_request, close_timeout=1
            ) as server:
                port = server.sockets[0].getsockname()[1]
                async with asyncio.timeout(DEADLINE):
                    try:
                        played.ended = await run_session(
                            f"ws://127.0.0.1:{port}/plldb", SESSION_ID, stop, played.events.append
                        )
                    except PlldbError as error:
                        played.error = error
                    finally:
                        left.set()

        asyncio.run(main())
        return played

    def test_a_server_that_does_not_answer_is_left_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        played = self.stop_before(None, monkeypatch)
        assert played.ended is not None
        assert (played.ended.expected, played.ended.confirmed) == (True, False)
        assert played.events == [played.ended]

    def test_a_session_that_opens_all_the_same_is_closed_in_order(self) -> None:
        opened: list[Any] = []

        async def main() -> Ended:
            stop = asyncio.Event()

            def process_request(_: ServerConnection, __: Request) -> None:
                stop.set()

            async def handler(server: ServerConnection) -> None:
                opened.append(server)
                await confirm_close(server)

            async with serve(
                handler, "127.0.0.1", 0, process_request=process_request, close_timeout=1
            ) as server:
                port = server.sockets[0].getsockname()[1]
                async with asyncio.timeout(DEADLINE):
                    return await run_session(
                        f"ws://127.0.0.1:{port}/plldb", SESSION_ID, stop, lambda _: None, "{}"
                    )

        assert asyncio.run(main()) == Ended(expected=True, confirmed=True, reason="closed")
        assert len(opened) == 1


class TestUnexpectedEnd:
    @pytest.mark.parametrize(
        ("code", "reason"), [(1000, ""), (1001, "Going away"), (1011, ""), (4000, "why not")]
    )
    def test_the_server_closes_the_connection(self, code: int, reason: str) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.close(code, reason)

        played = play(handler)
        assert isinstance(played.error, ConnectionLostError)
        assert f"code {code}" in played.error.message
        assert reason in played.error.message
        assert "plldb attach" in str(played.error.hint)
        ended = played.events[-1]
        assert isinstance(ended, Ended)
        assert not ended.expected

    def test_the_server_ends_the_session(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.send('{"type": "closed", "reason": "closed by its owner"}')
            await server.wait_closed()

        played = play(handler)
        assert isinstance(played.error, ConnectionLostError)
        assert "closed by its owner" in played.error.message

    def test_the_connection_drops(self) -> None:
        async def handler(server: ServerConnection) -> None:
            server.transport.abort()

        played = play(handler)
        assert isinstance(played.error, ConnectionLostError)
        assert "1006" in played.error.message

    def test_text_that_is_no_text_ends_it_as_any_other_break(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.send(b"\xff\xfe", text=True)
            await server.wait_closed()

        assert isinstance(play(handler).error, ConnectionLostError)


class TestRefusal:
    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (401, "saw no session id"),
            (403, "unknown to it, expired or used already"),
            (429, "too many connections"),
            (500, "refused the connection with 500"),
            (404, "refused the connection with 404"),
        ],
    )
    def test_it_says_what_the_status_means(self, status: int, message: str) -> None:
        def refuse(server: ServerConnection, _: Request) -> Response:
            return server.respond(http.HTTPStatus(status), "no\n")

        played = play(confirm_close, refuse=refuse)
        assert type(played.error) is SessionError
        assert str(status) in played.error.message
        assert message in played.error.message
        assert played.error.hint
        assert played.events == []

    def test_a_used_id_is_not_tried_again(self) -> None:
        def refuse(server: ServerConnection, _: Request) -> Response:
            return server.respond(http.HTTPStatus.FORBIDDEN, "")

        assert len(play(confirm_close, refuse=refuse).requests) == 1


class TestNobodyThere:
    def attach(self, url: str) -> PlldbError:
        with pytest.raises(EndpointError) as raised:
            asyncio.run(run_session(url, SESSION_ID, asyncio.Event(), lambda _: None))
        return raised.value

    def test_connection_refused(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{probe.getsockname()[1]}/plldb"
            error = self.attach(url)
        assert url in error.message
        assert error.hint

    @pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 101 OK\r\n\r\n"])
    def test_something_that_is_no_websocket_server(self, answer: bytes) -> None:
        async def main() -> None:
            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                writer.close()

            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            async with server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/plldb"
                await run_session(url, SESSION_ID, asyncio.Event(), lambda _: None)

        with pytest.raises(EndpointError) as raised:
            asyncio.run(main())
        assert SESSION_ID not in everything_said_by(raised.value)


class TestSecrecy:
    """A session id is a credential: no error may quote it, nor may what caused the error."""

    @pytest.mark.parametrize("status", [401, 403, 429, 500])
    def test_of_a_refusal(self, status: int) -> None:
        def refuse(server: ServerConnection, _: Request) -> Response:
            return server.respond(http.HTTPStatus(status), "no\n")

        said = everything_said_by(play(confirm_close, refuse=refuse).error)
        assert str(status) in said
        assert SESSION_ID not in said

    def test_of_a_lost_connection(self) -> None:
        async def handler(server: ServerConnection) -> None:
            server.transport.abort()

        assert SESSION_ID not in everything_said_by(play(handler).error)

    def test_of_nobody_there(self) -> None:
        with pytest.raises(EndpointError) as raised:
            asyncio.run(
                run_session("ws://127.0.0.1:9/x", SESSION_ID, asyncio.Event(), lambda _: None)
            )
        assert SESSION_ID not in everything_said_by(raised.value)

    @pytest.mark.parametrize("location", ["http://[bad", "ftp://h/x", "/x"])
    def test_of_a_redirect(self, location: str) -> None:
        def refuse(_: ServerConnection, request: Request) -> Response:
            target = f"{location}?{request.path.partition('?')[2]}"
            headers = Headers({"Location": target, "Content-Length": "0"})
            return Response(302, "Found", headers)

        played = play(confirm_close, refuse=refuse)
        assert isinstance(played.error, PlldbError)
        assert SESSION_ID not in everything_said_by(played.error)

    @pytest.mark.parametrize("url", ["", "127.0.0.1:9", "http://127.0.0.1:9/x", "ws://"])
    def test_of_a_url_that_is_none(self, url: str) -> None:
        with pytest.raises(PlldbError) as raised:
            asyncio.run(run_session(url, SESSION_ID, asyncio.Event(), lambda _: None))
        assert SESSION_ID not in everything_said_by(raised.value)
