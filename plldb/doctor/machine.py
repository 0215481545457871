"""Checks of this machine: Python, settings, emulator, Docker."""

from __future__ import annotations

import importlib.util
import platform
from importlib import metadata
from typing import TYPE_CHECKING

import requests

from plldb import __version__
from plldb.doctor.facts import Facts
from plldb.doctor.findings import Result, ok, problem, skipped
from plldb.emulators.state import StateFile

if TYPE_CHECKING:
    from plldb.emulators.base import RunningEmulator

_HEALTH_SECONDS = 5
# Distribution → what it is good for. None of them is needed by everybody.
_OPTIONAL = {
    "debugpy": "debugging in an editor",
    "ministack": "the embedded emulator",
    "testcontainers": "LocalStack in a container",
}
# Modules that watching a local emulator takes.
_LOCAL_EXTRA = ("docker", "filelock", "psutil", "testcontainers")
_INSTALL_LOCAL = "Install it, in plldb's checkout: pip install '.[local]'"


def python(_: Facts) -> Result:
    return ok(f"plldb {__version__} on Python {platform.python_version()}")


def packages(_: Facts) -> Result:
    """Information only: who does not use them does not miss them."""
    return ok("; ".join(_package(name, use) for name, use in _OPTIONAL.items()))


def _package(name: str, use: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} is not installed ({use})"


def settings(facts: Facts) -> Result:
    return ok(facts.question.describe_settings())


def target(facts: Facts) -> Result:
    where = "AWS" if facts.target.is_aws else facts.target.description
    return ok(f"calls go to {where}")


def emulator(facts: Facts) -> Result:
    known = StateFile(facts.question.home).read()
    if known is None:
        return ok("plldb started none on this machine")
    if missing := _missing_modules():
        return skipped(
            f"plldb started {known.emulator}; looking at it takes {', '.join(missing)}",
            _INSTALL_LOCAL,
        )
    return _state_of(known, facts)


def _missing_modules() -> list[str]:
    return [name for name in _LOCAL_EXTRA if importlib.util.find_spec(name) is None]


def _state_of(known: RunningEmulator, facts: Facts) -> Result:
    engine = facts.question.make_emulator(known.emulator)
    if not known.endpoint_url or not engine.is_alive(known):
        return problem(
            f"{known.emulator} was started on this machine, and is gone without being stopped",
            "Clear away what it left: plldb local down",
        )
    reason = _unhealthy(engine.health_url(known))
    if reason:
        return problem(
            f"{known.emulator} at {known.endpoint_url} is not healthy: {reason}",
            "Start it anew: plldb local down, then plldb local up",
        )
    return ok(f"{known.emulator} runs at {known.endpoint_url}")


def _unhealthy(url: str) -> str | None:
    try:
        response = requests.get(url, timeout=_HEALTH_SECONDS)
    except requests.RequestException as error:
        return type(error).__name__
    return None if response.ok else f"it answers {response.status_code}"


def docker(facts: Facts) -> Result:
    """A problem only where LocalStack was started; otherwise for information."""
    known = StateFile(facts.question.home).read()
    is_needed = known is not None and known.emulator == "localstack"
    if missing := _missing_modules():
        found, hint = f"not installed: {', '.join(missing)}", _INSTALL_LOCAL
    elif _engine_answers():
        return ok("an engine answers")
    else:
        found, hint = "no engine answers", "Start Docker, or use MiniStack: plldb local up"
    if is_needed:
        return problem(f"{found}, and LocalStack was started", hint)
    return ok(f"{found}; only plldb local up --emulator localstack needs it")


def _engine_answers() -> bool:
    from plldb.emulators.container import engine_answers

    return engine_answers()
