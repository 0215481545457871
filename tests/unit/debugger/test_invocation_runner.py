"""Invocations of a session run here: each is a task of its own, and its answer goes back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from plldb.bootstrap.cloudformation.lambda_functions.shared.constants import MAX_FRAME_BYTES
from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import ErrorCode
from plldb.credentials import Credentials
from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Outcome
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.children.runtime.frames import make_error_report
from plldb.debugger.invocation_runner import (
    InterpreterDiffers,
    InvocationFinished,
    InvocationRunner,
    InvocationStarted,
    NotPrepared,
    Prepared,
    RunnerEvent,
)
from plldb.debugger.protocol import Instrumented, InvocationArrived, Replied
from plldb.debugger.sources.project import CodeSource, DescribedLayer
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError, PlldbError, SessionError, SourceError

DEADLINE = 10
SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
DIVISION = make_error_report("ZeroDivisionError", "division by zero")
SUCCESS = Outcome("42", None)
LARGE = Outcome(json.dumps("x" * 40_000), None)

Run = Callable[[LocalFunction, str, dict[str, Any], float], Awaitable[Outcome]]


class FakeInvoker:
    """Answers each invocation with ``run``, and keeps what it was given."""

    def __init__(self) -> None:
        self.prepared: list[LocalFunction] = []
        self.invoked: list[tuple[LocalFunction, str, dict[str, Any], float]] = []
        self.lent: list[Credentials | None] = []
        self.refusal: PlldbError | None = None
        self.is_closed = False
        self.run: Run = self._succeed
        self.python = Interpreter(Path("/venv/bin/python"), (3, 13, 1))
        self.warm_limit = 10
        self.keeps_children = False
        self.served: list[LocalFunction] = []
        # Nothing is prepared before that.
        self.gate: asyncio.Event | None = None

    async def prepare(self, function: LocalFunction) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        self.prepared.append(function)

    async def serve_editors(self, function: LocalFunction) -> None:
        self.served.append(function)

    async def invoke(
        self,
        function: LocalFunction,
        event: str,
        context: dict[str, Any],
        deadline: float,
        credentials: Credentials | None = None,
    ) -> Outcome:
        self.invoked.append((function, event, context, deadline))
        self.lent.append(credentials)
        return await self.run(function, event, context, deadline)

    async def close(self) -> None:
        self.is_closed = True

    async def _succeed(self, *_: Any) -> Outcome:
        return SUCCESS


class FakeTransfer:
    """The artifacts bucket, by URL. ``problems`` are raised by the next exchanges."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self.problems: list[PlldbError] = []
        self.attempts = 0
        self.open = threading.Event()
        self.open.set()

    def download(self, url: str) -> str:
        self._exchange()
        return self.objects[url]

    def upload(self, url: str, text: str) -> None:
        self._exchange()
        self.objects[url] = text

    def _exchange(self) -> None:
        self.attempts += 1
        self.open.wait(DEADLINE)
        if self.problems:
            raise self.problems.pop(0)


class FakeClaims:
    """Claims that are sent to the table: what becomes of each, or of all if there is one left."""

    def __init__(self) -> None:
        self.verdicts = [False]
        self.taken: list[SignedRequest] = []
        self.open = asyncio.Event()
        self.open.set()

    async def take(self, claim: SignedRequest) -> bool:
        self.taken.append(claim)
        await self.open.wait()
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]


def id_in(message: dict[str, Any]) -> tuple[str, float]:
    return message["requestId"], message.get("deadline", 0.0)


@dataclass
class HelperStack:
    """What the other end says to each message; by default, all is well.

    ``heard`` is what has arrived. ``loses`` so many of the next answers get lost on their way.
    """

    heard: list[dict[str, Any]] = field(default_factory=list)
    verdict: str = "go"
    state: str = "ANSWERED"
    refuses: set[str] = field(default_factory=set)
    loses: int = 0
    is_deaf: bool = False
    uploads: int = 0

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        self.heard.append(message)
        request_id, action, id = message["requestId"], message["action"], id_in(message)
        if action in self.refuses:
            return wire.error(ErrorCode.BAD_REQUEST, "It makes no sense.", request_id)
        match action:
            case "claim" if self.verdict == "go":
                return wire.go(*id)
            case "claim":
                return wire.void(*id, self.verdict)
            case "answer":
                return wire.recorded(*id, self.state)
            case "upload":
                self.uploads += 1
                return wire.upload(request_id, f"key-{self.uploads}", f"url-{self.uploads}")
        return None

    def told(self, action: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["action"] == action]

    @property
    def answers(self) -> dict[str, Any]:
        """The bodies by their request ids, as JSON."""
        return {one["requestId"]: json.loads(one["body"]) for one in self.told("answer")}


