"""How the tests are spread over the cores of this machine.

``-n auto``, which pyproject.toml gives to every run, starts one worker for each core, and three for
unit tests, which wait for processes and sockets half of their time. The tests of a directory are
worth that; a few named files or tests run in pytest's own process, where they begin at once and a
debugger has the terminal. ``-n 0`` does so for any run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, Scheduling

UNIT_TESTS = Path(__file__).parent / "unit"

# Under nohup, or in the background of a shell, whatever is started here would ignore these, too.
for _number, _handler in (
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGINT, signal.default_int_handler),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """The number of workers; 0 for none, and None for what the environment says."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores is None or cores == 1 or not any(path.is_dir() for path in _asked_for(config)):
        return 0
    return 3 * cores if _are_unit_tests(config) else cores


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Unit tests go one by one to whichever worker is free, end-to-end tests by whole files.

    Each worker has an emulator of its own, and the tests of a file share what they deploy there.
    """
    if _are_unit_tests(config):
        return None
    return LoadFileScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """A worker's reports go to pytest as UTF-8, also of tests that log half a character."""
    return _as_unicode((yield))


def _as_unicode(value: Any) -> Any:
    """The same with lone surrogates escaped, in all strings that are in it."""
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_as_unicode(key): _as_unicode(one) for key, one in value.items()}
        case list() | tuple():
            return type(value)(_as_unicode(one) for one in value)
    return value


def _are_unit_tests(config: pytest.Config) -> bool:
    return all(path.is_relative_to(UNIT_TESTS) for path in _asked_for(config))


def _asked_for(config: pytest.Config) -> list[Path]:
    """The files and directories that pytest is to collect."""
    folder = config.invocation_params.dir
    return [(folder / argument.partition("::")[0]).resolve() for argument in config.args]
