"""Both APIs of a helper stack, as a debugger sees them, and who attaches to it: real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests.auth
from requests import PreparedRequest
from websockets.asyncio.server import Request as Handshake
from websockets.asyncio.server import Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import ErrorCode
from plldb.credentials import Credentials
from plldb.debugger.attachment import AttachEvent, SessionOptions, attach
from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Outcome
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.invocation_runner import Prepared
from plldb.debugger.protocol import Ended
from plldb.debugger.sources.choice import ChosenSources
from plldb.debugger.sources.project import CodeSource
from plldb.debugger.timing import Timing
from plldb.errors import PlldbError
from tests.unit.fakes import Answer, FakeTarget, Request, local_server

DEADLINE = 10
TIMING = Timing(first_retry=0.001, longest_retry=0.01, closing=2, hanging_up=0.5, farewell=5)
OUTPUTS = {
    "ManagementApiId": "rest1",
    "ManagementApiUrl": "https://x/plldb",
    "WebSocketApiId": "ws1",
    "WebSocketUrl": "wss://x/plldb",
    "SessionsTableName": "s",
    "DebuggerTableName": "d",
    "InstrumentationFunctionName": "f",
}
VIEW = {
    "session": "x",
    "stackName": "app",
    "status": "CLOSED",
    "owner": "arn",
    "createdAt": "2026",
    "expiresAt": "2026",
    "holds": [],
}


def session_id(number: int) -> str:
    return f"{number:08d}-2222-4333-8444-5e6f708192a3"


def number_of(session_id: str) -> int:
    return int(session_id[:8])


def instrumented(function: str = "Greeter", **variables: str) -> dict[str, Any]:
    return wire.instrumented(
        function,
        function_name=f"app-{function}-1",
        function_arn="arn",
        handler="app.handler",
        runtime="python3.13",
        timeout=3,
        memory_size=128,
        variables=variables,
    )


def invocation(request_id: str, function: str = "Greeter", event: str = '"hello"') -> Any:
    """One that may take a minute."""
    now = time.time()
    return wire.invocation(
        request_id, function, deadline=now + 60, sent_at=now, context={}, event=event
    )


# --- The helper stack -----------------------------------------------------------------------------

# What is done with a message: it gets the number of its session and the connection.
Act = Callable[["HelperStack", int, ServerConnection], Awaitable[None]]


def say(*messages: dict[str, Any]) -> Act:
    async def act(_: HelperStack, __: int, server: ServerConnection) -> None:
        for message in messages:
            await server.send(json.dumps(message))

    return act


def say_and_drop(*messages: dict[str, Any]) -> Act:
    """The connection breaks once they have arrived."""

    async def act(_: HelperStack, __: int, server: ServerConnection) -> None:
        for message in messages:
            await server.send(json.dumps(message))
        await (await server.ping())
        server.transport.abort()

    return act


async def say_nothing(*_: Any) -> None:
    pass


ALL_DONE = [instrumented(), wire.ready(1, 0, 50)]
DROP = say_and_drop()


@dataclass
class HelperStack:
    """Sessions are numbered from 1, in the order of their creation.

    ``acts`` replaces what is done with a message, by the number of its session and the action.
    ``statuses`` refuses handshakes, and ``sessions_answers`` are answers to the next POST /sessions
    after the first one, before that works again; ``delete`` answers DELETE.
    """

    acts: dict[tuple[int, str], Act] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    sessions_answers: list[Answer] = field(default_factory=list)
    delete: Callable[[], Answer] = lambda: Answer(200, json.dumps(VIEW))
    on_handshake: Callable[[int], Awaitable[None]] | None = None
    created: int = 0
    deleted: list[int] = field(default_factory=list)
    # What has arrived, by the number of the connection's session.
    frames: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    # Sessions that have functions, sessions whose functions are restored, and who replaced whom.
    holders: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    heirs: dict[int, int] = field(default_factory=dict)
    # By the numbers of the sessions; what connections were closed with.
    connections: dict[int, ServerConnection] = field(default_factory=dict)
    close_codes: dict[int, int | None] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def actions(self, number: int) -> list[str]:
        return [message["action"] for one, message in self.frames if one == number]

    def messages(self, action: str) -> list[dict[str, Any]]:
        return [message for _, message in self.frames if message["action"] == action]

    def push(self, number: int, *messages: dict[str, Any]) -> None:
        """From any thread, as the other functions of the helper stack do."""

        async def push(server: ServerConnection) -> None:
            for message in messages:
                await server.send(json.dumps(message))

        self._do(number, push)

    def drop(self, number: int) -> None:
        async def drop(server: ServerConnection) -> None:
            server.transport.abort()

        self._do(number, drop)

    def _do(self, number: int, work: Callable[[ServerConnection], Awaitable[None]]) -> None:
        async def do() -> None:
            # The client may know of the connection a moment earlier.
            while number not in self.connections:
                await asyncio.sleep(0.001)
            await work(self.connections[number])

        asyncio.run_coroutine_threadsafe(do(), self.loop)

    # --- REST ---------------------------------------------------------------------------------

    def respond(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self.deleted.append(number_of(request.path.rpartition("/")[2]))
            return self.delete()
        if self.created and self.sessions_answers:
            return self.sessions_answers.pop(0)
        self.created += 1
        return Answer(201, json.dumps({"sessionId": session_id(self.created)}))

    # --- WebSocket ----------------------------------------------------------------------------

    async def admit(self, server: ServerConnection, request: Handshake) -> Response | None:
        number = number_of(request.path.partition("sessionId=")[2])
        if self.on_handshake is not None:
            await self.on_handshake(number)
        status = self.statuses.get(number)
        return None if status is None else server.respond(status, "")  # type: ignore[arg-type]

    async def handle(self, server: ServerConnection) -> None:
        assert server.request is not None
        number = number_of(server.request.path.partition("sessionId=")[2])
        self.connections[number] = server
        try:
            async for frame in server:
                message = json.loads(frame)
                self.frames.append((number, message))
                act = self.acts.get((number, message["action"]))
                if message["action"] == "instrument":
                    self.holders.add(number)
                await (act or say(*self.reply(number, message)))(self, number, server)
        except ConnectionClosed:
            pass
        finally:
            self.close_codes[number] = server.close_code

    def reply(self, number: int, message: dict[str, Any]) -> list[dict[str, Any]]:
        """What it says if all is well."""
        reply = {
            "instrument": lambda: ALL_DONE,
            "resume": lambda: self._resume(number, number_of(message["replaces"])),
            "heartbeat": lambda: self._prolong(number),
            "close": lambda: self._close(number),
            "claim": lambda: [wire.go(message["requestId"], message["deadline"])],
            "answer": lambda: self._record(message),
            "decline": lambda: [],
            "watch": lambda: [],
        }
        return reply[message["action"]]()

    def _resume(self, number: int, former: int) -> list[dict[str, Any]]:
        if former in self.closed or self.heirs.get(former, number) != number:
            return [wire.expired()]
        self.heirs[former] = number
        self.holders |= {number} if former in self.holders else set()
        return [wire.resumed()]

    def _prolong(self, number: int) -> list[dict[str, Any]]:
        if number in self.closed or number in self.heirs:
            return [wire.error(ErrorCode.SESSION_CLOSED, "The session is closed.")]
        return [wire.heartbeat(1, 1.0)]

    def _close(self, number: int) -> list[dict[str, Any]]:
        if number in self.heirs:
            return [wire.closed()]
        self.closed.add(number)
        restored = [wire.restored("Greeter")] if number in self.holders else []
        return [*restored, wire.closed()]

    def _record(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        self.answers.setdefault(message["requestId"], json.loads(message["body"]))
        return [wire.recorded(message["requestId"], message["deadline"], "ANSWERED")]


@contextmanager
def websocket_server(stack: HelperStack) -> Iterator[str]:
    """In a thread of its own: ``attach`` has this one's event loop."""
    started = threading.Event()
    done: asyncio.Event
    urls: list[str] = []

    async def main() -> None:
        nonlocal done
        done = asyncio.Event()
        async with serve(
            stack.handle, "127.0.0.1", 0, process_request=stack.admit, close_timeout=1
        ) as server:
            urls.append(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/plldb")
            started.set()
            await done.wait()

    thread = threading.Thread(target=lambda: stack.loop.run_until_complete(main()))
    thread.start()
    assert started.wait(DEADLINE)
    try:
        yield urls[0]
    finally:
        stack.loop.call_soon_threadsafe(done.set)
        thread.join()
        stack.loop.close()


# --- The debugger's machine -----------------------------------------------------------------------


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

    def deploy(self, *names: str, **parameters: str) -> Target:
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items()]
        for name in names:
            self.cloudformation.add(
                name,
                "CREATE_COMPLETE",
                Outputs=outputs if name == "plldb" else [],
                Parameters=given if name == "plldb" else [],
            )
        return self


