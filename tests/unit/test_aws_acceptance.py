"""The run on AWS, as far as it can be shown without one: its report, and what it cleans up."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.acceptance_report import Latency, Report, Step, Suite, read_suite
from tools.aws_acceptance import NOT_ON_AWS, PARTS, Place, find_leftovers

ROOT = Path(__file__).parents[2]
JUNIT = """<?xml version="1.0"?>
<testsuites><testsuite>
<testcase classname="tests.e2e.test_a" name="test_good"/>
<testcase classname="tests.e2e.test_a" name="test_bad"><failure message="no"/></testcase>
<testcase classname="tests.e2e.test_a" name="test_broken"><error message="no"/></testcase>
<testcase classname="tests.e2e.test_b" name="test_not_here"><skipped message="aws"/></testcase>
</testsuite></testsuites>
"""


def test_each_file_of_the_suite_is_in_a_part_or_there_is_a_reason() -> None:
    chosen = [name for files in PARTS.values() for name in files]
    assert len(chosen) == len(set(chosen))
    assert not {*chosen} & NOT_ON_AWS.keys()
    files = {path.stem for path in (ROOT / "tests" / "e2e").glob("test_*.py")}
    assert {*chosen} | NOT_ON_AWS.keys() == files


def test_the_checklist_has_each_step_and_part() -> None:
    page = (ROOT / "docs" / "aws-checklist.md").read_text(encoding="utf-8")
    for step in ("doctor --deep", "bootstrap again", "crash", "destroy", "cleaning up", *PARTS):
        assert step in page


class TestReport:
    def report(self, *outcomes: str) -> Report:
        steps = [Step(f"step {n}", "must", outcome) for n, outcome in enumerate(outcomes)]
        return Report({"plldb": "1.2.3"}, steps)

    def test_all_is_seen_only_if_nothing_failed_was_skipped_or_is_left(self) -> None:
        assert self.report("ok", "ok").is_good
        assert not self.report().is_good
        assert not self.report("ok", "failed").is_good
        assert not self.report("ok", "skipped").is_good
        left = self.report("ok")
        left.left = ["stack x"]
        assert not left.is_good

    def test_it_is_for_people_and_for_programs(self, tmp_path: Path) -> None:
        report = self.report("ok", "failed")
        report.steps[1].seen = "a | b\nc"
        report.latencies.append(Latency.of("invocation", [0.010, 0.030, 0.020]))
        report.findings = [{"check": "clock", "status": "ok", "found": "right"}]
        report.suite = Suite(3, 1, ("tests.e2e.test_a::test_bad",))
        report.left = ["stack debuggee-x"]

        report.write(tmp_path)

        page = (tmp_path / "report.md").read_text(encoding="utf-8")
        assert "not all as it must be" in page
        assert "| step 1 | failed | 0.0 | must | a \\| b c |" in page
        assert "| invocation | 20.0 | 30.0 | 3 |" in page
        assert "| clock | ok | right |" in page
        assert "3 passed, 1 failed, 1 skipped" in page
        assert "- stack debuggee-x" in page
        document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
        assert document["steps"][1]["outcome"] == "failed"
        assert document["latencies"][0]["median"] == 20.0

    def test_parts_of_the_suite_add_up(self) -> None:
        report = self.report()
        report.add_suite(Suite(1, 2, ("a",)))
        report.add_suite(Suite(3, 4, ("b",)))
        assert report.suite == Suite(4, 6, ("a", "b"))


def test_what_the_suite_gave(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT)
    failed = ("tests.e2e.test_a::test_bad", "tests.e2e.test_a::test_broken")
    assert read_suite(junit) == Suite(passed=1, skipped=1, failed=failed)


@pytest.mark.parametrize(
    ("seconds", "median", "p95"),
    [([0.5], 500, 500), ([n / 1000 for n in range(1, 101)], 50.5, 96)],
)
def test_latencies(seconds: list[float], median: float, p95: float) -> None:
    found = Latency.of("x", seconds)
    assert (found.median, found.p95, found.count) == (median, p95, len(seconds))


class TestPlace:
    def test_on_aws_by_a_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ENDPOINT", "http://127.0.0.1:9")
        place = Place("dev", "eu-west-1", None)
        command, suite = place.make_environment(), place.make_suite_environment()
        assert (command["PLLDB_PROFILE"], command["PLLDB_REGION"]) == ("dev", "eu-west-1")
        assert (suite["PROFILE"], suite["ENDPOINT"]) == ("dev", "")
        assert suite["PLLDB_REGION"] == "eu-west-1"

    def test_a_rehearsal_never_reaches_aws(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_PROFILE", "PLLDB_PROFILE", "PROFILE"):
            monkeypatch.setenv(name, "dev")
        place = Place(None, "us-east-1", "http://127.0.0.1:9")
        command, suite = place.make_environment(), place.make_suite_environment()
        assert command["PLLDB_ENDPOINT_URL"] == "http://127.0.0.1:9"
        assert not {"PLLDB_PROFILE", "AWS_PROFILE"} & command.keys()
        assert (suite["PROFILE"], suite["ENDPOINT"]) == ("", "http://127.0.0.1:9")


class FakeAccount:
    """Lists what there is; what is deleted is noted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.pages = {
            "describe_stacks": {
                "Stacks": [
                    {"StackName": "debuggee-acc1ff00000000"},
                    {"StackName": "debuggee-acc1ff00000000-Child-X", "ParentId": "arn"},
                    {"StackName": "theirs"},
                ]
            },
            "list_tables": {"TableNames": ["orders", "table-acc1ff00000000"]},
            "list_users": {"Users": [{"UserName": "ada"}]},
            "list_functions": {"Functions": []},
            "list_roles": {"Roles": [{"RoleName": "admin"}]},
            "describe_log_groups": {
                "logGroups": [
                    {"logGroupName": "/aws/lambda/debuggee-acc1ff00000000-Fn0"},
                    {"logGroupName": "/aws/lambda/theirs"},
                ]
            },
        }

    def _delete(self, **request: str) -> None:
        self.deleted.extend(request.values())

    def client(self, service: str) -> Any:
        return SimpleNamespace(
            list_buckets=lambda: {"Buckets": [{"Name": "theirs"}]},
            delete_table=self._delete,
            delete_log_group=self._delete,
            get_paginator=lambda name: SimpleNamespace(paginate=lambda: [self.pages[name]]),
        )


def test_what_has_the_runs_name_is_deleted_and_nothing_else() -> None:
    account = FakeAccount()

    left = list(find_leftovers(account, "acc1ff", account.deleted.append))
    for one in left:
        one.delete()

    assert [str(one) for one in left] == [
        "stack debuggee-acc1ff00000000",
        "table table-acc1ff00000000",
        "log group /aws/lambda/debuggee-acc1ff00000000-Fn0",
    ]
    assert account.deleted == [
        "debuggee-acc1ff00000000",
        "table-acc1ff00000000",
        "/aws/lambda/debuggee-acc1ff00000000-Fn0",
    ]
