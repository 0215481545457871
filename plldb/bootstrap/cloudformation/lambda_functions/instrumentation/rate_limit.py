"""A sliding window, so that many threads together keep within a rate."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

# A little more than a second: calls do not arrive in just the distances in which they are made.
_WINDOW_SECONDS = 1.005


class RateLimit:
    """Of those whom ``acquire`` lets go on, there are no more than ``rate`` within any second.

    They go on in the order in which they came.
    """

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        # When the last ones went on, or will.
        self._turns: deque[float] = deque(maxlen=rate)

    def acquire(self) -> None:
        with self._lock:
            now = self._clock()
            is_full = len(self._turns) == self._turns.maxlen
            turn = max(now, self._turns[0] + _WINDOW_SECONDS) if is_full else now
            self._turns.append(turn)
        if turn > now:
            self._sleep(turn - now)
