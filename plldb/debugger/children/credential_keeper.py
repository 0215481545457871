"""Keeps credentials that are valid at hand, as long as they can be renewed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Self

from plldb.credentials import Credentials
from plldb.errors import CredentialsError, PlldbError

logger = logging.getLogger(__name__)

# From here on botocore renews them as well. Of shorter ones it is half of their time.
_AHEAD_SECONDS = 900.0
# Whose end nobody knows are looked at again.
_UNKNOWN_SECONDS = 60.0
_RETRY_SECONDS = 60.0
# The SDKs of several children ask again and again: not each answer is another try.
_SHORTEST_RETRY_SECONDS = 1.0
# SDKs give up after 2, and ask again.
_PATIENCE_SECONDS = 1.5
_SHORTEST_WAIT_SECONDS = 0.1
# A machine that sleeps does not count the time that passes.
_LONGEST_WAIT_SECONDS = 30.0


class CredentialKeeper:
    """Renews credentials ahead of their end in a thread of its own, so that who asks need not wait.

    SDKs give up after a few seconds, and renewing may take longer: a process to start, a token to
    fetch, a code to type. ``load`` renews if it has to, or raises PlldbError. ``report`` is told
    why that fails, once for each reason, and None when it succeeds again; in any thread.
    """

    def __init__(
        self, load: Callable[[], Credentials], report: Callable[[PlldbError | None], None]
    ) -> None:
        """Loads them, so that what is to be asked is asked now. Raises what ``load`` raises."""
        self._load = load
        self._report = report
        self._renewing = threading.Lock()
        self._closing = threading.Event()
        self._problem: PlldbError | None = None
        self._next_try = 0.0
        self._keep(load())
        self._thread = threading.Thread(target=self._stay_ahead, name="renewal", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def current(self) -> Credentials:
        """Valid ones. Raises PlldbError if those that were are over, and there are no others."""
        kept = self._kept
        if not self._is_due(kept):
            return kept
        kept = self._renew(kept) or kept
        if not _is_over(kept):
            return kept
        raise self._problem or CredentialsError(
            "The AWS credentials have expired, and are being renewed.",
            "Look at plldb's terminal: somebody may be asked for something there.",
        )

    def close(self) -> None:
        """Who renews at the moment is not waited for: it may be waiting for the user."""
        self._closing.set()

    def _stay_ahead(self) -> None:
        while not self._closing.is_set():
            kept, now = self._kept, time.time()
            seconds = _LONGEST_WAIT_SECONDS
            if kept.expires_at is not None and now >= self._due:
                self._renew(kept)
                seconds = _RETRY_SECONDS if self._problem else 0.0
            elif kept.expires_at is not None:
                seconds = min(seconds, self._due - now)
            self._closing.wait(max(seconds, _SHORTEST_WAIT_SECONDS))

    def _is_due(self, kept: Credentials) -> bool:
        """Whether somebody who asks has to wait for new ones."""
        return _is_over(kept) or (kept.expires_at is None and time.time() >= self._due)

    def _renew(self, former: Credentials) -> Credentials | None:
        """The new ones. None if there are none: it failed, or somebody has been at it for long."""
        if not self._renewing.acquire(timeout=_PATIENCE_SECONDS):
            return None
        try:
            if self._kept is not former:
                return self._kept
            if self._problem is not None and time.time() < self._next_try:
                return None
            try:
                self._keep(self._load())
            except PlldbError as problem:
                self._fail(problem)
                return None
            return self._kept
        finally:
            self._renewing.release()

    def _keep(self, credentials: Credentials) -> None:
        now = time.time()
        self._kept = credentials
        if credentials.are_lasting:
            self._due = float("inf")
        elif credentials.expires_at is None:
            self._due = now + _UNKNOWN_SECONDS
        else:
            left = credentials.expires_at - now
            self._due = credentials.expires_at - min(_AHEAD_SECONDS, left / 2)
        logger.debug("credentials are valid until %s", credentials.expires_at)
        if self._problem is not None:
            self._problem = None
            self._report(None)

    def _fail(self, problem: PlldbError) -> None:
        is_new = self._problem is None or self._problem.message != problem.message
        self._problem = problem
        self._next_try = time.time() + _SHORTEST_RETRY_SECONDS
        if is_new and not self._closing.is_set():
            self._report(problem)


def _is_over(credentials: Credentials) -> bool:
    return credentials.expires_at is not None and credentials.expires_at <= time.time()
