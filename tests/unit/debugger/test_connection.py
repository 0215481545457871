"""The session's WebSocket against a real server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import http
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.datastructures import Headers

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import (
    REFRESH_TOKEN_PARAMETER,
    ErrorCode,
)
from plldb.debugger.connection import run_session
from plldb.debugger.protocol import (
    Connected,
    Ended,
    JunkArrived,
    MessageArrived,
    Prolonged,
    Ready,
    Refreshed,
    RefreshFailed,
    SessionEvent,
    Silent,
)
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError, PlldbError, SessionError

SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
DEADLINE = 10
TIMING = Timing(first_retry=0.001, longest_retry=0.01)

Serve = Callable[[ServerConnection], Awaitable[None]]
Refuse = Callable[[ServerConnection, Request], Response | None]


class Played:
    """One session against one server: what was reported, and how it ended."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self.requests: list[str] = []
        self.ended: Ended | None = None
        self.error: PlldbError | None = None


def play(
    handler: Serve,
    *,
    stop_on: Callable[[SessionEvent], bool] = lambda _: False,
    refuse: Refuse | None = None,
    first_message: str | None = None,
    timing: Timing = TIMING,
) -> Played:
    """``stop_on`` says at which event the user presses Ctrl-C."""
    played = Played()

    def process_request(server: ServerConnection, request: Request) -> Response | None:
        played.requests.append(request.path)
        return refuse(server, request) if refuse else None

    async def main() -> None:
        stop = asyncio.Event()

        def report(event: SessionEvent) -> None:
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
                        f"ws://127.0.0.1:{port}/plldb",
                        SESSION_ID,
                        stop,
                        report,
                        first_message,
                        timing,
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


def on_connected(event: SessionEvent) -> bool:
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
        assert played.events == [Connected()]

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
        ]
        assert played.ended is not None
        assert played.ended.expected

    def test_a_server_that_never_confirms_does_not_hold_up_the_user(self) -> None:
        async def handler(server: ServerConnection) -> None:
            async for _ in server:
                pass

        played = play(handler, stop_on=on_connected, timing=replace(TIMING, closing=0.05))
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
        assert played.ended is not None
        assert not played.ended.expected

    def test_none_is_sent_by_who_has_changed_his_mind_meanwhile(self) -> None:
        received: list[Any] = []

        async def handler(server: ServerConnection) -> None:
            async for frame in server:
                received.append(json.loads(frame))
                await server.send('{"type": "closed"}')

        play(handler, stop_on=on_connected, first_message='{"action": "instrument"}')
        assert received == [{"action": "close"}]


class TestHeartbeat:
    def test_it_is_sent_again_and_again(self) -> None:
        received: list[Any] = []

        async def handler(server: ServerConnection) -> None:
            async for frame in server:
                message = json.loads(frame)
                received.append(message)
                ttl = len(received)
                reply = wire.closed() if message["action"] == "close" else None
                await server.send(json.dumps(reply or wire.heartbeat(ttl)))

        seen: list[SessionEvent] = []

        def at_the_third(event: SessionEvent) -> bool:
            seen.append(event)
            return seen.count(Prolonged()) == 3

        played = play(handler, stop_on=at_the_third, timing=replace(TIMING, heartbeat=0.01))
        assert received.count({"action": "heartbeat"}) >= 3
        assert {message["action"] for message in received} == {"heartbeat", "close"}
        assert played.ended is not None
        assert played.ended.confirmed


