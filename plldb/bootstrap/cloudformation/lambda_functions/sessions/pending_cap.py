"""The cap on PENDING sessions of a stack, kept without a look at the table for each new one."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from .store import SessionStore

# Seconds for which a look that found no room is believed.
_REFUSAL_SECONDS = 1.0
# Seconds after which a look says nothing any more: others create sessions too.
_MEMORY_SECONDS = 60.0
# The part of the room that one environment may fill without another look. Many of them run at once.
_SHARE = 20
_MAX_STACKS = 1000


@dataclass
class _Estimate:
    """What the last look found, and what was created here since.

    Without a look (``is_guess``), it is as if there were room for one.
    """

    looked_at: float
    room: int = 1
    soonest_ttl: int = 0
    is_guess: bool = False
    created: int = 0

    def is_used_up(self, now: float) -> bool:
        if self.room <= 0:
            return now - self.looked_at >= _REFUSAL_SECONDS
        return self.created >= max(1, self.room // _SHARE)


class PendingCap:
    """At most about ``cap`` PENDING sessions a stack.

    Each environment of the function has its own estimate, and looks at the table only after it
    created a part of the room that the last look found; the first session costs no look. So many
    environments at once may go beyond the cap by a few sessions each. A session is refused on what
    the table says, never on an estimate.
    """

    def __init__(self, store: SessionStore, cap: int) -> None:
        self._store = store
        self._cap = cap
        self._estimates: OrderedDict[str, _Estimate] = OrderedDict()

    def retry_after(self, stack_name: str, now: float) -> int | None:
        """Seconds until there is room again, at most; None if there is now, and it is taken."""
        estimate = self._estimate(stack_name, now)
        if estimate.is_used_up(now):
            estimate = self._look(stack_name, now)
        if estimate.room <= 0:
            return max(1, math.ceil(estimate.soonest_ttl - now))
        estimate.created += 1
        return None

    def _estimate(self, stack_name: str, now: float) -> _Estimate:
        found = self._estimates.get(stack_name)
        if found is not None and 0 <= now - found.looked_at < _MEMORY_SECONDS:
            return found
        if found is not None and not found.is_guess and found.room <= self._cap // 2:
            return self._look(stack_name, now)
        return self._keep(stack_name, _Estimate(now, is_guess=True))

    def _look(self, stack_name: str, now: float) -> _Estimate:
        ttls = self._store.pending_ttls(stack_name, now, self._cap)
        soonest = ttls[0] if ttls else 0
        return self._keep(stack_name, _Estimate(now, self._cap - len(ttls), soonest))

    def _keep(self, stack_name: str, estimate: _Estimate) -> _Estimate:
        self._estimates[stack_name] = estimate
        self._estimates.move_to_end(stack_name)
        while len(self._estimates) > _MAX_STACKS:
            self._estimates.popitem(last=False)
        return estimate
