"""Up, down and status. One emulator at a time, whatever a crash left behind.

The state file says what is being started before anything is: whenever a crash comes, the next
``up`` or ``down`` knows which emulator to look for, and sweeps what it left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from plldb.emulators.base import Emulator, RunningEmulator, wait_until_healthy
from plldb.emulators.state import StateFile
from plldb.errors import EmulatorError

_LOCK_SECONDS = 120


@dataclass(frozen=True)
class Started:
    running: RunningEmulator
    is_new: bool


class Lifecycle:
    """``make`` makes the emulator of a given name; its files lie in ``home``."""

    def __init__(self, home: Path, make: Callable[[str], Emulator]) -> None:
        self._home = home
        self._make = make
        self._state = StateFile(home)

    def up(self, name: str, port: int | None, timeout_seconds: float = 60) -> Started:
        """Starts it and waits until it is healthy; one that runs already is left as it is.

        Raises EmulatorError if another one runs, or if it does not get healthy; in that case
        nothing is left running.
        """
        with self._exclusively():
            running = self.status()
            if running is not None:
                _check_same(running, name, port)
                return Started(running, is_new=False)
            self._sweep()
            emulator = self._make(name)
            try:
                self._state.write(RunningEmulator(name, endpoint_url="", inside_url=""))
                running = emulator.start(port)
                self._state.write(running)
                wait_until_healthy(emulator, running, timeout_seconds)
            except BaseException:
                self._sweep()
                raise
            return Started(running, is_new=True)

    def down(self, only: RunningEmulator | None = None) -> RunningEmulator | None:
        """Stops what ``up`` started, or ``only`` that one; None if it does not run."""
        with self._exclusively():
            if only is not None and only != self._state.read():
                return None
            running = self.status()
            self._sweep()
            return running

    def status(self) -> RunningEmulator | None:
        """What runs now; a state file whose emulator is gone counts as nothing."""
        running = self._state.read()
        if running is None or not self._make(running.emulator).is_alive(running):
            return None
        return running

    def ended_by_itself(self, running: RunningEmulator) -> bool:
        """Whether it is gone without ``down`` having been called."""
        return self._state.read() == running and self.status() is None

    def _sweep(self) -> None:
        """Stops what the state file names, whether it runs or a crash left parts of it."""
        known = self._state.read()
        if known is not None:
            self._make(known.emulator).stop()
        self._state.clear()

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        self._home.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._home / "emulator.lock")
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except filelock.Timeout:
            raise EmulatorError(
                "Another 'plldb local' command has been at work for too long.",
                f"End it; it holds {lock.lock_file}.",
            ) from None
        try:
            yield
        finally:
            lock.release()


def _check_same(running: RunningEmulator, name: str, port: int | None) -> None:
    same_port = port is None or running.endpoint_url.endswith(f":{port}")
    if running.emulator != name or not same_port:
        raise EmulatorError(
            f"{running.emulator} runs already, at {running.endpoint_url}.",
            "Stop it first: plldb local down",
        )
