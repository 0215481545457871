"""Shows on AWS what the tests show on emulators, and measures it: docs/aws-checklist.md.

``python -m tools.aws_acceptance --profile NAME --region REGION`` deploys a helper stack of its own,
looks at it, debugs a function, runs the end-to-end tests that make sense on AWS, deletes what it
has made, whatever happened, and writes a report. With ``--endpoint-url`` it is a rehearsal on an
emulator. The exit code is 0 if everything that must be seen was seen.

All that is made has the run's name in its own name, by which it is found and deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from plldb import __version__
from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.errors import PlldbError
from tests.e2e.project import Project, attach, deployed_project, detach
from tests.e2e.support import RUN_VARIABLE, Plldb, clean_environment, poll, random_name
from tools.acceptance_report import Latency, Report, Step, read_suite

_ROOT = Path(__file__).parents[1]
_E2E = Path("tests", "e2e")
# Of the end-to-end tests, what is worth its time and money on AWS, in order.
PARTS: Mapping[str, tuple[str, ...]] = {
    "sessions": (
        "test_management_api",
        "test_connect",
        "test_messages",
        "test_session_store",
        "test_session_operations",
        "test_sessions_command",
    ),
    "debugging": (
        "test_instrumentation",
        "test_attach",
        "test_debugging",
        "test_channel",
        "test_invocation_store",
        "test_invoke",
        "test_logs",
        "test_layers",
        "test_aliases",
        "test_redeployment",
        "test_as_function",
        "test_nested_stacks",
        "test_mere_lists",
        "test_several_stacks",
        "test_limits",
    ),
    "operations": (
        "test_doctor",
        "test_reaper",
        "test_operations",
        "test_least_privilege",
        "test_company_account",
        "test_secrets",
    ),
}
# What is about this machine, needs an emulator of its own, or would only cost: and why.
NOT_ON_AWS: Mapping[str, str] = {
    "test_acceptance": "it is this, rehearsed on an emulator",
    "test_background": "what goes on in the background of this machine",
    "test_bad_input": "this machine's command line",
    "test_bootstrap": "several helper stacks, one after the other; the steps here have one",
    "test_code_environment": "what surrounds the code on this machine",
    "test_coding_agents": "output for scripts",
    "test_ci_recipe": "scripts for an emulator",
    "test_cost": "an emulator that counts",
    "test_credentials": "identities that an emulator makes up",
    "test_demo": "the demo is on the embedded emulator",
    "test_deploy": "packages and templates",
    "test_dev": "plldb dev starts an emulator",
    "test_environments": "one more helper stack for each environment",
    "test_examples": "their own tests, on an emulator",
    "test_exec": "variables for other tools",
    "test_faults": "faults between functions and tables",
    "test_fuzz": "hundreds of sessions",
    "test_images": "an image has to be pushed first",
    "test_inspector": "a page on this machine",
    "test_load": "hundreds of invocations at once",
    "test_local": "emulators",
    "test_openapi": "hundreds of requests",
    "test_projects": "kinds of projects, as emulators deploy them",
    "test_pytest_fixtures": "they start an emulator",
    "test_recordings": "files on this machine",
    "test_resilience": "a network that this machine can cut",
    "test_small_account": "an account with hardly any concurrency",
    "test_sources": "code on this machine",
}
# Seconds: bootstrap on AWS takes minutes, and so may the whole suite's parts, each.
_STACK_SECONDS = 1800
_SUITE_SECONDS = 4 * 3600
_LOG_SECONDS = 120
_INVOCATIONS = 20
_EXPECTED_ERRORS = (
    AssertionError,
    PlldbError,
    BotoCoreError,
    ClientError,
    WaiterError,
    subprocess.TimeoutExpired,
)


@dataclass(frozen=True)
class Place:
    """Where it runs: AWS by a profile, or, as a rehearsal, an emulator."""

    profile: str | None
    region: str
    endpoint_url: str | None

    def make_target(self) -> Target:
        if self.endpoint_url is None:
            return Target(TargetSettings("aws", region=self.region, profile=self.profile))
        address = EmulatorAddress(self.endpoint_url, self.endpoint_url)
        return Target(TargetSettings("emulator", self.region, emulator=address))

    def make_environment(self) -> dict[str, str]:
        """For the command line."""
        if self.endpoint_url is not None:
            return clean_environment() | {"PLLDB_ENDPOINT_URL": self.endpoint_url}
        chosen = {"PLLDB_REGION": self.region, "PLLDB_PROFILE": self.profile or ""}
        return _own_environment() | chosen

    def make_suite_environment(self) -> dict[str, str]:
        """For tests/e2e/conftest.py."""
        environment = _own_environment() | {"PROFILE": "", "ENDPOINT": ""}
        if self.endpoint_url is not None:
            return environment | {"ENDPOINT": self.endpoint_url}
        return environment | {"PROFILE": self.profile or "", "PLLDB_REGION": self.region}


def _own_environment() -> dict[str, str]:
    """Without what chooses another target, or sets plldb otherwise than it comes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PLLDB_")}


