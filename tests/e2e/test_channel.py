"""An invocation runs at the debugger's, and the caller does not see the difference.

First with functions that are instrumented, then with both ends by hand, for each state there is.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from lambda_functions.shared.constants import MAX_FRAME_BYTES

from plldb.aws import Target

from .debugging import (
    TRIES,
    Debuggee,
    Debugger,
    FunctionEnd,
    Message,
    Outcome,
    attached,
    deployed,
    end_grace,
    function,
    function_end,
    new_invocation,
    result,
)
from .support import (
    DEADLINE_SECONDS,
    Backend,
    function_logs,
    opened,
    poll,
)

FUNCTIONS = [f"Fn{number}" for number in range(5)]


@pytest.fixture(scope="module")
def app(target: Target) -> Iterator[Debuggee]:
    with deployed(target, {name: function() for name in FUNCTIONS}) as debuggee:
        yield debuggee


async def invoke(app: Debuggee, name: str, event: Any = None) -> Outcome:
    return await asyncio.to_thread(app.invoke, name, event)


async def invoke_once(app: Debuggee, name: str, event: Any = None) -> Outcome:
    return await asyncio.to_thread(app.invoke_once, name, event)


def token_of(app: Debuggee, name: str) -> str:
    return str(app.configuration(name)["Environment"]["PLLDB_TOKEN"])


# --- Functions and a debugger ---------------------------------------------------------------------


async def debugged(
    app: Debuggee, debugger: Debugger, event: Any, body: dict[str, Any]
) -> tuple[Any, Outcome]:
    """The event that arrived, and the outcome for the caller."""
    arrived = []

    def handle(_: Message, event: Any) -> dict[str, Any]:
        arrived.append(event)
        return body

    outcome, _ = await asyncio.gather(invoke(app, "Fn0", event), debugger.serve(handle))
    return arrived[0], outcome


VALUES: list[Any] = [
    None,
    False,
    True,
    0,
    -0.0,
    1.5e300,
    2**63,
    "",
    "x",
    '"quoted" \\ and\nbroken',
    "äöü 中文 🐍 \u0000",
    [],
    {},
    [None, False, 0, "", [], {}],
    {"": {"deep": [{"er": {"and": ["deeper", None]}}]}, "error": 1, "result": None},
]


def test_every_json_value_passes_unchanged_both_ways(backend: Backend, app: Debuggee) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument("Fn0")
            for value in VALUES:
                arrived, outcome = await debugged(app, debugger, value, result(value))
                assert repr(arrived) == repr(value)
                assert (repr(outcome.json), outcome.error) == (repr(value), None)

    asyncio.run(run())


@pytest.mark.parametrize("size", [20_000, 40_000, 250_000, 6_000_000])
def test_large_events_and_results_pass_whole(backend: Backend, app: Debuggee, size: int) -> None:
    # Quotes, so that escaping makes it larger on its way.
    value = {"text": '"' * (size // 20) + "x" * (size - size // 10 - 100)}

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument("Fn0")
            arrived, outcome = await debugged(app, debugger, value, result(value))
            assert arrived == value
            assert (outcome.json == value, outcome.error) == (True, None)
            for message in debugger.said:
                assert len(json.dumps(message)) <= MAX_FRAME_BYTES

    asyncio.run(run())


def test_the_message_has_what_the_debugger_needs_and_nothing_that_it_must_not_have(
    backend: Backend, app: Debuggee
) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument("Fn0")
            before = time.time()
            await debugged(app, debugger, {"a": 1}, result(1))
            *_, message = [m for m in debugger.said if m["type"] == "invocation"]
            uuid.UUID(message["requestId"])
            assert message["function"] == "Fn0"
            assert before < message["sentAt"] < time.time()
            assert before + 890 < message["deadline"] < time.time() + 900
            assert (json.loads(message["event"]), message["eventUrl"]) == ({"a": 1}, None)
            context = message["context"]
            assert context["function_name"] == app.physical["Fn0"]
            assert context["function_version"] == "$LATEST"
            assert app.physical["Fn0"] in context["invoked_function_arn"]
            # A claim says who makes it, and of what.
            assert debugger.session_id in message["claim"]["body"]
            text = json.dumps(message | {"claim": None})
            assert debugger.session_id not in text
            assert "AWS_" not in text
            assert "PLLDB" not in text
            assert token_of(app, "Fn0") not in text

    asyncio.run(run())


def test_an_error_comes_back_with_its_type_message_and_trace(
    backend: Backend, app: Debuggee
) -> None:
    trace = [
        '  File "/var/task/shop/app.py", line 12, in handler\n    return charge(event)\n',
        '  File "/var/task/shop/till.py", line 345, in charge\n    raise CardError("no: ä")\n',
    ]
    error = {"errorType": "CardError", "errorMessage": "no: ä", "stackTrace": trace}

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument("Fn0")
            _, outcome = await debugged(app, debugger, 1, {"error": error})
            assert outcome.error == "Unhandled"
            assert outcome.json["errorMessage"] == "no: ä"
            if "stackTrace" in outcome.json:
                assert outcome.json["errorType"] == "CardError"
                assert outcome.json["stackTrace"] == trace
            else:
                # Where the engine reports no trace, its log has it.
                assert "".join(trace) + "CardError: no: ä" in outcome.log
            # The next one is not affected.
            _, outcome = await debugged(app, debugger, 1, result(2))
            assert (outcome.json, outcome.error) == (2, None)

    asyncio.run(run())


def test_100_invocations_at_once_over_5_functions_are_each_answered_once(
    backend: Backend, app: Debuggee
) -> None:
    """Many environments start at once for it, so some may find the helper stack slow."""
    runs: Counter[int] = Counter()

    def handle(message: Message, event: Any) -> dict[str, Any]:
        runs[event["number"]] += 1
        return result({"function": message["function"], "number": event["number"]})

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument(*FUNCTIONS)
            calls = [(FUNCTIONS[number % 5], number) for number in range(100)]
            serving = asyncio.create_task(debugger.serve(handle, 100, seconds=600))
            outcomes = await asyncio.gather(
                *(invoke_once(app, name, {"number": number}) for name, number in calls),
            )
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            for (name, number), outcome in zip(calls, outcomes, strict=True):
                assert outcome.error is None, outcome.text
                if "original" in outcome.json:
                    assert outcome.json["original"] == {"number": number}
                    assert runs[number] == 0, "it ran on both sides"
                else:
                    assert outcome.json == {"function": name, "number": number}
                    assert runs[number] == 1

    asyncio.run(run())


class TestNobodyThere:
    def test_when_the_lease_has_run_out_the_original_answers(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                backend.set_ttl(debugger.session_id, int(time.time()) - 1)
                # By itself, the call has the function restored.
                outcome = await invoke_once(app, "Fn0", {"a": 1})
                assert outcome.json == {"original": {"a": 1}, "plldb": []}
                assert "plldb: no debugger attached, running the original" in outcome.log

        with backend.reaper_off():
            asyncio.run(run())

    def test_or_an_error_is_raised_if_the_developer_wanted_that(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0", when_absent="error")
                backend.set_ttl(debugger.session_id, int(time.time()) - 1)
                outcome = await invoke_once(app, "Fn0")
                assert outcome.error == "Unhandled"
                assert "no debugger attached" in outcome.json["errorMessage"]

        with backend.reaper_off():
            asyncio.run(run())

    @pytest.mark.parametrize("url", ["ws://127.0.0.1:1/plldb", "no URL"])
    def test_a_helper_stack_that_can_not_be_reached_holds_nobody_up(
        self, backend: Backend, app: Debuggee, url: str
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                variables = app.configuration("Fn0")["Environment"]
                app.update(
                    "Fn0", Environment={"Variables": variables | {"PLLDB_WEBSOCKET_URL": url}}
                )
                outcome = await invoke_once(app, "Fn0", 1)
                assert outcome.json == {"original": 1, "plldb": []}

        asyncio.run(run())

    def test_a_debugger_that_claims_nothing_is_found_out_and_asked_no_more(
        self, backend: Backend, app: Debuggee
    ) -> None:
        """Until it gives a sign of life."""

        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                while "Silent" not in backend.item(debugger.session_id):
                    first = await invoke_once(app, "Fn0", "first")
                    assert first.json["original"] == "first"
                invocation = await debugger.next_invocation()
                second = await invoke_once(app, "Fn0", "second")
                assert second.json["original"] == "second"
                told = await debugger.what_is_on_its_way()
                assert '"second"' not in [one.get("event") for one in told], "it was asked for"
                refused = await debugger.claim(invocation)
                assert (refused["type"], refused["state"]) == ("void", "ABANDONED")

                assert (await debugger.ask(action="heartbeat"))["type"] == "heartbeat"
                _, outcome = await debugged(app, debugger, "third", result("here"))
                assert outcome.json == "here"

        asyncio.run(run())

    def test_what_a_debugger_declines_the_function_runs(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                waiting = asyncio.create_task(invoke(app, "Fn0", 1))
                while not waiting.done():
                    next_one = asyncio.create_task(debugger.next_invocation())
                    await asyncio.wait({waiting, next_one}, return_when=asyncio.FIRST_COMPLETED)
                    if next_one.done():
                        await debugger.decline(next_one.result())
                    next_one.cancel()
                    await asyncio.wait({next_one})
                assert (await waiting).json["original"] == 1
                _, outcome = await debugged(app, debugger, 2, result("here"))
                assert outcome.json == "here"

        asyncio.run(run())


class TestAnAbruptEnd:
    """Of the debugger; its session keeps the functions for a minute, in case it comes back."""

    def test_before_it_has_begun_the_function_runs_its_own_handler(
        self, backend: Backend, app: Debuggee
    ) -> None:
        """And so do those that follow, until all is restored."""
        before = app.as_deployed["Fn0"]

        async def run() -> list[Outcome]:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                waiting = asyncio.create_task(invoke(app, "Fn0", "first"))
                await debugger.next_invocation()
                await debugger.cut_off()
                outcomes = [await waiting]
                ends_at = int(backend.wait_for_status(debugger.session_id, "CLOSED")["TTL"])
                outcomes.append(await invoke(app, "Fn0", "next"))
                is_held = app.is_held("Fn0")
                assert is_held or time.time() >= ends_at, "it may come back"
                end_grace(backend, debugger.session_id)
                started = time.monotonic()
                while app.configuration("Fn0") != before:
                    outcomes.append(await invoke(app, "Fn0", "next"))
                    assert time.monotonic() - started < DEADLINE_SECONDS
                return [*outcomes, await invoke(app, "Fn0", "last")]

        outcomes = asyncio.run(run())
        stopped = [outcome for outcome in outcomes if outcome.was_stopped]
        assert len(stopped) <= 1, "restored once, it is stopped once"
        outcomes = [outcome for outcome in outcomes if not outcome.was_stopped]
        assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
        events = [outcome.json["original"] for outcome in outcomes]
        assert events == ["first", *["next"] * (len(events) - 2), "last"]

    def test_once_it_has_begun_it_is_an_error_and_nobody_runs_it_again(
        self, backend: Backend, app: Debuggee
    ) -> None:
        before = app.as_deployed["Fn0"]

        async def run() -> Outcome:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                waiting = asyncio.create_task(invoke(app, "Fn0", 1))
                await debugger.begin_next()
                await debugger.cut_off()
                end_grace(backend, debugger.session_id)
                return await waiting

        outcome = asyncio.run(run())
        assert outcome.was_lost, outcome
        assert "the original runs" not in outcome.log

        def is_restored() -> bool:
            outcome = app.invoke("Fn0", 2)
            assert outcome.was_stopped or outcome.json["original"] == 2
            return app.configuration("Fn0") == before

        poll(is_restored, "restored")

    def test_a_deadline_that_passes_is_an_error_and_no_success(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                app.update("Fn0", Timeout=10)
                # On a busy machine, the engine may say it first.
                for _ in range(TRIES):
                    waiting = asyncio.create_task(invoke(app, "Fn0"))
                    invocation = await debugger.begin_next()
                    outcome = await waiting
                    assert outcome.error == "Unhandled"
                    late = await debugger.answer(invocation, result(1))
                    assert late["state"] in ("STARTED", "EXPIRED")
                    if "Task timed out" not in outcome.json["errorMessage"]:
                        break
                assert "did not answer before" in outcome.json["errorMessage"]
                app.update("Fn0", Timeout=3)  # not the one that plldb set, so nobody restores it

        asyncio.run(run())


# --- Both ends by hand ----------------------------------------------------------------------------


@asynccontextmanager
async def both_ends(backend: Backend, app: Debuggee) -> AsyncIterator[tuple[Debugger, FunctionEnd]]:
    """A debugger that holds Fn0, and the end of that function."""
    async with attached(backend, app.name) as debugger:
        await debugger.instrument("Fn0")
        async with function_end(backend, token_of(app, "Fn0")) as end:
            yield debugger, end


async def accepted(debugger: Debugger, end: FunctionEnd) -> tuple[dict[str, Any], Message]:
    """A new invocation: its id, and what the debugger is told of it."""
    id, word = await end.invoke()
    assert word == {"type": "accepted"} | id
    invocation = await debugger.next_invocation()
    assert {name: invocation[name] for name in id} == id
    return id, invocation


async def started(debugger: Debugger, end: FunctionEnd) -> tuple[dict[str, Any], Message]:
    id, invocation = await accepted(debugger, end)
    assert await debugger.claim(invocation) == {"type": "go"} | id
    return id, invocation


class TestStates:
    def test_from_the_invocation_to_the_answer(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                id, invocation = await accepted(debugger, end)
                assert await end.ask(action="await", **id) == {"type": "accepted"} | id
                for _ in range(2):
                    assert await debugger.claim(invocation) == {"type": "go"} | id
                assert await end.ask(action="await", **id) == {"type": "started"} | id
                assert await end.ask(action="abandon", **id) == {"type": "started"} | id
                recorded = await debugger.answer(invocation, result(7))
                assert recorded == {"type": "recorded", "state": "ANSWERED"} | id
                answer = await end.receive()
                assert answer == {"type": "answer", "body": '{"result": 7}', "bodyUrl": None} | id
                for action in ("await", "abandon"):
                    assert await end.ask(action=action, **id) == answer
                refused = await debugger.claim(invocation)
                assert refused == {"type": "void", "state": "ANSWERED"} | id

        asyncio.run(run())

    def test_of_two_answers_the_first_counts(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                _, invocation = await started(debugger, end)
                for value in ("first", "second"):
                    recorded = await debugger.answer(invocation, result(value))
                    assert recorded["state"] == "ANSWERED"
                    # It is passed on again, in case it was not the first time.
                    assert json.loads((await end.receive())["body"]) == result("first")

        asyncio.run(run())

    def test_what_a_function_takes_back_nobody_begins(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                id, invocation = await accepted(debugger, end)
                for _ in range(2):
                    assert (await end.ask(action="abandon", **id))["type"] == "absent"
                assert (await end.ask(action="await", **id))["type"] == "absent"
                refused = await debugger.claim(invocation)
                assert (refused["type"], refused["state"]) == ("void", "ABANDONED")
                late = await debugger.answer(invocation, result(1))
                assert late["state"] == "ABANDONED"
                assert await end.is_told_nothing()

        asyncio.run(run())

    def test_an_answer_without_a_claim_is_none(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                id, invocation = await accepted(debugger, end)
                assert (await debugger.answer(invocation, result(1)))["state"] == "WAITING"
                assert await end.is_told_nothing()
                assert (await end.ask(action="abandon", **id))["type"] == "absent"

        asyncio.run(run())

    def test_one_that_comes_too_late_is_not_passed_on(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                id, word = await end.invoke(acceptBefore=time.time() - 0.1)
                assert (word["type"], word["requestId"]) == ("absent", id["requestId"])
                assert await debugger.is_told_nothing()

        asyncio.run(run())

    @pytest.mark.parametrize("action", ["abandon", "await"])
    def test_one_that_is_overtaken_by_a_question_is_not_passed_on(
        self, backend: Backend, app: Debuggee, action: str
    ) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                message = new_invocation()
                id = {name: message[name] for name in ("requestId", "deadline")}
                assert (await end.ask(action=action, **id))["type"] == "absent"
                assert (await end.ask(**message))["type"] == "absent"
                assert await debugger.is_told_nothing()

        asyncio.run(run())

    def test_one_that_comes_twice_is_passed_on_once(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                message = new_invocation()
                for _ in range(2):
                    assert (await end.ask(**message))["type"] == "accepted"
                invocation = await debugger.next_invocation()
                assert await debugger.is_told_nothing()
                assert (await debugger.claim(invocation))["type"] == "go"
                assert (await end.ask(**message))["type"] == "started"

        asyncio.run(run())

    def test_lambdas_next_try_of_an_invocation_is_another_one(
        self, backend: Backend, app: Debuggee
    ) -> None:
        """It comes under the same id, with another deadline."""

        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                first = new_invocation()
                await end.ask(**first)
                former = await debugger.next_invocation()
                assert (await debugger.claim(former))["type"] == "go"
                again = first | {"deadline": first["deadline"] + 30}
                assert (await end.ask(**again))["type"] == "accepted"
                invocation = await debugger.next_invocation()
                assert (await debugger.answer(former, result("former")))["state"] != "ANSWERED"
                assert (await debugger.claim(former))["type"] == "void"
                assert (await debugger.claim(invocation))["type"] == "go"
                assert (await debugger.answer(invocation, result(2)))["state"] == "ANSWERED"
                assert json.loads((await end.receive())["body"]) == result(2)

        asyncio.run(run())

    def test_a_function_that_reconnects_hears_the_answer_there(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                id, invocation = await started(debugger, end)
                await end.cut_off()
                async with function_end(backend, token_of(app, "Fn0")) as again:
                    assert (await again.ask(action="await", **id))["type"] == "started"
                    assert (await debugger.answer(invocation, result(1)))["state"] == "ANSWERED"
                    assert json.loads((await again.receive())["body"]) == result(1)

        asyncio.run(run())

    def test_one_that_reconnects_after_the_answer_asks_for_it(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                id, invocation = await started(debugger, end)
                await end.cut_off()
                assert (await debugger.answer(invocation, result(1)))["state"] == "ANSWERED"
                async with function_end(backend, token_of(app, "Fn0")) as again:
                    answer = await again.ask(action="await", **id)
                    assert json.loads(answer["body"]) == result(1)

        asyncio.run(run())

    def test_what_has_begun_in_a_session_is_answered_from_the_one_that_resumes(
        self, backend: Backend, app: Debuggee
    ) -> None:
        """The former session's id proves whose answer it is, over whatever connection."""

        async def run() -> None:
            async with both_ends(backend, app) as (former, end):
                id, _has_begun = await started(former, end)
                waiting_id, _ = await accepted(former, end)
                await former.cut_off()
                backend.wait_for_status(former.session_id, "CLOSED")
                assert (await end.ask(action="await", **id))["type"] == "started"
                _, word = await end.invoke()
                assert word["type"] == "absent", "meanwhile, functions run on their own"

                async with attached(backend, app.name) as debugger:
                    assert await debugger.resume(former.session_id) == {"type": "resumed"}
                    by_former = {"sessionId": former.session_id}
                    claim = by_former | {"action": "claim"} | waiting_id
                    assert (await debugger.ask(**claim))["type"] == "go"
                    body = json.dumps(result(1))
                    for one in (id, waiting_id):
                        answer = by_former | {"action": "answer", "body": body} | one
                        assert (await debugger.ask(**answer))["state"] == "ANSWERED"
                        answered = {"type": "answer", "body": body, "bodyUrl": None} | one
                        assert await end.receive() == answered
                    # And what comes from now on is this session's.
                    await accepted(debugger, end)

        asyncio.run(run())

    def test_what_waits_when_its_session_is_closed_the_function_runs(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                waits, _ = await accepted(debugger, end)
                has_begun, invocation = await started(debugger, end)
                await debugger.close()
                for _ in range(2):
                    assert (await end.ask(action="await", **waits))["type"] == "absent"
                    assert (await end.ask(action="await", **has_begun))["type"] == "gone"
                assert (await debugger.answer(invocation, result(1)))["state"] == "ABANDONED"

        asyncio.run(run())


class TestManyAtOnce:
    def test_100_invocations_over_5_functions_are_each_run_and_answered_once(
        self, backend: Backend, app: Debuggee
    ) -> None:
        """Of functions that wait as long as it takes."""
        runs: Counter[int] = Counter()

        def handle(message: Message, event: Any) -> dict[str, Any]:
            runs[event] += 1
            return result([message["function"], event])

        async def call(token: str, numbers: range) -> dict[int, Any]:
            async with function_end(backend, token) as end:
                ids: dict[str, int] = {}
                for number in numbers:
                    event, name = json.dumps(number), FUNCTIONS[number % 5]
                    message = new_invocation(280, function=name, event=event)
                    ids[message["requestId"]] = number
                    await end.send(**message)
                answers: dict[int, Any] = {}
                while len(answers) < len(numbers):
                    message = await end.receive(150)
                    assert message["type"] in ("accepted", "answer"), message
                    if message["type"] == "answer":
                        number = ids[message["requestId"]]
                        assert number not in answers, "it was answered twice"
                        answers[number] = json.loads(message["body"])["result"]
                assert await end.is_told_nothing()
                return answers

        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument(*FUNCTIONS)
                token = token_of(app, "Fn0")
                *answers, _ = await asyncio.gather(
                    *(call(token, range(first, first + 4)) for first in range(0, 100, 4)),
                    debugger.serve(handle, 100, seconds=150),
                )
                got = {number: value for some in answers for number, value in some.items()}
                assert got == {number: [FUNCTIONS[number % 5], number] for number in range(100)}

        asyncio.run(run())
        assert runs == Counter(range(100))


class TestPayloads:
    def test_an_event_that_fits_no_message_is_refused_in_one(
        self, backend: Backend, app: Debuggee
    ) -> None:
        """It fits the function's message, but not what the debugger would be told."""

        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                _, word = await end.invoke(event=json.dumps("x" * (MAX_FRAME_BYTES - 10)))
                assert word["type"] == "absent"
                assert await debugger.is_told_nothing()

        asyncio.run(run())

    def test_uploads_serve_both_ends(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                request_id, event = str(uuid.uuid4()), json.dumps("e" * 100_000)
                upload = await end.ask(action="upload", requestId=request_id)
                await asyncio.to_thread(debugger.put, upload["url"], event)
                _, word = await end.invoke(requestId=request_id, event=None, eventKey=upload["key"])
                assert word["type"] == "accepted"
                invocation = await debugger.next_invocation()
                assert invocation["event"] is None
                assert await asyncio.to_thread(debugger.get, invocation["eventUrl"]) == event
                assert (await debugger.claim(invocation))["type"] == "go"
                body = result("r" * 100_000)
                assert (await debugger.answer(invocation, body))["state"] == "ANSWERED"
                answer = await end.receive()
                assert answer["body"] is None
                text = await asyncio.to_thread(debugger.get, answer["bodyUrl"])
                assert json.loads(text) == body

        asyncio.run(run())

    def test_answers_that_make_no_sense_are_refused_and_a_good_one_still_counts(
        self, backend: Backend, app: Debuggee
    ) -> None:
        bad_bodies: list[Any] = [
            {},
            [],
            {"result": 1, "error": {"errorType": "E", "errorMessage": "m", "stackTrace": []}},
            {"error": "text"},
            {"error": {"errorType": "E", "errorMessage": "m"}},
            {"error": {"errorType": "E", "errorMessage": "m", "stackTrace": [1]}},
            {"result": "x" * MAX_FRAME_BYTES},
        ]
        bad: list[dict[str, Any]] = [
            {},
            {"body": "no JSON"},
            {"body": {"result": 1}},
            {"bodyKey": "payloads/other/" + "0" * 32},
            {"bodyKey": "plldb/lambda_functions.zip"},
            {"body": '{"result": 1}', "bodyKey": "payloads/plldb/" + "0" * 32},
            *({"body": json.dumps(body)} for body in bad_bodies),
        ]

        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                _, invocation = await started(debugger, end)
                for fields in bad:
                    refused = await debugger.answer_with(invocation, **fields)
                    assert (refused["type"], refused["code"]) == ("error", "bad_request"), fields
                assert (await debugger.answer(invocation, result(1)))["state"] == "ANSWERED"
                assert json.loads((await end.receive())["body"]) == result(1)

        asyncio.run(run())

    def test_invocations_that_make_no_sense_are_refused(
        self, backend: Backend, app: Debuggee
    ) -> None:
        bad: list[dict[str, Any]] = [
            {"requestId": ""},
            {"requestId": "token#" + "0" * 64},
            {"requestId": 7},
            {"function": "no id"},
            {"deadline": "soon"},
            {"deadline": True},
            {"deadline": -1},
            {"acceptBefore": None},
            {"context": []},
            {"event": None},
            {"event": 1},
            {"event": "x" * (MAX_FRAME_BYTES + 1)},
            {"eventKey": "payloads/plldb/" + "0" * 32},
            {"event": None, "eventKey": "plldb/lambda_functions.zip"},
        ]

        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                for changes in bad:
                    _, word = await end.invoke(**changes)
                    assert (word["type"], word["code"]) == ("error", "bad_request"), changes
                assert await debugger.is_told_nothing()
                await accepted(debugger, end)

        asyncio.run(run())


class TestWhoMay:
    @pytest.mark.parametrize("token", ["", "wrong", "x" * 43, "é"])
    def test_a_token_that_is_none_opens_no_connection(self, backend: Backend, token: str) -> None:
        async def attempt() -> object:
            return await opened(backend.connect_function(token))

        assert asyncio.run(attempt()) == 403

    def test_a_token_opens_any_number_and_none_of_them_is_the_sessions(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                token, item = token_of(app, "Fn0"), backend.item(debugger.session_id)
                for _ in range(3):
                    async with function_end(backend, token) as another:
                        assert await another.is_told_nothing()
                await end.cut_off()
                await accepted_over_another(debugger, token)
                assert backend.item(debugger.session_id)["ConnectionId"] == item["ConnectionId"]

        async def accepted_over_another(debugger: Debugger, token: str) -> None:
            async with function_end(backend, token) as another:
                await accepted(debugger, another)

        asyncio.run(run())

    def test_a_token_opens_its_own_sessions_invocations_only(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with (
                both_ends(backend, app) as (debugger, end),
                attached(backend, app.name) as other,
            ):
                await other.instrument("Fn1")
                async with function_end(backend, token_of(app, "Fn1")) as thief:
                    id, invocation = await accepted(debugger, end)
                    nothing = ("absent", "gone")
                    for action in ("await", "abandon"):
                        assert (await thief.ask(action=action, **id))["type"] in nothing
                    stolen = new_invocation() | id
                    assert (await thief.ask(**stolen))["type"] == "absent"
                    assert await other.is_told_nothing()
                    # What it was about is as it was.
                    assert (await debugger.claim(invocation))["type"] == "go"
                    assert (await thief.ask(action="await", **id))["type"] in nothing
                    assert (await debugger.answer(invocation, result(1)))["state"] == "ANSWERED"
                    assert (await end.receive())["type"] == "answer"
                    for action in ("await", "abandon"):
                        assert (await thief.ask(action=action, **id))["type"] in nothing

        asyncio.run(run())

    def test_a_session_has_its_own_invocations_only(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with (
                both_ends(backend, app) as (debugger, end),
                attached(backend, app.name) as other,
            ):
                _, invocation = await accepted(debugger, end)
                assert (await other.claim(invocation))["type"] == "void"
                await other.decline(invocation)
                assert await other.is_told_nothing()
                assert (await debugger.claim(invocation))["type"] == "go"
                assert (await other.answer(invocation, result("theirs")))["state"] != "ANSWERED"
                assert await end.is_told_nothing()
                assert (await debugger.answer(invocation, result("mine")))["state"] == "ANSWERED"
                assert json.loads((await end.receive())["body"]) == result("mine")

        asyncio.run(run())

    def test_neither_end_may_do_what_is_the_others(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                id, _ = await accepted(debugger, end)
                for action in ("claim", "decline", "answer", "instrument", "resume", "close"):
                    word = await end.ask(action=action, **id, body='{"result": 1}')
                    assert (word["type"], word["code"]) == ("error", "bad_request")
                word = await end.ask(action="heartbeat")
                assert (word["type"], word["code"]) == ("error", "bad_request")
                for action in ("abandon", "await"):
                    word = await debugger.ask(action=action, **id)
                    assert (word["type"], word["code"]) == ("error", "bad_request")
                word = await debugger.ask(**new_invocation())
                assert (word["type"], word["code"]) == ("error", "bad_request")
                assert (await end.ask(action="await", **id))["type"] == "accepted"

        asyncio.run(run())

    def test_a_message_with_an_unknown_token_opens_nothing(
        self, backend: Backend, app: Debuggee
    ) -> None:
        """Whatever connection it comes by."""

        async def run() -> None:
            async with both_ends(backend, app) as (debugger, end):
                id, _ = await accepted(debugger, end)
                word = await end.ask(token="wrong", action="upload", requestId=id["requestId"])
                assert (word["type"], word["code"]) == ("error", "bad_request")
                for message in (new_invocation(), {"action": "abandon"} | id):
                    word = await end.ask(**message | {"token": "wrong"})
                    assert word["type"] in ("absent", "error")
                assert await debugger.is_told_nothing()
                assert (await end.ask(action="await", **id))["type"] == "accepted"

        asyncio.run(run())

    def test_no_secret_is_whole_in_a_table_a_log_or_a_function(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> tuple[str, str]:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                token = token_of(app, "Fn0")
                await debugged(app, debugger, 1, result(1))
                assert debugger.session_id not in json.dumps(app.found("Fn0"), default=str)
                return debugger.session_id, token

        session_id, token = asyncio.run(run())
        table = scan(backend.target, backend.helper.debugger_table)
        assert token not in table
        assert "AWS_SECRET" not in table
        logs = poll(lambda: function_logs(backend), "logs")
        logs += group_log(backend.target, f"/aws/lambda/{app.physical['Fn0']}")
        assert session_id not in logs
        assert token not in logs


def scan(target: Target, table: str) -> str:
    pages = target.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return json.dumps([item for page in pages for item in page["Items"]])


def group_log(target: Target, group: str) -> str:
    logs = target.client("logs")
    try:
        pages = list(logs.get_paginator("filter_log_events").paginate(logGroupName=group))
    except logs.exceptions.ResourceNotFoundException:
        return ""
    return "\n".join(event["message"] for page in pages for event in page["events"])
