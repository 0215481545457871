"""Invocations of a session run here: each is a task of its own, and its answer goes back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.frames import make_error_report
from plldb.debugger.invocation_runner import (
    InvocationFinished,
    InvocationRunner,
    NotPrepared,
    RunnerEvent,
)
from plldb.debugger.invoker import LocalFunction, Outcome
from plldb.debugger.protocol import Instrumented, InvocationArrived
from plldb.debugger.sources import CodeSource
from plldb.debugger.timing import Timing
from plldb.errors import (
    AnsweredError,
    CredentialsError,
    EndpointError,
    InvocationError,
    PlldbError,
    SourceError,
)

DEADLINE = 10
DIVISION = make_error_report("ZeroDivisionError", "division by zero")
SUCCESS = Outcome("42", None)

Run = Callable[[LocalFunction, str, dict[str, Any], float], Awaitable[Outcome]]


class FakeInvoker:
    """Answers each invocation with ``run``, and keeps what it was given."""

    def __init__(self) -> None:
        self.prepared: list[LocalFunction] = []
        self.invoked: list[tuple[LocalFunction, str, dict[str, Any], float]] = []
        self.refusal: PlldbError | None = None
        self.is_closed = False
        self.run: Run = self._succeed

    async def prepare(self, function: LocalFunction) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.prepared.append(function)

    async def invoke(
        self, function: LocalFunction, event: str, context: dict[str, Any], deadline: float
    ) -> Outcome:
        self.invoked.append((function, event, context, deadline))
        return await self.run(function, event, context, deadline)

    async def close(self) -> None:
        self.is_closed = True

    async def _succeed(self, *_: Any) -> Outcome:
        return SUCCESS


class FakeAnswerApi:
    """Holds ``events`` by request id, and keeps the answers."""

    def __init__(self) -> None:
        self.events: dict[str, str] = {}
        self.answers: dict[str, tuple[str | None, dict[str, Any] | None]] = {}
        self.refusal: PlldbError | None = None
        self.outage: PlldbError = EndpointError("the network is down")
        self.outages = self.event_outages = 0
        self.takes_during_outages = False
        self.is_asked = False
        self.stalled = threading.Event()
        self.stalled.set()

    def event_of(self, request_id: str) -> str:
        if self.event_outages:
            self.event_outages -= 1
            raise self.outage
        if request_id not in self.events:
            raise InvocationError("it has gone")
        return self.events[request_id]

    def answer_invocation(
        self, request_id: str, *, result: str | None, error: dict[str, Any] | None
    ) -> None:
        self.is_asked = True
        self.stalled.wait(DEADLINE)
        if self.refusal is not None:
            raise self.refusal
        if self.outages:
            self.outages -= 1
            if self.takes_during_outages:
                self.answers[request_id] = (result, error)
            raise self.outage
        if request_id in self.answers:
            raise AnsweredError("it has its answer")
        self.answers[request_id] = (result, error)


class Session:
    """A session of which ``Greeter`` and ``Other`` have code here; ``reported`` wakes its test."""

    def __init__(self) -> None:
        self.invoker, self.answer_api = FakeInvoker(), FakeAnswerApi()
        self.events: list[RunnerEvent] = []
        self.bugs = 0
        self._news = asyncio.Event()
        sources = {
            name: CodeSource(name, Path("/code", name), "template.handler")
            for name in ("Greeter", "Other")
        }
        self.runner = InvocationRunner(
            sources,
            "eu-west-1",
            self.invoker,  # type: ignore[arg-type]
            self.answer_api,
            self._report,
            Timing(first_retry=0.001, longest_retry=0.01),
            self._count_bug,
        )

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

    async def finished(self, count: int = 1) -> list[InvocationFinished]:
        """The invocations that have finished, once there are so many."""

        def found() -> list[InvocationFinished]:
            return [event for event in self.events if isinstance(event, InvocationFinished)]

        await self.until(lambda: len(found()) >= count)
        return found()


def session(work: Callable[[Session], Awaitable[None]]) -> Session:
    """``work`` with a session, which is closed after it."""

    async def main() -> Session:
        one = Session()
        await work(one)
        await one.runner.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return one

    return asyncio.run(main())


def instrumented(function: str = "Greeter", **changes: Any) -> Instrumented:
    given: dict[str, Any] = {
        "function_name": f"stack-{function}-1",
        "function_arn": "arn",
        "handler": "app.handler",
        "runtime": "python3.13",
        "timeout": 7,
        "memory_size": 256,
        "variables": {"TABLE": "t"},
    }
    return Instrumented(function, wire.instrumented(function, **given | changes))


def arrived(
    request_id: str = "request-1",
    function: str = "Greeter",
    event: str | None = "{}",
    seconds: float = 20,
) -> InvocationArrived:
    context = {"function_name": f"stack-{function}-1"}
    return InvocationArrived(request_id, function, time.time() + seconds, context, event)


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
        )
        assert done.invoker.prepared == [function]
        ((ran, event, context, deadline),) = done.invoker.invoked
        assert (ran, event) == (function, '{"name": null}')
        assert context == {"function_name": "stack-Greeter-1", "aws_request_id": "request-1"}
        assert deadline > time.time()
        assert done.answer_api.answers == {"request-1": ("42", None)}

    @pytest.mark.parametrize("result", ["null", "false", "0", '""', "[]", "{}"])
    def test_a_falsy_result_is_an_answer(self, result: str) -> None:
        async def run(*_: Any) -> Outcome:
            return Outcome(result, None)

        async def work(one: Session) -> None:
            one.invoker.run = run
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert (finished.outcome, finished.error) == ("succeeded", "")

        assert session(work).answer_api.answers == {"request-1": (result, None)}

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

        assert session(work).answer_api.answers == {"request-1": (None, DIVISION)}

    @pytest.mark.parametrize(
        "refusal",
        [InvocationError("nobody waits"), EndpointError("down"), CredentialsError("expired")],
    )
    def test_an_answer_that_nobody_takes_is_abandoned(self, refusal: PlldbError) -> None:
        async def work(one: Session) -> None:
            one.answer_api.refusal = refusal
            one.runner.add_function(instrumented())
            one.runner.start(arrived(seconds=0.05))
            (finished,) = await one.finished()
            assert (finished.outcome, finished.error) == ("abandoned", refusal.message)

        session(work)

    @pytest.mark.parametrize("was_taken", [True, False])
    def test_one_that_does_not_get_through_is_sent_again(self, was_taken: bool) -> None:
        """``was_taken``: it got through, but the confirmation did not."""

        async def work(one: Session) -> None:
            one.answer_api.outages = 3
            one.answer_api.takes_during_outages = was_taken
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert finished.outcome == "succeeded"

        assert session(work).answer_api.answers == {"request-1": ("42", None)}

    def test_so_is_one_that_can_not_be_signed_until_there_are_credentials_again(self) -> None:
        async def work(one: Session) -> None:
            one.answer_api.events["request-1"] = "{}"
            one.answer_api.outage = CredentialsError("expired")
            one.answer_api.event_outages = one.answer_api.outages = 2
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None))
            (finished,) = await one.finished()
            assert finished.outcome == "succeeded"

        assert session(work).answer_api.answers == {"request-1": ("42", None)}

    def test_an_answer_that_somebody_else_gave_is_told(self) -> None:
        async def work(one: Session) -> None:
            one.answer_api.answers["request-1"] = ("1", None)
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert finished.outcome == "abandoned"

        session(work)

    def test_an_end_meanwhile_does_not_wait_for_the_network(self) -> None:
        async def work(one: Session) -> None:
            one.answer_api.stalled.clear()
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            async with asyncio.timeout(DEADLINE):
                while not one.answer_api.is_asked:
                    await asyncio.sleep(0)

        one = session(work)
        assert one.invoker.is_closed
        assert one.answer_api.answers == {}
        one.answer_api.stalled.set()

    @pytest.mark.parametrize("refusal", [None, InvocationError("nobody waits")])
    def test_that_it_was_paused_when_its_time_was_over_is_told(
        self, refusal: PlldbError | None
    ) -> None:
        async def run_out(*_: Any) -> Outcome:
            return Outcome(None, make_error_report("Sandbox.Timedout", "too late"), was_paused=True)

        async def work(one: Session) -> None:
            one.invoker.run, one.answer_api.refusal = run_out, refusal
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            (finished,) = await one.finished()
            assert finished.was_paused

        session(work)


class TestTwice:
    def test_one_that_arrives_on_two_connections_runs_once(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.start(arrived())
            one.runner.start(arrived())
            await one.finished()

        assert len(session(work).invoker.invoked) == 1

    def test_one_that_is_handed_over_again_after_its_end_does_not_run_again(self) -> None:
        """The broker broke down after it had handed it over, and its function asked again."""

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            same = arrived()
            one.runner.start(same)
            await one.finished()
            one.runner.start(same)
            one.runner.start(arrived("another"))
            await one.finished(2)

        assert len(session(work).invoker.invoked) == 2

    def test_lambdas_next_try_runs_again(self) -> None:
        """It repeats an asynchronous invocation that failed, under the same id."""

        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            first = arrived()
            one.runner.start(first)
            await one.finished()
            one.answer_api.answers.clear()
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

    def test_a_helper_stack_that_does_not_say_is_believed(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.start(replace(arrived(), deadline=2_000_000_000))
            await one.finished()

        ((_, _, _, deadline),) = session(work).invoker.invoked
        assert deadline == 2_000_000_000


class TestEvents:
    def test_one_that_did_not_fit_into_the_message_is_fetched(self) -> None:
        async def work(one: Session) -> None:
            one.answer_api.events["request-1"] = '{"large": true}'
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None))
            await one.finished()

        ((_, event, _, _),) = session(work).invoker.invoked
        assert event == '{"large": true}'

    def test_one_that_has_gone_is_abandoned(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None))
            (finished,) = await one.finished()
            assert (finished.outcome, finished.error) == ("abandoned", "it has gone")

        done = session(work)
        assert (done.invoker.invoked, done.answer_api.answers) == ([], {})

    def test_one_that_does_not_get_through_is_fetched_again(self) -> None:
        async def work(one: Session) -> None:
            one.answer_api.events["request-1"] = "{}"
            one.answer_api.event_outages = 2
            one.runner.add_function(instrumented())
            one.runner.start(arrived(event=None))
            (finished,) = await one.finished()
            assert finished.outcome == "succeeded"

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

        done = session(work)
        assert done.answer_api.answers == {name: (f'"{name}"', None) for name in names}

    def test_one_that_fails_does_not_touch_the_others(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.start(arrived("lost", event=None))
            one.runner.start(arrived("fine"))
            finished = await one.finished(2)
            assert {each.request_id: each.outcome for each in finished} == {
                "lost": "abandoned",
                "fine": "succeeded",
            }

        session(work)


class TestUnknownFunctions:
    """One whose physical name is what was asked for may come along, without any code here."""

    def test_one_without_code_here_is_told(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented("Stranger"))

        done = session(work)
        (event,) = done.events
        assert isinstance(event, NotPrepared)
        assert event.function == "Stranger"
        assert "no code" in event.reason
        assert done.invoker.prepared == []

    def test_and_its_callers_are_told_instead_of_being_kept_waiting(self) -> None:
        async def work(one: Session) -> None:
            one.runner.start(arrived(function="Stranger"))
            (finished,) = await one.finished()
            assert finished.outcome == "failed"

        ((result, error),) = session(work).answer_api.answers.values()
        assert result is None
        assert error is not None
        assert "request-1" in error["errorMessage"]
        assert "no code" in error["errorMessage"]
        assert error.keys() == {"errorType", "errorMessage", "stackTrace"}

    def test_an_invocation_that_overtakes_the_message_of_its_function_waits_for_it(self) -> None:
        async def work(one: Session) -> None:
            one.runner.start(arrived())
            one.runner.start(arrived("request-2"))
            await asyncio.sleep(0)
            assert one.invoker.invoked == []
            one.runner.add_function(instrumented())
            await one.finished(2)

        assert session(work).answer_api.answers.keys() == {"request-1", "request-2"}

    def test_but_not_longer_than_its_caller(self) -> None:
        async def work(one: Session) -> None:
            one.runner.start(arrived(seconds=0.01))
            (finished,) = await one.finished()
            assert finished.outcome == "abandoned"
            # The others are not harmed.
            one.runner.start(arrived("request-2"))
            one.runner.add_function(instrumented())
            await one.finished(2)

        assert session(work).answer_api.answers.keys() == {"request-2"}

    def test_one_that_is_instrumented_again_runs_as_it_is_deployed_now(self) -> None:
        async def work(one: Session) -> None:
            one.runner.add_function(instrumented())
            one.runner.add_function(instrumented(handler="new.handler"))
            one.runner.start(arrived())
            await one.finished()

        ((function, *_),) = session(work).invoker.invoked
        assert function.handler == "new.handler"


class TestPreparing:
    def test_what_can_not_be_started_is_told_with_what_to_do(self) -> None:
        async def work(one: Session) -> None:
            one.invoker.refusal = SourceError("It has no debugpy.", "Install it.")
            one.runner.add_function(instrumented())
            await one.until(lambda: bool(one.events))

        assert session(work).events == [NotPrepared("Greeter", "It has no debugpy. Install it.")]


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
    def test_what_is_under_way_is_cancelled_without_an_answer(self) -> None:
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
        assert done.answer_api.answers == {}
        assert done.events == []
        assert done.invoker.is_closed

    def test_with_nothing_under_way(self) -> None:
        async def work(one: Session) -> None:
            pass

        assert session(work).invoker.is_closed