class Session:
    """A session of which ``Greeter`` and ``Other`` have code here; ``reported`` wakes its test."""

    def __init__(
        self, as_function: bool = False, callers_wait: bool = False, describing: float = DEADLINE
    ) -> None:
        self.invoker, self.transfer, self.stack = FakeInvoker(), FakeTransfer(), HelperStack()
        self.claims = FakeClaims()
        self.events: list[RunnerEvent] = []
        self.bugs = 0
        self._news = asyncio.Event()
        # What was asked of layers; they are there once it is set.
        self.collected: list[tuple[Any, ...]] = []
        self.layers = asyncio.Event()
        self.layers.set()
        sources = {
            name: CodeSource(
                Path("/code", name),
                "template.handler",
                layers=(DescribedLayer("Common", (Path("/layers/common"),)),),
                build_dir=Path("/build", name),
            )
            for name in ("Greeter", "Other")
        }
        self.runner = InvocationRunner(
            sources,
            "eu-west-1",
            self.invoker,  # type: ignore[arg-type]
            self.transfer,  # type: ignore[arg-type]
            self.claims,  # type: ignore[arg-type]
            self._send,
            self._report,
            Timing(
                first_retry=0.001,
                longest_retry=0.01,
                repeat=0.01,
                claiming=0.05,
                preparing=0.1,
                describing=describing,
            ),
            self._count_bug,
            as_function=as_function,
            collect_layers=self._collect_layers,
            callers_wait=callers_wait,
        )

    async def _collect_layers(
        self,
        function: str,
        runtime: str,
        described: Sequence[DescribedLayer],
        deployed: Sequence[str] | None,
    ) -> tuple[Path, ...]:
        self.collected.append((function, runtime, described, deployed))
        self._news.set()
        await self.layers.wait()
        fetched = [Path("/fetched", arn) for arn in deployed or ()]
        return (*(folder for layer in described for folder in layer.folders), *fetched)

    def _send(self, frame: str) -> None:
        self._news.set()
        if self.stack.is_deaf:
            return
        answer = self.stack.answer(json.loads(frame))
        if answer is None:
            return
        if self.stack.loses:
            self.stack.loses -= 1
            return
        asyncio.get_running_loop().call_soon(self.hear, answer)

    def hear(self, message: dict[str, Any]) -> None:
        replied = Replied(message["requestId"], message.get("deadline"), message)
        self.runner.replies.take(replied)

    def _count_bug(self) -> None:
        self.bugs += 1
        self._news.set()

    def _report(self, event: RunnerEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    @property
    def ended(self) -> list[InvocationFinished]:
        return [event for event in self.events if isinstance(event, InvocationFinished)]

    async def finished(self, count: int = 1) -> list[InvocationFinished]:
        """The invocations that have finished, once there are so many."""
        await self.until(lambda: len(self.ended) >= count)
        return self.ended

    async def runs(self, invocation: InvocationArrived) -> asyncio.Event:
        """Returns once it runs; it goes on running until the event is set."""
        is_running, go = asyncio.Event(), asyncio.Event()

        async def run(*_: Any) -> Outcome:
            is_running.set()
            await go.wait()
            return SUCCESS

        self.invoker.run = run
        self.runner.start(invocation)
        async with asyncio.timeout(DEADLINE):
            await is_running.wait()
        return go


def session(work: Callable[[Session], Awaitable[None]], **options: Any) -> Session:
    """``work`` with a session, which is closed after it."""

    async def main() -> Session:
        one = Session(**options)
        await work(one)
        await one.runner.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return one

    return asyncio.run(main())


def instrumented(function: str = "Greeter", **changes: Any) -> Instrumented:
    given_: dict[str, Any] = {
        "function_name": f"stack-{function}-1",
        "function_arn": "arn",
        "handler": "app.handler",
        "runtime": "python3.13",
        "timeout": 7,
        "memory_size": 256,
        "variables": {"TABLE": "t"},
        "logging": {"LogFormat": "JSON", "LogGroup": "/team/app"},
    }
    return Instrumented(function, wire.instrumented(function, **given_ | changes))


def arrived(
    request_id: str = "request-1",
    function: str = "Greeter",
    event: str | None = "{}",
    seconds: float = 20,
    event_url: str | None = None,
) -> InvocationArrived:
    now = time.time()
    return InvocationArrived(
        session_id=SESSION_ID,
        request_id=request_id,
        function=function,
        deadline=now + seconds,
        sent_at=now,
        context={"function_name": f"stack-{function}-1"},
        event=event,
        event_url=event_url,
    )


class TestRoles:
    ROLE = wire.RoleCredentials(
        accessKeyId="ASIA", secretAccessKey="the-secret", sessionToken="the-token"
    )

    def run(self, credentials: wire.RoleCredentials | None, as_function: bool) -> Session:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.start(replace(arrived(), credentials=credentials))
            await one.finished()

        return session(work, as_function=as_function)

    def test_the_code_is_lent_what_its_invocation_brings(self) -> None:
        done = self.run(self.ROLE, as_function=True)
        assert done.invoker.lent == [Credentials("ASIA", "the-secret", "the-token")]

    def test_nobody_has_what_was_not_asked_for(self) -> None:
        assert self.run(self.ROLE, as_function=False).invoker.lent == [None]

    def test_one_that_brings_none_is_left_to_its_function(self) -> None:
        done = self.run(None, as_function=True)
        assert [one["action"] for one in done.stack.heard] == ["decline"]
        assert done.invoker.invoked == []
        assert "without the credentials" in str(done.ended[0].error)

    def test_they_are_in_nothing_that_python_shows(self) -> None:
        shown = repr(replace(arrived(), credentials=self.ROLE))
        assert "ASIA" not in shown
        assert "the-secret" not in shown


class TestAnswers:
    def test_the_function_runs_as_it_is_deployed_with_the_code_that_is_here(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event='{"name": null}'))
            await one.finished()

        done = session(work)
        function = LocalFunction(
            logical_id="Greeter",
            code_dir=Path("/code/Greeter"),
            handler="app.handler",
            function_name="stack-Greeter-1",
            variables={"TABLE": "t"},
            memory_size=256,
            timeout=7,
            region="eu-west-1",
            runtime="python3.13",
            logging={"LogFormat": "JSON", "LogGroup": "/team/app"},
            layers=(Path("/layers/common"),),
            build_dir=Path("/build/Greeter"),
        )
        assert done.invoker.prepared == [function]
        ((ran, event, context, deadline),) = done.invoker.invoked
        assert (ran, event) == (function, '{"name": null}')
        assert context == {
            "function_name": "stack-Greeter-1",
            "aws_request_id": "request-1",
            "log_group_name": "/team/app",
        }
        assert deadline > time.time()
        assert done.stack.answers == {"request-1": {"result": 42}}

    def test_the_helper_stack_is_told_whose_invocation_it_is(self) -> None:
        """By the session that it came to, whichever there is by now."""

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.start(replace(arrived(), deadline=1_790_000_000.125, sent_at=1_790_000_000))
            await one.finished()

        for message in session(work).stack.heard:
            assert message["sessionId"] == SESSION_ID
            assert (message["requestId"], message["deadline"]) == ("request-1", 1_790_000_000.125)

    @pytest.mark.parametrize("result", ["null", "false", "0", '""', "[]", "{}", "12345678901.10"])
    def test_a_result_passes_as_it_is(self, result: str) -> None:
        async def run(*_: Any) -> Outcome:
            return Outcome(result, None)

        async def work(one: Session) -> None:
            one.invoker.run = run
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert (finished.outcome, finished.error) == ("succeeded", "")

        (answer,) = session(work).stack.told("answer")
        assert answer["body"] == f'{{"result": {result}}}'

    def test_all_of_it_is_told(self) -> None:
        async def succeed(*_: Any) -> Outcome:
            # More than what is lost where each leg is rounded by itself.
            await asyncio.sleep(0.001)
            return Outcome('{"n": 1}', None, queued_ms=5.0, ran_ms=7.0)

        async def work(one: Session) -> None:
            one.invoker.run = succeed
            one.runner.add_function(instrumented())
            one.runner.start(
                replace(arrived(event='{"n": "an event"}'), credentials=TestRoles.ROLE)
            )
            (finished,) = await one.finished()
            (started,) = [event for event in one.events if isinstance(event, InvocationStarted)]
            (given,) = one.invoker.invoked
            assert (started.local, started.event, started.context) == given[:3]
            assert (started.function, started.request_id) == ("Greeter", "request-1")
            assert started.arrived <= time.time() < started.deadline
            assert finished.result == Outcome('{"n": 1}', None)
            assert (finished.legs.queue, finished.legs.run) == (5.0, 7.0)
            assert (finished.legs.claim or 0) + (finished.legs.answer or 0) <= finished.duration_ms
            # Neither an event nor a credential is in what a log would show.
            told = repr(one.events)
            assert not [text for text in (started.event, *TestRoles.ROLE.values()) if text in told]

        session(work)

    def test_an_error_of_the_handler_is_an_answer(self) -> None:
        async def fail(*_: Any) -> Outcome:
            return Outcome(None, DIVISION)

        async def work(one: Session) -> None:
            one.invoker.run = fail
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert (finished.function, finished.request_id) == ("Greeter", "request-1")
            assert (finished.outcome, finished.error) == ("failed", "ZeroDivisionError")
            assert finished.duration_ms >= 0

        assert session(work).stack.answers == {"request-1": {"error": DIVISION}}

    def test_one_that_does_not_get_through_is_sent_again(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            go = await one.runs(arrived())
            one.stack.loses = 3
            go.set()
            (finished,) = await one.finished()
            assert finished.outcome == "succeeded"

        assert len(session(work).stack.told("answer")) == 4

    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            ("ABANDONED", "has reported an error"),
            ("EXPIRED", "its time was over"),
            ("STARTED", "its time was over"),
            ("UNKNOWN", "does not know it"),
        ],
    )
    def test_one_that_nobody_waits_for_any_more_is_told(self, state: str, reason: str) -> None:
        async def work(one: Session) -> None:
            one.stack.state = state
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert finished.outcome == "abandoned"
            assert reason in str(finished.error)

        session(work)

    def test_in_place_of_one_that_is_refused_its_caller_gets_an_error(self) -> None:
        async def work(one: Session) -> None:
            one.stack.refuses = {"answer"}
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert finished.outcome == "abandoned"
            assert "It makes no sense." in str(finished.error)

        answer, error = session(work).stack.told("answer")
        assert "result" in json.loads(answer["body"])
        assert "It makes no sense." in json.loads(error["body"])["error"]["errorMessage"]

    @pytest.mark.parametrize("state", ["ANSWERED", "EXPIRED"])
    def test_that_it_was_paused_when_its_time_was_over_is_told(self, state: str) -> None:
        async def run_out(*_: Any) -> Outcome:
            return Outcome(None, make_error_report("Sandbox.Timedout", "too late"), was_paused=True)

        async def work(one: Session) -> None:
            one.invoker.run, one.stack.state = run_out, state
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert finished.was_paused

        session(work)

    def test_after_its_time_none_is_sent(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            invocation = arrived()
            go = await one.runs(invocation)
            with time_machine.travel(invocation.deadline + 1, tick=False):
                go.set()
                (finished,) = await one.finished()
            assert (finished.outcome, finished.error) == ("abandoned", "its time was over")

        assert session(work).stack.told("answer") == []


class TestClaims:
    def test_it_runs_only_once_it_was_claimed(self) -> None:
        async def work(one: Session) -> None:
            one.stack.is_deaf = True
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            for _ in range(10):
                await asyncio.sleep(0)
            assert one.invoker.invoked == []
            one.stack.is_deaf = False
            await one.finished()
            assert len(one.invoker.invoked) == 1

        session(work)

    @pytest.mark.parametrize(
        ("verdict", "reason"),
        [
            ("ABANDONED", "the function has run it by itself"),
            ("ANSWERED", "it was answered before"),
            ("EXPIRED", "its time was over"),
            ("WAITING", "its time was over"),
            ("UNKNOWN", "the helper stack does not know it"),
        ],
    )
    def test_one_that_is_void_is_told_and_does_not_run(self, verdict: str, reason: str) -> None:
        async def work(one: Session) -> None:
            one.stack.verdict = verdict
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert (finished.outcome, finished.error) == ("abandoned", reason)

        done = session(work)
        assert done.invoker.invoked == []
        assert done.stack.told("answer") == []

    def test_it_is_claimed_again_until_there_is_an_answer_and_runs_once(self) -> None:
        async def work(one: Session) -> None:
            one.stack.loses = 3
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            await one.finished()

        done = session(work)
        assert len(done.stack.told("claim")) == 4
        assert len(done.invoker.invoked) == 1

    def test_an_answer_that_comes_twice_runs_it_once(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            invocation = arrived()
            go = await one.runs(invocation)
            for _ in range(3):
                one.hear(wire.go("request-1", invocation.deadline))
            go.set()
            await one.finished()

        assert len(session(work).invoker.invoked) == 1

    def test_one_whose_answer_never_comes_is_given_up_in_time(self) -> None:
        async def work(one: Session) -> None:
            one.stack.is_deaf = True
            one.runner.add_function(instrumented())
            one.runner.start(arrived(seconds=0.05))
            (finished,) = await one.finished()
            assert (finished.outcome, finished.error) == ("abandoned", "its time was over")

        assert session(work).invoker.invoked == []

    def test_what_arrives_after_a_long_sleep_is_claimed_like_any_other(self) -> None:
        """Whether it is stale is for the helper stack to say: this clock may be off."""

        async def work(one: Session) -> None:
            one.stack.verdict = "ABANDONED"
            one.runner.add_function(instrumented())
            one.runner.start(replace(arrived(), sent_at=1000, deadline=1060))
            await one.finished()

        done = session(work)
        assert len(done.stack.told("claim")) == 1
        assert done.invoker.invoked == []


CLAIM: SignedRequest = {"url": "https://table", "headers": {}, "body": "{}"}


class TestClaimsThatGoToTheTable:
    """Each session begins with an invocation that shows how far the clocks are apart."""

    async def run_first(self, one: Session) -> InvocationArrived:
        one.runner.add_function(instrumented())
        now = time.time()
        first = replace(arrived("first"), sent_at=now, deadline=now + 60, claim=CLAIM)
        one.runner.start(first)
        await one.finished()
        one.stack.heard.clear()
        assert one.claims.taken == []
        return first

    async def run_one(self, one: Session, **changes: Any) -> InvocationFinished:
        first = await self.run_first(one)
        one.runner.start(replace(first, request_id="second", **changes))
        return (await one.finished(2))[-1]

    def test_one_that_is_taken_is_not_asked_for(self) -> None:
        async def work(one: Session) -> None:
            one.claims.verdicts = [True]
            assert (await self.run_one(one)).outcome == "succeeded"
            assert one.claims.taken == [CLAIM]
            assert [message["action"] for message in one.stack.heard] == ["answer"]

        session(work)

    def test_one_that_is_not_is(self) -> None:
        """What there is to say, the helper stack says."""

        async def work(one: Session) -> None:
            one.stack.verdict = "go"
            assert (await self.run_one(one)).outcome == "succeeded"
            assert one.claims.taken == [CLAIM]
            assert [message["action"] for message in one.stack.heard] == ["claim", "answer"]

        session(work)

    def test_one_that_is_not_answered_in_time_is_and_so_are_the_next(self) -> None:
        async def work(one: Session) -> None:
            one.claims.open.clear()
            assert (await self.run_one(one)).outcome == "succeeded"
            one.claims.open.set()
            now = time.time()
            one.runner.start(replace(arrived("third"), sent_at=now, deadline=now + 60, claim=CLAIM))
            await one.finished(3)
            assert one.claims.taken == [CLAIM]
            assert len(one.stack.told("claim")) >= 2

        session(work)

    @pytest.mark.parametrize(
        ("waited", "lasts"), [(3, 60), (3600, 60), (0, 1)], ids=["stopped", "asleep", "short"]
    )
    def test_what_may_be_over_is_asked_for(self, waited: float, lasts: float) -> None:
        async def work(one: Session) -> None:
            one.claims.verdicts = [True]
            sent_at = time.time() - waited
            await self.run_one(one, sent_at=sent_at, deadline=sent_at + lasts)
            assert one.claims.taken == []
            assert one.stack.told("claim")

        session(work)

    def test_so_is_what_had_to_wait_until_it_may_be_over(self) -> None:
        """For its function, which nobody had told of yet."""

        async def work(one: Session) -> None:
            one.claims.verdicts = [True]
            first = await self.run_first(one)
            one.runner.start(replace(first, request_id="second", function="Other"))
            with time_machine.travel(first.sent_at + 59, tick=False):
                one.runner.add_function(instrumented("Other"))
                await one.finished(2)
            assert one.claims.taken == []
            assert one.stack.told("claim")

        session(work)

    def test_one_that_took_no_time_at_all_shows_it_for_good(self) -> None:
        async def work(one: Session) -> None:
            one.claims.verdicts = [True]
            one.runner.add_function(instrumented())
            now = float(int(time.time()))
            for number, waited in enumerate([0, 1.5, 3]):
                sent_at = now - waited
                with time_machine.travel(now, tick=False):
                    one.runner.start(
                        replace(
                            arrived(str(number)), sent_at=sent_at, deadline=now + 60, claim=CLAIM
                        )
                    )
                await one.finished(number + 1)
            assert one.claims.taken == [CLAIM]

        session(work)

    @pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
    def test_a_clock_that_is_off_does_not_matter(self, ahead: float) -> None:
        async def work(one: Session) -> None:
            one.claims.verdicts = [True]
            one.runner.add_function(instrumented())
            for number, name in enumerate(["first", "second"]):
                there = time.time() - ahead
                one.runner.start(
                    replace(arrived(name), sent_at=there, deadline=there + 60, claim=CLAIM)
                )
                await one.finished(number + 1)
            assert one.claims.taken == [CLAIM]

        session(work)


class TestDeclining:
    def told(self, one: Session) -> str:
        (finished,) = one.ended
        assert finished.outcome == "abandoned"
        return str(finished.error)

    def test_while_too_many_wait(self) -> None:
        async def work(one: Session) -> None:
            one.runner.max_waiting = 2
            one.runner.add_function(instrumented())
            go = await one.runs(arrived("1"))
            one.runner.start(arrived("2"))
            one.runner.start(arrived("3"))
            assert "2 invocations wait here already" in self.told(one)
            assert "the function runs it by itself" in self.told(one)
            go.set()
            await one.finished(3)
            one.runner.start(arrived("4"))
            await one.finished(4)

        done = session(work)
        (declined,) = done.stack.told("decline")
        assert (declined["sessionId"], declined["requestId"]) == (SESSION_ID, "3")
        assert done.stack.answers.keys() == {"1", "2", "4"}

    def test_of_a_function_that_has_no_code_here(self) -> None:
        """One whose physical name is what was asked for may come along."""

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented("Stranger"))
            one.runner.start(arrived(function="Stranger"))
            prepared, finished = one.events
            assert isinstance(prepared, NotPrepared)
            assert prepared.function == "Stranger"
            assert isinstance(finished, InvocationFinished)
            for reason in (prepared.reason, str(finished.error)):
                assert "no code" in reason

        done = session(work)
        assert [message["action"] for message in done.stack.heard] == ["decline"]
        assert done.invoker.prepared == []

    def test_once_the_user_wants_to_detach(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            go = await one.runs(arrived("1"))
            one.runner.leave()
            one.runner.start(arrived("2"))
            assert "detaches" in self.told(one)
            go.set()
            await one.finished(2)

        done = session(work)
        assert [message["requestId"] for message in done.stack.told("decline")] == ["2"]
        assert done.stack.answers.keys() == {"1"}

    def test_a_later_try_of_what_runs_still(self) -> None:
        """Its function broke down; here, somebody is looking at it in a debugger."""

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            first = arrived()
            go = await one.runs(first)
            later = replace(first, deadline=first.deadline + 60)
            one.runner.start(later)
            assert "an earlier try" in self.told(one)
            go.set()
            await one.finished(2)
            assert one.stack.told("decline")[0]["deadline"] == later.deadline

        assert len(session(work).invoker.invoked) == 1


class TestTwice:
    def test_one_that_arrives_on_two_connections_runs_once(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            same = arrived()
            one.runner.start(same)
            one.runner.start(same)
            await one.finished()

        done = session(work)
        assert len(done.invoker.invoked) == 1
        assert done.stack.told("decline") == []

    def test_one_that_comes_again_after_its_end_does_not_run_again(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            same = arrived()
            one.runner.start(same)
            await one.finished()
            one.runner.start(same)
            one.runner.start(arrived("another"))
            await one.finished(2)

        done = session(work)
        assert len(done.invoker.invoked) == 2
        assert done.stack.told("decline") == []

    def test_lambdas_next_try_runs_again(self) -> None:
        """It repeats an asynchronous invocation that failed, under the same id."""

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            first = arrived()
            one.runner.start(first)
            await one.finished()
            one.runner.start(replace(first, deadline=first.deadline + 60))
            await one.finished(2)

        assert len(session(work).invoker.invoked) == 2


class TestClock:
    @pytest.mark.parametrize("off", [-600, -1, 0, 1, 600])
    def test_what_is_left_counts_not_what_time_it_is_here(self, off: float) -> None:
        """The clock here is ahead of the server's by ``off`` seconds."""
        here = 1_790_000_000

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            invocation = arrived()
            one.runner.start(replace(invocation, sent_at=here - off, deadline=here - off + 20))
            await one.finished()

        with time_machine.travel(here, tick=False):
            ((_, _, _, deadline),) = session(work).invoker.invoked
        assert deadline == here + 20


class TestLargeEvents:
    """They are fetched once the invocation is claimed: that may take a while."""

    def test_one_is_fetched(self) -> None:
        async def work(one: Session) -> None:
            one.transfer.objects["url-0"] = '{"large": true}'
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None, event_url="url-0"))
            await one.finished()

        ((_, event, _, _),) = session(work).invoker.invoked
        assert event == '{"large": true}'

    def test_one_of_what_is_void_is_not(self) -> None:
        async def work(one: Session) -> None:
            one.stack.verdict = "ABANDONED"
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None, event_url="url-0"))
            await one.finished()

        assert session(work).transfer.attempts == 0

    def test_it_is_tried_again_while_the_network_is_down(self) -> None:
        async def work(one: Session) -> None:
            one.transfer.objects["url-0"] = "{}"
            one.transfer.problems = [EndpointError("the network is down")] * 3
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None, event_url="url-0"))
            (finished,) = await one.finished()
            assert finished.outcome == "succeeded"

        assert session(work).transfer.attempts == 4

    def test_but_not_longer_than_its_caller_waits(self) -> None:
        async def work(one: Session) -> None:
            one.transfer.open.clear()
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None, event_url="url-0", seconds=0.05))
            (finished,) = await one.finished()
            assert (finished.outcome, finished.error) == ("abandoned", "its time was over")
            one.transfer.open.set()

        assert session(work).invoker.invoked == []

    def test_of_one_that_can_not_be_had_the_caller_is_told(self) -> None:
        """Nobody else runs the invocation any more."""

        async def work(one: Session) -> None:
            one.transfer.problems = [SessionError("The bucket refused it with 403.")]
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None, event_url="url-0"))
            (finished,) = await one.finished()
            assert finished.outcome == "failed"
            assert "403" in str(finished.error)

        done = session(work)
        assert done.invoker.invoked == []
        (body,) = done.stack.answers.values()
        assert body["error"]["errorType"] == "PlldbDebuggerError"
        assert "403" in body["error"]["errorMessage"]


