"""The environment's connection while no invocation uses it."""

from __future__ import annotations

import time

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from .websocket_client import WebSocket

# One that nobody has used for so long may be dead without anybody having noticed: the environment
# is frozen between invocations.
IDLE_SECONDS = 120.0


class IdleConnection:
    """A place for one connection. Whoever takes it out owns it."""

    def __init__(self) -> None:
        self._connection: WebSocket | None = None
        self._since = (0.0, 0.0)

    def put(self, connection: WebSocket) -> None:
        self.close()
        self._connection = connection
        self._since = time.monotonic(), time.time()

    def take(self) -> WebSocket | None:
        """None if there is none that is to be trusted.

        What has come meanwhile is lost: answers that nobody waits for any more.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return None
        if self._idle_seconds() <= IDLE_SECONDS and _is_alive(connection):
            return connection
        connection.close()
        return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _idle_seconds(self) -> float:
        """One of the clocks may have stood still while the environment did, or been put back."""
        monotonic, wall = self._since
        return max(time.monotonic() - monotonic, time.time() - wall)


def _is_alive(connection: WebSocket) -> bool:
    """As far as is known here. Reads all that has come."""
    try:
        while connection.receive(0) is not None:
            pass
    except OSError:
        return False
    return True
