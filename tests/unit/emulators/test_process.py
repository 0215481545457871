"""MiniStack as a child process, for real."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from plldb.emulators.base import RunningEmulator, wait_until_healthy
from plldb.emulators.lifecycle import Lifecycle
from plldb.emulators.process import MiniStack
from plldb.errors import EmulatorError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In whose environment there is a real account that the child must not know of."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREALREALREALREAL")
    monkeypatch.setenv("AWS_PROFILE", "production")
    return tmp_path


def still_runs(process: psutil.Process) -> bool:
    """A zombie does not: it only waits for its parent, this test, to ask for its exit code."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_from_start_to_stop(home: Path) -> None:
    emulator = MiniStack(home)
    running = emulator.start(None)
    try:
        wait_until_healthy(emulator, running, 30)
        assert emulator.is_alive(running)
        assert requests.get(emulator.health_url(running), timeout=5).ok
        assert running.endpoint_url == running.inside_url
        assert running.endpoint_url.startswith("http://127.0.0.1:")

        process = psutil.Process(running.pid)
        listening = {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"}
        assert listening == {"127.0.0.1"}
        environment = process.environ()
        assert environment["AUTH"] == "true"
        assert not [name for name in environment if name.startswith("AWS_")]
        assert (home / "tmp").is_dir()
        family = [process, *process.children(recursive=True)]
    finally:
        emulator.stop()
    assert not [member for member in family if still_runs(member)]
    assert not emulator.is_alive(running)
    assert not (home / "tmp").exists()
    assert emulator.last_log_lines(running, 5)
    emulator.stop()
    with socket.socket() as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", int(running.endpoint_url.rpartition(":")[2])))


_ENDED_IN_ORDER = 7


@contextmanager
def worker(home: Path, on_terminate: str) -> Iterator[subprocess.Popen[str]]:
    """A process of the emulator's own, such as runs Lambda functions; it is ready to be asked."""
    program = f"""
import signal, sys, time
def end(*_):
    sys.exit({_ENDED_IN_ORDER})
signal.signal(signal.SIGTERM, {on_terminate})
print("ready", flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={"TMPDIR": str(home / "tmp")},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_what_ends_when_it_is_asked_is_not_killed(home: Path) -> None:
    with worker(home, "end") as process:
        MiniStack(home, stop_seconds=60).stop()
        assert process.wait(10) == _ENDED_IN_ORDER


def test_what_does_not_end_when_it_is_asked_is_killed(home: Path) -> None:
    with worker(home, "signal.SIG_IGN") as process:
        MiniStack(home, stop_seconds=0.1).stop()
        assert process.wait(10) == -signal.SIGKILL


def test_a_port_that_is_taken_starts_nothing(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taker:
        lifecycle = Lifecycle(home, lambda _: MiniStack(home))
        with pytest.raises(EmulatorError, match="can't be used"):
            lifecycle.up("ministack", taker.getsockname()[1])
    assert lifecycle.status() is None


def test_a_process_that_got_the_same_number_is_another_one(home: Path) -> None:
    """This test's own process stands in for it: it must survive."""
    emulator, me = MiniStack(home), psutil.Process()
    earlier = RunningEmulator(
        "ministack", "http://127.0.0.1:1", "http://127.0.0.1:1", me.pid, me.create_time() - 3600
    )
    assert not emulator.is_alive(earlier)
    emulator.stop()
    assert emulator.is_alive(replace(earlier, process_started=me.create_time()))


def test_one_that_is_gone_is_not_alive_and_has_no_log(home: Path) -> None:
    gone = RunningEmulator("ministack", "http://127.0.0.1:1", "", 2**22 + 1, 0)
    assert not MiniStack(home).is_alive(gone)
    assert MiniStack(home / "none").last_log_lines(gone, 5) == []
