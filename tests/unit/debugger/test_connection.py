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
from websockets.frames import Frame, Opcode

from plldb.bootstrap.cloudformation.lambda_functions.shared.constants import MAX_FRAME_BYTES
from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.connection import SessionConnection, open_session
from plldb.debugger.protocol import (
    Connected,
    Ended,
    JunkArrived,
    MessageArrived,
    Ready,
    Restored,
    SessionEvent,
    SessionProtocol,
    Wish,
)
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError, PlldbError, SessionError

SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
DEADLINE = 10
TIMING = Timing(first_retry=0.001, longest_retry=0.01)
LISTENS = Wish()

Serve = Callable[[ServerConnection], Awaitable[None]]
Refuse = Callable[[ServerConnection, Request], Response | None]


class Played:
    """One session against one server: what was reported, and how it ended."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self.requests: list[str] = []
        self.ended: Ended | None = None
        self.error: PlldbError | None = None

    @property
    def end(self) -> Ended:
        assert self.ended is not None, self.error
        return self.ended


OnEvent = Callable[[SessionEvent, SessionConnection], None]


def ignore(*_: Any) -> None:
    pass


async def run_session(
    url: str,
    wish: Wish = LISTENS,
    on_event: OnEvent = ignore,
    stop: asyncio.Event | None = None,
    timing: Timing = TIMING,
) -> Ended | None:
    """The end of a session at this URL; None if it was stopped before it was connected."""
    connection: SessionConnection | None = None

    def report(event: SessionEvent) -> None:
        assert connection is not None
        on_event(event, connection)

    protocol = SessionProtocol(SESSION_ID, wish, timing)
    connection = await open_session(url, protocol, report, stop or asyncio.Event(), timing)
    return None if connection is None else await connection.run()


def play(
    handler: Serve,
    *,
    on_event: OnEvent = ignore,
    refuse: Refuse | None = None,
    wish: Wish = LISTENS,
    timing: Timing = TIMING,
    stop: asyncio.Event | None = None,
) -> Played:
    played = Played()

    def process_request(server: ServerConnection, request: Request) -> Response | None:
        played.requests.append(request.path)
        return refuse(server, request) if refuse else None

    def report(event: SessionEvent, connection: SessionConnection) -> None:
        played.events.append(event)
        on_event(event, connection)

    async def main() -> None:
        async with serve(
            handler, "127.0.0.1", 0, process_request=process_request, close_timeout=1
        ) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/plldb"
            async with asyncio.timeout(DEADLINE):
                try:
                    played.ended = await run_session(url, wish, report, stop, timing)
                except PlldbError as error:
                    played.error = error
        # Nothing of the session goes on after its end.
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    return played


def stop_on(condition: Callable[[SessionEvent], bool]) -> OnEvent:
    """The user presses Ctrl-C at such an event."""

    def on_event(event: SessionEvent, connection: SessionConnection) -> None:
        if condition(event):
            connection.stop()

    return on_event


def is_connected(event: SessionEvent) -> bool:
    return isinstance(event, Connected)


def everything_said_by(error: BaseException | None) -> str:
    """The text of an error and of all that led to it."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), str(getattr(error, "hint", ""))]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(texts)


class HelperStack:
    """Answers as it does; ``heard`` is what arrived. ``beats`` limits the answers to heartbeats."""

    def __init__(self, beats: float = float("inf")) -> None:
        self.heard: list[dict[str, Any]] = []
        self.beats = beats

    async def __call__(self, server: ServerConnection) -> None:
        async for frame in server:
            self.heard.append(json.loads(frame))
            match self.heard[-1]["action"]:
                case "close":
                    await server.send(json.dumps(wire.closed()))
                case "heartbeat" if self.beats > 0:
                    self.beats -= 1
                    await server.send(json.dumps(wire.heartbeat(1, 1)))
                case "instrument":
                    await server.send(json.dumps(wire.ready(1, 0, 50)))

    def count(self, action: str) -> int:
        return sum(message["action"] == action for message in self.heard)