class Acceptance:
    """One run; ``report`` has what was seen so far."""

    def __init__(self, place: Place, parts: Iterable[str], folder: Path, home: Path) -> None:
        self._place = place
        self._parts = tuple(parts)
        self._folder = folder
        self.run = f"acc{uuid.uuid4().hex[:6]}"
        # random_name, here and in the suite, puts it into every name.
        os.environ[RUN_VARIABLE] = self.run
        self._helper = random_name("plldb")
        variables = {"PLLDB_HOME": str(home), "PLLDB_HELPER_STACK": self._helper}
        self._plldb = Plldb(place.make_environment() | variables)
        self._target = place.make_target()
        self._work = home
        self._began = time.time()
        self.report = Report(
            {
                "plldb": __version__,
                "Python": platform.python_version(),
                "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self._began)),
                "where": place.endpoint_url or f"AWS, {place.region}",
                "run": self.run,
            }
        )

    def __call__(self) -> Report:
        try:
            self._look()
        finally:
            try:
                self._clean_up()
            finally:
                self.report.write(self._folder)
        return self.report

    def _look(self) -> None:
        self._step("doctor", "credentials and permissions are enough", self._examine_account)
        if not self._step("bootstrap", "the helper stack is created", self._bootstrap):
            return
        self._step("bootstrap again", "nothing is changed", self._bootstrap_again)
        self._step("doctor --deep", "a session is opened and closed", self._examine_deeply)
        self._step("debugging", "invocations run here, and are measured", self._debug)
        self._step("crash", "plldb restore takes off what a crash left", self._crash)
        self._step("runs", "what each function of the helper stack is billed for", self._read_runs)
        for part in self._parts:
            self._step(f"tests: {part}", "none fails", lambda part=part: self._run_suite(part))

    def _clean_up(self) -> None:
        self._step("destroy", "the helper stack is deleted", self._destroy)
        self._step("cleaning up", "nothing of this run is left", self._delete_leftovers)

    def _step(self, name: str, must: str, act: Callable[[], str]) -> bool:
        """``act`` says what it saw; an expected error is told, and the next step comes."""
        step = Step(name, must)
        self.report.steps.append(step)
        print(f"{name}: {must} …", flush=True)
        started = time.monotonic()
        try:
            step.seen = act()
            step.outcome = "ok"
        except _EXPECTED_ERRORS as error:
            step.seen, step.outcome = f"{type(error).__name__}: {error}", "failed"
        except BaseException:
            step.outcome = "failed"
            raise
        finally:
            step.seconds = time.monotonic() - started
            print(f"  {step.outcome} after {step.seconds:.0f} s: {step.seen}", flush=True)
            # So that what was seen is there, whatever becomes of this machine.
            self.report.write(self._folder)
        return step.outcome == "ok"

    # --- The helper stack ---------------------------------------------------------------------

    def _examine_account(self) -> str:
        """Without a helper stack, that alone may be a problem."""
        findings = self._examine()
        bad = [one for one in findings if one["status"] == "problem"]
        others = [one for one in bad if one["check"] != "helper stack"]
        assert not others, "; ".join(f"{one['check']}: {one['found']}" for one in others)
        return f"{len(findings)} checks"

    def _examine_deeply(self) -> str:
        findings = self._examine("--deep")
        self.report.findings = findings
        bad = [one["check"] for one in findings if one["status"] == "problem"]
        assert not bad, f"problems: {', '.join(bad)}"
        (trial,) = [one for one in findings if one["check"] == "session trial"]
        for name, milliseconds in trial["milliseconds"].items():
            self.report.latencies.append(Latency.of(f"session: {name}", [milliseconds / 1000]))
        return str(trial["found"])

    def _examine(self, *arguments: str) -> list[dict[str, Any]]:
        result = self._plldb("doctor", "--output", "json", *arguments, timeout=300)
        assert "Traceback" not in result.stderr, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    def _bootstrap(self) -> str:
        answer = self._bootstrap_once()
        return str(answer["status"])

    def _bootstrap_again(self) -> str:
        answer = self._bootstrap_once()
        assert answer["changed"] is False, answer
        return "unchanged"

    def _bootstrap_once(self) -> dict[str, Any]:
        command = ("bootstrap", "--stack-name", self._helper, "--output", "json")
        result = self._plldb(*command, timeout=_STACK_SECONDS).succeeded()
        answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return answer

    def _destroy(self) -> str:
        command = ("bootstrap", "destroy", "--yes", "--stack-name", self._helper)
        self._plldb(*command, timeout=_STACK_SECONDS).succeeded()
        return "deleted"

    # --- Debugging ----------------------------------------------------------------------------

    @contextmanager
    def _project(self) -> Iterator[Project]:
        with (
            tempfile.TemporaryDirectory(dir=self._work) as folder,
            deployed_project(self._target, Path(folder, "project"), ["Alpha"]) as project,
        ):
            yield project

    def _debug(self) -> str:
        with self._project() as project:
            before = project.configurations()
            assert project.invoke("Alpha").json["ran"] == "deployed"
            self._measure(project, "invocation, deployed", "deployed")
            attaching = time.monotonic()
            with attach(self._plldb, project) as attached:
                attached.wait_for("ready")
                self._note("attach to 1 function", attaching)
                cold = time.monotonic()
                poll(lambda: project.invoke("Alpha").json["ran"] == "here", "it runs here")
                self._note("first debugged invocation", cold)
                self._measure(project, "invocation, debugged", "here")
                detaching = time.monotonic()
                detach(attached)
            project.wait_until_restored(before)
            self._note("detach, all restored", detaching)
        return f"{_INVOCATIONS} invocations ran here, and the function is as before"

    def _measure(self, project: Project, name: str, who: str) -> None:
        seconds = []
        for _ in range(_INVOCATIONS):
            started = time.monotonic()
            assert project.invoke("Alpha").json["ran"] == who
            seconds.append(time.monotonic() - started)
        self.report.latencies.append(Latency.of(name, seconds))

    def _note(self, name: str, started: float) -> None:
        self.report.latencies.append(Latency.of(name, [time.monotonic() - started]))

    def _crash(self) -> str:
        with self._project() as project:
            before = project.configurations()
            with attach(self._plldb, project) as attached:
                attached.wait_for("ready")
                attached.process.kill()
            command = ("restore", "--stack-name", project.stack_name)
            self._plldb(*command, timeout=300).succeeded()
            project.wait_until_restored(before)
        return "the function is as before"

    def _read_runs(self) -> str:
        """docs/cost.md assumes 10 ms for most of them."""
        if not self._target.is_aws:
            return "an emulator bills nobody"
        billed = poll(self._find_billed, "Lambda's reports are in the log", _LOG_SECONDS, pause=5)
        for function, seconds in sorted(billed.items()):
            self.report.latencies.append(Latency.of(f"billed: {function}", seconds))
        return f"{sum(map(len, billed.values()))} runs"

    def _find_billed(self) -> dict[str, list[float]]:
        """Seconds of each run by function, as the log group that all of them share tells.

        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html
        """
        pages = self._target.client("logs").get_paginator("filter_log_events")
        found = pages.paginate(
            logGroupName=f"/plldb/{self._helper}",
            startTime=int(self._began * 1000),
            filterPattern='{ $.type = "platform.report" }',
        )
        billed: dict[str, list[float]] = defaultdict(list)
        for page in found:
            for event in page["events"]:
                # 2026/01/31/FUNCTION[$LATEST]0123abcd…
                function = event["logStreamName"].rpartition("/")[2].partition("[")[0]
                metrics = json.loads(event["message"])["record"]["metrics"]
                billed[function].append(metrics["billedDurationMs"] / 1000)
        return billed

    # --- The suite ----------------------------------------------------------------------------

    def _run_suite(self, part: str) -> str:
        junit = self._folder / f"{part}.xml"
        files = [str(_E2E / f"{name}.py") for name in PARTS[part]]
        command = [sys.executable, "-m", "pytest", *files, "-n", "0", f"--junitxml={junit}"]
        with (self._folder / f"{part}.log").open("w", encoding="utf-8") as log:
            subprocess.run(
                command,
                cwd=_ROOT,
                env=self._place.make_suite_environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=_SUITE_SECONDS,
                check=False,
            )
        assert junit.exists(), f"pytest did not come to its end: see {part}.log"
        suite = read_suite(junit)
        self.report.add_suite(suite)
        assert not suite.failed, f"{len(suite.failed)} failed: see {part}.log"
        return f"{suite.passed} passed, {suite.skipped} skipped"

    # --- Cleaning up --------------------------------------------------------------------------

    def _delete_leftovers(self) -> str:
        """What is deleted is told: the tests ought to have done that."""
        left = self._find_leftovers()
        for leftover in left:
            with suppress(*_EXPECTED_ERRORS):
                leftover.delete()
        self.report.left = [str(one) for one in self._find_leftovers()]
        assert not self.report.left, f"left: {', '.join(self.report.left)}"
        return f"deleted: {', '.join(map(str, left))}" if left else "nothing was left"

    def _find_leftovers(self) -> list[Leftover]:
        return list(find_leftovers(self._target, self.run, self._delete_stack))

    def _delete_stack(self, name: str) -> None:
        """A helper stack of the suite's, or one to debug."""
        if name.startswith("plldb-"):
            command = ("bootstrap", "destroy", "--yes", "--stack-name", name)
            self._plldb(*command, timeout=_STACK_SECONDS)
            return
        cloudformation = self._target.client("cloudformation")
        cloudformation.delete_stack(StackName=name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)


