"""What every emulator can do."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import requests

from plldb.config import EmulatorAddress
from plldb.errors import EmulatorError

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class RunningEmulator:
    """An emulator that was started, as the state file keeps it.

    ``process_started`` (seconds since the epoch) tells process ``pid`` from another one that got
    its number later; both are 0 for a container, which has ``container_id`` instead.
    ``owner_pid`` and ``owner_started`` are, in the same way, the process that stops it at its own
    end; both are 0 if it is to run until somebody calls ``down``.
    """

    emulator: str
    endpoint_url: str
    inside_url: str
    pid: int = 0
    process_started: float = 0.0
    container_id: str = ""
    owner_pid: int = 0
    owner_started: float = 0.0

    @property
    def address(self) -> EmulatorAddress:
        """Where it is reached, from here and from its functions."""
        return EmulatorAddress(self.endpoint_url, self.inside_url)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON has them, for ``from_json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises TypeError for anything that ``to_json`` did not make."""
        return cls(**data)


class Emulator(Protocol):
    """One engine in one place."""

    name: str

    def start(self, port: int | None) -> RunningEmulator:
        """Starts it on 127.0.0.1, on a free port unless one is given. It does not wait.

        Raises EmulatorError if that can't be done.
        """
        ...

    def is_alive(self, running: RunningEmulator) -> bool:
        """Whether the emulator that was started is still there, and not another one."""
        ...

    def health_url(self, running: RunningEmulator) -> str:
        """The URL that answers 200 once the emulator is ready."""
        ...

    def last_log_lines(self, running: RunningEmulator, count: int) -> list[str]:
        """Reads the end of the emulator's own log, ``count`` lines at most."""
        ...

    def stop(self) -> None:
        """Ends whatever was started here, known or forgotten, and leaves nothing behind.

        What runs is asked to end, and killed if it does not end soon.
        """
        ...


def wait_until_healthy(
    emulator: Emulator,
    running: RunningEmulator,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Returns once the health URL answers 200.

    Raises EmulatorError, with the last log lines, if the emulator ends first or time runs out.
    Stopping it is up to the caller.
    """
    url = emulator.health_url(running)
    started = clock()
    while not _is_healthy(url):
        if not emulator.is_alive(running):
            raise _make_error(emulator, running, "ended before it was ready")
        if clock() > started + timeout_seconds:
            raise _make_error(emulator, running, f"was not ready within {timeout_seconds:g} s")
        time.sleep(_POLL_SECONDS)
    logger.info("%s is healthy after %.1f s", emulator.name, clock() - started)


def _is_healthy(url: str) -> bool:
    try:
        answer = requests.get(url, timeout=2)
    except requests.RequestException as error:
        logger.debug("%s: %s", url, type(error).__name__)
        return False
    logger.debug("%s: %d", url, answer.status_code)
    return answer.ok


def _make_error(emulator: Emulator, running: RunningEmulator, what: str) -> EmulatorError:
    lines = emulator.last_log_lines(running, 10)
    log = "\n".join(f"  | {line}" for line in lines) or "  | (it logged nothing)"
    return EmulatorError(f"{emulator.name} {what}. Its last log lines:\n{log}")


def choose_port(port: int | None) -> int:
    """Chooses the given port, or any free one if none is given.

    Raises EmulatorError if the given port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port or 0))
        except OSError as error:
            raise EmulatorError(
                f"Port {port} can't be used: {error.strerror or error}.",
                "Stop what listens there, or leave out --port for a free one.",
            ) from error
        return int(probe.getsockname()[1])
