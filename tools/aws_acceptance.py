"""Shows on AWS what the tests show on emulators, and measures it: docs/aws-checklist.md.

``python -m tools.aws_acceptance --profile NAME --region REGION`` deploys a helper stack of its own,
looks at it, debugs a function, runs the end-to-end tests that make sense on AWS, deletes what it
has made, whatever happened, and writes a report. With ``--endpoint-url`` it is a rehearsal on an
emulator. The exit code is 0 if everything that must be seen was seen.

All that is made has the run's name in its own name, by which it is found and deleted at the end.
What has not come to its end, because it was killed, is cleaned up after by the next run.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from botocore.exceptions import BotoCoreError, ClientError

from plldb import __version__
from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.errors import PlldbError
from tests.e2e.project import Project, attach, deployed_project, detach
from tests.e2e.support import RUN_VARIABLE, Plldb, clean_environment, poll, random_name
from tools.acceptance_leftovers import Cleaning, clean, delete_objects
from tools.acceptance_report import Latency, Report, Step
from tools.acceptance_suite import PARTS, run_part

# Seconds: bootstrap on AWS takes minutes.
_STACK_SECONDS = 1800
_LOG_SECONDS = 120
_INVOCATIONS = 20
# Names of runs. Nothing else is called so.
RUN = re.compile(r"acc[0-9a-f]{6}")
_EXPECTED_ERRORS = (
    AssertionError,
    PlldbError,
    BotoCoreError,
    ClientError,
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

    def __init__(
        self, place: Place, parts: Iterable[str], folder: Path, home: Path, journal: Journal
    ) -> None:
        self._place = place
        self._journal = journal
        self._parts = tuple(parts)
        self._folder = folder
        self.run = f"acc{uuid.uuid4().hex[:6]}"
        assert RUN.fullmatch(self.run)
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
            },
            is_rehearsal=place.endpoint_url is not None,
        )

    def __call__(self) -> Report:
        self._clean_after_others()
        self._journal.begin(self.run)
        try:
            self._look()
        finally:
            try:
                self._step("destroy", "the helper stack is deleted", self._destroy_own)
            finally:
                self._clean_up(self.run)
        return self.report

    def clean_only(self, run: str) -> Report:
        self._clean_up(run)
        return self.report

    def _clean_after_others(self) -> None:
        """Those that were killed, on this machine."""
        here, elsewhere = self._journal.read()
        for run in here:
            self._clean_up(run)
        for run, place in elsewhere.items():
            where = place["endpoint_url"] or f"profile {place['profile']}, {place['region']}"
            print(f"{run} did not come to its end ({where}): clean up there with --clean {run}")

    def _clean_up(self, run: str) -> None:
        name = "cleaning up" if run == self.run else f"cleaning up after {run}"
        self._step(name, "nothing of this run is left", lambda: self._clean_after(run))

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
        environment = self._place.make_suite_environment()
        suite = run_part(part, self._folder, environment, self._journal.lock)
        self.report.add_suite(suite)
        assert not suite.failed, f"{len(suite.failed)} failed: see {part}.log"
        return f"{suite.passed} passed, {suite.skipped} skipped"

    # --- Cleaning up --------------------------------------------------------------------------

    def _clean_after(self, run: str) -> str:
        """What is deleted is told: the run itself ought to have done that."""
        done = clean(self._target, run, self._destroy)
        self.report.left += done.left
        is_clean = not (done.left or done.unknown)
        assert is_clean, _describe(done)
        self._journal.end(run)
        return _describe(done) or "nothing was left"

    def _destroy_own(self) -> str:
        delete_objects(self._target, self.run)
        return self._destroy(self._helper)

    def _destroy(self, helper: str) -> str:
        named = ("--stack-name", helper)
        destroy = ("bootstrap", "destroy", "--yes", *named)
        done = self._plldb(*destroy, timeout=_STACK_SECONDS)
        if "is protected" in done.stderr:
            # A test was killed that tries just that.
            unprotected = ("--parameter", "DeletionProtection=false")
            self._plldb("bootstrap", *named, *unprotected, timeout=_STACK_SECONDS).succeeded()
            done = self._plldb(*destroy, timeout=_STACK_SECONDS)
        done.succeeded()
        return "deleted"


def _describe(done: Cleaning) -> str:
    told = (("deleted", done.deleted), ("left", done.left), ("can't be listed", done.unknown))
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in told if names)


class Journal:
    """Runs that have not come to their end, a file each, in a folder of the report's.

    Only one run at a time has it. ``lock`` is the file that says so: it is locked as long as it is
    open, here or in a process that goes on without this one.
    """

    def __init__(self, folder: Path, place: Place) -> None:
        self._folder = folder / "runs"
        self._place = asdict(place)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = (folder / "lock").open("w")
        self.lock = self._file.fileno()

    def __enter__(self) -> Journal:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise PlldbError(
                f"Another run is under way that reports to {self._folder.parent}.",
                "Wait for its end, or name another folder with --report.",
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def begin(self, run: str) -> None:
        (self._folder / run).write_text(json.dumps(self._place))

    def end(self, run: str) -> None:
        (self._folder / run).unlink(missing_ok=True)

    def read(self) -> tuple[list[str], dict[str, dict[str, Any]]]:
        """Those that ran where this one does, and where the others did, by their names.

        One whose file was not written whole, as when the machine went down, may have been here.
        """
        paths = [path for path in self._folder.iterdir() if RUN.fullmatch(path.name)]
        places = {path.name: _read_place(path) or self._place for path in paths}
        here = [run for run, place in places.items() if place == self._place]
        return sorted(here), {run: one for run, one in places.items() if run not in here}


def _read_place(path: Path) -> dict[str, Any] | None:
    with suppress(ValueError):
        place = json.loads(path.read_text())
        if isinstance(place, dict) and {*place} == {one.name for one in fields(Place)}:
            return place
    return None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profile", help="an AWS profile; default: PROFILE", metavar="NAME")
    parser.add_argument("--region", default="us-east-1", metavar="NAME")
    parser.add_argument(
        "--endpoint-url", help="rehearse on this emulator, in place of AWS", metavar="URL"
    )
    parser.add_argument(
        "--part",
        action="append",
        choices=[*PARTS, "none"],
        help="of the end-to-end tests; repeatable; default: all of these parts",
    )
    parser.add_argument(
        "--clean", help="only delete what is left of this run, made elsewhere", metavar="RUN"
    )
    parser.add_argument("--report", type=Path, default=Path("build", "aws"), metavar="FOLDER")
    chosen = parser.parse_args()
    profile = chosen.profile or os.environ.get("PROFILE")
    if bool(profile) == bool(chosen.endpoint_url):
        parser.error("name an AWS profile, --profile NAME, or an emulator, --endpoint-url URL")
    if chosen.clean and not RUN.fullmatch(chosen.clean):
        parser.error(f"{chosen.clean} is no run: they are called acc and six hexadecimal digits")
    # Whoever closes the terminal, or shuts this machine down, wants no stacks to stay.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    place = Place(profile, chosen.region, chosen.endpoint_url)
    parts = [part for part in chosen.part or PARTS if part != "none"]
    folder = chosen.report.absolute()
    try:
        with Journal(folder, place) as journal, tempfile.TemporaryDirectory() as home:
            acceptance = Acceptance(place, parts, folder, Path(home), journal)
            report = acceptance.clean_only(chosen.clean) if chosen.clean else acceptance()
    except PlldbError as error:
        sys.exit(f"{error.message}\n{error.hint}")
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. What is left, if anything: {folder / 'report.md'}")
    print(f"\n{folder / 'report.md'}")
    sys.exit(0 if report.is_good else 1)


if __name__ == "__main__":
    main()