class TestLargeAnswers:
    async def answer_with(self, one: Session, outcome: Outcome, seconds: float = 20) -> None:
        async def run(*_: Any) -> Outcome:
            return outcome

        one.invoker.run = run
        one.runner.add_function(instrumented())
        one.runner.start(arrived(seconds=seconds))
        await one.finished()

    def test_what_does_not_fit_a_message_is_uploaded(self) -> None:
        async def work(one: Session) -> None:
            await self.answer_with(one, LARGE)
            assert one.ended[0].outcome == "succeeded"

        done = session(work)
        (answer,) = done.stack.told("answer")
        assert answer["bodyKey"] == "key-1"
        assert "body" not in answer
        assert done.transfer.objects == {"url-1": f'{{"result": {LARGE.result}}}'}

    @given(st.integers(-50, 50), st.sampled_from(["x", '"', "\\", "é", "\N{GRINNING FACE}"]))
    def test_no_message_is_too_large(self, more: int, character: str) -> None:
        async def work(one: Session) -> None:
            around = len(wire.answer_message(SESSION_ID, "request-1", time.time(), body=""))
            each = len(json.dumps(json.dumps(character, ensure_ascii=False)[1:-1])) - 2
            length = (MAX_FRAME_BYTES - around) // each + more
            text = json.dumps(character * length, ensure_ascii=False)
            await self.answer_with(one, Outcome(text, None))

        done = session(work)
        for message in done.stack.heard:
            assert len(json.dumps(message)) <= MAX_FRAME_BYTES
        (answer,) = done.stack.told("answer")
        assert ("bodyKey" in answer) is bool(done.transfer.objects)

    def test_each_attempt_gets_a_url_of_its_own(self) -> None:
        """They are good for some minutes, and the network may be down for longer."""

        async def work(one: Session) -> None:
            one.transfer.problems = [EndpointError("the network is down")] * 2
            await self.answer_with(one, LARGE)

        done = session(work)
        (answer,) = done.stack.told("answer")
        assert answer["bodyKey"] == "key-3"
        assert done.transfer.objects.keys() == {"url-3"}

    def test_of_one_that_can_not_be_passed_on_the_caller_is_told(self) -> None:
        async def work(one: Session) -> None:
            one.transfer.problems = [SessionError("The bucket refused it with 403.")]
            await self.answer_with(one, LARGE)
            assert one.ended[0].outcome == "failed"
            assert "403" in str(one.ended[0].error)

        (body,) = session(work).stack.answers.values()
        assert body["error"]["errorType"] == "PlldbDebuggerError"

    def test_whose_upload_is_refused_is_not_known_any_more(self) -> None:
        async def work(one: Session) -> None:
            one.stack.refuses = {"upload"}
            await self.answer_with(one, LARGE)
            assert one.ended[0].outcome == "abandoned"

        assert session(work).stack.told("answer") == []

    def test_it_is_given_up_when_its_time_is_over(self) -> None:
        async def work(one: Session) -> None:
            one.transfer.open.clear()
            await self.answer_with(one, LARGE, seconds=0.1)
            assert one.ended[0].error == "its time was over"
            one.transfer.open.set()

        session(work)


