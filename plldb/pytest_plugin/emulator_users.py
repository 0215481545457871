"""One emulator for all processes that run tests: the first starts it, the last stops it.

A file beside the emulator's own says which processes use it, and whether tests have started it; a
lock keeps two processes apart. So it does not matter which of pytest-xdist's workers comes first,
which one leaves last, or whether one was killed.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from plldb.emulators.base import Emulator, RunningEmulator
from plldb.emulators.lifecycle import Lifecycle
from plldb.emulators.process_identity import identify_self, is_running
from plldb.errors import EmulatorError
from plldb.files import replace_file

logger = logging.getLogger(__name__)

DEFAULT = "ministack"
_FILE, _LOCK = "pytest-users.json", "pytest.lock"
# While another process starts the emulator, whose image may have to be built first.
_LOCK_SECONDS = 900

# A process: its number, and when it was started, in seconds since the epoch.
_Process = tuple[int, float]
# Python complains of a child's object that is gone before the child is: another process stops it.
_kept: list[Lifecycle] = []


@dataclass(frozen=True)
class _Users:
    """``started`` is the emulator that tests have started, None if they found it running."""

    started: RunningEmulator | None = None
    processes: tuple[_Process, ...] = ()


class EmulatorUsers:
    """Those of the emulator whose state lies in ``home``; ``make`` makes one of a given name."""

    def __init__(self, home: Path, make: Callable[[str], Emulator]) -> None:
        self._home = home
        self._lifecycle = Lifecycle(home, make)
        _kept.append(self._lifecycle)

    @contextmanager
    def using(
        self, name: str | None, prepare: Callable[[RunningEmulator], None]
    ) -> Iterator[RunningEmulator]:
        """The emulator that runs, or is started; stopped at the end, if nobody else uses it and
        tests have started it.

        Without a ``name``, it is the one that runs, else MiniStack. ``prepare`` is called while
        nobody else is at it. Raises EmulatorError if another one runs, or if it can't be started.
        """
        with self.alone():
            running = self._join(name)
            try:
                prepare(running)
            except BaseException:
                self._leave()
                raise
        try:
            yield running
        finally:
            with self.alone():
                self._leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While this goes on, no other process is in here. Raises EmulatorError."""
        self._home.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._home / _LOCK)
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except filelock.Timeout:
            raise EmulatorError(
                "Other tests have prepared the emulator for too long.",
                f"End them; they hold {lock.lock_file}.",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _join(self, name: str | None) -> RunningEmulator:
        known, found = self._read(), self._lifecycle.status()
        if name is None:
            name = DEFAULT if found is None else found.emulator
        # Nobody else stops the one that a killed process has left.
        left = self._lifecycle.take_over() if found is None or name == found.emulator else None
        started = self._lifecycle.up(name, port=None, is_owned=True)
        running = started.running
        is_ours = started.is_new or left is not None or running == known.started
        logger.info("tests use %s at %s", running.emulator, running.endpoint_url)
        self._write(_Users(running if is_ours else None, (*known.processes, identify_self())))
        return running

    def _leave(self) -> None:
        """A process may use it several times over, as tests that run tests do."""
        known = self._read()
        others = [*known.processes]
        mine = next((one for one in others if one[0] == os.getpid()), None)
        if mine is not None:
            others.remove(mine)
        if not others and known.started is not None:
            self._lifecycle.down(only=known.started)
        self._write(_Users(known.started if others else None, tuple(others)))

    def _read(self) -> _Users:
        """Of the processes, those that run. A file that makes no sense counts as none."""
        try:
            data = json.loads((self._home / _FILE).read_text(encoding="utf-8"))
            started = data["started"]
            processes = [(int(pid), float(since)) for pid, since in data["processes"]]
            return _Users(
                None if started is None else RunningEmulator.from_json(started),
                tuple(one for one in processes if is_running(*one)),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return _Users()

    def _write(self, users: _Users) -> None:
        started = None if users.started is None else users.started.to_json()
        content = {"started": started, "processes": users.processes}
        replace_file(self._home / _FILE, json.dumps(content).encode())
