"""How long calls take, in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable

_ROUNDS = 100
_WARM_UP = 10


def time_call(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def time_in_turns(*calls: Callable[[], float]) -> list[list[float]]:
    """Makes the calls in turn, and returns the figures of each without the first ones."""
    rounds = [[call() for call in calls] for _ in range(_ROUNDS + _WARM_UP)][_WARM_UP:]
    return [list(figures) for figures in zip(*rounds, strict=True)]


def time_in_a_row(call: Callable[[], object]) -> list[float]:
    """Makes the same call again and again, and returns how long it takes without the first ones."""
    (figures,) = time_in_turns(lambda: time_call(call))
    return figures
