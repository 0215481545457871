"""Functions are redirected while somebody debugs them, and afterwards are what they were."""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
from collections.abc import Iterator
from typing import Any
from unittest.mock import ANY

import pytest
from lambda_functions.sessions.session import GRACE, LEASE

from plldb.aws import Target

from .debugging import Debuggee, attached, deployed, end_grace, function, restore, result
from .policies import TEMPLATE
from .support import DEADLINE_SECONDS, Backend, function_records, poll, random_name


def told(messages: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The messages of one type, by function."""
    return {message["function"]: message for message in messages if message["type"] == kind}


def ready(instrumented: int = 0, skipped: int = 0) -> dict[str, Any]:
    return {
        "type": "ready",
        "instrumented": instrumented,
        "skipped": skipped,
        "maxWaiting": TEMPLATE["Parameters"]["MaxWaitingInvocations"]["Default"],
        "stack": ANY,
    }


def has_instrumented(backend: Backend, session_id: str, since: float) -> bool:
    """Whether the function that was asked to instrument for the session has come to its end."""
    return any(
        record["route"] == "instrument" and record["sessionId"].startswith(session_id[:8])
        for record in function_records(backend, since)
    )


@pytest.fixture(scope="module")
def app(target: Target) -> Iterator[Debuggee]:
    resources = {
        "Fn0": function(Environment={"Variables": {"COLOUR": "green", "EMPTY": ""}}, Timeout=7),
        "Fn1": function(Description="the second one", MemorySize=256),
        "Fn2": function(),
        "Topic": {"Type": "AWS::SNS::Topic"},
    }
    with deployed(target, resources) as debuggee:
        yield debuggee


def test_a_function_is_told_of_as_its_user_deployed_it(backend: Backend, app: Debuggee) -> None:
    before = app.as_deployed

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            messages = await debugger.instrument()
            assert told(messages, "instrumented").keys() == {"Fn0", "Fn1", "Fn2"}
            assert told(messages, "instrumented")["Fn0"] == {
                "type": "instrumented",
                "function": "Fn0",
                "functionName": app.physical["Fn0"],
                "functionArn": app.found("Fn0")["FunctionArn"],
                "handler": "index.handler",
                "runtime": "python3.13",
                "timeout": 7,
                "memorySize": 128,
                "variables": {"COLOUR": "green", "EMPTY": ""},
                "logging": app.found("Fn0").get("LoggingConfig", {}),
                "layers": [],
                "aliases": [],
                "revision": app.found("Fn0")["RevisionId"],
            }
            assert messages[-1] == ready(instrumented=3)
            configuration = app.configuration("Fn0")
            assert configuration["Timeout"] == 900
            assert configuration["Environment"]["PLLDB_SESSION"] == debugger.session_id[:8]
            restored = await debugger.close()
            assert told(restored, "restored").keys() == {"Fn0", "Fn1", "Fn2"}
            assert restored[-1] == {"type": "closed"}
            assert app.configurations() == before

    with backend.reaper_off():
        asyncio.run(run())
    assert app.configurations() == before
    assert app.invoke("Fn0", 1).json == {"original": 1, "plldb": []}


def test_again_changes_nothing_and_tells_the_same(backend: Backend, app: Debuggee) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            first = await debugger.instrument("Fn0")
            revision = app.found("Fn0")["RevisionId"]
            assert await debugger.instrument("Fn0") == first
            assert app.found("Fn0")["RevisionId"] == revision

    asyncio.run(run())


def test_patterns_choose_by_logical_id_or_name(backend: Backend, app: Debuggee) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            messages = await debugger.instrument("Fn[01]", app.physical["Fn1"], "Topic", "fn2")
            assert told(messages, "instrumented").keys() == {"Fn0", "Fn1"}
            assert told(messages, "skipped").keys() == {"Topic", "fn2"}
            assert messages[-1] == ready(instrumented=2, skipped=2)

    asyncio.run(run())


@pytest.mark.parametrize(
    "message",
    [
        {"functions": "Fn0", "whenAbsent": "original", "takeOver": False},
        {"functions": [1], "whenAbsent": "original", "takeOver": False},
        {"functions": [""], "whenAbsent": "original", "takeOver": False},
        {"functions": ["x"] * 1001, "whenAbsent": "original", "takeOver": False},
        {"functions": [], "whenAbsent": "perhaps", "takeOver": False},
        {"functions": [], "whenAbsent": "original", "takeOver": "yes"},
        {"functions": [], "whenAbsent": [], "takeOver": False},
        {},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    backend: Backend, app: Debuggee, message: dict[str, Any]
) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            answer = await debugger.ask(action="instrument", **message)
            assert (answer["type"], answer["code"]) == ("error", "bad_request")
            assert "Holds" not in backend.item(debugger.session_id)

    asyncio.run(run())


def test_an_edit_made_meanwhile_stays(backend: Backend, app: Debuggee) -> None:
    before = app.as_deployed["Fn1"]

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument("Fn1")
            variables = app.configuration("Fn1")["Environment"]
            edited = variables | {"NEW": "yes"}
            app.update("Fn1", Environment={"Variables": edited}, MemorySize=512, Timeout=33)

    asyncio.run(run())
    assert app.configuration("Fn1") == before | {"Environment": {"NEW": "yes"}, "Timeout": 33}
    assert app.found("Fn1")["MemorySize"] == 512
    app.update("Fn1", Environment={"Variables": {}}, MemorySize=256, Timeout=before["Timeout"])


def test_a_heartbeat_lets_the_session_live_on(backend: Backend, app: Debuggee) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            backend.set_ttl(debugger.session_id, int(time.time()) + 60)
            began = time.time()
            answer = await debugger.ask(action="heartbeat")
            assert answer["type"] == "heartbeat"
            assert began + LEASE - 10 < answer["ttl"] <= time.time() + LEASE
            assert began - 10 < answer["time"] < time.time() + 10
            assert int(backend.item(debugger.session_id)["TTL"]) == answer["ttl"]
            await debugger.close()
            closed = backend.item(debugger.session_id)
            answer = await debugger.ask(action="heartbeat")
            assert (answer["type"], answer["code"]) == ("error", "session_closed")
            assert backend.item(debugger.session_id) == closed

    asyncio.run(run())


class TestEnds:
    def test_an_abrupt_one_restores_after_a_grace(self, backend: Backend, app: Debuggee) -> None:
        """A minute in which the debugger may come back. Then, whoever notices begins: a function
        that calls, or the reaper."""
        before = app.as_deployed

        async def run() -> float:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument()
                began = time.time()
                await debugger.cut_off()
                ends_at = int(backend.wait_for_status(debugger.session_id, "CLOSED")["TTL"])
                assert began + GRACE - 10 < ends_at <= time.time() + GRACE
                return ends_at

        ends_at = asyncio.run(run())
        are_held = all(app.is_held(name) for name in app.functions)
        assert are_held or time.time() >= ends_at

        def is_restored() -> bool:
            is_held = app.is_held("Fn0")
            assert is_held or time.time() >= ends_at
            outcome = app.invoke("Fn0", 1)
            assert outcome.was_stopped or outcome.json["original"] == 1
            return app.configurations() == before

        poll(is_restored, "restored", seconds=GRACE + DEADLINE_SECONDS)

    def test_a_reaper_that_comes_within_the_grace_restores_nothing(
        self, backend: Backend, app: Debuggee
    ) -> None:
        before = app.as_deployed

        async def run() -> str:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                await debugger.cut_off()
                ends_at = int(backend.wait_for_status(debugger.session_id, "CLOSED")["TTL"])
                backend.reap()
                is_held = app.is_held("Fn0")
                assert is_held or time.time() >= ends_at
                return debugger.session_id

        end_grace(backend, asyncio.run(run()))
        backend.reap_until(lambda: app.configurations() == before, "restored")

    def test_closing_in_the_middle_of_instrumenting_leaves_nothing(
        self, backend: Backend, app: Debuggee
    ) -> None:
        before = app.as_deployed

        async def run(pause: float) -> None:
            began = time.time()
            async with attached(backend, app.name) as debugger:
                await debugger.send(
                    action="instrument", functions=[], whenAbsent="original", takeOver=False
                )
                await asyncio.sleep(pause)
                await debugger.close()
            # Instrumenting may end after that, and finds the session gone.
            ended = lambda: has_instrumented(backend, debugger.session_id, began)  # noqa: E731
            await asyncio.to_thread(poll, ended, "the end of instrumenting")
            poll(lambda: app.configurations() == before, "restored")

        for pause in (0.0, 0.2, 0.5):
            asyncio.run(run(pause))

    def test_without_a_session_everything_is_restored_whoever_holds_it(
        self, backend: Backend, app: Debuggee
    ) -> None:
        before = app.as_deployed

        async def run() -> None:
            async with (
                attached(backend, app.name) as one,
                attached(backend, app.name) as other,
            ):
                await one.instrument("Fn0")
                await other.instrument("Fn1")
                answer = await asyncio.to_thread(restore, backend, app.name)
                assert answer == {"restored": ["Fn0", "Fn1"], "failed": {}}
                assert app.configurations() == before

        asyncio.run(run())
        assert restore(backend, app.name) == {"restored": [], "failed": {}}
        assert restore(backend, "no-such-stack") == {"restored": [], "failed": {}}

    def test_a_function_that_was_deleted_meanwhile_holds_nothing_up(
        self, backend: Backend, target: Target
    ) -> None:
        with deployed(target, {"Fn0": function(), "Fn1": function()}) as doomed:

            async def run() -> None:
                async with attached(backend, doomed.name) as debugger:
                    await debugger.instrument()
                    target.client("lambda").delete_function(FunctionName=doomed.physical["Fn0"])
                    assert told(await debugger.close(), "restored").keys() == {"Fn1"}

            with backend.reaper_off():
                asyncio.run(run())


class TestTwoSessions:
    def test_on_different_functions_they_work_side_by_side(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with (
                attached(backend, app.name) as one,
                attached(backend, app.name) as other,
            ):
                await asyncio.gather(one.instrument("Fn0"), other.instrument("Fn1"))
                outcomes = await asyncio.gather(
                    asyncio.to_thread(app.invoke, "Fn0"),
                    asyncio.to_thread(app.invoke, "Fn1"),
                    one.serve(lambda message, _: result(f"one: {message['function']}")),
                    other.serve(lambda message, _: result(f"other: {message['function']}")),
                )
                assert [o.json for o in outcomes[:2]] == ["one: Fn0", "other: Fn1"]
                await one.close()
                assert not app.is_held("Fn0")
                assert app.is_held("Fn1")

        asyncio.run(run())

    def test_the_second_on_a_function_is_told_who_holds_it(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with (
                attached(backend, app.name) as one,
                attached(backend, app.name) as other,
            ):
                await one.instrument("Fn0")
                revision = app.found("Fn0")["RevisionId"]
                messages = await other.instrument("Fn0")
                owner = backend.item(one.session_id)["Owner"]
                skipped = told(messages, "skipped")["Fn0"]
                assert owner in skipped["reason"]
                assert one.session_id[:8] in skipped["reason"]
                assert messages[-1] == ready(skipped=1)
                assert app.found("Fn0")["RevisionId"] == revision

        asyncio.run(run())

    def test_and_may_take_it_over(self, backend: Backend, app: Debuggee) -> None:
        before = app.as_deployed["Fn0"]

        async def run() -> None:
            async with (
                attached(backend, app.name) as one,
                attached(backend, app.name) as other,
            ):
                await one.instrument("Fn0")
                messages = await other.instrument("Fn0", take_over=True)
                assert told(messages, "instrumented")["Fn0"]["timeout"] == before["Timeout"]
                *_, taken = await one.until("taken")
                owner = backend.item(other.session_id)["Owner"]
                assert taken == {"type": "taken", "function": "Fn0", "by": owner}
                assert told(await one.close(), "restored") == {}
                outcome, _ = await asyncio.gather(
                    asyncio.to_thread(app.invoke, "Fn0"),
                    other.serve(lambda *_: result("the second's")),
                )
                assert outcome.json == "the second's"

        asyncio.run(run())
        assert app.configuration("Fn0") == before

    def test_what_a_crash_left_held_is_simply_taken(self, backend: Backend, app: Debuggee) -> None:
        before = app.as_deployed["Fn0"]

        async def run() -> None:
            async with attached(backend, app.name) as gone:
                await gone.instrument("Fn0")
                left_behind = app.configuration("Fn0")
                await gone.close()
                app.update(
                    "Fn0",
                    Handler=left_behind["Handler"],
                    Timeout=left_behind["Timeout"],
                    Layers=left_behind["Layers"],
                    Environment={"Variables": left_behind["Environment"]},
                )
            async with attached(backend, app.name) as debugger:
                messages = await debugger.instrument("Fn0")
                assert told(messages, "instrumented")["Fn0"]["handler"] == "index.handler"

        asyncio.run(run())
        assert app.configuration("Fn0") == before

    def test_of_two_at_once_exactly_one_gets_a_function(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with (
                attached(backend, app.name) as one,
                attached(backend, app.name) as other,
            ):
                answers = await asyncio.gather(one.instrument(), other.instrument())
                winners = [name for answer in answers for name in told(answer, "instrumented")]
                assert sorted(winners) == ["Fn0", "Fn1", "Fn2"]
                for debugger, answer in zip((one, other), answers, strict=True):
                    for name in told(answer, "instrumented"):
                        holder = app.configuration(name)["Environment"]["PLLDB_SESSION"]
                        assert holder == debugger.session_id[:8]

        asyncio.run(run())


class TestLimits:
    def test_what_can_not_be_debugged_is_named_with_its_reason(
        self, backend: Backend, target: Target
    ) -> None:
        layers = [layer(target) for _ in range(5)]
        variables = {"PADDING": "x" * 3900}
        resources = {
            "FnPython": function(Layers=layers[:4]),
            "FnNode": function("exports.handler = async () => 1", Runtime="nodejs22.x"),
            "FnLayers": function(Layers=layers),
            "FnVariables": function(Environment={"Variables": variables}),
        }
        with deployed(target, resources) as mixed:
            before = mixed.configurations()

            async def run() -> None:
                async with attached(backend, mixed.name) as debugger:
                    messages = await debugger.instrument()
                    assert told(messages, "instrumented").keys() == {"FnPython"}
                    reasons = {n: m["reason"] for n, m in told(messages, "skipped").items()}
                    assert "nodejs22.x" in reasons["FnNode"]
                    assert "5 layers" in reasons["FnLayers"]
                    assert "4 KB" in reasons["FnVariables"]
                    assert len(reasons) == 3

            asyncio.run(run())
            assert mixed.configurations() == before

    def test_a_function_of_another_helper_stack_is_left_alone(
        self, backend: Backend, target: Target
    ) -> None:
        variables = {"PLLDB_HELPER_STACK": "another-plldb"}
        resources = {"Fn0": function(), "Fn1": function(Environment={"Variables": variables})}
        with deployed(target, resources) as helper:
            before = helper.found("Fn1")["RevisionId"]

            async def run() -> None:
                async with attached(backend, helper.name) as debugger:
                    messages = await debugger.instrument(take_over=True)
                    assert told(messages, "instrumented").keys() == {"Fn0"}
                    assert "another-plldb" in told(messages, "skipped")["Fn1"]["reason"]
                    assert helper.found("Fn1")["RevisionId"] == before

            asyncio.run(run())

    def test_a_timeout_stays_within_the_queues_visibility_timeout(
        self, backend: Backend, target: Target
    ) -> None:
        def fed(queue: str, name: str) -> dict[str, Any]:
            return {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "EventSourceArn": {"Fn::GetAtt": [queue, "Arn"]},
                    "FunctionName": {"Ref": name},
                },
            }

        resources = {
            "Fn0": function(Timeout=10),
            "Fn1": function(Timeout=30),
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 45}},
            "Short": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 30}},
            "Mapping0": fed("Queue", "Fn0"),
            "Mapping1": fed("Short", "Fn1"),
        }
        with deployed(target, resources) as queued:
            before = queued.configurations()

            async def run() -> None:
                async with attached(backend, queued.name) as debugger:
                    await debugger.instrument()
                    timeouts = {n: queued.configuration(n)["Timeout"] for n in ("Fn0", "Fn1")}
                    assert timeouts == {"Fn0": 45, "Fn1": 30}

            asyncio.run(run())
            assert queued.configurations() == before

    def test_30_functions_and_back(self, backend: Backend, target: Target) -> None:
        """How long that takes is measured by ``make bench``."""
        with deployed(target, {f"Fn{number}": function() for number in range(30)}) as large:
            before = large.configurations()

            async def run() -> None:
                async with attached(backend, large.name) as debugger:
                    assert (await debugger.instrument())[-1]["instrumented"] == 30
                    # What is still being looked at is restored by whoever looks at it.
                    assert told(await debugger.close(), "restored")

            with backend.reaper_off():
                asyncio.run(run())
            poll(lambda: large.configurations() == before, "restored")


def layer(target: Target) -> str:
    """The ARN of a layer of the user's."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("python/nothing.py", "")
    published = target.client("lambda").publish_layer_version(
        LayerName=random_name("layer"), Content={"ZipFile": archive.getvalue()}
    )
    return str(published["LayerVersionArn"])


_WHERE = """
import os

def handler(event, context):
    print("on an emulator?")
    return os.environ.get("AWS_ENDPOINT_URL")
"""


def test_functions_know_an_emulator_by_which_their_calls_are_held_against_aws(
    target: Target,
) -> None:
    """The helper stack's let botocore validate all that they send, if there is this variable."""
    with deployed(target, {"Fn0": function(_WHERE)}) as debuggee:
        assert bool(debuggee.invoke("Fn0").json) is not target.is_aws
