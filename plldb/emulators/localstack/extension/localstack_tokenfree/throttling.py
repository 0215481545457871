"""Throttling of routes, as the settings of their stage say: a token bucket for each route.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
Routes without settings are not limited. No LocalStack, no I/O.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

RATE = "ThrottlingRateLimit"
BURST = "ThrottlingBurstLimit"
# The quotas of an account, for the limit that a route with one of the two lacks:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
ACCOUNT_RATE = 10_000.0
ACCOUNT_BURST = 5_000.0
MANY = 1_000


@dataclass(frozen=True)
class Limits:
    """``rate`` is in requests a second, ``burst`` how many may come at once."""

    rate: float
    burst: float


def limits_of(settings: Mapping[str, Any], route_key: str) -> Limits | None:
    """What a stage's record says of a route: by its own settings, else by the default ones."""
    default = settings.get("DefaultRouteSettings") or {}
    own = (settings.get("RouteSettings") or {}).get(route_key) or {}
    merged = {**default, **own}
    rate, burst = merged.get(RATE), merged.get(BURST)
    if rate is None and burst is None:
        return None
    return Limits(
        ACCOUNT_RATE if rate is None else float(rate),
        ACCOUNT_BURST if burst is None else float(burst),
    )


@dataclass(frozen=True)
class Bucket:
    """``tokens`` were left at ``at``, in seconds of the clock."""

    tokens: float
    at: float

    def filled(self, limits: Limits, now: float) -> "Bucket":
        tokens = self.tokens + limits.rate * (now - self.at)
        return Bucket(min(tokens, limits.burst), now)


class Throttle:
    """The buckets of all routes. Safe to call from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str, str], Bucket] = {}
        self._lock = threading.Lock()

    def admits(
        self, settings: Mapping[str, Any], api_id: str, stage_name: str, route_key: str
    ) -> bool:
        """Take a token for one request at a route; False if there is none left."""
        limits = limits_of(settings, route_key)
        if limits is None:
            return True
        now = self._clock()
        key = (api_id, stage_name, route_key)
        with self._lock:
            self._forget_some()
            bucket = self._buckets.get(key, Bucket(limits.burst, now)).filled(limits, now)
            is_admitted = bucket.tokens >= 1
            taken = Bucket(bucket.tokens - 1, now) if is_admitted else bucket
            self._buckets[key] = taken
        return is_admitted

    def _forget_some(self) -> None:
        """Routes come and go with their APIs; the ones that were asked for first go first."""
        while len(self._buckets) > MANY:
            del self._buckets[next(iter(self._buckets))]


THROTTLE = Throttle()
