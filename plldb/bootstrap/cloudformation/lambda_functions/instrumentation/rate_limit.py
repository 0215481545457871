"""A sliding window, so that many threads together keep within a rate that others use as well."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

# After a call has ended, another one may take its place.
_WINDOW_SECONDS = 1.0
# How soon to look again whether a call has ended.
_CALL_SECONDS = 0.005
# What was refused within that time after a refusal was under way already, and is the same sign.
_ONE_SIGN_SECONDS = 1.0
# After so many seconds without a refusal, one call a second more is tried.
_RECOVERY_SECONDS = 2.0
# Others may use up the whole rate: then this is how many are tried.
_LEAST = 2


class Turn:
    """``at`` is when its call has ended; until then, the earliest time at which that may be.

    It is over when it is left for the first time.
    """

    def __init__(self, at: float, clock: Callable[[], float], lock: Lock) -> None:
        self.at = at
        self.is_over = False
        self._clock = clock
        self._lock = lock

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if not self.is_over:
                self.at, self.is_over = self._clock(), True


class RateLimit:
    """Of calls that are made within a ``turn`` each, no more than ``rate`` arrive in any second,
    however long each of them is on its way: a call takes its place from before it is made until a
    second after it was answered.

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
        self._turns: deque[Turn] = deque(maxlen=rate)
        self._allowed_at_refusal = rate
        self._refused_at = float("-inf")
        self._not_before = float("-inf")

    def turn(self) -> Turn:
        """For one call, once there is room for it. Whoever has one leaves it before taking another:
        that may have to wait for it.
        """
        while True:
            with self._lock:
                refused_at, (turn, former) = self._refused_at, self._line_up()
            while True:
                with self._lock:
                    if refused_at != self._refused_at:
                        turn.is_over = True
                        break
                    now = self._clock()
                    due = self._due(turn, former, now)
                    turn.at = max(now, due)
                    if due <= now:
                        return turn
                self._sleep(due - now)

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
            self._turns = deque((one for one in self._turns if one.at <= now), self._rate)

    def _line_up(self) -> tuple[Turn, Turn | None]:
        """A turn, and the one whose place it takes."""
        now = self._clock()
        allowed = self._allowed(now)
        former = self._turns[-allowed] if len(self._turns) >= allowed else None
        turn = Turn(now, self._clock, self._lock)
        turn.at = self._due(turn, former, now)
        self._turns.append(turn)
        return turn, former

    def _due(self, turn: Turn, former: Turn | None, now: float) -> float:
        """When to go on, as far as is known by now."""
        due = max(turn.at, self._not_before)
        if former is None:
            return due
        end = former.at if former.is_over else max(former.at, now - _WINDOW_SECONDS + _CALL_SECONDS)
        return max(due, end + _WINDOW_SECONDS)

    def _allowed(self, now: float) -> int:
        grown = max(0.0, now - self._not_before) / _RECOVERY_SECONDS
        return int(min(self._rate, self._allowed_at_refusal + grown))
