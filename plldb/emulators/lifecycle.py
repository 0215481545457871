"""Up, down and status. One emulator at a time, whatever a crash left behind.

The state file says what is being started before anything is: whenever a crash comes, the next
``up`` or ``down`` knows which emulator to look for, and sweeps what it left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import filelock

from plldb.emulators.base import Emulator, RunningEmulator, wait_until_healthy
from plldb.emulators.process_identity import identify_self, is_running
from plldb.emulators.state import StateFile
from plldb.errors import EmulatorError
from plldb.held_signals import holding_signals

logger = logging.getLogger(__name__)

_LOCK_SECONDS = 120


@dataclass(frozen=True)
class StartedEmulator:
    """What ``up`` found or started; ``is_new`` if it was started."""

    running: RunningEmulator
    is_new: bool


class Lifecycle:
    """The emulator whose state lies in ``home``; ``make`` makes the emulator of a given name."""

    def __init__(self, home: Path, make: Callable[[str], Emulator]) -> None:
        self._home = home
        self._make = make
        # By name: an emulator that starts a process is the one to take its exit code.
        self._emulators: dict[str, Emulator] = {}
        self._state = StateFile(home)

    def up(
        self, name: str, port: int | None, timeout_seconds: float = 60, *, is_owned: bool = False
    ) -> StartedEmulator:
        """Starts the emulator and waits until it is healthy; one that runs is left as it is.

        With ``is_owned``, it is noted that this process is to stop what it starts. Without, one
        that runs and whose owner is gone has none from now on: somebody else wants it to run.

        Raises EmulatorError if another one runs, or if it does not get healthy; in that case
        nothing is left running.
        """
        with self._hold_lock():
            running = self.status()
            if running is not None:
                _check_same(running, name, port)
                if not is_owned:
                    running = self._free_from_owner_that_is_gone(running)
                return StartedEmulator(running, is_new=False)
            self._sweep()
            emulator = self._get_emulator(name)
            logger.info("starting %s on %s", name, f"port {port}" if port else "a free port")
            try:
                self._state.write(RunningEmulator(name, endpoint_url="", inside_url=""))
                running = emulator.start(port)
                running = _own(running) if is_owned else running
                self._state.write(running)
                wait_until_healthy(emulator, running, timeout_seconds)
            except BaseException as error:
                logger.info("%s could not be started: %s", name, type(error).__name__)
                self._sweep()
                raise
            return StartedEmulator(running, is_new=True)

    def take_over(
        self, timeout_seconds: float = 60, *, is_owned: bool = True
    ) -> RunningEmulator | None:
        """Makes this process the owner of what runs, if its owner is gone, as after a kill -9.

        With ``is_owned`` false, it has none from then on. Returns it once it is healthy; None if
        nothing runs, or if it is another's. Raises EmulatorError if it does not get healthy.
        """
        with self._hold_lock():
            running = self.status()
            if running is None or not _has_lost_its_owner(running):
                return None
            logger.info("taking over %s from process %d", running.emulator, running.owner_pid)
            running = _own(running) if is_owned else _disown(running)
            self._state.write(running)
            wait_until_healthy(self._get_emulator(running.emulator), running, timeout_seconds)
            return running

    def down(self, only: RunningEmulator | None = None) -> RunningEmulator | None:
        """Stops what ``up`` started, and returns it; None if nothing ran.

        With ``only``, another emulator than that one is left alone.
        """
        with self._hold_lock():
            if only is not None and only != self._state.read():
                return None
            running = self.status()
            self._sweep()
            return running

    def down_if_left(self) -> RunningEmulator | None:
        """Stops the one whose owner is gone, as after a kill -9, and returns it; None without."""
        with self._hold_lock():
            running = self._state.read()
            if running is None or not _has_lost_its_owner(running):
                return None
            self._sweep()
            return running

    def status(self) -> RunningEmulator | None:
        """Returns what runs now; None also if a state file names an emulator that is gone."""
        running = self._state.read()
        if running is None or not self._get_emulator(running.emulator).is_alive(running):
            return None
        return running

    def ended_by_itself(self, running: RunningEmulator) -> bool:
        """Whether the emulator is gone without ``down`` having been called."""
        return self._state.read() == running and self.status() is None

    def _free_from_owner_that_is_gone(self, running: RunningEmulator) -> RunningEmulator:
        if not _has_lost_its_owner(running):
            return running
        freed = _disown(running)
        self._state.write(freed)
        return freed

    def _sweep(self) -> None:
        """Stops what the state file names, whether it runs or a crash left parts of it."""
        known = self._state.read()
        # Whoever presses Ctrl-C again, or tells a process to end once more, wants what is stopped
        # already to be gone, and not to be left half stopped. It takes seconds.
        with holding_signals(are_lost=True):
            if known is not None:
                logger.info("stopping %s", known.emulator)
                self._get_emulator(known.emulator).stop()
            self._state.clear()

    def _get_emulator(self, name: str) -> Emulator:
        if name not in self._emulators:
            self._emulators[name] = self._make(name)
        return self._emulators[name]

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
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


def _own(running: RunningEmulator) -> RunningEmulator:
    pid, started = identify_self()
    return replace(running, owner_pid=pid, owner_started=started)


def _disown(running: RunningEmulator) -> RunningEmulator:
    return replace(running, owner_pid=0, owner_started=0.0)


def _has_lost_its_owner(running: RunningEmulator) -> bool:
    return running.owner_pid != 0 and not is_running(running.owner_pid, running.owner_started)


def _check_same(running: RunningEmulator, name: str, port: int | None) -> None:
    same_port = port is None or running.endpoint_url.endswith(f":{port}")
    if running.emulator != name or not same_port:
        raise EmulatorError(
            f"{running.emulator} runs already, at {running.endpoint_url}.",
            "Stop it first: plldb local down",
        )