class Gateway:
    """A server that moves sessions as the helper stack does.

    ``frames`` are what arrived, as (number of the connection, JSON); ``refusals`` are statuses of
    the next second connections, and ``tokens`` those that it gave out.
    """

    def __init__(self) -> None:
        self.servers: list[ServerConnection] = []
        self.frames: list[tuple[int, Any]] = []
        self.refusals: list[int] = []
        self.tokens: list[str] = []
        self.deaf_to_refresh = 0
        self.has_lost_session = False
        self.on_second: Callable[[], Awaitable[None]] | None = None

    async def handle(self, server: ServerConnection) -> None:
        number = len(self.servers)
        self.servers.append(server)
        async for frame in server:
            message = json.loads(frame)
            self.frames.append((number, message))
            match message["action"]:
                case "close":
                    await server.send(json.dumps(wire.closed()))
                case "refresh" if self.has_lost_session:
                    refusal = wire.error(ErrorCode.BAD_REQUEST, "The session is closed.")
                    await server.send(json.dumps(refusal))
                case "refresh" if self.deaf_to_refresh:
                    self.deaf_to_refresh -= 1
                case "refresh":
                    self.tokens.append(f"token-{len(self.tokens)}")
                    await server.send(json.dumps(wire.refresh(self.tokens[-1], 0)))

    async def admit(self, server: ServerConnection, request: Request) -> Response | None:
        if REFRESH_TOKEN_PARAMETER not in request.path:
            return None
        assert request.path.endswith(f"={SESSION_ID}&{REFRESH_TOKEN_PARAMETER}={self.tokens[-1]}")
        if self.on_second is not None:
            await self.on_second()
        if self.refusals:
            return server.respond(http.HTTPStatus(self.refusals.pop()), "")
        return None


def moved(
    gateway: Gateway, on_event: Callable[[SessionEvent, asyncio.Event], None], **timing: float
) -> Played:
    """A session with a refresh at once, and what ``on_event`` makes of it: it may stop it."""
    played = Played()
    fast = replace(TIMING, refresh=0.01, **timing)

    async def main() -> None:
        stop = asyncio.Event()

        def report(event: SessionEvent) -> None:
            played.events.append(event)
            on_event(event, stop)

        async with serve(
            gateway.handle, "127.0.0.1", 0, process_request=gateway.admit, close_timeout=1
        ) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/plldb"
            async with asyncio.timeout(DEADLINE):
                played.ended = await run_session(url, SESSION_ID, stop, report, None, fast)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    return played


def stop_when(*kinds: type) -> Callable[[SessionEvent, asyncio.Event], None]:
    def on_event(event: SessionEvent, stop: asyncio.Event) -> None:
        if isinstance(event, kinds):
            stop.set()

    return on_event


