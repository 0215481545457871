"""What every emulator can do."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import requests

from plldb.config import EmulatorAddress
from plldb.errors import EmulatorError

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class RunningEmulator:
    """An emulator that was started, as the state file keeps it.

    ``process_started`` (seconds since the epoch) tells process ``pid`` from another one that got
    its number later; both are 0 for a container, which has ``container_id`` instead.
    """

    emulator: str
    endpoint_url: str
    inside_url: str
    pid: int = 0
    process_started: float = 0.0
    container_id: str = ""

    @property
    def address(self) -> EmulatorAddress:
        return EmulatorAddress(self.endpoint_url, self.inside_url)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises TypeError for anything that ``to_json`` did not make."""
        return cls(**data)


class Emulator(Protocol):
    """One engine in one place."""

    name: str

    def start(self, port: int | None) -> RunningEmulator:
        """Starts it on 127.0.0.1, on a free port unless one is given; does not wait."""
        ...

    def is_alive(self, running: RunningEmulator) -> bool:
        """Whether it is the one that was started, and still there."""
        ...

    def health_url(self, running: RunningEmulator) -> str: ...

    def last_log_lines(self, running: RunningEmulator, count: int) -> list[str]: ...

    def stop(self) -> None:
        """Leaves nothing behind of anything that was started here, known or forgotten."""
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
    deadline = clock() + timeout_seconds
    while not _is_healthy(emulator.health_url(running)):
        if not emulator.is_alive(running):
            raise _not_healthy(emulator, running, "ended before it was ready")
        if clock() > deadline:
            raise _not_healthy(emulator, running, f"was not ready within {timeout_seconds:g} s")
        time.sleep(_POLL_SECONDS)


def _is_healthy(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def _not_healthy(emulator: Emulator, running: RunningEmulator, what: str) -> EmulatorError:
    lines = emulator.last_log_lines(running, 10)
    log = "\n".join(f"  | {line}" for line in lines) or "  | (it logged nothing)"
    return EmulatorError(f"{emulator.name} {what}. Its last log lines:\n{log}")


def port_to_use(port: int | None) -> int:
    """The given port if it is free, any free one if none is given."""
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
