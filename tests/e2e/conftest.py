"""One target and one helper stack for the whole suite, made through the public command line.

The target is chosen by environment variables, as ``make e2e`` sets them: PROFILE (AWS), ENDPOINT
(an emulator that runs already), else EMULATOR (ministack, localstack, or auto: localstack where a
Docker engine answers). A test that needs what an engine does not have says so with
``@pytest.mark.needs("capability")``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import requests
from filelock import FileLock

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.emulators.container import LocalStack, engine_answers
from plldb.emulators.process import MiniStack
from plldb.emulators.state import StateFile
from plldb.stacks import find_helper_stack

from .project_steps import KIND, STEPS
from .support import RUN_VARIABLE, Backend, Keys, Plldb, clean_environment, random_name, user

CAPABILITIES = {
    "iam": "IAM policies and signatures are enforced",
    "accounts": "buckets belong to accounts, and another account's key is at hand",
    "local": "it is an emulator that this suite started",
    "container": "it is our container image, whose limits can be set",
    "process": "it is a process of this machine that this suite started",
    "monitoring": "CloudFormation makes dashboards, and keeps tables from being deleted",
    "recovery": "tables can be restored to a point in time",
    "rollback": "a creation or an update that fails is reported and rolled back",
    "updates": "what changes in a stack reaches its tables, log groups and functions",
    "deployments": "it says when a stack was deployed last",
    "rolling": "a function can be updated while environments of it start",
    "schedules": "rules of EventBridge fire by themselves",
    "tools": "what CDK, osls, Chalice and SAM deploy has been seen to come about",
}
_OF_STARTED = {"container", "local", "process"}
_CAPABILITIES_OF = {
    "ministack": {
        "iam",
        "accounts",
        "deployments",
        "local",
        "monitoring",
        "process",
        "rollback",
        "rolling",
        "updates",
        "schedules",
        "tools",
    },
    "localstack": {"container", "local"},
    "aws": {
        "iam",
        "deployments",
        "monitoring",
        "recovery",
        "rollback",
        "rolling",
        "updates",
        "schedules",
    },
}


@dataclass(frozen=True)
class Engine:
    """What the suite runs against; ``endpoint_url`` is given if it runs already."""

    name: str
    endpoint_url: str | None = None
    profile: str | None = None


@cache
def engine() -> Engine:
    if profile := os.environ.get("PROFILE"):
        return Engine("aws", profile=profile)
    if url := os.environ.get("ENDPOINT"):
        is_ministack = requests.get(f"{url}/_ministack/health", timeout=10).ok
        return Engine("ministack" if is_ministack else "localstack", endpoint_url=url)
    name = os.environ.get("EMULATOR", "ministack")
    if name == "auto":
        name = "localstack" if engine_answers() else "ministack"
    return Engine(name)


_HERE = Path(__file__).parent
# Seconds for one test, once what it needs is there: with all cores busy, the longest takes half.
_TIMEOUT_SECONDS = 600
# A stack to debug: deployed in no time, and good for nothing else.
_TINY_TEMPLATE = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'


def _has_others() -> bool:
    """Whether others use the same account, who shall find it as it was."""
    return engine().name == "aws" or RUN_VARIABLE in os.environ


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*capabilities): what the engine must have")
    # In the background of a script it is ignored, and so it would be by whatever is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"end-to-end target: {engine()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_SECONDS, func_only=True))


def pytest_runtest_setup(item: pytest.Item) -> None:
    name, is_running = engine().name, engine().endpoint_url is not None
    capabilities = _CAPABILITIES_OF[name] - (_OF_STARTED if is_running else set())
    for mark in item.iter_markers("needs"):
        for capability in mark.args:
            if capability not in capabilities:
                pytest.skip(f"{name} has not: {CAPABILITIES[capability]}")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plldb-home")


@pytest.fixture(scope="session")
def helper_name() -> str:
    """A helper stack of its own where others may have one in use."""
    return random_name("plldb-e2e") if _has_others() else "plldb"


@pytest.fixture(scope="session")
def starts(tmp_path_factory: pytest.TempPathFactory) -> FileLock:
    """Held while an emulator starts: the first worker builds the image, the others find it."""
    return FileLock(tmp_path_factory.getbasetemp().parent / "emulator-starts.lock")


@pytest.fixture(scope="session")
def plldb(home: Path, helper_name: str, starts: FileLock) -> Iterator[Plldb]:
    """The command line, which finds the target by itself."""
    chosen = engine()
    variables = {"PLLDB_HOME": str(home), "PLLDB_HELPER_STACK": helper_name}
    if chosen.profile:
        yield Plldb(dict(os.environ) | variables | {"PLLDB_PROFILE": chosen.profile})
        return
    command = Plldb(clean_environment() | variables)
    if chosen.endpoint_url:
        yield command.with_environment(PLLDB_ENDPOINT_URL=chosen.endpoint_url)
        return
    try:
        with starts:
            command("local", "up", "--detach", "--emulator", chosen.name, timeout=900).succeeded()
        yield command
    finally:
        command("local", "down").succeeded()


@pytest.fixture
def emulator_log(plldb: Plldb, home: Path) -> str:
    """All that the emulator has logged so far."""
    log = _log_of_emulator(home, 1_000_000)
    assert log is not None, "mark the test with needs('local')"
    return log


def _log_of_emulator(home: Path, lines: int) -> str | None:
    """The last lines of it; None if this suite started none."""
    running = StateFile(home).read()
    if running is None:
        return None
    emulator = MiniStack(home) if running.emulator == MiniStack.name else LocalStack(home)
    return "\n".join(emulator.last_log_lines(running, lines))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What fails is shown with what the emulator said of it, and how busy the machine was."""
    report = yield
    home = getattr(item, "funcargs", {}).get("home")
    if report.failed and home is not None and (log := _log_of_emulator(home, 100)):
        now = time.strftime("%H:%M:%S", time.gmtime())
        report.sections.append((f"emulator's log, {now} UTC, load {os.getloadavg()}", log))
    return report


