"""After a loss a new session takes the place of the old one, unless that would be wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from requests import PreparedRequest
from websockets.asyncio.server import Request as Handshake
from websockets.asyncio.server import Response, ServerConnection, serve

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.attachment import (
    AttachEvent,
    ChosenSources,
    Reconnecting,
    SessionCreated,
    SessionOptions,
    attach,
)
from plldb.debugger.invocation_runner import InvocationFinished
from plldb.debugger.invoker import LocalFunction, Outcome
from plldb.debugger.protocol import Connected, Ended, Instrumented, Ready
from plldb.debugger.timing import Timing
from plldb.errors import (
    AccessDeniedError,
    ConnectionLostError,
    CredentialsError,
    PlldbError,
    SessionError,
    StackError,
)
from tests.unit.debugger.test_attachment import FakeInvoker, Target, greeter, greeting, source
from tests.unit.fakes import Answer, Request, client_error, local_server

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

DEADLINE = 10
TIMING = Timing(first_retry=0.001, longest_retry=0.01, closing=1, farewell=5)
GREETER = greeter()
VIEW = {
    "session": "x",
    "stackName": "app",
    "status": "CLOSED",
    "owner": "arn",
    "createdAt": "2026",
    "expiresAt": "2026",
}

# What becomes of a connection, after these messages have answered its instrument action.
STAYS, DROPS, IS_REFUSED = "stays", "drops", "is refused"


def session_id(number: int) -> str:
    return f"{number:08d}-2222-4333-8444-5e6f708192a3"


@dataclass
class HelperStack:
    """Both APIs. ``connections`` scripts what becomes of each, the last of them for ever.

    ``sessions_answers`` are answers to the next POST /sessions, before it works (again).
    """

    connections: list[tuple[list[dict[str, Any]], str]]
    sessions_answers: list[Answer] = field(default_factory=list)
    delete: Callable[[], Answer] = lambda: Answer(200, json.dumps(VIEW))
    created: int = 0
    deleted: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    instruments: list[dict[str, Any]] = field(default_factory=list)
    handshakes: int = 0

    def respond(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self.deleted.append(request.path.rpartition("/")[2])
            return self.delete()
        if "/invocations/" in request.path:
            self.results.append(request.body)
            return Answer(200, "{}")
        if self.created and self.sessions_answers:
            return self.sessions_answers.pop(0)
        self.created += 1
        return Answer(201, json.dumps({"sessionId": session_id(self.created)}))

    def admit(self, server: ServerConnection, _: Handshake) -> Response | None:
        self.handshakes += 1
        what = self._script(self.handshakes)[1]
        return server.respond(403, "") if what == IS_REFUSED else None  # type: ignore[arg-type]

    async def handle(self, server: ServerConnection) -> None:
        replies, what = self._script(self.handshakes)
        async for frame in server:
            message = json.loads(frame)
            if message["action"] == "close":
                await server.send(json.dumps(wire.closed()))
                continue
            self.instruments.append(message)
            for reply in replies:
                await server.send(json.dumps(reply))
            if what == DROPS:
                # What was sent arrives first.
                await (await server.ping())
                server.transport.abort()

    def _script(self, number: int) -> tuple[list[dict[str, Any]], str]:
        return self.connections[min(number, len(self.connections)) - 1]


@contextmanager
def websocket_server(stack: HelperStack) -> Iterator[str]:
    """In a thread of its own: ``attach`` has this one's event loop."""
    loop, started = asyncio.new_event_loop(), threading.Event()
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

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert started.wait(DEADLINE)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


