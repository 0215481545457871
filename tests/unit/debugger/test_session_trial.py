"""A session is opened, spoken with and closed; whatever goes wrong, it does not stay open."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from plldb.debugger.session_trial import SessionTrial, try_session
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError, SessionError

TIMING = replace(Timing(), answer=20.0)
SESSION_ID = "11111111-2222-4333-8444-555555555555"


class FakeApi:
    def __init__(self) -> None:
        self.created: list[str] = []
        self.closed: list[tuple[str, str | None]] = []

    def create_session(self, stack_name: str) -> str:
        self.created.append(stack_name)
        return SESSION_ID

    def close_session(self, session_id: str, stack_name: str | None = None) -> object:
        self.closed.append((session_id, stack_name))
        raise SessionError("it is closed already")

    def close_sessions(self, stack_name: str) -> object:
        self.closed.append(("all", stack_name))
        return 1


class HelperStack:
    """Answers as the helper stack does; what it heard are the actions of whole messages."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.largest_frame = 0
        self.answers: dict[str, dict[str, Any] | None] = {
            "heartbeat": {"type": "heartbeat"},
            "close": {"type": "closed"},
        }

    async def speak(self, connection: ServerConnection) -> None:
        assert SESSION_ID in connection.request.path  # type: ignore[union-attr]
        with suppress(ConnectionClosed):
            await self._answer(connection)

    async def _answer(self, connection: ServerConnection) -> None:
        while True:
            frames = [frame async for frame in connection.recv_streaming()]
            self.largest_frame = max(self.largest_frame, *map(len, frames))
            action = json.loads("".join(map(str, frames)))["action"]
            self.heard.append(action)
            answer = self.answers.get(action, {"type": "error", "code": "unknown_action"})
            if answer is None:
                await connection.close(1011, "oh")
            await connection.send(json.dumps(answer))


@contextmanager
def serving(speak: Callable[[ServerConnection], Any]) -> Iterator[str]:
    """The URL of a WebSocket server on a thread of its own."""
    started, ended = threading.Event(), threading.Event()
    url = ""

    async def run() -> None:
        nonlocal url
        async with serve(speak, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert started.wait(30)
        yield url
    finally:
        ended.set()
        thread.join()


def trial(helper: HelperStack, api: FakeApi, timing: Timing = TIMING) -> SessionTrial:
    with serving(helper.speak) as url:
        return try_session(api, url, "some-stack", timing)


def test_each_step_is_measured_and_the_session_closed() -> None:
    helper, api = HelperStack(), FakeApi()

    found = trial(helper, api)

    assert helper.heard == ["heartbeat"] * 5 + ["none", "close"]
    assert len(found.heartbeats) == 5
    steps = (found.connecting, found.large_message, found.closing, *found.heartbeats)
    assert all(seconds > 0 for seconds in steps)
    assert found.creating >= 0
    assert found.answers_pings
    assert api.created == ["some-stack"]
    assert api.closed == [(SESSION_ID, "some-stack")]


def test_a_large_message_goes_in_frames_that_api_gateway_takes() -> None:
    helper = HelperStack()
    trial(helper, FakeApi())
    assert helper.largest_frame <= 32_000


def test_an_answer_that_is_another_one_is_told() -> None:
    helper, api = HelperStack(), FakeApi()
    helper.answers["heartbeat"] = {"type": "error", "code": "bad_request"}

    with pytest.raises(EndpointError, match="'error' where 'heartbeat' was expected"):
        trial(helper, api)

    assert len(api.closed) == 1


def test_so_is_a_connection_that_ends() -> None:
    helper, api = HelperStack(), FakeApi()
    helper.answers["heartbeat"] = None

    with pytest.raises(EndpointError, match="closed the connection") as raised:
        trial(helper, api)

    assert "1011" in raised.value.message
    assert SESSION_ID not in str(raised.value)
    assert len(api.closed) == 1


def test_so_is_an_answer_that_does_not_come() -> None:
    async def say_nothing(connection: ServerConnection) -> None:
        await connection.wait_closed()

    api = FakeApi()
    with serving(say_nothing) as url, pytest.raises(EndpointError, match="did not answer in time"):
        try_session(api, url, "some-stack", replace(TIMING, answer=0.2))
    assert len(api.closed) == 1


def test_so_is_nobody_at_all() -> None:
    api = FakeApi()
    with pytest.raises(EndpointError, match="does not answer"):
        try_session(api, "ws://127.0.0.1:9", "some-stack", TIMING)
    assert len(api.closed) == 1


class TestCtrlC:
    """It comes in the middle of a step; what was opened until then is closed."""

    @pytest.mark.parametrize("step", ["heartbeat", "none", "close"])
    def test_while_it_talks(self, step: str) -> None:
        class Interrupting(HelperStack):
            async def _answer(self, connection: ServerConnection) -> None:
                async for message in connection:
                    action = json.loads(message)["action"]
                    if action == step:
                        os.kill(os.getpid(), signal.SIGINT)
                        await connection.wait_closed()
                        return
                    answer = self.answers.get(action, {"type": "error"})
                    await connection.send(json.dumps(answer))

        api = FakeApi()
        with pytest.raises(KeyboardInterrupt):
            trial(Interrupting(), api)
        assert api.closed == [(SESSION_ID, "some-stack")]

    @pytest.mark.parametrize("named", [None, "some-stack"])
    def test_while_a_session_is_created_of_which_nobody_was_told(self, named: str | None) -> None:
        class Interrupted(FakeApi):
            def create_session(self, stack_name: str) -> str:
                super().create_session(stack_name)
                raise KeyboardInterrupt

        api = Interrupted()
        with pytest.raises(KeyboardInterrupt):
            try_session(api, "ws://127.0.0.1:9", named, TIMING)
        # Others may be attached to a stack that there is. It expires, since nobody connects.
        assert api.closed == ([("all", api.created[0])] if named is None else [])
