"""One JSON line on stdout for each invocation, with nothing in it that is secret."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from lambda_functions.api.create_session import SessionCreation, create_session
from lambda_functions.sessions.pending_cap import PendingCap
from lambda_functions.shared.log import COUNTS, logged
from lambda_functions.websocket import connect_disconnect
from lambda_functions.websocket.admission import Admission, authorize

from tests.memory_stores import MemoryInvocationStore, MemorySessionStore
from tests.unit.fakes import FakeInstrumentation


class Context:
    aws_request_id = "the-request"


def only_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.endswith("\n")
    (line,) = captured.out.splitlines()
    record = json.loads(line)
    assert isinstance(record, dict)
    return record


def test_the_line_and_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(event: dict[str, Any], record: dict[str, Any], now: float) -> Any:
        record["outcome"] = "done"
        return event["x"]

    assert logged("GET /x", handle)({"x": 42}, Context()) == 42
    record = only_line(capsys)
    assert record.pop("durationMs") >= 0
    written = datetime.fromisoformat(record.pop("timestamp"))
    assert (datetime.now(UTC) - written).total_seconds() < 60
    assert record == {
        "level": "INFO",
        "route": "GET /x",
        "outcome": "done",
        "requestId": "the-request",
    }


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), SystemExit("secret")])
def test_an_exception_is_logged_by_its_type_and_goes_on(
    capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def handle(event: dict[str, Any], record: dict[str, Any], now: float) -> Any:
        raise error

    with pytest.raises(type(error)) as raised:
        logged("x", handle)({"body": "secret"}, Context())
    assert raised.value is error
    record = only_line(capsys)
    assert (record["level"], record["error"]) == ("ERROR", type(error).__name__)
    assert record["outcome"] == "error"
    assert "secret" not in json.dumps(record)


def test_text_with_line_ends_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(event: dict[str, Any], record: dict[str, Any], now: float) -> Any:
        record["reason"] = "a\nb\u2028c\ud800"

    logged("x", handle)({}, Context())
    assert only_line(capsys)["reason"] == "a\nb\u2028c\ud800"


def test_it_works_without_a_context(capsys: pytest.CaptureFixture[str]) -> None:
    logged("x", lambda event, record, now: None)({}, None)
    assert only_line(capsys)["requestId"] is None


def test_a_whole_life_is_logged_without_one_whole_id(capsys: pytest.CaptureFixture[str]) -> None:
    store, now, connection_id = MemorySessionStore(), 1_800_000_000.0, "L0SM9cOFvHcCIhw="
    pending = PendingCap(store, cap=1)
    creation = SessionCreation(store, pending, 1000, "plldb", FakeInstrumentation())
    create = logged("create", lambda e, r, _: create_session(e, r, now, creation))
    admission = Admission(store, MemoryInvocationStore())
    admit = logged("authorizer", lambda e, r, _: authorize(e, r, now, admission))
    connect = logged("connect", lambda e, r, _: connect_disconnect.connect(e, r, now, store))
    disconnect = logged(
        "disconnect", lambda e, r, _: connect_disconnect.disconnect(e, r, now, store)
    )

    created = create(
        {"body": '{"stackName": "app"}', "requestContext": {"identity": {}}}, Context()
    )
    session_id = json.loads(created["body"])["sessionId"]
    question = {"methodArn": "arn", "queryStringParameters": {"sessionId": session_id}}
    context = admit(question, Context())["context"]
    event = {"requestContext": {"connectionId": connection_id, "authorizer": context}}
    for handler in (connect, connect, disconnect, disconnect):
        handler(event, Context())
    admit(question, Context())

    output = capsys.readouterr().out
    outcomes = [json.loads(line)["outcome"] for line in output.splitlines()]
    assert outcomes == [
        "created",
        "allowed",
        "connected",
        "refused",
        "closed",
        "unchanged",
        "denied",
    ]
    assert output.count(session_id[:8]) == len(outcomes)
    assert session_id not in output
    assert connection_id not in output


class TestMetrics:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""

    @pytest.fixture(autouse=True)
    def _on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLLDB_METRICS", "true")
        monkeypatch.setenv("PLLDB_HELPER_STACK", "the-helper")

    def metrics_of(self, record: dict[str, Any]) -> dict[str, tuple[Any, str]]:
        """Name → value and unit, as CloudWatch Logs would take them."""
        assert record["_aws"].keys() == {"Timestamp", "CloudWatchMetrics"}
        assert abs(record["_aws"]["Timestamp"] - time.time() * 1000) < 60_000
        (directive,) = record["_aws"]["CloudWatchMetrics"]
        assert directive.keys() == {"Namespace", "Dimensions", "Metrics"}
        assert re.fullmatch(r"[A-Za-z0-9._/#:-]{1,255}", directive["Namespace"])
        assert not directive["Namespace"].startswith("AWS/")
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            for name in dimensions:
                assert isinstance(record[name], str)
                assert 0 < len(record[name].strip()) <= 1024
                assert record[name].isascii()
        assert len(directive["Metrics"]) <= 100
        for metric in directive["Metrics"]:
            assert metric.keys() == {"Name", "Unit"}
            assert type(record[metric["Name"]]) in (int, float)
        return {m["Name"]: (record[m["Name"]], m["Unit"]) for m in directive["Metrics"]}

    def test_each_line_carries_its_duration_and_its_errors(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        logged("management", lambda event, record, now: record.update(route="GET /x"))(
            {}, Context()
        )
        record = only_line(capsys)
        assert self.metrics_of(record) == {
            "durationMs": (record["durationMs"], "Milliseconds"),
            "errors": (0, "Count"),
        }
        (directive,) = record["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "plldb"
        assert directive["Dimensions"] == [["HelperStack", "Function"]]
        assert (record["HelperStack"], record["Function"]) == ("the-helper", "management")
        assert record["route"] == "GET /x"

    def test_and_what_was_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        counted = {name: number for number, name in enumerate(COUNTS)}
        other = {"seconds": 3, "attempts": 7}
        logged("x", lambda event, record, now: record.update(counted | other))({}, Context())
        metrics = self.metrics_of(only_line(capsys))
        assert metrics.keys() == {"durationMs", "errors", *COUNTS}
        for name, number in counted.items():
            assert metrics[name] == (number, "Count")

    def test_a_schedule_that_finds_nothing_costs_no_metric(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found: dict[str, Any] = {"reaped": 0, "stale": 0}
        handler = logged("x", lambda event, record, _: record.update(found), is_scheduled=True)

        handler({}, Context())
        assert "_aws" not in only_line(capsys)

        found["stale"] = 1
        handler({}, Context())
        assert self.metrics_of(only_line(capsys))["stale"] == (1, "Count")

    def test_and_one_that_fails_is_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        handler = logged("x", lambda event, record, now: 1 / 0, is_scheduled=True)
        with pytest.raises(ZeroDivisionError):
            handler({}, Context())
        assert self.metrics_of(only_line(capsys))["errors"] == (1, "Count")

    @pytest.mark.parametrize("value", ["3", None, True, {"Fn0": "reason"}])
    def test_what_is_no_number_is_no_metric(
        self, capsys: pytest.CaptureFixture[str], value: Any
    ) -> None:
        logged("x", lambda event, record, now: record.update(failed=value))({}, Context())
        record = only_line(capsys)
        assert record["failed"] == value
        assert self.metrics_of(record).keys() == {"durationMs", "errors"}

    @pytest.mark.parametrize("raised", [True, False])
    def test_a_failure_is_an_error_whether_it_was_caught_or_not(
        self, capsys: pytest.CaptureFixture[str], raised: bool
    ) -> None:
        def handle(event: dict[str, Any], record: dict[str, Any], now: float) -> None:
            record |= {"level": "ERROR", "reaped": 2}
            if raised:
                raise ValueError("secret")

        handler = logged("x", handle)
        if raised:
            with pytest.raises(ValueError, match="secret"):
                handler({}, Context())
        else:
            handler({}, Context())
        metrics = self.metrics_of(only_line(capsys))
        assert metrics["errors"] == (1, "Count")
        assert metrics["reaped"] == (2, "Count")

    @pytest.mark.parametrize("value", ["false", "", "TRUE", None])
    def test_they_can_be_off(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str | None
    ) -> None:
        monkeypatch.delenv("PLLDB_METRICS")
        monkeypatch.delenv("PLLDB_HELPER_STACK")
        if value is not None:
            monkeypatch.setenv("PLLDB_METRICS", value)
        logged("x", lambda event, record, now: record.update(reaped=1))({}, Context())
        record = only_line(capsys)
        assert "_aws" not in record
        assert record["reaped"] == 1
