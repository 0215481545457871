"""The run on AWS, as far as it can be shown without one: its report, and what it cleans up."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore import xform_name

from plldb.errors import PlldbError
from tools.acceptance_leftovers import MADE_BY, Cleaning, clean
from tools.acceptance_report import Latency, Report, Step
from tools.acceptance_suite import NOT_ON_AWS, PARTS, Suite, read_suite
from tools.aws_acceptance import Journal, Place

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
    known = {*chosen} | NOT_ON_AWS.keys()
    files = {path.stem for path in (ROOT / "tests" / "e2e").glob("test_*.py")}
    new, gone = files - known, known - files
    assert not new, (
        f"{', '.join(sorted(new))}: say in tools/acceptance_suite.py whether these tests run when "
        "somebody tries plldb on AWS. If what they show may be otherwise there, and they clean up "
        "after themselves, put the file into one of PARTS; else into NOT_ON_AWS, with the reason."
    )
    assert not gone, f"not in tests/e2e, but in tools/acceptance_suite.py: {', '.join(gone)}"


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
        assert page.startswith("# plldb on AWS: not all as it must be")
        assert "| step 1 | failed | 0.0 | must | a \\| b c |" in page
        assert "| invocation | 20.0 | 30.0 | 3 |" in page
        assert "| clock | ok | right |" in page
        assert "3 passed, 1 failed, 1 skipped" in page
        assert "- stack debuggee-x" in page
        document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
        assert document["steps"][1]["outcome"] == "failed"
        assert document["latencies"][0]["median"] == 20.0

    def test_a_rehearsal_says_that_it_is_one(self) -> None:
        report = self.report("ok")
        report.is_rehearsal = True
        assert report.render().startswith("# plldb rehearsed on an emulator: all seen")

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
        monkeypatch.setenv("PLLDB_ENDPOINT_URL", "http://127.0.0.1:9")
        place = Place("dev", "eu-west-1", None)
        command, suite = place.make_environment(), place.make_suite_environment()
        assert (command["PLLDB_PROFILE"], command["PLLDB_REGION"]) == ("dev", "eu-west-1")
        assert "PLLDB_ENDPOINT_URL" not in command.keys() | suite.keys()
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


RUN = "acc1ff000"
OWN = f"debuggee-{RUN}00000000"
HELPER = f"plldb-{RUN}00000000"
LISTED: dict[str, dict[str, Any]] = {
    "list_objects_v2": {"Contents": [{"Key": f"tests/nested-{RUN}.json"}, {"Key": "theirs.zip"}]},
    "describe_stacks": {
        "Stacks": [
            {"StackName": OWN},
            {"StackName": f"{OWN}-Child-X", "ParentId": "arn"},
            {"StackName": HELPER},
            {"StackName": "theirs"},
        ]
    },
    "list_buckets": {"Buckets": [{"Name": "theirs"}]},
    "list_tables": {"TableNames": ["orders", f"table-{RUN}00000000"]},
    "list_users": {"Users": [{"UserName": "ada"}]},
    "list_functions": {"Functions": []},
    "list_layers": {"Layers": [{"LayerName": f"layer-{RUN}00000000"}]},
    "list_roles": {"Roles": [{"RoleName": "admin"}]},
    "describe_log_groups": {
        "logGroups": [
            {"logGroupName": f"/aws/lambda/{OWN}-Fn0"},
            {"logGroupName": "/aws/lambda/theirs"},
        ]
    },
}
DELETED = [
    f"object tests/nested-{RUN}.json",
    f"stack {OWN}",
    f"helper stack {HELPER}",
    f"table table-{RUN}00000000",
    f"layer layer-{RUN}00000000",
    f"log group /aws/lambda/{OWN}-Fn0",
]


class FakeAccount:
    """Lists what there is, and what was ``deleted`` not any more; ``refused`` calls do nothing."""

    region, account_id = "eu-west-1", "111122223333"

    def __init__(self, *refused: str) -> None:
        self.deleted: list[str] = []
        self._refused = refused

    def client(self, service: str) -> Any:
        client: Any = boto3.client(
            service, "eu-west-1", aws_access_key_id="AK", aws_secret_access_key="secret"
        )
        client.meta.events.register("before-call", self._answer)
        return client

    def _answer(self, model: Any, params: Any, **_: Any) -> Any:
        name = xform_name(model.name)
        if name in self._refused:
            problem = {"Code": "AccessDenied", "Message": f"no {name}"}
            return SimpleNamespace(status_code=403), {"Error": problem}
        if name == "describe_stacks" and "StackName" in params["body"]:
            # The waiter's question, once it is deleted.
            return SimpleNamespace(status_code=400), {"Error": {"Code": "ValidationError"}}
        if name == "list_layer_versions":
            return SimpleNamespace(status_code=200), {"LayerVersions": [{"Version": 1}]}
        if name in LISTED:
            return SimpleNamespace(status_code=200), self._without_deleted(LISTED[name])
        self.deleted.append(f"{params['url_path']} {params['body']!r}")
        return SimpleNamespace(status_code=200), {}

    def _without_deleted(self, page: dict[str, Any]) -> dict[str, Any]:
        ((key, things),) = page.items()
        done = " ".join(self.deleted).replace("%2F", "/")
        return {key: [one for one in things if not _is_named_in(one, done)]}


def _is_named_in(thing: Any, done: str) -> bool:
    name = thing if isinstance(thing, str) else next(iter(thing.values()))
    return any(f"{name}{end}" in done for end in ("'", '"', "/", " "))


class TestLeftovers:
    def test_what_has_the_runs_name_is_deleted_and_nothing_else(self) -> None:
        account = FakeAccount()
        destroyed: list[str] = []

        def destroy(helper: str) -> None:
            destroyed.append(helper)
            account.deleted.append(f"{helper} ")

        done = clean(account, RUN, destroy)

        assert done == Cleaning(tuple(DELETED), (), ())
        assert destroyed == [HELPER]
        assert "theirs" not in str(account.deleted)

    def test_what_is_refused_holds_up_nothing_else_and_is_told(self) -> None:
        account = FakeAccount("list_users", "delete_table")

        done = clean(account, RUN, lambda helper: account.deleted.append(f"{helper} "))

        assert done.left == (f"table table-{RUN}00000000",)
        assert done.deleted == tuple(one for one in DELETED if one not in done.left)
        assert [one.partition(":")[0] for one in done.unknown] == ["users"]

    def test_each_kind_that_the_tests_make_is_looked_for(self) -> None:
        """By calls of boto3's: what a stack makes goes with it."""
        made: set[str] = set()
        for name in (*(f for part in PARTS.values() for f in part), "support", "debugging"):
            text = (ROOT / "tests" / "e2e" / f"{name}.py").read_text(encoding="utf-8")
            made |= {*re.findall(r"\.((?:create|publish|put|import|register)_\w+)\(", text)}
        assert made - NOTHING_NEW <= {*MADE_BY.values()}, (
            "A test makes something that nobody would find if it were left on AWS: let "
            "tools/acceptance_leftovers.py look for it, or add the call to NOTHING_NEW here if it "
            "makes nothing that costs or stays."
        )