@contextmanager
def target_with(stack: HelperStack, *names: str) -> Iterator[Target]:
    """One where the helper stack serves, beside stacks of these names."""
    with websocket_server(stack) as websocket, local_server(stack.respond) as rest:
        yield Target(rest.url + "/plldb", websocket).deploy("plldb", *names)


class FakeInvoker:
    """Answers every invocation with its own event; those that are ``slow`` once they may."""

    def __init__(self, slow: bool = False) -> None:
        self.prepared: list[str] = []
        self.running: list[str] = []
        self.is_closed = False
        self.python = Interpreter(Path("/venv/bin/python"), (3, 13, 1))
        self.warm_limit = 10
        self.keeps_children = False
        # What still goes on in the event loop at the very end.
        self.left_behind: set[asyncio.Task[Any]] = set()
        self._slow = slow
        self._go: asyncio.Event | None = None

    async def prepare(self, function: LocalFunction) -> None:
        self.prepared.append(function.logical_id)

    async def invoke(
        self,
        function: LocalFunction,
        event: str,
        context: dict[str, Any],
        deadline: float,
        credentials: Credentials | None = None,
    ) -> Outcome:
        self.running.append(context["aws_request_id"])
        if self._slow:
            self._go = self._go or asyncio.Event()
            await self._go.wait()
        return Outcome(event, None)

    def let_go(self) -> None:
        assert self._go is not None
        self._go.set()

    def discard(self) -> None:
        self.is_closed = True

    async def close(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        current = asyncio.current_task()
        self.left_behind = {task for task in asyncio.all_tasks() if task is not current}
        self.is_closed = True


def source(name: str) -> CodeSource:
    return CodeSource(Path("/code"))


GREETER = ChosenSources({"Greeter": source("Greeter")})
NOTHING = ChosenSources({}, {}, "There is no template.")


@dataclass
class Attached:
    """What was reported, and how it ended."""

    stack: HelperStack
    invoker: FakeInvoker
    target: Target = field(default_factory=Target)
    events: list[AttachEvent] = field(default_factory=list)
    ended: Ended | None = None
    error: PlldbError | None = None

    def all(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def kinds(self) -> list[type]:
        """But for what tells that a function was prepared, which comes at its own time."""
        return [type(event) for event in self.events if not isinstance(event, Prepared)]


OnEvent = Callable[[AttachEvent, Attached], None]


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def ignore(*_: Any) -> None:
    pass


def at(kind: type, count: int = 1, then: Callable[[], None] = ctrl_c) -> OnEvent:
    """Does something, Ctrl-C unless told otherwise, at the so manyeth event of a kind."""

    def on_event(event: AttachEvent, attached: Attached) -> None:
        if isinstance(event, kind) and len(attached.all(kind)) == count:
            then()

    return on_event


def each_of(*callbacks: OnEvent) -> OnEvent:
    def on_event(event: AttachEvent, attached: Attached) -> None:
        for callback in callbacks:
            callback(event, attached)

    return on_event


def run_attach(
    stack: HelperStack,
    on_event: OnEvent = ignore,
    *,
    timing: Timing = TIMING,
    sources: ChosenSources = GREETER,
    invoker: FakeInvoker | None = None,
    options: SessionOptions = SessionOptions("app", "plldb"),  # noqa: B008 - frozen
    sign: Callable[[PreparedRequest], PreparedRequest] | None = None,
) -> Attached:
    """``plldb attach``, until it ends; ``on_event`` is told all that is reported."""
    attached = Attached(stack, invoker or FakeInvoker())

    def report(event: AttachEvent) -> None:
        attached.events.append(event)
        on_event(event, attached)

    with target_with(stack, "app") as attached.target:
        if sign is not None:
            attached.target.execute_api_auth = lambda: sign  # type: ignore[method-assign]
        try:
            attached.ended = attach(
                attached.target,  # type: ignore[arg-type]
                options,
                sources,
                lambda: attached.invoker,  # type: ignore[arg-type,return-value]
                report,
                timing,
            )
        except PlldbError as error:
            attached.error = error
    assert attached.invoker.is_closed
    assert attached.invoker.left_behind == set(), "nothing goes on after the end"
    assert "-2222-4333-" not in repr(attached.events), "a session id is a credential"
    return attached