@pytest.fixture(scope="session")
def address(plldb: Plldb, home: Path) -> EmulatorAddress:
    running = StateFile(home).read()
    if running is not None:
        return running.address
    url = engine().endpoint_url
    assert url is not None, "AWS has no address: mark the test with needs('local')"
    return EmulatorAddress(url, url)


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    if profile := engine().profile:
        region = os.environ.get("PLLDB_REGION")
        return Target(TargetSettings("aws", region=region, profile=profile))
    address: EmulatorAddress = request.getfixturevalue("address")
    return Target(TargetSettings("emulator", "us-east-1", emulator=address))


@pytest.fixture(scope="session")
def backend(plldb: Plldb, target: Target, helper_name: str) -> Iterator[Backend]:
    try:
        plldb("bootstrap", "--stack-name", helper_name, timeout=1800).succeeded()
        yield Backend(target, find_helper_stack(target, helper_name))
    finally:
        if _has_others():
            plldb("bootstrap", "destroy", "--yes", "--stack-name", helper_name, timeout=1800)


@pytest.fixture
def stack(target: Target) -> Iterator[str]:
    """The name of a deployed stack to debug."""
    name = random_name("debuggee")
    cloudformation = target.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=_TINY_TEMPLATE)
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 1})
    try:
        yield name
    finally:
        cloudformation.delete_stack(StackName=name)


@pytest.fixture
def nobody(target: Target) -> Iterator[Keys]:
    """Working credentials of a user who may do nothing."""
    with user(target) as (_, keys):
        yield keys


# --- The table of engines and cases -------------------------------------------------------------

_RESULTS = "plldb/e2e"
_SEVERITY = ["", "-", "ok", "FAILED"]
_outcomes: dict[str, str] = {}
# Of kinds of projects: what was shown of each. See test_projects.py.
_kinds: dict[str, set[str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One row a test function: its worst parameter counts."""
    for name, value in report.user_properties if report.when == "call" else ():
        if name == KIND:
            kind, what = str(value).rsplit("\t", 1)
            _kinds.setdefault(kind, set()).add(what)
    case = report.nodeid.partition("tests/e2e/")[2].partition("[")[0]
    if not case or case.startswith("extension/"):
        return
    if report.when == "call" or report.outcome != "passed":
        outcome = {"passed": "ok", "failed": "FAILED"}.get(report.outcome, "-")
        _outcomes[case] = max(outcome, _outcomes.get(case, ""), key=_SEVERITY.index)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Every case of this run, beside what the last runs against other engines gave."""
    _show_kinds(terminalreporter)
    cache_ = getattr(config, "cache", None)  # -p no:cacheprovider
    if cache_ is None or not _outcomes:
        return
    cache_.set(f"{_RESULTS}/{engine().name}", _outcomes)
    columns = {
        name: column
        for name in _CAPABILITIES_OF
        if (column := cache_.get(f"{_RESULTS}/{name}", {}))
    }
    terminalreporter.section("engines and cases (-: the engine can't honour it)")
    terminalreporter.write_line("".join(f"{name:<12}" for name in columns) + "case")
    for case in sorted({case for column in columns.values() for case in column}):
        cells = "".join(f"{column.get(case, ''):<12}" for column in columns.values())
        terminalreporter.write_line(cells + case)


def _show_kinds(terminalreporter: pytest.TerminalReporter) -> None:
    """Each kind of project, with what was shown of it: its name alone if it was the first."""
    if not _kinds:
        return
    terminalreporter.section("kinds of projects, and what of them was shown")
    terminalreporter.write_line("".join(f"{step:<12}" for step in STEPS) + "project: stack")
    for kind, shown in sorted(_kinds.items()):
        cells = ("ok" if step in shown else "FAILED" for step in STEPS)
        terminalreporter.write_line("".join(f"{cell:<12}" for cell in cells) + kind)
