"""The end-to-end tests that ``tools.aws_acceptance`` runs, and why it runs no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

_ROOT = Path(__file__).parents[1]
_E2E = Path("tests", "e2e")
# What is worth its time and money on AWS, in order.
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
    "test_distributions": "wheels, installed on this machine",
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
# Seconds: for a part, on AWS, and for its fixtures to delete what they have made.
_PART_SECONDS = 4 * 3600
_TEARDOWN_SECONDS = 1800


@dataclass(frozen=True)
class Suite:
    """What tests gave: counts, and names of those that failed."""

    passed: int = 0
    skipped: int = 0
    failed: tuple[str, ...] = ()

    def __add__(self, other: Suite) -> Suite:
        failed = (*self.failed, *other.failed)
        return Suite(self.passed + other.passed, self.skipped + other.skipped, failed)


def run_part(
    part: str, folder: Path, environment: Mapping[str, str], keep_open: int | None = None
) -> Suite:
    """Writes ``part.log`` and ``part.xml`` to the folder.

    pytest has a process group of its own, so that Ctrl-C comes here alone. It is passed on once,
    and there is time to delete what was made. ``keep_open`` is a file that stays open as long as
    pytest runs, also without this process. Raises AssertionError if pytest did not come to its end.
    """
    junit = folder / f"{part}.xml"
    junit.unlink(missing_ok=True)
    files = [str(_E2E / f"{name}.py") for name in PARTS[part]]
    with (folder / f"{part}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *files, "-n", "0", f"--junitxml={junit}"],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[] if keep_open is None else [keep_open],
        )
        try:
            process.wait(_PART_SECONDS)
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait(_TEARDOWN_SECONDS)
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert junit.exists(), f"pytest did not come to its end: see {part}.log"
    return read_suite(junit)


def read_suite(junit: Path) -> Suite:
    """From the file that pytest writes with --junitxml."""
    # It is written by pytest, here and now.
    cases = list(ElementTree.parse(junit).iter("testcase"))  # noqa: S314
    failed = [case for case in cases if _has(case, "failure") or _has(case, "error")]
    skipped = [case for case in cases if _has(case, "skipped")]
    names = sorted({f"{case.get('classname')}::{case.get('name')}" for case in failed})
    return Suite(len(cases) - len(failed) - len(skipped), len(skipped), tuple(names))


def _has(case: ElementTree.Element, kind: str) -> bool:
    return case.find(kind) is not None
