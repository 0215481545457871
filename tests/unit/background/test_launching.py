"""A session in the background is ended, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from plldb.background.launching import stop
from plldb.background.session_folder import SessionFolder
from plldb.background.session_record import SessionRecord


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