@dataclass(frozen=True)
class Leftover:
    """Something that has the run's name in its own."""

    kind: str
    name: str
    delete: Callable[[], object]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def find_leftovers(
    target: Any, run: str, delete_stack: Callable[[str], object]
) -> Iterator[Leftover]:
    """Stacks first: with them goes most of the rest."""
    for kind, names, delete in (
        ("stack", _list_stacks(target), delete_stack),
        ("bucket", _list_buckets(target), lambda name: _delete_bucket(target, name)),
        ("table", _list_tables(target), lambda name: _delete_table(target, name)),
        ("user", _list_users(target), lambda name: _delete_user(target, name)),
        ("function", _list_functions(target), lambda name: _delete_function(target, name)),
        ("role", _list_roles(target), lambda name: _delete_role(target, name)),
        ("log group", _list_log_groups(target), lambda name: _delete_log_group(target, name)),
    ):
        for name in names:
            if run in name:
                yield Leftover(kind, name, lambda delete=delete, name=name: delete(name))


def _list_stacks(target: Any) -> list[str]:
    """With those that are nested in others, which can't be deleted by themselves, left out."""
    pages = target.client("cloudformation").get_paginator("describe_stacks").paginate()
    stacks = [stack for page in pages for stack in page["Stacks"]]
    return [one["StackName"] for one in stacks if not one.get("ParentId")]