class TestRefresh:
    def test_the_session_moves_and_what_is_sent_goes_to_the_new_connection(self) -> None:
        gateway = Gateway()
        played = moved(gateway, stop_when(Refreshed))
        assert gateway.frames == [(0, {"action": "refresh"}), (1, {"action": "close"})]
        assert played.events == [Connected(), Refreshed()]
        assert played.ended == Ended(True, True, "closed")

    def test_again_and_again(self) -> None:
        gateway = Gateway()
        count = 0

        def on_event(event: SessionEvent, stop: asyncio.Event) -> None:
            nonlocal count
            count += isinstance(event, Refreshed)
            if count == 5:
                stop.set()

        played = moved(gateway, on_event)
        asked = [number for number, message in gateway.frames if message["action"] == "refresh"]
        assert asked[:5] == [0, 1, 2, 3, 4]
        assert played.ended is not None
        assert played.ended.confirmed

    def test_what_comes_over_the_old_connection_counts_until_the_grace_is_over(self) -> None:
        gateway = Gateway()

        async def say_on_both() -> None:
            for number, server in enumerate(gateway.servers[:2]):
                await server.send(json.dumps({"type": f"news {number}"}))

        seen: set[str] = set()
        talks: list[asyncio.Task[None]] = []

        def on_event(event: SessionEvent, stop: asyncio.Event) -> None:
            match event:
                case Refreshed() if not talks:
                    talks.append(asyncio.create_task(say_on_both()))
                case MessageArrived(message):
                    seen.add(message["type"])
            if len(seen) == 2:
                stop.set()

        moved(gateway, on_event)
        assert seen == {"news 0", "news 1"}

    def test_the_old_connection_is_closed_after_the_grace_and_the_session_goes_on(self) -> None:
        gateway = Gateway()

        async def hang_up_was_seen(stop: asyncio.Event) -> None:
            await gateway.servers[0].wait_closed()
            stop.set()

        waits: list[asyncio.Task[None]] = []

        def on_event(event: SessionEvent, stop: asyncio.Event) -> None:
            if isinstance(event, Refreshed) and not waits:
                waits.append(asyncio.create_task(hang_up_was_seen(stop)))

        played = moved(gateway, on_event, grace=0.01)
        assert gateway.servers[0].close_code == 1000
        assert played.ended == Ended(True, True, "closed")

    @pytest.mark.parametrize("status", [403, 429, 500])
    def test_refused_it_is_tried_again_with_a_new_token(self, status: int) -> None:
        gateway = Gateway()
        gateway.refusals = [status] * 2
        played = moved(gateway, stop_when(Refreshed))
        assert [type(event) for event in played.events] == [
            Connected,
            RefreshFailed,
            RefreshFailed,
            Refreshed,
        ]
        assert str(status) in repr(played.events[1])
        assert len(set(gateway.tokens)) == len(gateway.tokens) == 3
        assert not any(token in repr(played.events) for token in gateway.tokens)

    def test_without_an_answer_it_is_asked_again(self) -> None:
        gateway = Gateway()
        gateway.deaf_to_refresh = 1
        played = moved(gateway, stop_when(Refreshed), answer=0.05)
        assert [type(event) for event in played.events] == [Connected, RefreshFailed, Refreshed]

    @pytest.mark.parametrize("is_refused", [True, False])
    def test_an_old_connection_that_goes_meanwhile_does_no_harm_unless_it_fails(
        self, is_refused: bool
    ) -> None:
        gateway = Gateway()
        if is_refused:
            gateway.refusals = [500]

        async def lose_the_first() -> None:
            gateway.on_second = None
            gateway.servers[0].transport.abort()
            await gateway.servers[0].wait_closed()

        gateway.on_second = lose_the_first
        played = moved(gateway, stop_when(Refreshed))
        assert played.ended is not None
        assert played.ended.expected is not is_refused

    def test_a_session_that_moved_to_a_connection_that_never_opened_is_lost(self) -> None:
        """Its old connection is open still, and has no session; it is not waited for its end."""
        gateway = Gateway()
        gateway.refusals = [500]

        async def keep_it() -> None:
            gateway.has_lost_session = True

        gateway.on_second = keep_it
        played = moved(gateway, stop_when(Refreshed))
        assert played.ended is not None
        assert (played.ended.expected, played.ended.confirmed) == (False, False)

    def test_ctrl_c_while_it_moves_goes_to_the_connection_that_has_the_session(self) -> None:
        gateway = Gateway()
        stops: list[asyncio.Event] = []

        async def press_ctrl_c() -> None:
            stops[0].set()
            await asyncio.sleep(0)

        def on_event(_: SessionEvent, stop: asyncio.Event) -> None:
            stops.append(stop)

        gateway.on_second = press_ctrl_c
        played = moved(gateway, on_event)
        assert gateway.frames[-1] == (1, {"action": "close"})
        assert played.ended == Ended(True, True, "closed")

    def test_not_while_functions_are_being_instrumented(self) -> None:
        received: list[str] = []

        async def handler(server: ServerConnection) -> None:
            async for frame in server:
                received.append(json.loads(frame)["action"])
                match received[-1]:
                    case "heartbeat" if received.count("heartbeat") == 3:
                        await server.send(json.dumps(wire.ready(1, 0)))
                    case "close":
                        await server.send(json.dumps(wire.closed()))

        timing = replace(TIMING, refresh=0.001, heartbeat=0.02, answer=0.02)
        play(
            handler,
            first_message='{"action": "instrument"}',
            stop_on=lambda event: isinstance(event, RefreshFailed),
            timing=timing,
        )
        assert received.index("refresh") > 3
        assert received[:4] == ["instrument", "heartbeat", "heartbeat", "heartbeat"]


