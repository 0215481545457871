"""Starts a session in the background, waits until it is ready, and ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile

from plldb.background.session_folder import SessionFolder
from plldb.background.session_record import SessionRecord
from plldb.errors import BackgroundError

_POLL_SECONDS = 0.05
_SHOWN_LINES = 10
# For what a session does at its end once nothing runs any more.
_END_SECONDS = 90.0


def launch(
    place: SessionFolder, arguments: Sequence[str], lock: int, given: bytes = b""
) -> subprocess.Popen[bytes]:
    """Starts ``plldb`` with ``arguments`` in this folder, without a terminal, for good.

    It inherits ``lock``, a descriptor, and reads ``given`` from its stdin. The terminal's end does
    not reach it, nor does a Ctrl-C.
    """
    errors = os.open(place.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        # Whatever its length, nobody waits until it is read.
        with TemporaryFile() as stdin, _ignoring_hangup():
            stdin.write(given)
            stdin.seek(0)
            return subprocess.Popen(  # nosec B603
                # The project's folder is no place to import from.
                [sys.executable, "-P", "-m", "plldb", *arguments],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(lock,),
                start_new_session=True,
            )
    finally:
        os.close(errors)


@contextmanager
def _ignoring_hangup() -> Iterator[None]:
    """Processes that are started meanwhile ignore it from their first moment on, as under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def wait_until_ready(process: subprocess.Popen[bytes], place: SessionFolder) -> SessionRecord:
    """Raises BackgroundError once it has ended; if this is interrupted, it is ended first."""
    try:
        while process.poll() is None:
            record = _read_own(process.pid, place)
            if record is not None and record.state == "ready":
                return record
            time.sleep(_POLL_SECONDS)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    raise _explain_end(process.returncode, _read_own(process.pid, place), place)


def _read_own(pid: int, place: SessionFolder) -> SessionRecord | None:
    record = place.read_record()
    return record if record is not None and record.pid == pid else None


def _explain_end(code: int, record: SessionRecord | None, place: SessionFolder) -> BackgroundError:
    if record is not None and record.has_ended and record.error is not None:
        return BackgroundError(record.error, record.hint, exit_code=record.exit_code or 1)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    lines = read_last_lines(place)
    said = f" It said:\n{lines}" if lines else ""
    return BackgroundError(f"The session ended by {how} before it was ready.{said}")


def read_last_lines(place: SessionFolder) -> str:
    """The end of what a session wrote to stderr."""
    with suppress(OSError), place.errors.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, maxlen=_SHOWN_LINES)).rstrip()
    return ""


def stop(place: SessionFolder, at_once: bool, tell: Callable[[SessionRecord], None]) -> None:
    """Has the session that runs there detach, and returns once its process is gone.

    What runs may end, within its own time, unless ``at_once``; ``tell`` is told that it is waited
    for. One that somebody has told before is waited for, and told no more than that it is to be
    ``at_once``. Raises BackgroundError if the session does not end.
    """
    has_told = False
    if not place.is_stopping():
        _signal(place)
        place.note_stopping()
    deadline = time.monotonic() + _END_SECONDS
    while place.is_running():
        record = place.read_record()
        if record is not None and record.state == "ending" and not has_told:
            has_told = True
            if at_once:
                _signal(place)
            else:
                tell(record)
                deadline += record.seconds_left
        if time.monotonic() > deadline:
            raise BackgroundError(
                f"The session, process {record.pid if record else '?'}, does not end.",
                f"Its log may say why: {record.log if record else place.errors}. If it has to be "
                "killed, 'plldb status' cleans up after it.",
            )
        time.sleep(_POLL_SECONDS)


def _signal(place: SessionFolder) -> None:
    record = place.read_record()
    if record is None:
        raise BackgroundError(
            f"A session runs, but {place.record_file} does not say which process it is.",
            "It has been started a moment ago, or the file was changed. Try again.",
        )
    # The lock says that this process is the one that is meant; one that has ended may have left its
    # number to another.
    if not record.has_ended and place.is_running():
        with suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGTERM)
