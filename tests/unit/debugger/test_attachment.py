"""Attaching checks what it needs before it opens a session, and tells little of its id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests.auth
from websockets.asyncio.server import ServerConnection, serve

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
from plldb.debugger.attachment import (
    AttachEvent,
    ChosenSources,
    CodeOptions,
    NothingToDebug,
    SessionCreated,
    SessionOptions,
    attach,
    choose_sources,
)
from plldb.debugger.invocation_runner import InvocationFinished
from plldb.debugger.invoker import LocalFunction, Outcome
from plldb.debugger.protocol import Connected, Ended, Instrumented, Restored, Skipped
from plldb.debugger.sources import CodeSource
from plldb.errors import ConnectionLostError, SourceError, StackError
from tests.unit.fakes import Answer, FakeTarget, Request, local_server

SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
OUTPUTS = {
    "ManagementApiId": "rest1",
    "ManagementApiUrl": "https://x/plldb",
    "WebSocketApiId": "ws1",
    "WebSocketUrl": "wss://x/plldb",
    "SessionsTableName": "s",
    "DebuggerTableName": "d",
    "InstrumentationFunctionName": "f",
}


def greeter(**variables: str) -> dict[str, Any]:
    """The message that tells of the function Greeter."""
    return wire.instrumented(
        "Greeter",
        function_name="app-Greeter-1",
        function_arn="arn",
        handler="app.handler",
        runtime="python3.13",
        timeout=3,
        memory_size=128,
        variables=variables,
    )


def greeting(request_id: str) -> dict[str, Any]:
    """An invocation of it, with "hello", that may take a minute."""
    return wire.invocation(
        request_id,
        "Greeter",
        deadline=time.time() + 60,
        sent_at=time.time(),
        context={},
        event='"hello"',
    )


class Target(FakeTarget):
    """One whose two APIs are at the given URLs."""

    def __init__(self, rest: str = "", websocket: str = "") -> None:
        super().__init__()
        self.urls = {"rest1": rest, "ws1": websocket}

    def execute_api_url(self, api_id: str, aws_url: str) -> str:
        return self.urls[api_id]

    def reachable_url(self, url: str) -> str:
        return url

    def execute_api_auth(self) -> Any:
        return requests.auth.HTTPBasicAuth("signed", "")

    def deploy(self, *names: str) -> Target:
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items()]
        for name in names:
            self.cloudformation.add(
                name, "CREATE_COMPLETE", Outputs=outputs if name == "plldb" else []
            )
        return self


@dataclass
class WebSocket:
    """``frames`` are what arrived, as JSON."""

    url: str = ""
    frames: list[Any] = field(default_factory=list)


@contextlib.contextmanager
def websocket_server(
    *on_instrument: dict[str, Any], closing: dict[str, Any] | None = None
) -> Iterator[WebSocket]:
    """Answers an instrument action with these messages, and confirms a close action.

    With ``closing`` it answers that with this message and never confirms. It runs in a thread,
    since ``attach`` has this one's event loop.
    """
    loop, started = asyncio.new_event_loop(), threading.Event()
    websocket = WebSocket()
    done: asyncio.Event

    async def handle(server: ServerConnection) -> None:
        async for frame in server:
            websocket.frames.append(json.loads(frame))
            if websocket.frames[-1]["action"] == "close":
                await server.send(json.dumps(closing or wire.closed()))
            else:
                for message in on_instrument:
                    await server.send(json.dumps(message))

    async def main() -> None:
        nonlocal done
        done = asyncio.Event()
        async with serve(handle, "127.0.0.1", 0) as server:
            websocket.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/plldb"
            started.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert started.wait(10)
    try:
        yield websocket
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


class FakeInvoker:
    """Answers every invocation with its own event."""

    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.is_closed = False

    async def prepare(self, function: LocalFunction) -> None:
        self.prepared.append(function.logical_id)

    async def invoke(self, function: LocalFunction, event: str, *_: Any) -> Outcome:
        return Outcome(event, None)

    async def close(self) -> None:
        self.is_closed = True


CREATED = Answer(201, json.dumps({"sessionId": SESSION_ID}))


def source(name: str) -> CodeSource:
    return CodeSource(name, Path("/code"), None)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_from_the_first_call_to_ctrl_c(signal_number: signal.Signals) -> None:
    events: list[AttachEvent] = []
    invoker = FakeInvoker()

    def report(event: AttachEvent) -> None:
        events.append(event)
        if isinstance(event, Connected):
            os.kill(os.getpid(), signal_number)

    with local_server(lambda _: CREATED) as rest, websocket_server() as websocket:
        target = Target(rest.url + "/plldb", websocket.url).deploy("plldb", "app")
        ended = attach(
            target,  # type: ignore[arg-type]
            SessionOptions("app", "plldb"),
            ChosenSources({}, {"Image": "it is a container image"}, "There is no template."),
            lambda: invoker,  # type: ignore[arg-type,return-value]
            report,
        )
    assert events == [
        SessionCreated(SESSION_ID[:8], "app"),
        Connected(),
        Skipped("Image", "it is a container image"),
        NothingToDebug("There is no template."),
        ended,
    ]
    assert ended == Ended(expected=True, confirmed=True, reason="closed")
    assert SESSION_ID not in repr(events)
    assert [json.loads(request.body) for request in rest.requests] == [{"stackName": "app"}]
    # Without code there is nothing to instrument.
    assert websocket.frames == [{"action": "close"}]
    assert invoker.is_closed


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_the_functions_with_code_here_are_instrumented_and_their_invocations_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="plldb")
    events: list[AttachEvent] = []
    invoker = FakeInvoker()

    def report(event: AttachEvent) -> None:
        events.append(event)
        if isinstance(event, InvocationFinished):
            os.kill(os.getpid(), signal.SIGINT)

    def respond(request: Request) -> Answer:
        return CREATED if request.path.endswith("/sessions") else Answer(200, "{}")

    with (
        local_server(respond) as rest,
        websocket_server(greeter(SECRET="s3cret"), greeting("request-1")) as websocket,
    ):
        target = Target(rest.url + "/plldb", websocket.url).deploy("plldb", "app")
        attach(
            target,  # type: ignore[arg-type]
            SessionOptions("app", "plldb", WhenAbsent.ERROR, take_over=True),
            ChosenSources({"Greeter": source("Greeter"), "Aardvark": source("Aardvark")}),
            lambda: invoker,  # type: ignore[arg-type,return-value]
            report,
        )
    assert websocket.frames == [
        {
            "action": "instrument",
            "functions": ["Aardvark", "Greeter"],
            "whenAbsent": "error",
            "takeOver": True,
        },
        {"action": "close"},
    ]
    assert invoker.prepared == ["Greeter"]
    path, answer = rest.requests[-1].path, json.loads(rest.requests[-1].body)
    assert (path, answer) == ("/plldb/invocations/request-1/result", {"result": '"hello"'})
    # The log names the invocation, and holds no secret, no event and no answer.
    assert "request-1" in caplog.text
    assert SESSION_ID[:8] in caplog.text
    for secret in (SESSION_ID, "s3cret", "hello"):
        assert secret not in caplog.text
    # An invocation is reported once, when it has ended.
    assert [type(event) for event in events] == [
        SessionCreated,
        Connected,
        Instrumented,
        InvocationFinished,
        Ended,
    ]


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_second_ctrl_c_ends_it_at_once_and_says_how_to_restore() -> None:
    invoker = FakeInvoker()

    def report(event: AttachEvent) -> None:
        if isinstance(event, Connected | Restored):
            os.kill(os.getpid(), signal.SIGINT)

    with (
        local_server(lambda _: CREATED) as rest,
        websocket_server(closing=wire.restored("Greeter")) as websocket,
    ):
        target = Target(rest.url + "/plldb", websocket.url).deploy("plldb", "app")
        with pytest.raises(ConnectionLostError) as raised:
            attach(
                target,  # type: ignore[arg-type]
                SessionOptions("app", "plldb"),
                ChosenSources({"Greeter": source("Greeter")}),
                lambda: invoker,  # type: ignore[arg-type,return-value]
                report,
            )
    assert "plldb restore --stack-name app" in str(raised.value.hint)
    assert invoker.is_closed


@pytest.mark.parametrize(("deployed", "missing"), [(["plldb"], "app"), (["app"], "plldb")])
def test_a_missing_stack_is_named_before_any_session_is_opened(
    deployed: list[str], missing: str
) -> None:
    def make_invoker() -> Any:
        raise AssertionError("nothing is to be started")

    with local_server(lambda _: Answer(500)) as rest:
        target = Target(rest.url).deploy(*deployed)
        with pytest.raises(StackError, match=f"'{missing}'"):
            attach(
                target,  # type: ignore[arg-type]
                SessionOptions("app", "plldb"),
                ChosenSources({}),
                make_invoker,
                lambda _: None,
            )
    assert rest.requests == []


TEMPLATE = """
Resources:
  ReadItem: {Type: "AWS::Serverless::Function", Properties: {CodeUri: src, Handler: app.read}}
  WriteItem: {Type: "AWS::Serverless::Function", Properties: {CodeUri: src, Handler: app.write}}
  Gone: {Type: "AWS::Serverless::Function", Properties: {CodeUri: nowhere}}
  Table: {Type: "AWS::DynamoDB::Table"}
