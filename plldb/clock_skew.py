"""How far this machine's clock is from AWS's: a signature with the wrong time is refused.

AWS takes signatures that are up to 5 minutes old or early (15 minutes, for some services):
https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

logger = logging.getLogger(__name__)

# Less is not why a signature is refused, and may be how long the answer was under way.
TOLERANCE_SECONDS = 60


def clock_difference(date: str | None, local: float) -> float:
    """Seconds from ``local`` (since the epoch) to an HTTP ``Date`` header; 0 if that is no date."""
    try:
        return parsedate_to_datetime(date or "").timestamp() - local
    except (ValueError, TypeError, OverflowError):
        return 0.0


class ClockSkew:
    """What to add to the local time, in seconds: 0 until a refusal teaches better."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.seconds = 0.0

    def learn(self, date: str | None) -> bool:
        """Whether a refused request should be signed again.

        ``date`` is the ``Date`` header of the refusal; the time that it gives is used from now on,
        if it is not the one that was used.
        """
        found = clock_difference(date, self._now())
        if not date or abs(found - self.seconds) <= TOLERANCE_SECONDS:
            return False
        self.seconds = found
        logger.info("this machine's clock is off: AWS's is %+.0f s from it, and is used now", found)
        return True

    def now(self) -> datetime:
        """The corrected time, in UTC."""
        return datetime.fromtimestamp(self._now() + self.seconds, UTC)

    def timestamp(self) -> str:
        """The same as SigV4 writes it."""
        return self.now().strftime("%Y%m%dT%H%M%SZ")