class Attached:
    """What was reported, and how it ended."""

    def __init__(self) -> None:
        self.events: list[AttachEvent] = []
        self.ended: Ended | None = None
        self.error: PlldbError | None = None
        self.invoker = FakeInvoker()
        self.target = Target()

    def all(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def run(
    stack: HelperStack,
    on_event: Callable[[AttachEvent, Attached], None],
    timing: Timing = TIMING,
    invoker: FakeInvoker | None = None,
    take_over: bool = False,
    sign: Callable[[PreparedRequest], PreparedRequest] | None = None,
) -> Attached:
    attached = Attached()
    attached.invoker = invoker or attached.invoker

    def report(event: AttachEvent) -> None:
        attached.events.append(event)
        on_event(event, attached)

    with ExitStack() as servers:
        websocket = servers.enter_context(websocket_server(stack))
        rest = servers.enter_context(local_server(stack.respond))
        attached.target = Target(rest.url + "/plldb", websocket).deploy("plldb", "app")
        if sign is not None:
            attached.target.execute_api_auth = lambda: sign  # type: ignore[method-assign]
        try:
            attached.ended = attach(
                attached.target,  # type: ignore[arg-type]
                SessionOptions("app", "plldb", take_over=take_over),
                ChosenSources({"Greeter": source("Greeter")}),
                lambda: attached.invoker,  # type: ignore[arg-type,return-value]
                report,
                timing,
            )
        except PlldbError as error:
            attached.error = error
    assert attached.invoker.is_closed
    assert "-2222-4333-" not in repr(attached.events), "a session id is a credential"
    return attached


def at_ready(number: int) -> Callable[[AttachEvent, Attached], None]:
    """The user presses Ctrl-C when it is ready for the so manyeth time."""

    def on_event(event: AttachEvent, attached: Attached) -> None:
        if isinstance(event, Ready) and len(attached.all(Ready)) == number:
            ctrl_c()

    return on_event


def never(_: AttachEvent, __: Attached) -> None:
    pass


ALL_DONE = [GREETER, wire.ready(1, 0)]


class TestAfterALoss:
    def test_a_new_session_replaces_the_old_one(self) -> None:
        stack = HelperStack([(ALL_DONE, DROPS), (ALL_DONE, STAYS)])
        attached = run(stack, at_ready(2))
        assert [type(event) for event in attached.events] == [
            SessionCreated,
            Connected,
            Instrumented,
            Ready,
            Reconnecting,
            SessionCreated,
            Connected,
            Instrumented,
            Ready,
            Ended,
        ]
        (lost,) = attached.all(Reconnecting)
        assert lost.attempt == 1
        assert 0 <= lost.delay <= TIMING.first_retry
        assert "1006" in lost.reason
        first, second = stack.instruments
        assert "replaces" not in first
        assert second == first | {"replaces": session_id(1)}
        assert attached.ended == Ended(True, True, "closed")
        assert stack.deleted == []

    def test_each_loss_counts_from_1(self) -> None:
        stack = HelperStack([(ALL_DONE, DROPS)] * 3 + [(ALL_DONE, STAYS)])
        attached = run(stack, at_ready(4))
        assert [lost.attempt for lost in attached.all(Reconnecting)] == [1, 1, 1]
        replaced = [message.get("replaces") for message in stack.instruments]
        assert replaced == [None, session_id(1), session_id(2), session_id(3)]

    def test_it_tries_until_it_is_there_again(self) -> None:
        stack = HelperStack(
            [(ALL_DONE, DROPS), ([], IS_REFUSED), ([], IS_REFUSED), (ALL_DONE, STAYS)],
            # Each attempt asks four times.
            sessions_answers=[Answer(500, "{}")] * 4
            + [Answer(429, "{}", {"Retry-After": "99"})] * 4,
        )
        attached = run(stack, at_ready(2))
        assert [lost.attempt for lost in attached.all(Reconnecting)] == [1, 2, 3, 4, 5]
        reasons = [lost.reason for lost in attached.all(Reconnecting)]
        for reason, expected in zip(reasons, ["1006", "500", "429", "403", "403"], strict=True):
            assert expected in reason
        assert stack.instruments[-1]["replaces"] == session_id(1)
        assert stack.deleted == [session_id(2), session_id(3)], "those that nobody could connect"

    def test_credentials_may_be_renewed_meanwhile(self) -> None:
        """As 'aws sso login' in another terminal does; or they can't be without a network."""

        def expired(**_: Any) -> Any:
            raise client_error("ExpiredToken", "The token has expired.", "DescribeStacks")

        def on_event(event: AttachEvent, attached: Attached) -> None:
            if isinstance(event, Reconnecting):
                cloudformation: Any = attached.target.cloudformation
                match event.attempt:
                    case 1:
                        cloudformation.describe_stacks = expired
                    case 3:
                        del cloudformation.describe_stacks
            at_ready(2)(event, attached)

        attached = run(HelperStack([(ALL_DONE, DROPS), (ALL_DONE, STAYS)]), on_event)
        assert [lost.attempt for lost in attached.all(Reconnecting)] == [1, 2, 3]
        assert "expired" in attached.all(Reconnecting)[-1].reason
        assert attached.ended == Ended(True, True, "closed")

    def test_nor_is_it_lasting_that_a_request_can_not_be_signed(self) -> None:
        signed: list[PreparedRequest] = []

        def sign(request: PreparedRequest) -> PreparedRequest:
            signed.append(request)
            if len(signed) in (2, 3):
                raise CredentialsError("Could not sign the request: the token has expired")
            return request

        stack = HelperStack([(ALL_DONE, DROPS), (ALL_DONE, STAYS)])
        attached = run(stack, at_ready(2), sign=sign)
        reasons = [lost.reason for lost in attached.all(Reconnecting)]
        assert len(reasons) == 3
        assert "expired" in reasons[-1]
        assert attached.ended == Ended(True, True, "closed")

    def test_a_session_that_got_no_answer_replaces_nothing(self) -> None:
        """What the first one holds is held by it still, as far as anybody can tell."""
        stack = HelperStack([(ALL_DONE, DROPS), ([], DROPS), ([GREETER], DROPS), (ALL_DONE, STAYS)])
        attached = run(stack, at_ready(2))
        replaced = [message.get("replaces") for message in stack.instruments]
        assert replaced == [None, session_id(1), session_id(1), session_id(3)]
        assert [lost.attempt for lost in attached.all(Reconnecting)] == [1, 2, 3]

    def test_it_takes_over_once_and_not_from_who_did_so_since(self) -> None:
        stack = HelperStack([([], DROPS), (ALL_DONE, DROPS), (ALL_DONE, STAYS)])
        run(stack, at_ready(2), take_over=True)
        assert [message["takeOver"] for message in stack.instruments] == [True, True, False]

    def test_a_helper_stack_that_was_deployed_anew_is_found(self) -> None:
        """Its APIs have other URLs then."""
        other = HelperStack([(ALL_DONE, STAYS)])
        with websocket_server(other) as websocket, local_server(other.respond) as rest:

            def on_event(event: AttachEvent, attached: Attached) -> None:
                if isinstance(event, Reconnecting):
                    attached.target.urls = {"rest1": rest.url + "/plldb", "ws1": websocket}
                at_ready(2)(event, attached)

            attached = run(HelperStack([(ALL_DONE, DROPS)]), on_event)
        assert attached.ended == Ended(True, True, "closed")
        assert other.created == 1

    def test_an_invocation_that_runs_meanwhile_is_answered(self) -> None:
        stack = HelperStack([([*ALL_DONE, greeting("r-1")], DROPS), (ALL_DONE, STAYS)])

        class Invoker(FakeInvoker):
            """Takes until the connection is back."""

            def __init__(self) -> None:
                super().__init__()
                self.is_back = False

            async def invoke(self, function: LocalFunction, event: str, *_: Any) -> Outcome:
                while not self.is_back:
                    await asyncio.sleep(0.001)
                return Outcome(event, None)

        invoker = Invoker()

        def on_event(event: AttachEvent, attached: Attached) -> None:
            invoker.is_back = len(attached.all(Ready)) == 2
            if isinstance(event, InvocationFinished):
                ctrl_c()

        attached = run(stack, on_event, invoker=invoker)
        (finished,) = attached.all(InvocationFinished)
        assert finished.outcome == "succeeded"
        assert stack.results == [json.dumps({"result": '"hello"'})]


def test_a_bug_in_an_invocation_ends_the_session_in_order_and_is_raised() -> None:
    """So that its caller gets an answer, and whoever is attached a traceback."""

    class Invoker(FakeInvoker):
        async def invoke(self, *_: Any) -> Outcome:
            raise ZeroDivisionError("a bug")

    stack, events, invoker = HelperStack([([*ALL_DONE, greeting("r-1")], STAYS)]), [], Invoker()

    def on_event(event: AttachEvent, _: Attached) -> None:
        events.append(event)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(stack, on_event, invoker=invoker)
    assert events[-1] == Ended(True, True, "closed")
    assert invoker.is_closed


class TestNot:
    def test_if_the_first_connection_is_refused(self) -> None:
        stack = HelperStack([([], IS_REFUSED)])
        attached = run(stack, never)
        assert type(attached.error) is SessionError
        assert stack.created == 1
        assert stack.deleted == [session_id(1)]
        assert attached.all(Reconnecting) == []

    def test_if_somebody_ended_the_session(self) -> None:
        forced_off = wire.closed("closed by arn:aws:iam::1:user/eve")
        stack = HelperStack([([*ALL_DONE, forced_off], STAYS)])
        attached = run(stack, never)
        assert isinstance(attached.error, ConnectionLostError)
        assert "closed by arn:aws:iam::1:user/eve" in attached.error.message
        assert attached.error.hint
        assert (stack.created, stack.deleted) == (1, [])
        assert attached.events[-1] == Ended(False, True, "closed by arn:aws:iam::1:user/eve")

    def test_if_it_is_not_allowed_any_more(self) -> None:
        stack = HelperStack([(ALL_DONE, DROPS)], sessions_answers=[Answer(403, "{}")] * 99)
        attached = run(stack, never)
        assert isinstance(attached.error, AccessDeniedError)
        assert len(attached.all(Reconnecting)) == 1
        assert stack.deleted == [session_id(1)]
        ended = attached.events[-1]
        assert isinstance(ended, Ended)
        assert (ended.expected, ended.confirmed) == (False, False)

    def test_if_the_helper_stack_is_gone(self) -> None:
        def on_event(event: AttachEvent, attached: Attached) -> None:
            if isinstance(event, Reconnecting):
                for stack in attached.target.cloudformation.stacks.values():
                    stack["StackStatus"] = "DELETE_COMPLETE"

        attached = run(HelperStack([(ALL_DONE, DROPS)]), on_event)
        assert isinstance(attached.error, StackError)
        assert len(attached.all(Reconnecting)) == 1

    def test_for_ever(self) -> None:
        stack = HelperStack([(ALL_DONE, DROPS), ([], IS_REFUSED)])
        timing = Timing(first_retry=0.001, longest_retry=0.01, give_up=0.1)
        attached = run(stack, never, timing)
        assert isinstance(attached.error, ConnectionLostError)
        assert "403" in attached.error.message
        assert isinstance(attached.events[-1], Ended)
        assert "plldb restore --stack-name app" in str(attached.error.hint)
        *unused, last = stack.deleted
        assert last == session_id(1), "it may hold functions still"
        assert unused == [session_id(number) for number in range(2, stack.created + 1)]


class TestCtrlCWhileDisconnected:
    def leave(
        self,
        stack: HelperStack,
        sign: Callable[[PreparedRequest], PreparedRequest] | None = None,
    ) -> Attached:
        """The next attempt is far away when the user presses Ctrl-C."""

        def on_event(event: AttachEvent, _: Attached) -> None:
            if isinstance(event, Reconnecting):
                ctrl_c()

        patient = Timing(first_retry=1e9, longest_retry=1e9, give_up=1e9)
        return run(stack, on_event, patient, sign=sign)

    def test_the_session_is_closed_over_rest(self) -> None:
        stack = HelperStack([(ALL_DONE, DROPS)])
        attached = self.leave(stack)
        assert attached.ended is not None
        assert (attached.ended.expected, attached.ended.confirmed) == (True, True)
        assert attached.events[-1] == attached.ended
        assert stack.deleted == [session_id(1)]
        assert stack.created == 1

    def test_a_refusal_is_no_error(self) -> None:
        stack = HelperStack([(ALL_DONE, DROPS)], delete=lambda: Answer(404, "{}"))
        attached = self.leave(stack)
        assert attached.ended is not None
        assert (attached.ended.expected, attached.ended.confirmed) == (True, False)

    @pytest.mark.parametrize("error", [CredentialsError("expired"), ZeroDivisionError("a bug")])
    def test_what_was_not_even_sent_is_not_confirmed(self, error: Exception) -> None:
        def sign(request: PreparedRequest) -> PreparedRequest:
            if request.method == "DELETE":
                raise error
            return request

        stack = HelperStack([(ALL_DONE, DROPS)])
        attached = self.leave(stack, sign)
        assert attached.ended is not None
        assert (attached.ended.expected, attached.ended.confirmed) == (True, False)
        assert stack.deleted == []

    def test_nor_does_an_answer_that_never_comes_hold_it_up(self) -> None:
        go = threading.Event()

        def hang() -> Answer:
            go.wait(DEADLINE)
            return Answer(404, "{}")

        def on_event(event: AttachEvent, _: Attached) -> None:
            if isinstance(event, Reconnecting):
                ctrl_c()
            if isinstance(event, Ended):
                assert not go.is_set()
                go.set()

        stack = HelperStack([(ALL_DONE, DROPS)], delete=hang)
        timing = Timing(first_retry=1e9, longest_retry=1e9, give_up=1e9, farewell=0.05)
        attached = run(stack, on_event, timing)
        assert attached.ended is not None
        assert not attached.ended.confirmed

    def test_a_second_one_ends_it_at_once(self) -> None:
        go = threading.Event()

        def hang() -> Answer:
            ctrl_c()
            go.wait(DEADLINE)
            return Answer(404, "{}")

        stack = HelperStack([(ALL_DONE, DROPS)], delete=hang)

        def on_event(event: AttachEvent, _: Attached) -> None:
            if isinstance(event, Reconnecting):
                ctrl_c()

        class Invoker(FakeInvoker):
            async def close(self) -> None:
                assert not go.is_set()
                go.set()
                await super().close()

        timing = Timing(first_retry=1e9, longest_retry=1e9, give_up=1e9, farewell=DEADLINE)
        attached = run(stack, on_event, timing, Invoker())
        assert isinstance(attached.error, ConnectionLostError)
        assert "interrupted" in attached.error.message
        assert "plldb restore" in str(attached.error.hint)