class TestManyAtOnce:
    def test_each_gets_its_own_answer_in_whatever_order_they_end(self) -> None:
        names = [f"request-{number}" for number in range(20)]

        async def work(one: Session) -> None:
            all_run = asyncio.Event()
            turns = {name: asyncio.Event() for name in names}
            turns[names[-1]].set()

            async def run(_: LocalFunction, event: str, context: Any, __: float) -> Outcome:
                if len(one.invoker.invoked) == len(names):
                    all_run.set()
                await all_run.wait()
                number = names.index(context["aws_request_id"])
                await turns[names[number]].wait()
                if number:
                    turns[names[number - 1]].set()
                return Outcome(event, None)

            one.invoker.run = run
            one.runner.add_function(instrumented())
            one.runner.add_function(instrumented("Other"))
            for number, name in enumerate(names):
                one.runner.start(arrived(name, ("Greeter", "Other")[number % 2], event=f'"{name}"'))
            await one.finished(len(names))

        assert session(work).stack.answers == {name: {"result": name} for name in names}

    def test_one_that_fails_does_not_touch_the_others(self) -> None:
        async def work(one: Session) -> None:
            one.transfer.problems = [SessionError("gone")]
            one.runner.add_function(instrumented())
            one.runner.start(arrived("lost", event=None, event_url="url-0"))
            one.runner.start(arrived("fine"))
            finished = await one.finished(2)
            assert {each.request_id: each.outcome for each in finished} == {
                "lost": "failed",
                "fine": "succeeded",
            }

        session(work)


