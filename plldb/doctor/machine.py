"""Checks of this machine: Python, settings, emulator, Docker."""

from __future__ import annotations

import importlib.util
import platform
from importlib import metadata
from typing import TYPE_CHECKING

import requests

from plldb import __version__
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckResult
from plldb.emulators.state import StateFile

if TYPE_CHECKING:
    from plldb.emulators.base import RunningEmulator

_HEALTH_SECONDS = 5
# Distribution → what it is good for. None of them is needed by everybody.
OPTIONAL_PACKAGES = {
    "debugpy": "debugging in an editor",
    "ministack": "the embedded emulator",
    "testcontainers": "LocalStack in a container",
}
# Modules that it takes to look at a local emulator.
LOCAL_EXTRA = ("docker", "filelock", "psutil", "testcontainers")
_INSTALL_LOCAL = "Install it, in plldb's checkout: pip install '.[local]'"


def check_python(_: Facts) -> CheckResult:
    return CheckResult.ok(f"plldb {__version__} on Python {platform.python_version()}")


def check_packages(_: Facts) -> CheckResult:
    """For information only: who does not use them does not miss them."""
    return CheckResult.ok(
        "; ".join(_describe_package(name, use) for name, use in OPTIONAL_PACKAGES.items())
    )


def _describe_package(name: str, use: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} is not installed ({use})"


def check_settings(facts: Facts) -> CheckResult:
    return CheckResult.ok(facts.context.describe_settings())


def check_target(facts: Facts) -> CheckResult:
    where = "AWS" if facts.target.is_aws else facts.target.description
    return CheckResult.ok(f"calls go to {where}")


def check_emulator(facts: Facts) -> CheckResult:
    known = StateFile(facts.context.home).read()
    if known is None:
        return CheckResult.ok("plldb started none on this machine")
    if missing := _find_missing_modules():
        return CheckResult.skipped(
            f"plldb started {known.emulator}; looking at it takes {', '.join(missing)}",
            _INSTALL_LOCAL,
        )
    return _check_state(known, facts)


def _find_missing_modules() -> list[str]:
    return [name for name in LOCAL_EXTRA if importlib.util.find_spec(name) is None]


def _check_state(known: RunningEmulator, facts: Facts) -> CheckResult:
    emulator = facts.context.make_emulator(known.emulator)
    if not known.endpoint_url or not emulator.is_alive(known):
        return CheckResult.problem(
            f"{known.emulator} was started on this machine, and is gone without being stopped",
            "Clear away what it left: plldb local down",
        )
    reason = _find_illness(emulator.health_url(known))
    if reason:
        return CheckResult.problem(
            f"{known.emulator} at {known.endpoint_url} is not healthy: {reason}",
            "Start it anew: plldb local down, then plldb local up",
        )
    return CheckResult.ok(f"{known.emulator} runs at {known.endpoint_url}")


def _find_illness(url: str) -> str | None:
    """Why the emulator is not healthy; None if it is."""
    try:
        response = requests.get(url, timeout=_HEALTH_SECONDS)
    except requests.RequestException as error:
        return type(error).__name__
    return None if response.ok else f"it answers {response.status_code}"


def check_docker(facts: Facts) -> CheckResult:
    """A missing engine is a problem only where LocalStack was started."""
    known = StateFile(facts.context.home).read()
    is_needed = known is not None and known.emulator == "localstack"
    if missing := _find_missing_modules():
        found, hint = f"not installed: {', '.join(missing)}", _INSTALL_LOCAL
    elif _does_engine_answer():
        return CheckResult.ok("an engine answers")
    else:
        found, hint = "no engine answers", "Start Docker, or use MiniStack: plldb local up"
    if is_needed:
        return CheckResult.problem(f"{found}, and LocalStack was started", hint)
    return CheckResult.ok(f"{found}; only plldb local up --emulator localstack needs it")


def _does_engine_answer() -> bool:
    from plldb.emulators.container import engine_answers

    return engine_answers()
