"""Checks of ``plldb doctor --deep``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from plldb.debugger.session_trial import SessionTrial
from plldb.doctor import deep
from plldb.doctor.checkup import CHECKS, DEEP_CHECKS
from plldb.doctor.findings import CheckStatus
from tests.unit.doctor.patient import FakeTargetWith, patient

TRIAL = SessionTrial(
    creating=0.1234,
    connecting=0.2,
    heartbeats=(0.9, 0.01, 0.02),
    large_message=0.03,
    closing=0.04,
    answers_pings=False,
)
RECORDED = {"name": "default", "recordingGroup": {"allSupported": True}}


def on_aws(**clients: Any) -> FakeTargetWith:
    target = FakeTargetWith(**clients)
    target.is_aws = True
    return target


def pages_of(operation: str, *pages: dict[str, Any], asked: list[Any] | None = None) -> Any:
    """A client with one paginator."""

    def paginate(**request: Any) -> Any:
        if asked is not None:
            asked.append(request)
        return pages

    def get_paginator(name: str) -> Any:
        assert name == operation
        return SimpleNamespace(paginate=paginate)

    return SimpleNamespace(get_paginator=get_paginator)


def test_they_come_after_the_others_and_need_what_is_among_those() -> None:
    seen = [one.name for one in CHECKS]
    for one in DEEP_CHECKS:
        assert one.name not in seen
        assert set(one.needs) <= set(seen)
        assert one.description
        seen.append(one.name)


def test_a_session_is_measured() -> None:
    found = deep.check_session(patient(session_trial=TRIAL))
    assert found.status is CheckStatus.OK
    assert found.data == {
        "milliseconds": {
            "create": 123,
            "connect": 200,
            # The first may have to start a function.
            "heartbeat": 20,
            "largeMessage": 30,
            "close": 40,
        },
        "answersPings": False,
    }
    assert "pings are not answered" in found.found


@pytest.mark.parametrize(
    "check",
    [deep.check_concurrency, deep.check_alarms, deep.check_log, deep.check_recorder],
)
def test_an_emulator_is_not_asked_for_what_it_has_not(check: Any) -> None:
    assert check(patient()).status is CheckStatus.OK


class TestConcurrency:
    def found(self, free: int) -> Any:
        limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": free}
        client = SimpleNamespace(get_account_settings=lambda: {"AccountLimit": limits})
        return deep.check_concurrency(patient(on_aws(**{"lambda": client})))

    def test_of_a_new_account_little_is_left(self) -> None:
        found = self.found(10)
        assert found.status is CheckStatus.WARNING
        assert "10 executions" in found.found
        assert "--max-concurrency" in found.hint

    def test_most_have_enough(self) -> None:
        assert self.found(900).status is CheckStatus.OK


class TestAlarms:
    def found(self, **states: str) -> Any:
        alarms = [{"AlarmName": name, "StateValue": state} for name, state in states.items()]
        pages = [{"MetricAlarms": alarms[:1]}, {"MetricAlarms": alarms[1:]}]
        asked: list[Any] = []
        cloudwatch = pages_of("describe_alarms", *pages, asked=asked)
        found = deep.check_alarms(patient(on_aws(cloudwatch=cloudwatch)))
        assert asked == [{"AlarmNamePrefix": "plldb-"}]
        return found

    def test_none_is_raised(self) -> None:
        found = self.found(a="OK", b="INSUFFICIENT_DATA")
        assert (found.status, found.found) == (CheckStatus.OK, "2 alarms, none of them raised")

    def test_which_are(self) -> None:
        found = self.found(b="ALARM", a="ALARM", c="OK")
        assert (found.status, found.data) == (CheckStatus.WARNING, {"raised": ["a", "b"]})
        assert "/plldb/plldb" in found.hint


class TestLog:
    def found(self, *lines: str) -> Any:
        asked: list[Any] = []
        pages = [{"events": [{"message": line}]} for line in lines]
        logs = pages_of("filter_log_events", *pages, asked=asked)
        found = deep.check_log(patient(on_aws(logs=logs), clock=lambda: 10_000.0))
        ((request),) = asked
        assert request["logGroupName"] == "/plldb/plldb"
        assert request["startTime"] == 6_400_000
        assert "ERROR" in request["filterPattern"]
        return found

    def test_no_errors(self) -> None:
        assert self.found().status is CheckStatus.OK

    def test_errors_are_shown_and_counted(self) -> None:
        lines = [f'{{"error": "E{number}"}}' for number in range(7)]
        found = self.found(*(f"{line}\n" for line in lines))
        assert found.status is CheckStatus.WARNING
        assert found.data == {"errors": lines}
        assert "7 errors" in found.found
        assert found.found.endswith("and 2 more")


class TestRecorder:
    """https://docs.aws.amazon.com/config/latest/APIReference/API_ConfigurationRecorder.html"""

    def found(self, *recorders: dict[str, Any]) -> Any:
        answer = {"ConfigurationRecorders": list(recorders)}
        client = SimpleNamespace(describe_configuration_recorders=lambda: answer)
        return deep.check_recorder(patient(on_aws(config=client)))

    @pytest.mark.parametrize(
        "recorder",
        [
            RECORDED,
            RECORDED | {"recordingMode": {"recordingFrequency": "CONTINUOUS"}},
            {"name": "r", "recordingGroup": {"resourceTypes": ["AWS::Lambda::Function"]}},
            {
                "name": "r",
                "recordingGroup": {
                    "allSupported": False,
                    "exclusionByResourceTypes": {"resourceTypes": ["AWS::S3::Bucket"]},
                },
            },
        ],
    )
    def test_each_change_of_a_function_is_paid_for(self, recorder: dict[str, Any]) -> None:
        found = self.found(recorder)
        assert found.status is CheckStatus.WARNING
        assert "cost.md" in found.hint

    @pytest.mark.parametrize(
        "recorders",
        [
            [],
            [RECORDED | {"recordingMode": {"recordingFrequency": "DAILY"}}],
            [{"name": "r", "recordingGroup": {"resourceTypes": ["AWS::S3::Bucket"]}}],
            [
                {
                    "name": "r",
                    "recordingGroup": {
                        "exclusionByResourceTypes": {"resourceTypes": ["AWS::Lambda::Function"]}
                    },
                }
            ],
            [
                RECORDED
                | {
                    "recordingMode": {
                        "recordingFrequency": "CONTINUOUS",
                        "recordingModeOverrides": [
                            {
                                "resourceTypes": ["AWS::Lambda::Function"],
                                "recordingFrequency": "DAILY",
                            }
                        ],
                    }
                }
            ],
        ],
    )
    def test_or_it_is_not(self, recorders: list[dict[str, Any]]) -> None:
        assert self.found(*recorders).status is CheckStatus.OK
