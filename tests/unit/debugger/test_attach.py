"""Attaching checks what it needs before it opens a session, and tells little of its id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests.auth
from websockets.asyncio.server import ServerConnection, serve

from plldb.debugger.attach import Event, SessionCreated, attach
from plldb.debugger.protocol import Connected, Ended
from plldb.errors import StackError
from tests.unit.fakes import Answer, FakeTarget, local_server

SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
OUTPUTS = {
    "ManagementApiId": "rest1",
    "ManagementApiUrl": "https://x/plldb",
    "WebSocketApiId": "ws1",
    "WebSocketUrl": "wss://x/plldb",
    "SessionsTableName": "s",
    "DebuggerTableName": "d",
}


class Target(FakeTarget):
    """One whose two APIs are at the given URLs."""

    def __init__(self, rest: str = "", websocket: str = "") -> None:
        super().__init__()
        self._urls = {"rest1": rest, "ws1": websocket}

    def execute_api_url(self, api_id: str, aws_url: str) -> str:
        return self._urls[api_id]

    def execute_api_auth(self) -> Any:
        return requests.auth.HTTPBasicAuth("signed", "")

    def deploy(self, *names: str) -> Target:
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items()]
        for name in names:
            self.cloudformation.add(
                name, "CREATE_COMPLETE", Outputs=outputs if name == "plldb" else []
            )
        return self


@contextlib.contextmanager
def websocket_server() -> Iterator[str]:
    """Confirms a close action; runs in a thread, since ``attach`` has this one's event loop."""
    loop, started = asyncio.new_event_loop(), threading.Event()
    port = 0
    done: asyncio.Event

    async def handle(server: ServerConnection) -> None:
        async for frame in server:
            assert json.loads(frame) == {"action": "close"}
            await server.send('{"type": "closed"}')

    async def main() -> None:
        nonlocal port, done
        done = asyncio.Event()
        async with serve(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            started.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert started.wait(10)
    try:
        yield f"ws://127.0.0.1:{port}/plldb"
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_from_the_first_call_to_ctrl_c(signal_number: signal.Signals) -> None:
    events: list[Event] = []

    def report(event: Event) -> None:
        events.append(event)
        if isinstance(event, Connected):
            os.kill(os.getpid(), signal_number)

    created = Answer(201, json.dumps({"sessionId": SESSION_ID}))
    with local_server(lambda _: created) as rest, websocket_server() as websocket:
        target = Target(rest.url + "/plldb", websocket).deploy("plldb", "app")
        ended = attach(target, "app", "plldb", report)  # type: ignore[arg-type]
    assert events == [SessionCreated(SESSION_ID[:8], "app"), Connected(), ended]
    assert ended == Ended(expected=True, confirmed=True, reason="closed")
    assert SESSION_ID not in repr(events)
    assert [json.loads(request.body) for request in rest.requests] == [{"stackName": "app"}]


@pytest.mark.parametrize(("deployed", "missing"), [(["plldb"], "app"), (["app"], "plldb")])
def test_a_missing_stack_is_named_before_any_session_is_opened(
    deployed: list[str], missing: str
) -> None:
    with local_server(lambda _: Answer(500)) as rest:
        target = Target(rest.url).deploy(*deployed)
        with pytest.raises(StackError, match=f"'{missing}'"):
            attach(target, "app", "plldb", lambda _: None)  # type: ignore[arg-type]
    assert rest.requests == []
