"""``plldb dev``: from a folder to its breakpoints, and back to nothing."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from .debugging import TRIES, names_lateness, names_lost_event
from .support import (
    REFUSED_NAME,
    REFUSED_RESOURCE,
    SETUP_SECONDS,
    Attached,
    Plldb,
    clean_environment,
    poll,
    random_name,
)

# It has an emulator of its own, whatever the others of this suite run against.
_TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Greeter:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: src, Handler: app.handler, Runtime: python3.13, MemorySize: 128}
"""
# No YAML; no template; no such code; no such mapping; what makes the emulator stumble.
_BROKEN = (
    "Resources: [",
    "3",
    _TEMPLATE.replace("src", "nosuch"),
    f"{_TEMPLATE}  Other: {REFUSED_RESOURCE}",
    "Resources: {Greeter: 3}",
)
_GOES_ON = "the last good deployment goes on"
_CODE = """
def handler(event, context):
    return {"said": "hello", "memory": context.memory_limit_in_mb}
"""


class Project:
    def __init__(self, folder: Path, plldb: Plldb) -> None:
        self.folder = folder
        self.plldb = plldb.within(folder)
        self.template = folder / "template.yaml"
        self.code = folder / "src" / "app.py"
        self.code.parent.mkdir(parents=True)
        self.template.write_text(_TEMPLATE)
        self.code.write_text(_CODE)

    def dev(self, *options: str) -> Attached:
        return Attached(self.plldb.start("dev", "--output", "json", *options), self.plldb.said)

    def wait_for_answer(self, said: str = "hello", memory: str = "128") -> None:
        """From here, where memory sizes are texts."""
        answer = {"said": said, "memory": memory}
        poll(lambda: self.invoke() == answer, f"it answers {answer}")

    def invoke(self, *options: str) -> object:
        """Again, if the engine has lost the event, or nobody has taken it in time."""
        for _ in range(TRIES):
            invoked = self.plldb("invoke", "Greeter", *options)
            is_lost = invoked.exit_code != 0 and names_lost_event(invoked.stderr)
            if not (is_lost or names_lateness(invoked.stderr)):
                break
        return json.loads(invoked.succeeded().stdout)

    def runs(self) -> bool:
        done = self.plldb("local", "status", "--output", "json").succeeded()
        return bool(done.json["running"])

    def has_logged(self, text: str, times: int) -> bool:
        logs = Path(self.plldb.environment["PLLDB_HOME"], "logs")
        return "".join(path.read_text() for path in logs.glob("dev*")).count(text) == times

    def processes(self) -> list[psutil.Process]:
        """Those of its emulator, its functions and its children."""
        home = self.plldb.environment["PLLDB_HOME"]
        return [one for one in psutil.process_iter() if _is_of(one, home)]


def _is_of(process: psutil.Process, home: str) -> bool:
    try:
        found = process.environ()
    except psutil.Error:
        return False
    return home in (found.get("PLLDB_HOME", ""), found.get("TMPDIR", "").removesuffix("/tmp"))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    home = tmp_path / "home"
    plldb = Plldb(clean_environment() | {"PLLDB_HOME": str(home)})
    (folder := tmp_path / random_name("shop")).mkdir()
    project = Project(folder, plldb)
    try:
        yield project
    finally:
        plldb("local", "down").succeeded()


def test_from_nothing_to_an_answer_from_here_and_back(project: Project) -> None:
    with project.dev() as dev:
        deployed = dev.wait_for("deployed", SETUP_SECONDS)
        assert deployed["stackName"] == project.folder.name
        assert deployed["status"] == "CREATE_COMPLETE"
        dev.wait_for("ready")
        project.wait_for_answer()

        project.code.write_text(_CODE.replace("hello", "good morning"))
        project.wait_for_answer("good morning")

        dev.signal(signal.SIGINT)
        assert dev.exit_code() == 0, dev.errors()
    assert not project.runs()
    assert not [one for one in project.processes() if one.pid != dev.process.pid]


def test_an_edited_template_is_deployed_and_a_broken_one_is_not(project: Project) -> None:
    with project.dev() as dev:
        dev.wait_for("ready")
        for count, broken in enumerate(_BROKEN, 1):
            project.template.write_text(broken)
            poll(partial(project.has_logged, _GOES_ON, count), f"it is noticed: {broken}")
            project.wait_for_answer()

        project.template.write_text(_TEMPLATE.replace("128", "256"))
        assert dev.wait_for("deployed", SETUP_SECONDS)["status"] == "UPDATE_COMPLETE"
        project.wait_for_answer(memory="256")

        dev.signal(signal.SIGINT)
        assert dev.exit_code() == 0, dev.errors()
    assert dev.errors().count(_GOES_ON.capitalize()) == len(_BROKEN)
    assert "Traceback" not in dev.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("event", ["deployed", "ready"])
