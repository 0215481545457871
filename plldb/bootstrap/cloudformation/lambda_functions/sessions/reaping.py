"""What nobody ended is ended on a schedule: sessions, and invocations that nobody waits for.

``$disconnect`` is best effort, a laptop may vanish without a word, and a debugger may forget its
heartbeat. Each change is conditional, so a heartbeat in between wins, and so two reapers at once
do no harm.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from ..instrumentation.request import UnfinishedError, restore_request
from ..invocations.invocation import Grant
from ..invocations.store import InvocationStore
from ..shared.dynamodb import OverloadedError
from ..shared.ids import shortened
from ..shared.log import Record
from ..websocket.connections import Connections
from .ending import Ending
from .heirs import find_latest
from .session import CONNECTING_SECONDS, Session
from .store import SessionStore

_THREADS = 16
# Each that restores takes one of the account's executions, of which a new account has ten.
_RESTORING_THREADS = 4
# For so long one restoring after the other is begun, and waited for; the next run has the rest.
_SETTLING_SECONDS = 30.0
# As many ids as a log line shows.
_SHOWN = 50

_T = TypeVar("_T")
_REFUSALS = (BotoCoreError, ClientError, OverloadedError)


class NotReapedError(Exception):
    """Something could not be ended; it is tried again when the schedule says so."""


@dataclass(frozen=True)
class Reaper:
    """What the operation acts on. ``settling`` has functions restored, and waits for the end of
    that: its instrumentation raises UnfinishedError. ``clock`` measures how long that takes.
    """

    sessions: SessionStore
    invocations: InvocationStore
    connections: Connections
    ending: Ending
    settling: Ending
    clock: Callable[[], float] = time.monotonic


def reap(record: Record, reaper: Reaper, now: float) -> dict[str, int]:
    """``{"reaped": sessions closed, "stale": invocations marked EXPIRED}``.

    A failure stops nothing else. Raises NotReapedError at the end if there was any.
    """
    sweep = _Sweep()
    sessions = sweep.each(reaper.sessions.attached, lambda session: _end(session, reaper, now))

    def expire(request_id: str) -> str | None:
        return request_id if reaper.invocations.expire(request_id, now) else None

    invocations = sweep.each(lambda: reaper.invocations.stale(now), expire)
    until = reaper.clock() + _SETTLING_SECONDS

    def settle(one: tuple[Grant, list[str]]) -> str | None:
        return _settle(*one, reaper, now) if reaper.clock() < until else None

    settled = sweep.each(
        lambda: _by_grant(reaper.invocations.unsettled()), settle, _RESTORING_THREADS
    )
    counts = {"reaped": len(sessions), "stale": len(invocations)}
    record |= counts | {"outcome": "reaped", "reapedSessions": sorted(sessions)[:_SHOWN]}
    record["settled"] = len(settled)
    if sweep.failures:
        record |= {"outcome": "error", "failed": len(sweep.failures)}
        record["reason"] = ", ".join(sorted(set(sweep.failures)))
        raise NotReapedError(f"{len(sweep.failures)} failures: {record['reason']}")
    return counts


def _end(session: Session, reaper: Reaper, now: float) -> str | None:
    """The beginning of the session's id if it was ended; None if it may live on."""
    has_ended = (
        _end_vanished(session, reaper, now)
        if session.is_attached(now)
        else reaper.ending.expire(session, now)
    )
    return shortened(session.session_id) if has_ended else None


def _end_vanished(session: Session, reaper: Reaper, now: float) -> bool:
    """Ends it if its connection is gone, of which no event told."""
    connection_id = session.connection_id
    if connection_id is None or session.connected_within(CONNECTING_SECONDS, now):
        return False
    if reaper.connections.is_open(connection_id):
        return False
    return reaper.sessions.disconnect(session.session_id, connection_id, now) is not None


def _by_grant(tokens: Iterable[tuple[str, Grant]]) -> Iterator[tuple[Grant, list[str]]]:
    """A session has a token for each time that it asked for functions; all are settled at once.

    If reading them fails, what was read until then is still there.
    """
    keys: dict[Grant, list[str]] = defaultdict(list)
    try:
        for key, grant in tokens:
            keys[grant].append(key)
    finally:
        yield from keys.items()


def _settle(grant: Grant, token_keys: list[str], reaper: Reaper, now: float) -> str | None:
    """Has its functions restored once more after the end of the session, whoever ended it.

    Who closed it may have failed right after that, and DynamoDB may have deleted it by its TTL.
    What does not come to a good end, or takes long, is begun again by the next run.
    """
    try:
        if not _restore(grant, reaper, now):
            return None
    except UnfinishedError:
        return None
    for key in token_keys:
        reaper.invocations.settle(key)
    return grant.hold


def _restore(grant: Grant, reaper: Reaper, now: float) -> bool:
    """Whether the session is over, and its functions are restored. Raises UnfinishedError."""
    session = find_latest(reaper.sessions, grant.session_id)
    if session is None:
        request = restore_request(grant.stack_name, [grant.hold])
        reaper.settling.instrumentation.start(request)
        return True
    if not session.is_over(now):
        return False
    return reaper.settling.restore(session, now, [grant.hold], again=True)


@dataclass(frozen=True)
class _Sweep:
    """Acts on many things at once, and collects what AWS refused: by its code, or its type."""

    failures: list[str] = field(default_factory=list)

    def each(
        self,
        find: Callable[[], Iterable[_T]],
        act: Callable[[_T], str | None],
        most: int = _THREADS,
    ) -> list[str]:
        """What ``act`` gave for each thing found, None left out; so many at once."""
        attempts: list[Future[str | None]] = []
        with ThreadPoolExecutor(most) as pool:
            try:
                for one in find():
                    attempts.append(pool.submit(act, one))
            except _REFUSALS as error:
                self._failed(error)
        return [done for attempt in attempts if (done := self._result(attempt)) is not None]

    def _result(self, attempt: Future[str | None]) -> str | None:
        try:
            return attempt.result()
        except _REFUSALS as error:
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ClientError):
            self.failures.append(error.response["Error"]["Code"])
        else:
            self.failures.append(type(error).__name__)
