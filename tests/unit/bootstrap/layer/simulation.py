"""A function and its helper stack in one thread, with a clock of their own.

The time passes only while the function sleeps, or waits for what does not come: then it goes on to
the next thing that is to happen. So what is promised about seconds holds on any machine, and takes
none.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from plldb_shim import channel, idle_connection, tcp, variables, websocket_client

from . import function
from .helper_stack import HelperStack, Script, ServerConnection

_URL = "ws://helper-stack.example/plldb"


class Clock:
    """In the place of the module ``time``."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._began = time.time()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def monotonic(self) -> float:
        return 1_000 + self.passed

    def time(self) -> float:
        return self._began + self.passed

    def sleep(self, seconds: float) -> None:
        self.wait(seconds, lambda: False)

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._due, (self.passed + seconds, next(self._numbers), action))

    def wait(self, seconds: float, has_come: Callable[[], bool]) -> bool:
        """Whether it has come within the time."""
        until = self.passed + seconds
        while not has_come():
            if not self._due or self._due[0][0] > until:
                # What has been waited for is over, however the sum was rounded.
                self.passed = until + 1e-6
                return False
            self.passed, _, action = heapq.heappop(self._due)
            action()
        return True


class _ServerEnd:
    """What a ServerConnection does to its socket."""

    def __init__(self, client: _ClientEnd) -> None:
        self._client = client
        self._resets = False

    def sendall(self, data: bytes) -> None:
        self._client.arrived += data

    def setsockopt(self, *_: object) -> None:
        """It is the one that makes it end with a reset."""
        self._resets = True

    def shutdown(self, _how: int) -> None:
        self._client.end = ConnectionResetError() if self._resets else b""


class _ClientEnd:
    """What the shim does to its socket. What is sent is dealt with at once."""

    def __init__(self, stack: HelperStack, clock: Clock) -> None:
        self._clock = clock
        self._timeout = 0.0
        self._server = ServerConnection(stack, _ServerEnd(self))
        self.arrived = bytearray()
        # What there is to read after all that has arrived.
        self.end: bytes | OSError | None = None

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def sendall(self, data: bytes) -> None:
        if self.end is not None:
            raise BrokenPipeError
        if not self._server.take(data):
            self.end = b""

    send = sendall

    def recv(self, size: int) -> bytes:
        if not self._clock.wait(self._timeout, lambda: bool(self.arrived) or self.end is not None):
            raise TimeoutError
        if not self.arrived and isinstance(self.end, OSError):
            raise self.end
        data = bytes(self.arrived[:size])
        del self.arrived[:size]
        return data

    def close(self) -> None:
        if self.end is None:
            self._server.take(b"")
            self.end = b""


@contextmanager
def simulated(
    monkeypatch: pytest.MonkeyPatch, respond: Script, **changes: str
) -> Iterator[tuple[HelperStack, Clock]]:
    """The function as plldb left it, with a helper stack that answers so."""
    clock = Clock()
    stack = HelperStack(respond)
    for module in (channel, idle_connection, tcp, websocket_client, function):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(tcp, "open_socket", lambda *_: _ClientEnd(stack, clock))
    monkeypatch.setattr(variables, "TAKEN", function.variables_of(_URL) | changes)
    try:
        yield stack, clock
    finally:
        channel.hang_up()
    assert stack.violations == []