def test_whatever_ends_it_leaves_nothing(
    project: Project, event: str, number: signal.Signals
) -> None:
    with project.dev() as dev:
        dev.wait_for(event)
        dev.signal(number)
        dev.exit_code()
        assert "Traceback" not in dev.errors()
    assert not project.runs()
    assert not [one for one in project.processes() if one.pid != dev.process.pid]


def test_the_last_event_that_was_recorded_comes_again(project: Project) -> None:
    project.code.write_text("def handler(event, context): return event")
    with project.dev("--record", "recordings") as dev:
        dev.wait_for("ready")
        for event in ('{"n": 1}', '{"n": 2, "password": "correct-horse"}'):
            project.invoke("--event", event)
        recordings = project.folder / "recordings"
        poll(lambda: len([*recordings.glob("*.plldb.json")]) == 2, "they are recorded")
        again = project.plldb("invoke", "Greeter", "--last").succeeded()
        assert json.loads(again.stdout) == {"n": 2, "password": "***masked***"}
        assert "masked" in again.stderr
        dev.signal(signal.SIGINT)
        assert dev.exit_code() == 0, dev.errors()


_SEED = """
import boto3, pathlib

tables = boto3.client("dynamodb").list_tables()["TableNames"]
with pathlib.Path("seeded").open("a") as file:
    print(bool(tables), file=file)
raise SystemExit("no user today")
"""


def test_the_seed_runs_after_each_deployment_and_may_fail(project: Project) -> None:
    (project.folder / "seed.py").write_text(_SEED)
    seeded = project.folder / "seeded"
    with project.dev("--seed", f"{sys.executable} seed.py") as dev:
        dev.wait_for("ready")
        assert seeded.read_text().split() == ["True"], "it found the helper stack's tables"
        project.template.write_text(_TEMPLATE.replace("128", "256"))
        poll(lambda: seeded.read_text().split() == ["True"] * 2, "it runs again")
        project.wait_for_answer(memory="256")
        dev.signal(signal.SIGINT)
        assert dev.exit_code() == 0, dev.errors()
    assert dev.errors().count("no user today") == 2


def test_a_seed_that_does_not_end_is_stopped(project: Project) -> None:
    with project.dev("--seed", "sleep 1000") as dev:
        dev.wait_for("deployed", SETUP_SECONDS)
        poll(lambda: project.has_logged("running the seed", 1), "it is run")
        dev.signal(signal.SIGTERM)
        dev.exit_code()
        assert "Traceback" not in dev.errors()
    assert not project.runs()
    assert not [one for one in project.processes() if one.pid != dev.process.pid]


@pytest.mark.parametrize("event", ["deployed", "ready"])
def test_what_a_killed_one_left_is_taken_over(project: Project, event: str) -> None:
    with project.dev() as killed:
        killed.wait_for(event)
        killed.signal(signal.SIGKILL)
        killed.exit_code()
    assert project.runs()
    with project.dev() as dev:
        assert dev.wait_for("deployed", SETUP_SECONDS)["changed"] is False
        dev.wait_for("ready")
        project.wait_for_answer()
        dev.signal(signal.SIGINT)
        assert dev.exit_code() == 0, dev.errors()
    assert not project.runs()
    assert not [one for one in project.processes() if one.pid != dev.process.pid]


def test_an_emulator_that_ran_goes_on_and_so_does_one_that_is_kept(project: Project) -> None:
    with project.dev("--keep") as dev:
        dev.wait_for("ready")
        dev.signal(signal.SIGINT)
        assert dev.exit_code() == 0, dev.errors()
    assert project.runs()
    with project.dev() as dev:
        assert dev.wait_for("deployed", SETUP_SECONDS)["changed"] is False
        dev.wait_for("ready")
        dev.signal(signal.SIGINT)
        assert dev.exit_code() == 0, dev.errors()
    assert project.runs()


def test_a_project_that_can_not_be_deployed_leaves_nothing(project: Project) -> None:
    project.template.write_text(f"Resources: {{T: {REFUSED_RESOURCE}}}")
    failed = project.plldb("dev")
    assert failed.exit_code == 1
    assert REFUSED_NAME in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not project.runs()
