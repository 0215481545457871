"""How long the attached side waits for what, and how it tries again.

No package for retries: what is needed is the next delay alone, since each is told to the user and
ends when the user detaches, and since the waiting itself is the event loop's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plldb.errors import UsageError

HEARTBEAT_VARIABLE = "PLLDB_HEARTBEAT_SECONDS"
REFRESH_VARIABLE = "PLLDB_REFRESH_SECONDS"
WATCH_VARIABLE = "PLLDB_WATCH_SECONDS"
# With the 30 seconds that its answer may take, less than a session's lease of 150 seconds.
_LONGEST_HEARTBEAT = 100
_LONGEST_REFRESH = 86_400
_LONGEST_WATCH = 3600
# Of the age at which a connection is replaced.
_JITTER = 0.1
_MAX_BACKOFF_EXPONENT = 30


@dataclass(frozen=True)
class Timing:
    """All in seconds."""

    # A session is a lease of 150 s, which each heartbeat renews.
    heartbeat: float = 60
    # Until the answer to a heartbeat: the helper stack's function may have to start first. Without
    # one, there is another session while the lease of this one lasts.
    answer: float = 30
    # Between WebSocket pings, and for their answer: where they are answered, a dead network is
    # noticed in 40 s.
    ping: float = 20
    # The age at which a connection is replaced, at the latest; a tenth earlier at the earliest.
    # API Gateway ends it after 2 hours:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
    refresh: float = 105 * 60
    # How long the replaced one still receives what was under way to it.
    grace: float = 30
    # The authorizer and $connect may both have to start first.
    opening: float = 30
    # After which a question is asked again. A function runs what nobody has claimed within 5 s; so
    # one that is lost, as where the helper stack is throttled, is asked in time.
    repeat: float = 2
    # How long the answer to a claim that was sent straight to the table is waited for. Within one
    # region, it takes milliseconds; where a network lets none of it through, no more is lost.
    claiming: float = 0.25
    # How long an invocation waits for its function to be prepared, before it is claimed all the
    # same. Together with one lost question it is less than those 5 s.
    preparing: float = 2.5
    # The same until it is known how its function is deployed, and all layers are here, before it is
    # declined: a debugger that says nothing would count as silent for all functions.
    describing: float = 2.5
    # Without a word from the server; restoring many functions takes longer, but tells of each.
    closing: float = 10
    # The same for instrumenting, which may wait for updates of the functions by others.
    silence: float = 60
    # Between questions whether the stack was deployed again: with the time that the answer takes,
    # and a cold start, it is noticed within 10 s.
    watch: float = 8
    # For closing a connection whose session is over.
    hanging_up: float = 1
    # For closing a session over REST on the way out.
    farewell: float = 5
    first_retry: float = 0.5
    longest_retry: float = 30
    give_up: float = 15 * 60
    # A connection that was there for so long had its delays: they start over after it.
    lasting: float = 30


def read_timing(environ: Mapping[str, str]) -> Timing:
    """Raises UsageError for a value that makes no sense."""
    default = Timing()
    return Timing(
        heartbeat=_read_seconds(environ, HEARTBEAT_VARIABLE, default.heartbeat, _LONGEST_HEARTBEAT),
        refresh=_read_seconds(environ, REFRESH_VARIABLE, default.refresh, _LONGEST_REFRESH),
        watch=_read_seconds(environ, WATCH_VARIABLE, default.watch, _LONGEST_WATCH),
    )


def _read_seconds(environ: Mapping[str, str], name: str, default: float, longest: int) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= longest:
        raise UsageError(f"{name} is {text!r}.", f"Give seconds, from 0.1 to {longest}.")
    return seconds


class Backoff:
    """Delays with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    ``random`` gives numbers from 0 to 1. ``attempt`` is how many delays were given so far.
    """

    def __init__(
        self, first: float, longest: float, random: Callable[[], float], give_up: float = math.inf
    ) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self._give_up = give_up
        self.attempt = 0

    def delay(self, elapsed: float) -> float | None:
        """How long to wait now; None: so much time has elapsed that it is not tried again."""
        if elapsed >= self._give_up:
            return None
        ceiling = min(self._longest, _double(self._first, self.attempt))
        self.attempt += 1
        return min(ceiling * self._random(), self._give_up - elapsed)


def _double(seconds: float, times: int) -> float:
    return seconds * 2.0 ** min(times, _MAX_BACKOFF_EXPONENT)


class Outages:
    """When to attach again after a loss. ``now`` is in seconds, by one monotonic clock.

    ::

        connected → lost → delay, delay, … → connected (→ works) → lost → delay, …

    An outage ends when the session works, or when its connection has lasted: what follows is
    another one. While sessions work, but are lost at once each time, delays grow all the same.
    """

    def __init__(self, timing: Timing, random: Callable[[], float]) -> None:
        self._timing = timing
        self._random = random
        self._connected_at = math.inf
        self._short_lived = 0
        # Since when there is an outage, and its delays; None while there is none.
        self._outage: tuple[float, Backoff] | None = None

    def connected(self, now: float) -> None:
        self._connected_at = now

    def works(self) -> None:
        self._outage = None

    def lost(self, now: float) -> None:
        has_lasted = now - self._connected_at >= self._timing.lasting
        if has_lasted:
            self._outage, self._short_lived = None, 0
        if self._outage is None:
            first = _double(self._timing.first_retry, self._short_lived)
            longest, give_up = self._timing.longest_retry, self._timing.give_up
            self._outage = now, Backoff(first, longest, self._random, give_up)
            self._short_lived += 1
        self._connected_at = math.inf

    @property
    def attempt(self) -> int:
        """How many delays there were since it was lost."""
        return 0 if self._outage is None else self._outage[1].attempt

    def delay(self, now: float) -> float | None:
        """How long to wait now; None: the outage has lasted so long that nothing is tried again."""
        if self._outage is None:
            return 0.0
        since, backoff = self._outage
        return backoff.delay(now - since)


class Replacements:
    """When a connection is replaced: before API Gateway ends it, and again if that has failed.

    ``now`` is in seconds, by one monotonic clock.
    """

    def __init__(self, timing: Timing, random: Callable[[], float]) -> None:
        self._timing = timing
        self._random = random
        self._backoff = self._new_backoff()
        self.at = math.inf

    def connected(self, now: float) -> None:
        """There is a connection. Many debuggers that attached together do not move together."""
        self._backoff = self._new_backoff()
        self.at = now + self._timing.refresh * (1 - _JITTER * self._random())

    def failed(self, now: float) -> float:
        """How long to wait until the next attempt."""
        delay = self._backoff.delay(elapsed=0) or 0.0
        self.at = now + delay
        return delay

    def _new_backoff(self) -> Backoff:
        return Backoff(self._timing.first_retry, self._timing.longest_retry, self._random)