class TestSilence:
    def test_of_functions_that_are_to_be_instrumented_is_told_once(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.recv()
            async for frame in server:
                if json.loads(frame)["action"] == "close":
                    await server.send(json.dumps(wire.closed()))
                else:
                    await server.send(json.dumps(wire.heartbeat(1)))

        beats = 0

        def at_the_tenth(event: SessionEvent) -> bool:
            nonlocal beats
            beats += isinstance(event, Prolonged)
            return beats == 10

        timing = replace(TIMING, silence=0.005, heartbeat=0.02)
        played = play(handler, first_message="{}", stop_on=at_the_tenth, timing=timing)
        assert played.events.count(Silent(0.005)) == 1

    def test_a_network_that_lets_nothing_through_is_noticed(self) -> None:
        async def handler(server: ServerConnection) -> None:
            server.transport.pause_reading()
            await server.wait_closed()

        played = play(handler, timing=replace(TIMING, ping=0.02, closing=0.05))
        assert played.ended is not None
        assert (played.ended.expected, played.ended.confirmed) == (False, False)


class TestStopWhileConnecting:
    def stop_before(self, answer: Response | None, timing: Timing) -> Played:
        """The user presses Ctrl-C while the server takes its time; it gives this answer, if any."""
        played = Played()

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
                            f"ws://127.0.0.1:{port}/plldb",
                            SESSION_ID,
                            stop,
                            played.events.append,
                            timing=timing,
                        )
                    except PlldbError as error:
                        played.error = error
                    finally:
                        left.set()

        asyncio.run(main())
        return played

    def test_a_server_that_does_not_answer_is_left_alone(self) -> None:
        played = self.stop_before(None, replace(TIMING, closing=0.05))
        assert played.ended is not None
        assert (played.ended.expected, played.ended.confirmed) == (True, False)
        assert played.events == []

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
        assert played.ended is not None
        assert f"code {code}" in played.ended.reason
        assert reason in played.ended.reason
        assert (played.ended.expected, played.ended.confirmed) == (False, False)

    def test_the_server_ends_the_session(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.send('{"type": "closed", "reason": "closed by its owner"}')
            await server.wait_closed()

        played = play(handler)
        assert played.ended == Ended(False, True, "closed by its owner")

    def test_the_connection_drops(self) -> None:
        async def handler(server: ServerConnection) -> None:
            server.transport.abort()

        played = play(handler)
        assert played.ended is not None
        assert "1006" in played.ended.reason

    def test_text_that_is_no_text_ends_it_as_any_other_break(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.send(b"\xff\xfe", text=True)
            await server.wait_closed()

        ended = play(handler).ended
        assert ended is not None
        assert not ended.expected


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


class TestProxy:
    """What requests would do without, websockets asks the system for."""

    @pytest.mark.parametrize(
        "proxy", ["nonsense://eve:secret@127.0.0.1:1", "socks5h://eve:secret@127.0.0.1:1"]
    )
    def test_one_of_no_use_is_told(self, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("no_proxy", "NO_PROXY", "ws_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("socks_proxy", proxy)
        stop = asyncio.Event()
        with pytest.raises(EndpointError) as raised:
            asyncio.run(run_session("ws://plldb.invalid/x", SESSION_ID, stop, print, None, TIMING))
        said = everything_said_by(raised.value)
        assert SESSION_ID not in said
        assert "secret" not in said
        assert raised.value.hint


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

        assert SESSION_ID not in repr(play(handler).ended)

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


def test_whoever_has_no_patience_does_not_wait_for_the_servers_farewell() -> None:
    """The second Ctrl-C cancels the session; a server that is stuck says nothing to that."""

    async def main() -> None:
        is_stuck, is_connected, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def handler(server: ServerConnection) -> None:
            server.transport.pause_reading()
            is_stuck.set()
            await go.wait()

        async with serve(handler, "127.0.0.1", 0, close_timeout=0.1) as server:
            port = server.sockets[0].getsockname()[1]
            running = asyncio.create_task(
                run_session(
                    f"ws://127.0.0.1:{port}/plldb",
                    SESSION_ID,
                    asyncio.Event(),
                    lambda _: is_connected.set(),
                    timing=Timing(closing=2 * DEADLINE),
                )
            )
            async with asyncio.timeout(DEADLINE):
                await asyncio.gather(is_stuck.wait(), is_connected.wait())
            running.cancel()
            await asyncio.wait({running}, timeout=DEADLINE)
            go.set()
            assert running.cancelled()

    asyncio.run(main())
