"""A sliding window, so that many threads together keep within a rate that others use as well."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

# A little more than a second: calls do not arrive in just the distances in which they are made.
_WINDOW_SECONDS = 1.005
# What was refused within that time after a refusal was under way already, and is the same sign.
_ONE_SIGN_SECONDS = 1.0
# After so many seconds without a refusal, one call a second more is tried.
_RECOVERY_SECONDS = 2.0
# Others may use up the whole rate: then this is how many are tried.
_LEAST = 2


class RateLimit:
    """Of those whom ``acquire`` lets go on, there are no more than ``rate`` within any second.

    They go on in the order in which they came. Where others take a part of the same quota, calls
    are refused nevertheless: each such time (``back_off``) halves the rate, which then grows again
    call by call.
    """

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        # When the last ones went on, or will.
        self._turns: deque[float] = deque(maxlen=rate)
        self._allowed_at_refusal = rate
        self._refused_at = float("-inf")
        self._not_before = float("-inf")

    def acquire(self) -> None:
        while True:
            with self._lock:
                now, refused_at = self._clock(), self._refused_at
                turn = max(now, self._not_before, self._next_turn(now))
                self._turns.append(turn)
            if turn > now:
                self._sleep(turn - now)
            with self._lock:
                # What was refused meanwhile has put off everybody who waits.
                if refused_at == self._refused_at and turn >= self._not_before:
                    return

    def back_off(self, seconds: float) -> None:
        """Nobody goes on for so long, and fewer do in each second afterwards."""
        with self._lock:
            now = self._clock()
            allowed = self._allowed(now)
            self._not_before = max(self._not_before, now + seconds)
            if now - self._refused_at < _ONE_SIGN_SECONDS:
                return
            self._allowed_at_refusal = max(_LEAST, allowed // 2)
            self._refused_at = now
            # Whoever waits gets another turn.
            self._turns = deque((one for one in self._turns if one <= now), self._rate)

    def _next_turn(self, now: float) -> float:
        allowed = self._allowed(now)
        is_full = len(self._turns) >= allowed
        return self._turns[-allowed] + _WINDOW_SECONDS if is_full else now

    def _allowed(self, now: float) -> int:
        grown = max(0.0, now - self._not_before) / _RECOVERY_SECONDS
        return int(min(self._rate, self._allowed_at_refusal + grown))
