"""What tests see of a session's invocations, and how they wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plldb.debugger.children.invoker import Outcome
from plldb.debugger.invocation_runner import NotPrepared
from plldb.debugger.protocol import Ready, Skipped
from plldb.errors import ConnectionLostError
from plldb.pytest_plugin.attached_fixture import PlldbAttached
from plldb.pytest_plugin.session_watch import SessionWatch
from plldb.pytest_plugin.stack_fixture import PlldbStack
from tests.unit.replay.test_history import ERROR, finished, started, written

SECONDS = 30
ANSWER = Outcome('{"total": 1}', None)


@pytest.fixture
def watch() -> SessionWatch:
    return SessionWatch("shop")


def attached_to(watch: SessionWatch) -> PlldbAttached:
    stack = SimpleNamespace(functions={"Greeter": "shop-Greeter", "Biller": "shop-Biller"})
    return PlldbAttached(cast("PlldbStack", stack), watch, lambda: None)


def later(watch: SessionWatch, *events: Any) -> threading.Thread:
    """In another thread, as a session's come."""

    def take() -> None:
        for event in events:
            watch.take(event)

    thread = threading.Thread(target=take)
    thread.start()
    return thread


def run(watch: SessionWatch, id_: str, result: Outcome = ANSWER, **changes: Any) -> None:
    watch.take(started(id_, **changes))
    watch.take(finished(id_, result=result))


class TestInvocations:
    def test_one_that_is_over(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        watch.take(started())
        watch.take(written("hello"))
        watch.take(finished(result=ANSWER))
        [one] = attached.invocations
        assert (one.function, one.event, one.answer) == ("Greeter", {"n": 1}, {"total": 1})
        assert (one.outcome, one.state, one.is_finished) == ("succeeded", "finished", True)
        assert one.output == ("hello",)
        assert one.failure is None

    def test_one_that_failed(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        run(watch, "r1", Outcome(None, ERROR))
        [one] = attached.invocations
        assert one.failure is not None
        assert (one.failure.kind, one.failure.message) == ("KeyError", "'total'")
        assert str(one) == "Greeter failed (KeyError: 'total')"

    def test_one_that_runs_and_then_has_run(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        watch.take(started())
        [running] = attached.invocations
        assert not running.is_finished
        watch.take(finished(result=ANSWER))
        [over] = attached.invocations
        assert over.is_finished
        assert not running.is_finished, "it is as it was"

    def test_those_before_a_test_are_none_of_its(self, watch: SessionWatch) -> None:
        run(watch, "r1")
        attached = attached_to(watch)
        run(watch, "r2")
        assert [one.id for one in attached.invocations] == ["r2"]


class TestWaiting:
    def test_for_one_that_comes(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        thread = later(watch, started(), finished(result=ANSWER))
        assert attached.wait_for_invocation("Greeter", seconds=SECONDS).answer == {"total": 1}
        thread.join()

    def test_for_one_of_a_kind(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        run(watch, "r1", event='{"n": 1}')
        run(watch, "r2", event='{"n": 2}')
        found = attached.wait_for_invocation(where=lambda one: one.event["n"] == 2, seconds=0)
        assert found.id == "r2"

    def test_for_several_in_their_order(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        for number in range(4):
            run(watch, f"r{number}")
        found = attached.wait_for_invocations(3, seconds=0)
        assert [one.id for one in found] == ["r0", "r1", "r2"]

    def test_in_vain_it_is_said_what_came_and_what_does_not_come(self, watch: SessionWatch) -> None:
        watch.take(Skipped("Biller", "its code is not here"))
        watch.take(Skipped("Other", "--function leaves it out", is_unchosen=True))
        attached = attached_to(watch)
        run(watch, "r1")
        run(watch, "r2", Outcome(None, ERROR))
        with pytest.raises(AssertionError) as raised:
            attached.wait_for_invocations(3, "Greeter", seconds=0)
        assert str(raised.value).splitlines() == [
            "2 of 3 invocations of Greeter within 0 s. Seen:",
            '  Greeter succeeded: {"n":1} → {"total":1}',
            "  Greeter failed (KeyError: 'total'): {\"n\":1}",
            "Biller does not run here: its code is not here",
        ]
        assert dict(attached.skipped) == {"Biller": "its code is not here"}

    def test_for_what_does_not_run_here_is_over_at_once(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        thread = later(watch, NotPrepared("Biller", "no module named x"))
        with pytest.raises(AssertionError, match="Biller does not run here: no module named x"):
            attached.wait_for_invocation("Biller", seconds=SECONDS)
        thread.join()

    def test_nobody_waits_for_a_function_that_there_is_not(self, watch: SessionWatch) -> None:
        with pytest.raises(KeyError):
            attached_to(watch).wait_for_invocation("Greter", seconds=SECONDS)

    def test_for_all_that_is_under_way(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        attached.wait_until_idle(seconds=0)
        watch.take(started())
        with pytest.raises(AssertionError, match="Greeter"):
            attached.wait_until_idle(seconds=0)
        thread = later(watch, finished(result=ANSWER))
        attached.wait_until_idle(seconds=SECONDS)
        thread.join()

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (ConnectionLostError("The session is lost.", "Look."), "The session is lost. Look."),
            (None, "The session has ended."),
        ],
    )
    def test_a_session_that_ends_is_the_reason(
        self, watch: SessionWatch, error: Exception | None, said: str
    ) -> None:
        attached = attached_to(watch)
        thread = threading.Thread(target=watch.end, args=(error,))
        thread.start()
        with pytest.raises(pytest.fail.Exception) as raised:
            attached.wait_for_invocation(seconds=SECONDS)
        assert str(raised.value) == said
        thread.join()

    def test_what_came_before_its_end_has_come(self, watch: SessionWatch) -> None:
        attached = attached_to(watch)
        run(watch, "r1")
        watch.end(None)
        assert attached.wait_for_invocation(seconds=0).id == "r1"


class TestWatch:
    def test_it_knows_once_functions_come_here(self, watch: SessionWatch) -> None:
        assert watch.instrumented is None
        watch.take(NotPrepared("Greeter", "no such module"))
        watch.take(Ready(1, 0, 50))
        assert watch.instrumented == 1
        assert watch.skipped == {"Greeter": "no such module"}

    def test_a_deadline_passes(self, watch: SessionWatch) -> None:
        never: Callable[[], bool] = lambda: False  # noqa: E731
        assert not watch.wait_for(never, 0)