class TestFunctions:
    def test_an_invocation_that_overtakes_the_message_of_its_function_waits_for_it(self) -> None:
        """Unclaimed, so that its function does not wait with it for ever."""

        async def work(one: Session) -> None:
            one.runner.start(arrived())
            one.runner.start(arrived("request-2"))
            await asyncio.sleep(0)
            assert (one.invoker.invoked, one.stack.heard) == ([], [])
            one.runner.add_function(instrumented())
            await one.finished(2)

        assert session(work).stack.answers.keys() == {"request-1", "request-2"}

    def test_it_waits_for_the_layers_of_its_function(self) -> None:
        """Unclaimed as well: if they take too long, the function runs it by itself."""
        arn = "arn:aws:lambda:eu-west-1:123456789012:layer:x:1"

        async def work(one: Session) -> None:
            one.layers.clear()
            one.runner.add_function(instrumented(layers=[arn]))
            one.runner.start(arrived())
            await one.until(lambda: len(one.collected) == 1)
            assert (one.invoker.prepared, one.invoker.invoked, one.stack.heard) == ([], [], [])
            one.layers.set()
            await one.finished()

        done = session(work)
        common = DescribedLayer("Common", (Path("/layers/common"),))
        assert done.collected == [("Greeter", "python3.13", (common,), [arn])]
        ((ran, *_),) = done.invoker.invoked
        assert ran.layers == (Path("/layers/common"), Path("/fetched", arn))

    def test_but_not_for_long_or_the_debugger_counts_as_silent(self) -> None:
        async def work(one: Session) -> None:
            one.layers.clear()
            one.runner.add_function(instrumented(layers=["arn"]))
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert finished.outcome == "abandoned"
            assert "one of its layers not fetched" in finished.error
            assert [message["action"] for message in one.stack.heard] == ["decline"]
            one.layers.set()
            one.runner.start(arrived("request-2"))
            assert (await one.finished(2))[1].outcome == "succeeded"

        session(work, describing=0.05)

    def test_unless_its_callers_rather_wait(self) -> None:
        async def work(one: Session) -> None:
            one.layers.clear()
            one.runner.add_function(instrumented(layers=["arn"]))
            one.runner.start(arrived())
            await one.until(lambda: len(one.collected) == 1)
            await asyncio.sleep(0.1)  # longer than others would wait
            assert one.stack.heard == []
            one.layers.set()
            assert (await one.finished())[0].outcome == "succeeded"

        session(work, describing=0.05, callers_wait=True)

    def test_of_a_function_that_was_deployed_again_meanwhile_the_newer_layers_count(self) -> None:
        async def work(one: Session) -> None:
            one.layers.clear()
            one.runner.add_function(instrumented(layers=["old"]))
            one.runner.add_function(instrumented(layers=["new"]))
            one.runner.start(arrived())
            await one.until(lambda: len(one.collected) == 2)
            one.layers.set()
            await one.finished()
            one.runner.add_function(instrumented(layers=[]))
            one.runner.start(arrived("request-2"))
            await one.finished(2)

        (first, *_), (second, *_) = session(work).invoker.invoked
        assert first.layers[1:] == (Path("/fetched/new"),)
        assert second.layers[1:] == ()

    def test_but_not_longer_than_its_caller(self) -> None:
        async def work(one: Session) -> None:
            one.runner.start(arrived(seconds=0.01))
            (finished,) = await one.finished()
            assert finished.outcome == "abandoned"
            assert "how the function is deployed" in str(finished.error)
            # The others are not harmed.
            one.runner.start(arrived("request-2"))
            one.runner.add_function(instrumented())
            await one.finished(2)

        assert session(work).stack.answers.keys() == {"request-2"}

    def test_one_that_is_instrumented_again_runs_as_it_is_deployed_now(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.add_function(instrumented(handler="new.handler"))
            one.runner.start(arrived())
            await one.finished()

        ((function, *_),) = session(work).invoker.invoked
        assert function.handler == "new.handler"


class TestPreparing:
    REFUSAL = SourceError("No module named 'x'.", "Install it.")

    def test_what_can_be_run_here_is_told_with_interpreter_folder_and_time(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            await one.until(lambda: bool(one.events))

        done = session(work)
        assert done.events == [
            Prepared("Greeter", done.invoker.python, Path("/code/Greeter"), 7, "app.handler")
        ]

    def test_what_can_not_is_told_with_what_to_do(self) -> None:
        async def work(one: Session) -> None:
            one.invoker.refusal = self.REFUSAL
            one.runner.add_function(instrumented())
            await one.until(lambda: bool(one.events))

        assert session(work).events == [NotPrepared("Greeter", "No module named 'x'. Install it.")]

    def test_its_invocations_are_left_to_the_function_and_its_callers_get_their_answers(
        self,
    ) -> None:
        async def work(one: Session) -> None:
            one.invoker.refusal = self.REFUSAL
            one.runner.add_function(instrumented())
            for name in ("request-1", "request-2"):
                one.runner.start(arrived(name))
            await one.finished(2)

        done = session(work)
        assert {one.outcome for one in done.ended} == {"abandoned"}
        assert len(done.stack.told("decline")) == 2
        assert done.stack.told("claim") == []
        assert len([event for event in done.events if isinstance(event, NotPrepared)]) == 1

    def test_they_come_here_once_it_is_mended(self) -> None:
        async def work(one: Session) -> None:
            one.invoker.refusal = self.REFUSAL
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            await one.finished()
            one.invoker.refusal = None
            one.runner.start(arrived("request-2"))
            await one.finished(2)

        done = session(work)
        assert done.stack.answers.keys() == {"request-2"}
        kinds = [type(event) for event in done.events if not isinstance(event, InvocationFinished)]
        assert kinds == [NotPrepared, Prepared, InvocationStarted]

    def test_an_error_that_comes_later_is_the_callers(self) -> None:
        """Somebody works on the function: it answers what Lambda would with that code."""

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            await one.until(lambda: bool(one.events))
            one.invoker.refusal = self.REFUSAL
            one.runner.start(arrived())
            await one.finished()

        assert session(work).stack.answers.keys() == {"request-1"}

    def test_an_import_that_takes_long_is_waited_for_once_the_invocation_is_claimed(self) -> None:
        """Its function waits for the answer then, and nothing is imported twice at a time."""

        async def work(one: Session) -> None:
            one.invoker.gate = asyncio.Event()
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            await one.until(lambda: bool(one.stack.told("claim")))
            await asyncio.sleep(0.05)
            assert one.invoker.invoked == []
            one.invoker.gate.set()
            await one.finished()
            assert len(one.invoker.prepared) == len(one.invoker.invoked) == 1

        assert session(work).stack.answers.keys() == {"request-1"}

    def test_but_not_longer_than_its_caller_waits(self) -> None:
        async def work(one: Session) -> None:
            one.invoker.gate = asyncio.Event()
            one.runner.add_function(instrumented())
            # Enough to claim it, however slow this machine is.
            one.runner.start(arrived(seconds=3))
            await one.until(lambda: bool(one.invoker.invoked))

        session(work)

    def test_few_are_prepared_before_the_stack_is_ready_and_a_call_waits_for_none_of_them(
        self,
    ) -> None:
        async def work(one: Session) -> None:
            one.invoker.warm_limit = 1
            one.runner.add_function(instrumented("Other"))
            one.runner.add_function(instrumented())
            await one.until(lambda: len(one.events) == 1)
            await asyncio.sleep(0)
            assert [function.logical_id for function in one.invoker.prepared] == ["Other"]
            one.runner.start(arrived())
            await one.finished()
            one.runner.take_ready(100)
            await asyncio.sleep(0)

        assert session(work).stack.answers.keys() == {"request-1"}

    def test_the_others_are_looked_at_then(self) -> None:
        async def work(one: Session) -> None:
            one.invoker.warm_limit = 1
            one.runner.add_function(instrumented("Other"))
            one.runner.add_function(instrumented())
            one.runner.take_ready(100)
            await one.until(lambda: len(one.events) == 2)

        assert {function.logical_id for function in session(work).invoker.prepared} == {
            "Other",
            "Greeter",
        }

    def test_but_not_where_each_would_keep_a_child(self) -> None:
        async def work(one: Session) -> None:
            one.invoker.warm_limit, one.invoker.keeps_children = 1, True
            one.runner.add_function(instrumented("Other"))
            one.runner.add_function(instrumented())
            one.runner.take_ready(100)
            await one.until(lambda: len(one.events) == 1)
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(one.invoker.prepared) == 1
            # An editor has one started.
            assert [function.logical_id for function in one.invoker.served] == ["Greeter"]
            one.runner.start(arrived())
            await one.finished()

        assert len(session(work).invoker.prepared) == 2

    def test_another_python_than_the_functions_is_told_once(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented("Other", runtime="python3.11"))
            one.runner.add_function(instrumented(runtime="python3.11"))
            await one.until(lambda: len(one.events) == 3)

        done = session(work)
        assert [event for event in done.events if isinstance(event, InterpreterDiffers)] == [
            InterpreterDiffers("Other", "python3.11", done.invoker.python)
        ]


class TestBugs:
    def test_one_is_told_at_once_and_raised_at_the_end(self) -> None:
        seen: list[Session] = []

        async def crash(*_: Any) -> Outcome:
            raise ZeroDivisionError("a bug")

        async def work(one: Session) -> None:
            seen.append(one)
            one.invoker.run = crash
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            await one.until(lambda: one.bugs == 1)

        with pytest.raises(ZeroDivisionError, match="a bug") as raised:
            session(work)
        assert "crash" in [entry.name for entry in raised.traceback]
        (one,) = seen
        assert one.invoker.is_closed

    def test_the_first_of_several_is_raised(self) -> None:
        async def crash(_: Any, event: str, *__: Any) -> Outcome:
            raise KeyError(event)

        async def work(one: Session) -> None:
            one.invoker.run = crash
            one.runner.add_function(instrumented())
            one.runner.start(arrived("1", event="first"))
            await one.until(lambda: one.bugs == 1)
            one.runner.start(arrived("2", event="second"))
            await one.until(lambda: one.bugs == 2)

        with pytest.raises(KeyError, match="first"):
            session(work)


class TestClosing:
    def test_what_is_under_way_is_cancelled_before_the_children_end(self) -> None:
        cancelled: list[str] = []

        async def work(one: Session) -> None:
            runs = asyncio.Event()

            async def run(*_: Any) -> Outcome:
                runs.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    assert not one.invoker.is_closed
                    cancelled.append("it")
                    raise
                raise AssertionError("unreachable")

            one.invoker.run = run
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            one.runner.start(arrived("too early", "Other"))
            async with asyncio.timeout(DEADLINE):
                await runs.wait()

        done = session(work)
        assert cancelled == ["it"]
        assert done.stack.answers == {}
        named = [(event.request_id, event.outcome) for event in done.ended]
        assert named == [("request-1", "abandoned"), ("too early", "abandoned")]
        assert done.invoker.is_closed

    def test_with_nothing_under_way(self) -> None:
        async def work(one: Session) -> None:
            pass

        assert session(work).invoker.is_closed

    def test_an_upload_that_hangs_does_not_hold_it_up(self) -> None:
        async def work(one: Session) -> None:
            one.transfer.open.clear()
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None, event_url="url-0"))
            async with asyncio.timeout(DEADLINE):
                while not one.transfer.attempts:
                    await asyncio.sleep(0)

        one = session(work)
        assert one.invoker.is_closed
        one.transfer.open.set()