class TestExpectedEnd:
    def test_ctrl_c_closes_the_session_and_the_server_confirms(self) -> None:
        stack = HelperStack()
        played = play(stack, on_event=stop_on(is_connected))
        assert stack.heard == [{"action": "close", "sessionId": SESSION_ID}]
        assert played.end == Ended(expected=True, confirmed=True, reason="closed")
        assert played.events == [Connected(), played.end]

    def test_the_id_goes_in_the_query_once(self) -> None:
        played = play(HelperStack(), on_event=stop_on(is_connected))
        assert played.requests == [f"/plldb?sessionId={SESSION_ID}"]

    def test_nothing_is_asked_for_that_api_gateway_does_not_know(self) -> None:
        asked: list[Headers] = []

        def refuse(_: ServerConnection, request: Request) -> None:
            asked.append(request.headers)

        play(HelperStack(), on_event=stop_on(is_connected), refuse=refuse)
        assert "Sec-WebSocket-Extensions" not in asked[0]

    def test_messages_and_junk_are_reported_in_order(self) -> None:
        async def handler(server: ServerConnection) -> None:
            for frame in ('{"type": "a"}', "junk", b"\xff\xfe", '{"type": "b"}'):
                await server.send(frame)
            await HelperStack()(server)

        played = play(
            handler, on_event=stop_on(lambda event: event == MessageArrived({"type": "b"}))
        )
        assert [type(event) for event in played.events] == [
            Connected,
            MessageArrived,
            JunkArrived,
            JunkArrived,
            MessageArrived,
            Ended,
        ]
        assert played.end.expected

    def test_a_server_that_never_confirms_does_not_hold_up_the_user(self) -> None:
        async def handler(server: ServerConnection) -> None:
            async for _ in server:
                pass

        timing = replace(TIMING, closing=0.05)
        played = play(handler, on_event=stop_on(is_connected), timing=timing)
        assert (played.end.expected, played.end.confirmed) == (True, False)

    def test_a_server_that_hangs_up_instead_of_confirming(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.recv()

        played = play(handler, on_event=stop_on(is_connected))
        assert (played.end.expected, played.end.confirmed) == (True, False)

    def test_the_server_is_told_that_it_is_hung_up(self) -> None:
        codes: list[int | None] = []

        async def handler(server: ServerConnection) -> None:
            await HelperStack()(server)
            codes.append(server.close_code)

        play(handler, on_event=stop_on(is_connected))
        assert codes == [1000]

    def test_a_last_word_at_the_end_still_goes_out(self) -> None:
        stack = HelperStack()

        def on_event(event: SessionEvent, connection: SessionConnection) -> None:
            if isinstance(event, Connected):
                connection.stop()
            if isinstance(event, Ended):
                connection.send('{"action": "answer"}')

        play(stack, on_event=on_event)
        assert [message["action"] for message in stack.heard] == ["close", "answer"]

    def test_so_do_many_long_ones(self) -> None:
        """More than the operating system takes at once."""
        stack = HelperStack()
        answer = json.dumps({"action": "answer", "body": "x" * 30_000})

        def on_event(event: SessionEvent, connection: SessionConnection) -> None:
            if isinstance(event, Connected):
                connection.stop()
            for _ in range(500 if isinstance(event, Ended) else 0):
                connection.send(answer)

        play(stack, on_event=on_event, timing=replace(TIMING, hanging_up=DEADLINE))
        assert stack.count("answer") == 500

    def test_who_stops_before_it_runs_instruments_nothing(self) -> None:
        stack = HelperStack()

        async def main() -> Ended:
            async with serve(stack, "127.0.0.1", 0, close_timeout=1) as server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/plldb"
                protocol = SessionProtocol(SESSION_ID, Wish(("Greeter",)), TIMING)
                connection = await open_session(url, protocol, ignore, asyncio.Event(), TIMING)
                assert connection is not None
                connection.stop()
                async with asyncio.timeout(DEADLINE):
                    return await connection.run()

        assert asyncio.run(main()) == Ended(True, True, "closed")
        assert [message["action"] for message in stack.heard] == ["close"]


class TestFrames:
    """API Gateway's documentation tells of whole frames, and of pieces of what is too large."""

    def frames_of(self, wish: Wish, monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
        """The frames of text that the server got."""
        got: list[Frame] = []
        parse = Frame.parse.__func__  # type: ignore[attr-defined]

        def keep(cls: type[Frame], *arguments: Any, **more: Any) -> Any:
            frame = yield from parse(cls, *arguments, **more)
            if more.get("mask") and frame.opcode in (Opcode.TEXT, Opcode.CONT):
                got.append(frame)
            return frame

        monkeypatch.setattr(Frame, "parse", classmethod(keep))
        play(HelperStack(), wish=wish, on_event=stop_on(lambda e: isinstance(e, Ready)))
        return got

    def test_a_message_is_one_whole_frame(self, monkeypatch: pytest.MonkeyPatch) -> None:
        frames = self.frames_of(Wish(("Greeter",)), monkeypatch)
        assert [(frame.opcode, frame.fin) for frame in frames] == [(Opcode.TEXT, True)] * 2

    def test_so_is_one_that_just_fits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        empty = len(wire.instrument_message(SESSION_ID, [""]))
        wish = Wish(("x" * (MAX_FRAME_BYTES - empty),))
        frames = self.frames_of(wish, monkeypatch)
        assert [(frame.opcode, frame.fin) for frame in frames] == [(Opcode.TEXT, True)] * 2

    def test_one_that_names_hundreds_of_functions_goes_in_pieces(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wish = Wish(tuple(f"{number:0255d}" for number in range(300)))
        frames = self.frames_of(wish, monkeypatch)
        assert max(len(frame.data) for frame in frames) <= MAX_FRAME_BYTES
        assert sum(frame.fin for frame in frames) == 2


class TestHeartbeat:
    def test_it_is_sent_again_and_again(self) -> None:
        stack = HelperStack(beats=3)

        async def handler(server: ServerConnection) -> None:
            await asyncio.gather(stack(server), self.say_when(server, lambda: stack.beats == 0))

        played = play(
            handler,
            on_event=stop_on(lambda event: isinstance(event, MessageArrived)),
            timing=replace(TIMING, heartbeat=0.01),
        )
        assert stack.count("heartbeat") >= 3
        assert played.end.confirmed

    async def say_when(self, server: ServerConnection, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.001)
        await server.send('{"type": "news"}')

    def test_without_an_answer_the_session_is_lost(self) -> None:
        played = play(HelperStack(beats=2), timing=replace(TIMING, heartbeat=0.01, answer=0.1))
        assert (played.end.expected, played.end.confirmed) == (False, False)
        assert "does not answer" in played.end.reason


class Deaf(HelperStack):
    """Answers ``pongs`` pings and no more: no text of AWS's promises any."""

    def __init__(self, pongs: int, beats: float = float("inf")) -> None:
        super().__init__(beats)
        self.pongs = pongs
        self.pings = 0

    async def __call__(self, server: ServerConnection) -> None:
        pong = server.protocol.send_pong

        def answer(data: bytes) -> None:
            self.pings += 1
            if self.pings <= self.pongs:
                pong(data)

        # What answers a ping by itself as soon as it arrives.
        recv_frame = server.protocol.recv_frame

        def receive(frame: Frame) -> None:
            if frame.opcode is Opcode.PING:
                answer(bytes(frame.data))
            else:
                recv_frame(frame)

        server.protocol.recv_frame = receive  # type: ignore[method-assign]
        await super().__call__(server)


class TestPings:
    def test_the_session_lives_on_where_none_is_ever_answered(self) -> None:
        stack = Deaf(pongs=0)

        async def handler(server: ServerConnection) -> None:
            beat = TestHeartbeat()
            await asyncio.gather(stack(server), beat.say_when(server, lambda: stack.pings == 5))

        played = play(
            handler,
            on_event=stop_on(lambda event: isinstance(event, MessageArrived)),
            timing=replace(TIMING, ping=0.01, heartbeat=0.01),
        )
        assert played.end == Ended(True, True, "closed")

    def test_once_one_was_answered_a_missing_answer_ends_it(self) -> None:
        stack = Deaf(pongs=2)
        played = play(stack, timing=replace(TIMING, ping=0.05, heartbeat=0.01))
        assert (played.end.expected, played.end.confirmed) == (False, False)
        assert "1006" in played.end.reason
        assert stack.pings >= 3


class TestSilence:
    def test_a_network_that_lets_nothing_through_is_noticed(self) -> None:
        async def handler(server: ServerConnection) -> None:
            server.transport.pause_reading()
            await server.wait_closed()

        timing = replace(TIMING, heartbeat=0.02, answer=0.05, hanging_up=0.05)
        played = play(handler, timing=timing)
        assert (played.end.expected, played.end.confirmed) == (False, False)

    def test_so_it_is_if_there_is_much_to_send(self) -> None:
        """More than the operating system takes, so that whoever sends has to wait."""

        async def handler(server: ServerConnection) -> None:
            server.transport.pause_reading()
            await server.wait_closed()

        def on_event(event: SessionEvent, connection: SessionConnection) -> None:
            for _ in range(1000 if isinstance(event, Connected) else 0):
                connection.send("x" * MAX_FRAME_BYTES)

        timing = replace(TIMING, heartbeat=0.02, answer=0.05, hanging_up=0.05)
        played = play(handler, on_event=on_event, timing=timing)
        assert (played.end.expected, played.end.confirmed) == (False, False)

    @pytest.mark.parametrize("last_words", [0, 1000])
    def test_a_server_that_is_stuck_is_not_waited_for_at_the_end(self, last_words: int) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.send(json.dumps(wire.closed("closed by eve")))
            server.transport.pause_reading()
            await server.wait_closed()

        def on_event(event: SessionEvent, connection: SessionConnection) -> None:
            for _ in range(last_words if isinstance(event, Ended) else 0):
                connection.send("x" * MAX_FRAME_BYTES)

        played = play(handler, on_event=on_event, timing=replace(TIMING, hanging_up=0.05))
        assert played.end == Ended(False, True, "closed by eve")


class TestRetiring:
    def test_what_still_arrives_counts_and_then_it_hangs_up(self) -> None:
        codes: list[int | None] = []

        async def handler(server: ServerConnection) -> None:
            await server.send(json.dumps(wire.warning("Greeter", "go")))
            await server.wait_closed()
            codes.append(server.close_code)

        def on_event(event: SessionEvent, connection: SessionConnection) -> None:
            if isinstance(event, Connected):
                connection.retire()

        timing = replace(TIMING, grace=0.1, heartbeat=0.01)
        played = play(handler, on_event=on_event, timing=timing)
        assert len(played.events) == 3
        assert codes == [1000]
        assert not played.end.confirmed


class TestBugs:
    """Of whoever is told: they end the session, and are raised."""

    def test_one_while_it_opens(self) -> None:
        def on_event(event: SessionEvent, _: SessionConnection) -> None:
            raise ZeroDivisionError("a bug")

        with pytest.raises(ZeroDivisionError, match="a bug"):
            play(HelperStack(), on_event=on_event)

    def test_one_later(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.send(json.dumps(wire.restored("Greeter")))
            await server.wait_closed()

        def on_event(event: SessionEvent, _: SessionConnection) -> None:
            if isinstance(event, Restored):
                raise ZeroDivisionError("a bug")

        with pytest.raises(ZeroDivisionError, match="a bug"):
            play(handler, on_event=on_event)


class TestStopWhileConnecting:
    def stop_at_the_handshake(self, answers: bool) -> Played:
        stop, left = asyncio.Event(), asyncio.Event()

        def refuse(_: ServerConnection, __: Request) -> None:
            stop.set()

        async def never(_: ServerConnection, __: Request) -> None:
            stop.set()
            await left.wait()

        played = Played()

        async def main() -> None:
            async with serve(
                HelperStack(),
                *("127.0.0.1", 0),
                process_request=refuse if answers else never,
                close_timeout=1,
            ) as server:
                url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/plldb"
                timing = replace(TIMING, closing=DEADLINE if answers else 0.05)
                on_event = stop_on(is_connected)
                async with asyncio.timeout(DEADLINE):
                    played.ended = await run_session(url, LISTENS, on_event, stop, timing)
                left.set()

        asyncio.run(main())
        return played

    def test_a_server_that_does_not_answer_is_left_alone(self) -> None:
        assert self.stop_at_the_handshake(answers=False).ended is None

    def test_a_session_that_opens_all_the_same_can_be_closed_in_order(self) -> None:
        assert self.stop_at_the_handshake(answers=True).end == Ended(True, True, "closed")


class TestUnexpectedEnd:
    @pytest.mark.parametrize(
        ("code", "reason"), [(1000, ""), (1001, "Going away"), (1011, ""), (4000, "why not")]
    )
    def test_the_server_closes_the_connection(self, code: int, reason: str) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.close(code, reason)

        played = play(handler)
        assert f"code {code}" in played.end.reason
        assert reason in played.end.reason
        assert (played.end.expected, played.end.confirmed) == (False, False)

    def test_the_server_ends_the_session(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.send('{"type": "closed", "reason": "closed by its owner"}')
            await server.wait_closed()

        played = play(handler)
        assert played.end == Ended(False, True, "closed by its owner")

    def test_the_connection_drops(self) -> None:
        async def handler(server: ServerConnection) -> None:
            server.transport.abort()

        assert "1006" in play(handler).end.reason

    def test_text_that_is_no_text_ends_it_as_any_other_break(self) -> None:
        async def handler(server: ServerConnection) -> None:
            await server.send(b"\xff\xfe", text=True)
            await server.wait_closed()

        assert not play(handler).end.expected


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

        played = play(HelperStack(), refuse=refuse)
        assert type(played.error) is SessionError
        assert str(status) in played.error.message
        assert message in played.error.message
        assert played.error.hint
        assert played.events == []

    def test_a_used_id_is_not_tried_again(self) -> None:
        def refuse(server: ServerConnection, _: Request) -> Response:
            return server.respond(http.HTTPStatus.FORBIDDEN, "")

        assert len(play(HelperStack(), refuse=refuse).requests) == 1


class TestNobodyThere:
    def attach(self, url: str) -> PlldbError:
        with pytest.raises(EndpointError) as raised:
            asyncio.run(run_session(url))
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
                await run_session(url)

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
        with pytest.raises(EndpointError) as raised:
            asyncio.run(run_session("ws://plldb.invalid/x"))
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

        said = everything_said_by(play(HelperStack(), refuse=refuse).error)
        assert str(status) in said
        assert SESSION_ID not in said

    def test_of_a_lost_connection(self) -> None:
        async def handler(server: ServerConnection) -> None:
            server.transport.abort()

        assert SESSION_ID not in repr(play(handler).ended)

    def test_of_nobody_there(self) -> None:
        with pytest.raises(EndpointError) as raised:
            asyncio.run(run_session("ws://127.0.0.1:9/x"))
        assert SESSION_ID not in everything_said_by(raised.value)

    @pytest.mark.parametrize("location", ["http://[bad", "ftp://h/x", "/x"])
    def test_of_a_redirect(self, location: str) -> None:
        def refuse(_: ServerConnection, request: Request) -> Response:
            target = f"{location}?{request.path.partition('?')[2]}"
            headers = Headers({"Location": target, "Content-Length": "0"})
            return Response(302, "Found", headers)

        played = play(HelperStack(), refuse=refuse)
        assert isinstance(played.error, PlldbError)
        assert SESSION_ID not in everything_said_by(played.error)

    @pytest.mark.parametrize("url", ["", "127.0.0.1:9", "http://127.0.0.1:9/x", "ws://"])
    def test_of_a_url_that_is_none(self, url: str) -> None:
        with pytest.raises(PlldbError) as raised:
            asyncio.run(run_session(url))
        assert SESSION_ID not in everything_said_by(raised.value)


@pytest.mark.parametrize("is_sending", [False, True])
def test_whoever_has_no_patience_does_not_wait_for_the_servers_farewell(is_sending: bool) -> None:
    """The second Ctrl-C cancels the session; a server that is stuck says nothing to that."""

    async def main() -> None:
        is_stuck, is_up, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def handler(server: ServerConnection) -> None:
            server.transport.pause_reading()
            is_stuck.set()
            await go.wait()

        def on_event(event: SessionEvent, connection: SessionConnection) -> None:
            is_up.set()
            for _ in range(1000 if is_sending else 0):
                connection.send("x" * MAX_FRAME_BYTES)

        async with serve(handler, "127.0.0.1", 0, close_timeout=0.1) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/plldb"
            timing = Timing(closing=2 * DEADLINE, hanging_up=2 * DEADLINE)
            running = asyncio.create_task(run_session(url, LISTENS, on_event, timing=timing))
            async with asyncio.timeout(DEADLINE):
                await asyncio.gather(is_stuck.wait(), is_up.wait())
            running.cancel()
            await asyncio.wait({running}, timeout=DEADLINE)
            go.set()
            assert running.cancelled()

    asyncio.run(main())
