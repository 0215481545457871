"""A token bucket, so that many threads together keep within a rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock


class RateLimit:
    """``acquire`` returns at once for the first ``rate`` callers, then ``rate`` times a second."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._tokens = rate
        self._filled = clock()

    def acquire(self) -> None:
        with self._lock:
            now = self._clock()
            self._tokens = min(self._rate, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
            # Below zero, the debt is what the caller waits for; the next one waits longer.
            self._tokens -= 1
            wait = -self._tokens / self._rate
        if wait > 0:
            self._sleep(wait)