class TestAborting:
    """The session is over, and there is a moment for last words."""

    def test_the_caller_of_what_runs_is_told_at_once(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            go = await one.runs(arrived())
            one.runner.abort()
            (finished,) = one.ended
            assert (finished.outcome, finished.error) == ("abandoned", "the session has ended")
            # It may come to its end all the same.
            go.set()
            while one.invoker.invoked and len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0)

        done = session(work)
        assert len(done.ended) == 1
        body = json.loads(done.stack.told("answer")[0]["body"])
        assert body["error"]["errorType"] == "PlldbDebuggerLost"
        assert body["error"]["stackTrace"] == []

    def test_what_was_not_claimed_is_left_to_its_function(self) -> None:
        async def work(one: Session) -> None:
            one.runner.start(arrived())
            one.runner.abort()

        done = session(work)
        assert [message["action"] for message in done.stack.heard] == ["decline"]
        assert [event.outcome for event in done.ended] == ["abandoned"]

    def test_what_is_claimed_only_afterwards_does_not_begin(self) -> None:
        """The claim was on its way, and came before the last words."""

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            await one.until(lambda: bool(one.invoker.prepared))
            one.stack.is_deaf = True
            invocation = arrived()
            one.runner.start(invocation)
            await asyncio.sleep(0)
            one.runner.abort()
            one.stack.is_deaf = False
            one.hear(wire.go(invocation.request_id, invocation.deadline))
            await one.until(lambda: bool(one.stack.told("answer")))

        done = session(work)
        assert done.invoker.invoked == []
        body = json.loads(done.stack.told("answer")[0]["body"])
        assert body["error"]["errorType"] == "PlldbDebuggerLost"
        assert [event.outcome for event in done.ended] == ["abandoned"]

    def test_an_answer_that_is_on_its_way_is_not_contradicted(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            go = await one.runs(arrived())
            one.stack.loses = 1000
            go.set()
            await one.until(lambda: bool(one.stack.told("answer")))
            one.runner.abort()
            assert one.ended == []
            one.stack.loses = 0
            (finished,) = await one.finished()
            assert finished.outcome == "succeeded"

        bodies = {message["body"] for message in session(work).stack.told("answer")}
        assert bodies == {'{"result": 42}'}

    def test_nothing_is_accepted_any_more(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.abort()
            one.runner.start(arrived())

        done = session(work)
        assert [message["action"] for message in done.stack.heard] == ["decline"]


def test_the_log_tells_of_invocations_and_not_of_what_is_in_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="plldb")

    async def work(one: Session) -> None:
        one.transfer.objects["url-0"] = '"s3cret"'
        one.runner.add_function(instrumented(variables={"PASSWORD": "s3cret"}))
        one.runner.start(arrived(event=None, event_url="url-0"))
        one.runner.start(arrived("request-2", event='"s3cret"'))
        await one.finished(2)

    session(work)
    assert "request-2 of Greeter succeeded" in caplog.text
    for secret in ("s3cret", "url-0", SESSION_ID):
        assert secret not in caplog.text
