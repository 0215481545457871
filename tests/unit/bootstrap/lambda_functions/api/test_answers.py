"""The debugger's side: large events are fetched, and the first good answer counts."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from lambda_functions.api import answers
from lambda_functions.api.rest import dispatch
from lambda_functions.invocations.invocation import Answer, Invocation, InvocationState

from tests.memory_stores import MemoryInvocationStore

from .test_broker import KEY, FakePayloads

NOW = 1_800_000_000.0
ME = "arn:aws:iam::1:user/me"
WAITING = Invocation("r", "0123456789-session", ME, "Fn", NOW, NOW + 60)
ERROR = {"errorType": "E", "errorMessage": "m", "stackTrace": ["a"]}


class Scene:
    def __init__(self, invocation: Invocation | None = WAITING, caller: str = ME) -> None:
        self.store = MemoryInvocationStore()
        if invocation is not None:
            self.store.record(invocation)
        self.caller = caller
        self.record: dict[str, Any] = {}

    def call(self, route: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        given = answers.AnswerBackend(self.store, FakePayloads())
        handle = dispatch(
            {
                "GET event": partial(answers.fetch_event, backend=given),
                "POST uploads": partial(answers.upload, backend=given),
                "POST result": partial(answers.post_result, backend=given),
            }
        )
        method, _, resource = route.partition(" ")
        self.record = {}
        answer = handle(
            {
                "httpMethod": method,
                "resource": resource,
                "pathParameters": {"requestId": "r"},
                "requestContext": {"identity": {"userArn": self.caller}},
                "body": json.dumps(body),
            },
            self.record,
            NOW,
        )
        assert WAITING.session_id not in json.dumps(self.record)
        return answer["statusCode"], json.loads(answer["body"])


class TestResult:
    @pytest.mark.parametrize(
        ("body", "answer"),
        [
            ({"result": "null"}, Answer(result="null")),
            ({"result": "false"}, Answer(result="false")),
            ({"result": '""'}, Answer(result='""')),
            ({"result": json.dumps("x" * 199_998)}, Answer(result=json.dumps("x" * 199_998))),
            ({"resultKey": KEY}, Answer(result_key=KEY)),
            ({"error": ERROR}, Answer(error=ERROR)),
            (
                {"error": {"errorType": "", "errorMessage": "", "more": 1}},
                Answer(error={"errorType": "", "errorMessage": "", "stackTrace": []}),
            ),
            (
                {"error": ERROR | {"stackTrace": None}, "result": None},
                Answer(error=ERROR | {"stackTrace": []}),
            ),
        ],
    )
    def test_a_good_one_is_stored(self, body: dict[str, Any], answer: Answer) -> None:
        scene = Scene()
        assert scene.call("POST result", body) == (200, {"state": "answered"})
        assert scene.store.get("r") == replace(
            WAITING, state=InvocationState.ANSWERED, answer=answer
        )

    def test_the_second_is_refused(self) -> None:
        scene = Scene()
        scene.call("POST result", {"result": "1"})
        status, body = scene.call("POST result", {"result": "2"})
        assert (status, body.keys()) == (409, {"message"})
        found = scene.store.get("r")
        assert found is not None
        assert found.answer == Answer(result="1")

    @pytest.mark.parametrize(
        "body",
        [
            None,
            [],
            {},
            {"result": None},
            {"result": 1},
            {"result": ""},
            {"result": "{"},
            {"result": "[" * 100_000},
            {"result": '"\ud800"'},
            {"result": json.dumps("x" * 199_999)},
            {"result": '"' + "ä" * 100_000 + '"'},
            {"result": "1", "error": ERROR},
            {"result": "1", "resultKey": KEY},
            {"resultKey": "payloads/other/0"},
            {"resultKey": 1},
            {"error": "text"},
            {"error": []},
            {"error": {"errorType": "E"}},
            {"error": {"errorType": 1, "errorMessage": "m"}},
            {"error": ERROR | {"stackTrace": "text"}},
            {"error": ERROR | {"stackTrace": [1]}},
            {"error": ERROR | {"errorMessage": "x" * 200_000}},
        ],
    )
    def test_what_is_none_is_refused_and_changes_nothing(self, body: Any) -> None:
        scene = Scene()
        status, answer = scene.call("POST result", body)
        assert (status, answer.keys()) == (400, {"message"})
        assert scene.store.get("r") == WAITING


class TestWho:
    ROUTES = ("GET event", "POST uploads", "POST result")

    @pytest.mark.parametrize("route", ROUTES)
    @pytest.mark.parametrize(
        ("invocation", "caller", "expected"),
        [
            (None, ME, 404),
            (WAITING, "arn:aws:iam::1:user/you", 403),
            (replace(WAITING, state=InvocationState.ANSWERED), ME, 409),
            (replace(WAITING, state=InvocationState.ABANDONED), ME, 410),
            (replace(WAITING, deadline=NOW), ME, 410),
        ],
    )
    def test_nobody_else_and_not_late(
        self, route: str, invocation: Invocation | None, caller: str, expected: int
    ) -> None:
        scene = Scene(invocation, caller)
        status, body = scene.call(route, {"result": "1"})
        assert (status, body.keys()) == (expected, {"message"})
        assert scene.store.get("r") == invocation


class TestEvent:
    def test_from_the_record(self) -> None:
        scene = Scene(replace(WAITING, event='"x"'))
        assert scene.call("GET event") == (200, {"event": '"x"'})

    def test_from_the_bucket(self) -> None:
        scene = Scene(replace(WAITING, event_key=KEY))
        assert scene.call("GET event") == (200, {"url": f"https://bucket/{KEY}?get"})

    def test_one_that_came_with_the_message(self) -> None:
        assert Scene().call("GET event")[0] == 404


def test_a_large_result_may_be_uploaded() -> None:
    url = f"https://bucket/{KEY}?put"
    assert Scene().call("POST uploads") == (200, {"key": KEY, "url": url})
