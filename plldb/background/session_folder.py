"""What plldb keeps of the sessions of one project's folder, and whether one runs there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from plldb.background.session_record import SessionRecord
from plldb.errors import SessionError
from plldb.files import replace_file

_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 40
_DIGITS = 12
# Whoever looks whether it is locked holds it as well, for a moment.
_LOOK_SECONDS = 1.0
_POLL_SECONDS = 0.02


class SessionFolder:
    """A folder below ``home``, PLLDB_HOME, for sessions in ``project``; nobody else can read it.

    ``record`` says what the last background session is or was, ``events`` has its events in JSON,
    one a line, and ``errors`` what it wrote to stderr. ``journals`` is for the invocations of any
    session, also of one at a terminal.
    """

    def __init__(self, home: Path, project: Path) -> None:
        self._use(home / "sessions" / _name(project))

    def _use(self, path: Path) -> None:
        self.path = path
        self.record_file = path / "session.json"
        self.events = path / "events.jsonl"
        self.errors = path / "errors.log"
        self.journals = path / "invocations"
        self._lock = path / "lock"
        self._stopping = path / "stopping"

    @classmethod
    def list_all(cls, home: Path) -> Iterator[SessionFolder]:
        """Those that have a record, by their names."""
        for path in sorted((home / "sessions").glob("*/session.json")):
            found = cls.__new__(cls)
            found._use(path.parent)
            yield found

    def create(self) -> None:
        """Makes it, if it is not there. Raises SessionError if it can't be."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise SessionError(
                f"There can be no state of a session in {self.path}: {error.strerror}.",
                "Name another folder by PLLDB_HOME.",
            ) from None

    # --- Whether a session runs -------------------------------------------------------------------

    def lock(self) -> int | None:
        """A descriptor that holds the lock, as do its copies in other processes, until the last one
        is closed; None if there is one elsewhere, and so a session runs.
        """
        deadline = time.monotonic() + _LOOK_SECONDS
        while (descriptor := self._try_to_lock(fcntl.LOCK_EX)) is None:
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_SECONDS)
        return descriptor

    def begin(self) -> None:
        """Whoever has the lock begins a session, which nobody has told to end."""
        self._stopping.unlink(missing_ok=True)

    def note_stopping(self) -> None:
        """The session was told to end."""
        self._stopping.touch(mode=0o600)

    def is_stopping(self) -> bool:
        return self._stopping.exists()

    def is_running(self) -> bool:
        if not self._lock.exists():
            return False
        if (descriptor := self._try_to_lock(fcntl.LOCK_SH)) is None:
            return True
        os.close(descriptor)
        return False

    def _try_to_lock(self, kind: int) -> int | None:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    # --- What is known of it ----------------------------------------------------------------------

    def read_record(self) -> SessionRecord | None:
        """None if there was no session, or if the file makes no sense."""
        with suppress(FileNotFoundError, ValueError):
            return SessionRecord.from_json(self.record_file.read_text(encoding="utf-8"))
        return None

    def write_record(self, record: SessionRecord) -> None:
        """In one step. Raises OSError."""
        replace_file(self.record_file, record.to_json().encode(), 0o600)


def find_nearest(home: Path, folder: Path) -> SessionFolder:
    """That of a folder, or of the next one above it that has had a session; else its own."""
    for one in (folder, *folder.parents):
        found = SessionFolder(home, one)
        if found.path.exists():
            return found
    return SessionFolder(home, folder)


def _name(project: Path) -> str:
    """For people, and for no two folders the same."""
    path = os.path.realpath(project)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:_DIGITS]
    name = _NAME_CHARACTERS.sub("_", Path(path).name)[:_LONGEST_NAME]
    return f"{name or 'root'}-{digest}"