def _list_buckets(target: Any) -> list[str]:
    return [one["Name"] for one in target.client("s3").list_buckets()["Buckets"]]


def _list_tables(target: Any) -> list[str]:
    pages = target.client("dynamodb").get_paginator("list_tables").paginate()
    return [name for page in pages for name in page["TableNames"]]


def _list_users(target: Any) -> list[str]:
    pages = target.client("iam").get_paginator("list_users").paginate()
    return [user["UserName"] for page in pages for user in page["Users"]]


def _list_functions(target: Any) -> list[str]:
    pages = target.client("lambda").get_paginator("list_functions").paginate()
    return [one["FunctionName"] for page in pages for one in page["Functions"]]


def _list_roles(target: Any) -> list[str]:
    pages = target.client("iam").get_paginator("list_roles").paginate()
    return [role["RoleName"] for page in pages for role in page["Roles"]]


def _list_log_groups(target: Any) -> list[str]:
    """Lambda makes one for each function that runs, and nobody deletes it."""
    pages = target.client("logs").get_paginator("describe_log_groups").paginate()
    return [group["logGroupName"] for page in pages for group in page["logGroups"]]


def _delete_bucket(target: Any, name: str) -> None:
    s3 = target.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for found in page.get("Contents", ()):
            s3.delete_object(Bucket=name, Key=found["Key"])
    s3.delete_bucket(Bucket=name)


def _delete_table(target: Any, name: str) -> None:
    target.client("dynamodb").delete_table(TableName=name)


def _delete_user(target: Any, name: str) -> None:
    iam = target.client("iam")
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def _delete_function(target: Any, name: str) -> None:
    target.client("lambda").delete_function(FunctionName=name)


def _delete_role(target: Any, name: str) -> None:
    iam = target.client("iam")
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    iam.delete_role(RoleName=name)


def _delete_log_group(target: Any, name: str) -> None:
    target.client("logs").delete_log_group(logGroupName=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profile", help="an AWS profile; default: PROFILE", metavar="NAME")
    parser.add_argument("--region", default="us-east-1", metavar="NAME")
    parser.add_argument("--endpoint-url", help="rehearse on this emulator", metavar="URL")
    parser.add_argument(
        "--part",
        action="append",
        choices=[*PARTS, "none"],
        help="of the end-to-end tests; repeatable; default: all of these parts",
    )
    parser.add_argument("--report", type=Path, default=Path("build", "aws"), metavar="FOLDER")
    chosen = parser.parse_args()
    profile = chosen.profile or os.environ.get("PROFILE")
    if not (profile or chosen.endpoint_url):
        parser.error("name an AWS profile: --profile NAME")
    parts = [part for part in chosen.part or PARTS if part != "none"]
    folder = chosen.report.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(profile, chosen.region, chosen.endpoint_url)
    with tempfile.TemporaryDirectory() as home:
        report = Acceptance(place, parts, folder, Path(home))()
    print(f"\n{folder / 'report.md'}")
    sys.exit(0 if report.is_good else 1)


if __name__ == "__main__":
    main()
