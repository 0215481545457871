"""An invocation runs at the debugger's, and the caller does not see the difference."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from plldb.aws import Target

from .debugging import Debuggee, Debugger, Outcome, attached, deployed, function, result
from .support import (
    DEADLINE_SECONDS,
    Backend,
    Keys,
    allowed,
    function_logs,
    poll,
    reset,
    user,
)

FUNCTIONS = [f"Fn{number}" for number in range(5)]


@pytest.fixture(scope="module")
def app(target: Target) -> Iterator[Debuggee]:
    with deployed(target, {name: function() for name in FUNCTIONS}) as debuggee:
        yield debuggee


async def invoke(app: Debuggee, name: str, event: Any = None) -> Outcome:
    return await asyncio.to_thread(app.invoke, name, event)


async def debugged(
    app: Debuggee, debugger: Debugger, event: Any, body: dict[str, Any]
) -> tuple[Any, Outcome]:
    """The event that arrived, and the outcome for the caller."""
    arrived = []

    def handle(_: dict[str, Any], event: Any) -> dict[str, Any]:
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
                assert len(json.dumps(message)) < 32 * 1024

    asyncio.run(run())


def test_the_message_has_what_the_debugger_needs_and_nothing_that_it_must_not_have(
    backend: Backend, app: Debuggee
) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument("Fn0")
            before = time.time()
            await debugged(app, debugger, {"a": 1}, result(1))
            (message,) = [m for m in debugger.said if m["type"] == "invocation"]
            uuid.UUID(message["requestId"])
            assert message["function"] == "Fn0"
            assert before + 890 < message["deadline"] < time.time() + 900
            context = message["context"]
            assert context["function_name"] == app.physical["Fn0"]
            assert context["function_version"] == "$LATEST"
            assert app.physical["Fn0"] in context["invoked_function_arn"]
            text = json.dumps(message)
            assert debugger.session_id not in text
            assert "AWS_" not in text
            assert "PLLDB" not in text
            assert app.configuration("Fn0")["Environment"]["PLLDB_TOKEN"] not in text

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


def test_50_invocations_at_once_over_5_functions_get_each_its_own_answer(
    backend: Backend, app: Debuggee
) -> None:
    def handle(message: dict[str, Any], event: Any) -> dict[str, Any]:
        return result({"function": message["function"], "number": event["number"]})

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument(*FUNCTIONS)
            calls = [(FUNCTIONS[number % 5], number) for number in range(50)]
            *outcomes, _ = await asyncio.gather(
                *(invoke(app, name, {"number": number}) for name, number in calls),
                debugger.serve(handle, 50, seconds=150),
            )
            answers = [outcome.json for outcome in outcomes]
            assert answers == [{"function": name, "number": number} for name, number in calls]

    asyncio.run(run())


class TestNobodyThere:
    def test_when_the_session_has_ended_the_original_answers(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                backend.set_ttl(debugger.session_id, int(time.time()) - 1)
                outcome = await invoke(app, "Fn0", {"a": 1})
                assert outcome.json == {"original": {"a": 1}, "plldb": []}
                assert "plldb: no debugger attached, running the original" in outcome.log

        asyncio.run(run())

    def test_or_an_error_is_raised_if_the_developer_wanted_that(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0", when_absent="error")
                backend.set_ttl(debugger.session_id, int(time.time()) - 1)
                outcome = await invoke(app, "Fn0")
                assert outcome.error == "Unhandled"
                assert "no debugger attached" in outcome.json["errorMessage"]

        asyncio.run(run())

    def test_a_broker_that_can_not_be_reached_holds_nobody_up(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                variables = app.configuration("Fn0")["Environment"]
                edited = variables | {"PLLDB_BROKER_URL": "http://127.0.0.1:1/plldb"}
                app.update("Fn0", Environment={"Variables": edited})
                outcome = await invoke(app, "Fn0", 1)
                assert outcome.json == {"original": 1, "plldb": []}

        asyncio.run(run())

    def test_an_abrupt_end_in_the_middle_of_an_invocation(
        self, backend: Backend, app: Debuggee
    ) -> None:
        """The one that waits and those that follow get the original's answer; all is restored."""
        before = app.configuration("Fn0")

        async def run() -> list[Outcome]:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                waiting = asyncio.create_task(invoke(app, "Fn0", "first"))
                await debugger.until("invocation")
                reset(debugger.websocket)
                started = time.monotonic()
                outcomes = [await waiting]
                while app.configuration("Fn0") != before:
                    outcomes.append(await invoke(app, "Fn0", "next"))
                    assert time.monotonic() - started < DEADLINE_SECONDS
                return [*outcomes, await invoke(app, "Fn0", "last")]

        outcomes = asyncio.run(run())
        assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
        events = [outcome.json["original"] for outcome in outcomes]
        assert events == ["first", *["next"] * (len(events) - 2), "last"]

    def test_a_deadline_that_passes_is_an_error_and_no_success(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                app.update("Fn0", Timeout=4)
                waiting = asyncio.create_task(invoke(app, "Fn0"))
                *_, message = await debugger.until("invocation")
                outcome = await waiting
                assert outcome.error == "Unhandled"
                assert "did not answer before" in outcome.json["errorMessage"]
                late = debugger.post_result(message["requestId"], result(1))
                assert late.status_code == 410
                app.update("Fn0", Timeout=3)  # not the one that plldb set, so nobody restores it

        asyncio.run(run())


class TestAnswers:
    def test_the_first_counts_and_the_second_changes_nothing(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                waiting = asyncio.create_task(invoke(app, "Fn0"))
                *_, message = await debugger.until("invocation")
                first = debugger.post_result(message["requestId"], result("first"))
                second = debugger.post_result(message["requestId"], result("second"))
                assert (first.status_code, first.json()) == (200, {"state": "answered"})
                assert second.status_code == 409
                assert second.json()["message"]
                assert (await waiting).json == "first"

        asyncio.run(run())

    def test_to_an_invocation_that_was_given_up_it_is_too_late(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                waiting = asyncio.create_task(invoke(app, "Fn0", 1))
                *_, message = await debugger.until("invocation")
                backend.set_ttl(debugger.session_id, int(time.time()) - 1)
                assert (await waiting).json["original"] == 1
                assert debugger.post_result(message["requestId"], result(2)).status_code == 410

        asyncio.run(run())

    def test_bad_ones_are_refused_and_a_good_one_still_counts(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                waiting = asyncio.create_task(invoke(app, "Fn0"))
                *_, message = await debugger.until("invocation")
                for body in (
                    {},
                    [],
                    {"result": 1},
                    {"result": "no json"},
                    {"result": "1", "error": {"errorType": "E", "errorMessage": "m"}},
                    {"error": "text"},
                    {"error": {"errorType": "E"}},
                    {"error": {"errorType": "E", "errorMessage": "m", "stackTrace": [1]}},
                    {"resultKey": "payloads/other/" + "0" * 32},
                    {"result": json.dumps("x" * 200_001)},
                ):
                    refused = debugger.post_result(message["requestId"], body)
                    assert (refused.status_code, list(refused.json())) == (400, ["message"]), body
                unknown = debugger.post_result(str(uuid.uuid4()), result(1))
                assert unknown.status_code == 404
                assert debugger.post_result(message["requestId"], result("good")).ok
                assert (await waiting).json == "good"

        asyncio.run(run())

    @pytest.mark.needs("iam")
    def test_only_the_sessions_owner_may_look_and_answer(
        self, backend: Backend, app: Debuggee, nobody: Keys, colleague: Keys
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                waiting = asyncio.create_task(invoke(app, "Fn0"))
                *_, message = await debugger.until("invocation")
                path = f"/invocations/{message['requestId']}"
                for keys in (nobody, colleague):
                    assert debugger.get(f"{path}/event", keys).status_code == 403
                    assert debugger.post(f"{path}/uploads", None, keys).status_code == 403
                    assert debugger.post(f"{path}/result", result(1), keys).status_code == 403
                unsigned = requests.post(
                    f"{backend.helper.management_api_url}{path}/result", json=result(1), timeout=30
                )
                assert unsigned.status_code in (401, 403)
                assert debugger.post(f"{path}/result", result("mine")).ok
                assert (await waiting).json == "mine"

        asyncio.run(run())


@pytest.fixture
def colleague(target: Target) -> Iterator[Keys]:
    """Somebody else who may call every API."""
    with user(target, allowed("execute-api:Invoke")) as (_, keys):
        yield keys


class TestTokens:
    def as_function(
        self, backend: Backend, method: str, path: str, token: str | None, body: Any = None
    ) -> requests.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = backend.helper.management_api_url + path
        return requests.request(method, url, json=body, headers=headers, timeout=30)

    def test_a_token_opens_its_own_session_only(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with (
                attached(backend, app.name) as mine,
                attached(backend, app.name) as other,
            ):
                await mine.instrument("Fn0")
                await other.instrument("Fn1")
                token = app.configuration("Fn1")["Environment"]["PLLDB_TOKEN"]
                waiting = asyncio.create_task(invoke(app, "Fn0"))
                *_, message = await mine.until("invocation")
                path = f"/debug/invocations/{message['requestId']}"
                answer = await asyncio.to_thread(self.as_function, backend, "GET", path, token)
                assert answer.status_code == 404
                stolen = {
                    "requestId": message["requestId"],
                    "function": "Fn1",
                    "deadline": time.time() + 60,
                    "context": {},
                    "event": "1",
                }
                answer = self.as_function(backend, "POST", "/debug/invocations", token, stolen)
                assert answer.status_code == 410
                assert mine.post_result(message["requestId"], result("mine")).ok
                assert (await waiting).json == "mine"

        asyncio.run(run())

    @pytest.mark.parametrize("token", [None, "", "wrong", "x" * 43])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/debug/session"),
            ("POST", "/debug/uploads"),
            ("POST", "/debug/invocations"),
            ("GET", "/debug/invocations/x"),
        ],
    )
    def test_without_one_nothing_opens(
        self, backend: Backend, method: str, path: str, token: str | None
    ) -> None:
        assert self.as_function(backend, method, path, token).status_code == 401

    def test_malformed_invocations_are_refused(self, backend: Backend, app: Debuggee) -> None:
        good: dict[str, Any] = {
            "requestId": "r",
            "function": "Fn0",
            "deadline": time.time() + 60,
            "context": {},
            "event": "1",
        }
        bad = [
            good | {"requestId": ""},
            good | {"requestId": "token#" + "0" * 64},
            good | {"function": "no id"},
            good | {"deadline": "soon"},
            good | {"deadline": True},
            good | {"context": []},
            good | {"event": None},
            good | {"event": 1},
            good | {"event": "x" * 32_001},
            good | {"eventKey": "payloads/plldb/" + "0" * 32},
            good | {"event": None, "eventKey": "plldb/lambda_functions.zip"},
        ]

        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                token = app.configuration("Fn0")["Environment"]["PLLDB_TOKEN"]
                for body in bad:
                    answer = self.as_function(backend, "POST", "/debug/invocations", token, body)
                    assert answer.status_code == 400, body
                assert self.as_function(backend, "GET", "/debug/session", token).status_code == 200

        asyncio.run(run())

    def test_no_secret_is_whole_in_a_table_a_log_or_a_function(
        self, backend: Backend, app: Debuggee, request: pytest.FixtureRequest
    ) -> None:
        async def run() -> tuple[str, str]:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                variables = app.configuration("Fn0")["Environment"]
                await debugged(app, debugger, 1, result(1))
                assert debugger.session_id not in json.dumps(app.found("Fn0"), default=str)
                return debugger.session_id, variables["PLLDB_TOKEN"]

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
