"""A seed is run, shown, and stopped with all that it has started: real processes."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plldb.dev.seeding import Seed
from plldb.errors import CommandError

DEADLINE_SECONDS = 40


def make_seed(script: str, shown: list[str], **variables: str) -> Seed:
    return Seed(["sh", "-c", script], {**os.environ, **variables}, shown.append)


def test_its_lines_are_shown_and_it_has_the_variables() -> None:
    shown: list[str] = []
    seed = make_seed("echo to $WHERE; echo more >&2; cat", shown, WHERE="here")
    for _ in range(2):
        seed.run()
    assert shown == ["to here", "more"] * 2


def test_it_finds_what_was_deployed() -> None:
    shown: list[str] = []
    script = 'echo "$PLLDB_STACK_NAME $PLLDB_OUTPUT_Table $PLLDB_OUTPUT_Url"; echo "$PLLDB_OUTPUTS"'
    outputs = {"data": {"Table": "orders"}, "api": {"Url": "http://x/ y"}}
    make_seed(script, shown).run(outputs)
    assert shown[0] == "data orders http://x/ y"
    assert json.loads(shown[1]) == outputs


@pytest.mark.parametrize(
    ("script", "said"), [("exit 3", "exit code 3"), ("kill -9 $$", "signal 9")]
)
def test_that_it_fails_is_said_with_its_last_lines(script: str, said: str) -> None:
    seed = make_seed(f"echo first; echo 'no such table'; {script}", [])
    with pytest.raises(CommandError) as raised:
        seed.run()
    assert said in raised.value.message
    assert "no such table" in raised.value.message


def test_one_that_is_not_there_is_said() -> None:
    with pytest.raises(CommandError, match="no command 'nosuchseed'"):
        Seed(["nosuchseed"], os.environ, print).run()


def test_at_the_end_it_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    started = threading.Event()
    seed = Seed(
        ["sh", "-c", "sleep 1000 & echo $! > $PID_FILE; echo there; wait"],
        {**os.environ, "PID_FILE": str(tmp_path / "pid")},
        lambda _: started.set(),
    )
    with seed:
        thread = threading.Thread(target=seed.run)
        thread.start()
        assert started.wait(DEADLINE_SECONDS)
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()
    child = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    seed.run()  # and is not run any more
    assert int((tmp_path / "pid").read_text()) == child


@pytest.mark.parametrize("milliseconds", [0.1, 0.5, 1, 1.5, 2, 3, 5, 10])
def test_whenever_it_is_interrupted_no_process_is_left(milliseconds: float, tmp_path: Path) -> None:
    mark = f"seed-of-{tmp_path}"
    seed = Seed(["sh", "-c", "sleep 1000", mark], os.environ, print)
    with pytest.raises(KeyboardInterrupt), interrupting_after(milliseconds):
        seed.run()
    left = [one for one in psutil.Process().children() if mark in _command_line(one)]
    assert left == []


@contextmanager
def interrupting_after(milliseconds: float) -> Iterator[None]:
    """As Ctrl-C does, this once."""

    def interrupt(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
