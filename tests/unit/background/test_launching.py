"""A session in the background is ended, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plldb.background.launching import stop
from plldb.background.session_folder import SessionFolder
from plldb.background.session_record import SessionRecord
from tests.unit.polling import poll

# Counts the signals that it gets, and ends when its stdin does.
_COUNTING = """
import signal, sys
got = []
signal.signal(signal.SIGTERM, lambda *_: got.append(1))
print("ready", flush=True)
sys.stdin.read()
print(len(got), flush=True)
"""


@pytest.mark.parametrize("state", ["starting", "ready", "ending"])
def test_it_is_told_once_however_often_it_is_asked_for(tmp_path: Path, state: str) -> None:
    place = SessionFolder(tmp_path / "home", tmp_path)
    place.create()
    lock = place.lock()
    assert lock is not None
    place.begin()
    with subprocess.Popen(
        [sys.executable, "-c", _COUNTING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == "ready\n"
        place.write_record(SessionRecord(str(tmp_path), "dev", session.pid, "2026-11-26", state))
        commands = [
            threading.Thread(target=stop, args=(place, False, lambda _: None)) for _ in range(2)
        ]
        commands[0].start()
        poll(place.is_stopping)
        commands[1].start()
        ending = threading.Timer(0.2, os.close, [lock])
        ending.start()
        for one in (*commands, ending):
            one.join()
        told, _ = session.communicate()
    assert told == "1\n"


def test_who_has_the_number_of_one_that_has_ended_is_left_alone(tmp_path: Path) -> None:
    place = SessionFolder(tmp_path / "home", tmp_path)
    place.create()
    lock = place.lock()
    assert lock is not None
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as other:
        place.write_record(SessionRecord(str(tmp_path), "dev", other.pid, "2026-11-26", "ended"))
        ending = threading.Timer(0.2, os.close, [lock])
        ending.start()
        stop(place, at_once=True, tell=lambda _: None)
        ending.join()
    assert other.returncode == 0
