"""``plldb doctor`` finds what is wrong, names it, and says what to do."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lambda_functions.sessions.reaping import CONNECTING_SECONDS
from lambda_functions.shared import constants

from plldb import __version__
from plldb.aws import Target
from plldb.config import VERSION_TAG
from plldb.doctor import requirements
from plldb.doctor.requirements import Permission, Purpose
from plldb.emulators.base import RunningEmulator
from plldb.emulators.state import StateFile

from .debugging import Debuggee, attached, deployed, function
from .support import (
    DEADLINE_SECONDS,
    Backend,
    Keys,
    Plldb,
    Result,
    allowed,
    clean_environment,
    poll,
    random_name,
    signed_in,
    user,
)

Finding = dict[str, Any]
# Runs the command line with this machine's clock so many seconds ahead.
_CLOCK_AHEAD = """
import sys, time, time_machine
from plldb.cli.main import main
seconds = float(sys.argv.pop(1))
with time_machine.travel(time.time() + seconds, tick=True):
    main()
"""
_HELPER_OUTPUTS = (
    "ManagementApiId",
    "ManagementApiUrl",
    "WebSocketApiId",
    "WebSocketUrl",
    "SessionsTableName",
    "DebuggerTableName",
    "InstrumentationFunctionName",
)


def findings(result: Result) -> dict[str, Finding]:
    """By check, in order."""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {line["check"]: line for line in lines}


def doctor(plldb: Plldb, *arguments: str) -> dict[str, Finding]:
    """What it found; its exit code says whether there is a problem."""
    result = plldb("doctor", "--output", "json", *arguments)
    found = findings(result)
    assert "Traceback" not in result.stderr
    is_bad = any(one["status"] == "problem" for one in found.values())
    assert result.exit_code == (1 if is_bad else 0), result.stderr
    return found


def names_of(backend: Backend, stack: str) -> dict[str, str]:
    target, helper = backend.target, backend.helper
    return {
        "role_path": "/",
        "partition": "aws",
        "region": target.region,
        "account": target.account_id,
        "identity": "*",
        "helper": helper.name,
        "stack": stack,
        "bucket": f"plldb-core-infrastructure-{target.region}-{target.account_id}",
        "sessions_table": helper.sessions_table,
        "debugger_table": helper.debugger_table,
        "management_api": helper.management_api_id,
        "instrumentation_function": helper.instrumentation_function,
    }


@contextmanager
def user_with(target: Target, permissions: list[Permission]) -> Iterator[Keys]:
    """Working credentials of a user who may do just this."""
    by_resource: dict[str, list[str]] = {}
    for permission in permissions:
        by_resource.setdefault(permission.resource, []).append(permission.action)
    statements = [allowed(*actions, on=resource) for resource, actions in by_resource.items()]
    # AWS has no bus in the ARN of a rule on the default one; MiniStack has.
    rules = f"arn:{target.partition}:events:{target.region}:{target.account_id}:rule/default/*"
    with user(target, *statements, allowed("events:DescribeRule", on=rules)) as (_, keys):
        yield keys


def permissions_of(names: dict[str, str], *purposes: Purpose) -> list[Permission]:
    return [
        replace(permission, resource=permission.resource.format_map(names))
        for purpose in purposes
        for permission in purpose.permissions
    ]


def missing(found: dict[str, Finding]) -> list[tuple[str, str]]:
    """(action, resource) of all checks of permissions."""
    return sorted(
        {
            (one["action"], one["resource"])
            for finding in found.values()
            for one in finding.get("missing", [])
        }
    )


def test_nothing_is_wrong_after_bootstrap(plldb: Plldb, backend: Backend, stack: str) -> None:
    found = doctor(plldb, "--stack-name", stack)

    assert {check: one for check, one in found.items() if one["status"] != "ok"} == {}
    assert stack in found["stack"]["found"]


def test_people_are_told_in_lines_with_marks(plldb: Plldb, backend: Backend, stack: str) -> None:
    result = plldb("doctor", "--stack-name", stack).succeeded()

    assert all(line.startswith("✓ ") for line in result.stdout.splitlines())


def test_deep_opens_a_session_measures_it_and_closes_it(plldb: Plldb, backend: Backend) -> None:
    before = {*backend.all_session_ids()}

    trial = doctor(plldb, "--deep")["session trial"]

    assert trial["status"] == "ok", trial
    steps = {"create", "connect", "heartbeat", "largeMessage", "close"}
    assert trial["milliseconds"].keys() == steps
    (opened,) = {*backend.all_session_ids()} - before
    assert backend.item(opened)["Status"] == "CLOSED"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_session_that_was_tried_when_the_doctor_is_killed(
    plldb: Plldb, backend: Backend, number: signal.Signals
) -> None:
    """At whatever step that is: it is closed, or nobody connects to it any more, and it expires.
    One whose client is gone before the socket opens is closed by the reaper.
    """
    before = {*backend.all_session_ids()}
    process = plldb.start("doctor", "--deep")
    try:
        opened = poll(lambda: {*backend.all_session_ids()} - before, "a session is opened")
    finally:
        process.send_signal(number)
        process.communicate(timeout=DEADLINE_SECONDS)
    (session_id,) = opened

    def nobody_is_attached() -> bool:
        backend.reap()
        return backend.item(session_id)["Status"] in ("CLOSED", "PENDING")

    # Until the reaper may close what does not open.
    seconds = CONNECTING_SECONDS + DEADLINE_SECONDS
    poll(nobody_is_attached, "nobody is attached", seconds=seconds, pause=1)


class TestWithoutATarget:
    def test_that_is_said_first_and_the_rest_is_skipped(self, tmp_path: Path) -> None:
        nowhere = Plldb(clean_environment() | {"PLLDB_HOME": str(tmp_path)}, tmp_path)

        found = doctor(nowhere)

        assert list(found)[:2] == ["settings", "target"]
        assert found["target"]["status"] == "problem"
        assert "plldb local up" in found["target"]["hint"]
        assert "--profile" in found["target"]["hint"]
        assert found["Python"]["status"] == "ok"
        assert found["helper stack"]["status"] == "skipped"
        assert "because of: target" in found["helper stack"]["found"]

    def test_a_settings_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "plldb.toml").write_text("environment = [", encoding="utf-8")
        nowhere = Plldb(clean_environment() | {"PLLDB_HOME": str(tmp_path)}, tmp_path)

        found = doctor(nowhere)

        assert found["settings"]["status"] == "problem"
        assert "plldb.toml" in found["settings"]["found"]
        assert found["emulator"]["status"] == "ok"

    def test_an_endpoint_that_does_not_answer_is_named(self, tmp_path: Path) -> None:
        nowhere = Plldb(clean_environment() | {"PLLDB_HOME": str(tmp_path)}, tmp_path)

        found = doctor(nowhere, "--endpoint-url", "http://127.0.0.1:9")

        assert found["endpoint"]["status"] == "problem"
        assert "because of: endpoint" in found["credentials"]["found"]

    def test_an_emulator_that_died_left_its_state(self, tmp_path: Path) -> None:
        gone = RunningEmulator("ministack", "http://127.0.0.1:9", "http://127.0.0.1:9", pid=2**22)
        StateFile(tmp_path).write(gone)
        nowhere = Plldb(clean_environment() | {"PLLDB_HOME": str(tmp_path)}, tmp_path)

        found = doctor(nowhere)

        assert found["emulator"]["status"] == "problem"
        assert "plldb local down" in found["emulator"]["hint"]
        nowhere("local", "down").succeeded()
        assert doctor(nowhere)["emulator"]["status"] == "ok"


@pytest.mark.needs("local")
@pytest.mark.parametrize(("seconds", "status"), [(0, "ok"), (-120, "warning"), (600, "problem")])
def test_a_clock_that_is_off_is_told(
    plldb: Plldb, backend: Backend, seconds: int, status: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CLOCK_AHEAD, str(seconds), "doctor", "--output", "json"],
        env=plldb.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]

    (clock,) = [one for one in found if one["check"] == "clock"]
    assert clock["status"] == status, clock
    if seconds:
        assert "10 minutes ahead of" in clock["found"] or "2 minutes behind" in clock["found"]
        assert "NTP" in clock["hint"]


class TestTheHelperStack:
    def test_one_that_is_missing(self, plldb: Plldb, backend: Backend) -> None:
        found = doctor(plldb, "--helper-stack", "not-there")

        assert found["helper stack"]["status"] == "problem"
        assert "plldb bootstrap" in found["helper stack"]["hint"]
        assert found["management API"]["status"] == "skipped"
        assert found["credentials"]["status"] == "ok"

    @pytest.mark.parametrize(
        ("version", "age", "way_out"),
        [("0.0.1", "older", "plldb bootstrap"), ("99.0.0", "newer", "Update this plldb")],
    )
    def test_one_of_another_version(
        self, plldb: Plldb, target: Target, version: str, age: str, way_out: str
    ) -> None:
        with helper_stack_of(target, version) as name:
            found = doctor(plldb, "--helper-stack", name)

        assert found["version"]["status"] == "problem"
        assert f"is {age} ({version}) than this plldb ({__version__})" in found["version"]["found"]
        assert way_out in found["version"]["hint"]

    def test_one_with_other_parameters(self, plldb: Plldb, backend: Backend, stack: str) -> None:
        other = plldb.with_environment(PLLDB_ENVIRONMENT="production")

        found = doctor(other, "--stack-name", stack)

        assert found["drift"]["status"] == "warning"
        assert "LogRetentionDays" in found["drift"]["differing"]
        assert "plldb bootstrap" in found["drift"]["hint"]

    def test_a_reaper_that_is_switched_off(self, plldb: Plldb, backend: Backend) -> None:
        with backend.reaper_off() as rule:
            found = doctor(plldb)

        assert found["reaper"]["status"] == "warning"
        assert f"enable-rule --name {rule}" in found["reaper"]["hint"]
        assert doctor(plldb)["reaper"]["status"] == "ok"


@contextmanager
def helper_stack_of(target: Target, version: str) -> Iterator[str]:
    """A stack that passes for a helper stack of that version, as far as its tags and outputs go."""
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": "https://a.b/plldb"} for name in _HELPER_OUTPUTS},
    }
    cloudformation, name = target.client("cloudformation"), random_name("aged")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(template),
        Tags=[{"Key": VERSION_TAG, "Value": version}],
    )
    try:
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1})
        yield name
    finally:
        cloudformation.delete_stack(StackName=name)


@pytest.mark.needs("iam", "local")
class TestPermissions:
    @pytest.mark.parametrize(
        ("action", "resource_has", "check", "status"),
        [
            ("cloudformation:DescribeStacks", "", "attach", "problem"),
            ("execute-api:Invoke", "/POST/sessions", "attach", "problem"),
            ("execute-api:Invoke", "/DELETE/sessions/*", "sessions", "warning"),
            ("lambda:InvokeFunction", "", "restore", "warning"),
            ("s3:PutObject", "", "bootstrap", "warning"),
            ("iam:PassRole", "", "bootstrap", "warning"),
            ("apigateway:PATCH", "/restapis/", "bootstrap", "warning"),
            ("dynamodb:UpdateTimeToLive", "", "bootstrap", "warning"),
            ("events:PutRule", "", "bootstrap", "warning"),
        ],
    )
    def test_what_a_policy_lacks_is_named_and_nothing_else(
        self,
        plldb: Plldb,
        backend: Backend,
        stack: str,
        action: str,
        resource_has: str,
        check: str,
        status: str,
    ) -> None:
        everything = permissions_of(names_of(backend, stack), *requirements.PURPOSES)
        lacking = [p for p in everything if p.action == action and resource_has in p.resource]
        assert lacking
        with user_with(backend.target, [p for p in everything if p not in lacking]) as keys:
            found = doctor(signed_in(plldb, keys), "--stack-name", stack)

        assert missing(found) == sorted({(p.action, p.resource) for p in lacking})
        finding = found[f"permissions: {check}"]
        assert finding["status"] == status
        assert f"{action} on {lacking[0].resource}" in finding["found"]

    def test_a_whole_policy_lacks_nothing(self, plldb: Plldb, backend: Backend, stack: str) -> None:
        everything = permissions_of(names_of(backend, stack), *requirements.PURPOSES)
        with user_with(backend.target, everything) as keys:
            found = doctor(signed_in(plldb, keys), "--stack-name", stack)

        assert {check: one for check, one in found.items() if one["status"] != "ok"} == {}
        assert "nothing is missing of" in found["permissions: bootstrap"]["found"]

    def test_without_simulation_harmless_calls_are_tried(
        self, plldb: Plldb, backend: Backend, stack: str
    ) -> None:
        developer = permissions_of(names_of(backend, stack), requirements.ATTACH)
        with user_with(backend.target, developer) as keys:
            found = doctor(signed_in(plldb, keys), "--stack-name", stack)

        attach, restore = found["permissions: attach"], found["permissions: restore"]
        assert attach["status"] == "skipped"
        assert "could not be found out" in attach["found"]
        assert {one["action"] for one in attach["unknown"]} == {"execute-api:Invoke"}
        assert [one["action"] for one in restore["missing"]] == ["lambda:InvokeFunction"]
        assert "iam:SimulatePrincipalPolicy" in attach["hint"]
        paths = [one["resource"] for one in found["permissions: sessions"]["missing"]]
        assert sorted(path.partition("/plldb/")[2] for path in paths) == [
            "GET/health",
            "GET/sessions",
            "GET/sessions/*",
        ]
        assert found["functions"]["status"] == "skipped"
        assert "lambda:ListFunctions" in json.dumps(found["functions"])

    def test_nobody_is_told_what_is_missing_to_attach(
        self, plldb: Plldb, backend: Backend, nobody: Keys
    ) -> None:
        found = doctor(signed_in(plldb, nobody))

        assert found["credentials"]["status"] == "ok"
        assert found["helper stack"]["status"] == "problem"
        assert [one["action"] for one in found["permissions: attach"]["missing"]] == [
            "cloudformation:DescribeStacks"
        ]

    def test_a_wrong_secret_is_told_as_such(
        self, plldb: Plldb, backend: Backend, nobody: Keys
    ) -> None:
        found = doctor(signed_in(plldb, Keys(nobody.access_key_id, "wrong")))

        assert found["credentials"]["status"] == "problem"
        assert "because of: credentials" in found["permissions: attach"]["found"]


@pytest.fixture
def debuggee(target: Target) -> Iterator[Debuggee]:
    with deployed(target, {"Fn": function()}) as stack:
        yield stack


class TestLeftovers:
    def test_a_function_that_nobody_restored_is_found_and_can_be_mended(
        self, plldb: Plldb, backend: Backend, debuggee: Debuggee
    ) -> None:
        def look() -> Finding:
            return doctor(plldb, "--stack-name", debuggee.name)["functions"]

        async def leave() -> Finding:
            """Held by a session of which nothing is known any more: nobody will restore it."""
            async with attached(backend, debuggee.name) as debugger:
                await debugger.instrument("Fn")
                while_attached = await asyncio.to_thread(look)
                variables = debuggee.configuration("Fn")["Environment"]
                # The reaper knows no such session, and so it never comes first.
                forgotten = variables | {constants.SESSION: "f0560773"}
                debuggee.update("Fn", Environment={"Variables": forgotten})
                return while_attached

        while_attached = asyncio.run(leave())
        left = look()

        assert while_attached["status"] == "ok", while_attached
        assert left["status"] == "problem"
        (one,) = left["functions"]
        assert one["name"] == debuggee.physical["Fn"]
        assert one["session"] == "f0560773"
        assert one["stackName"] == debuggee.name
        assert left["hint"] == f"plldb restore --stack-name {debuggee.name}"
        assert debuggee.is_held("Fn"), "the doctor changes nothing"
        plldb("restore", "--stack-name", debuggee.name).succeeded()
        assert look()["status"] == "ok"
        assert not debuggee.is_held("Fn")

    def test_a_session_past_its_time_is_found(
        self, plldb: Plldb, backend: Backend, stack: str
    ) -> None:
        async def outlive() -> Finding | None:
            session_id = backend.new_session(stack)
            async with backend.connect(session_id):
                backend.set_ttl(session_id, int(time.time()) - 5)
                found = await asyncio.to_thread(doctor, plldb, "--stack-name", stack)
            return found["sessions"] if found["sessions"]["status"] != "ok" else None

        # The reaper, or the table itself, may come first; but not every time.
        found = poll(lambda: asyncio.run(outlive()), "a session past its time")

        assert found["status"] == "warning"
        assert found["stacks"] == [stack]