# Calls that make nothing, or something that goes with what it is part of.
NOTHING_NEW = {
    "create_access_key",
    "create_alias",
    "create_connection",
    "create_server",
    "create_session",
    "create_task",
    "publish_version",
    "put_item",
    "put_role_policy",
    "put_sessions",
    "put_user_policy",
}


class TestJournal:
    def test_what_did_not_come_to_its_end_is_known_to_the_next_run_there(
        self, tmp_path: Path
    ) -> None:
        here, there = Place("dev", "eu-west-1", None), Place("dev", "us-east-1", None)
        with Journal(tmp_path, here) as journal:
            journal.begin("acc000001")
            journal.begin("acc000002")
            journal.end("acc000001")
        with Journal(tmp_path, here) as journal:
            assert journal.read() == (["acc000002"], {})
        with Journal(tmp_path, there) as journal:
            assert journal.read() == ([], {"acc000002": asdict(here)})

    def test_one_of_which_half_was_written_when_the_machine_went_down_is_looked_for_here(
        self, tmp_path: Path
    ) -> None:
        with Journal(tmp_path, Place("dev", "eu-west-1", None)) as journal:
            journal.begin("acc000001")
            (tmp_path / "runs" / "acc000002").write_text('{"profile": "de')
            (tmp_path / "runs" / "acc000003").write_text("{}")
            (tmp_path / "runs" / ".DS_Store").write_text("no run")
            assert journal.read() == (["acc000001", "acc000002", "acc000003"], {})

    def test_two_runs_do_not_report_to_one_folder(self, tmp_path: Path) -> None:
        place = Place("dev", "eu-west-1", None)
        with Journal(tmp_path, place) as journal:
            with pytest.raises(PlldbError, match="under way"), Journal(tmp_path, place):
                pass
            # Tests that go on without the run that started them keep others from cleaning up.
            goes_on = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[journal.lock])
        with goes_on:
            with pytest.raises(PlldbError, match="under way"), Journal(tmp_path, place):
                pass
            goes_on.communicate()
        with Journal(tmp_path, place):
            pass