"""


class TestChooseSources:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        (tmp_path / "src").mkdir()
        (tmp_path / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
        return tmp_path

    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            ((), {"ReadItem", "WriteItem"}),
            (("ReadItem",), {"ReadItem"}),
            (("*Item",), {"ReadItem", "WriteItem"}),
            (("Read*", "?riteItem"), {"ReadItem", "WriteItem"}),
            (("*",), {"ReadItem", "WriteItem"}),
            (("[RX]eadItem",), {"ReadItem"}),
        ],
    )
    def test_functions_are_chosen_by_name(
        self, project: Path, patterns: tuple[str, ...], expected: set[str]
    ) -> None:
        chosen = choose_sources(CodeOptions(project, functions=patterns), "app").found
        assert chosen.keys() == expected

    @pytest.mark.parametrize(
        ("pattern", "reason"),
        [
            ("Gone", "nowhere does not exist"),
            ("G*", "Gone.*nowhere does not exist"),
            ("Table", "it is not in"),
            ("readitem", "it is not in"),
            ("Nothing*", "it is not in"),
        ],
    )
    def test_one_that_is_named_and_not_here_is_an_error(
        self, project: Path, pattern: str, reason: str
    ) -> None:
        with pytest.raises(SourceError, match=reason) as raised:
            choose_sources(CodeOptions(project, functions=("ReadItem", pattern)), "app")
        assert "--code" in str(raised.value.hint)

    def test_a_project_without_a_template_is_no_error_and_says_why(self, tmp_path: Path) -> None:
        choice = choose_sources(CodeOptions(tmp_path), "app")
        chosen, why = choice.found, choice.why_none
        assert chosen == {}
        assert "no template" in why
        assert "--template" in why

    def test_nor_is_one_whose_functions_have_no_code_here(self, tmp_path: Path) -> None:
        (tmp_path / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
        choice = choose_sources(CodeOptions(tmp_path), "app")
        chosen, why = choice.found, choice.why_none
        assert chosen == {}
        assert "template.yaml has no function with code" in why

    @pytest.mark.parametrize(
        "options",
        [
            CodeOptions(Path(), template=Path("no-such.yaml")),
            CodeOptions(Path(), functions=("*",)),
        ],
    )
    def test_but_what_is_named_and_not_there_is_one(
        self, tmp_path: Path, options: CodeOptions
    ) -> None:
        with pytest.raises(SourceError):
            choose_sources(replace(options, folder=tmp_path), "app")

    def test_a_folder_can_be_given_without_any_template(self, tmp_path: Path) -> None:
        options = CodeOptions(tmp_path, code={"Greeter": tmp_path})
        chosen = choose_sources(options, "app").found
        assert chosen == {"Greeter": CodeSource("Greeter", tmp_path, None)}
