"""Where sessions live, and in which order they are listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from .session import Session, digest


@dataclass(frozen=True, order=True)
class Position:
    """A place in a list of sessions; it names none, and its session may be gone."""

    rank: int
    digest: str


@dataclass(frozen=True)
class Page:
    """``next`` is where the following page starts after; None on the last one."""

    sessions: list[Session]
    next: Position | None


class SessionStore(Protocol):
    """Where sessions live. Each change is atomic, however many callers there are at once."""

    def create(self, session: Session) -> None: ...

    def get(self, session_id: str) -> Session | None: ...

    def begin_get(self, session_id: str) -> Callable[[], Session | None]:
        """The same, for which what is returned waits: as it is at some time between the two."""
        ...

    def activate(self, session_id: str, connection_id: str, now: float) -> bool:
        """PENDING → ACTIVE with this connection, for a lease.

        False, and no change, unless it may connect.
        """
        ...

    def extend(self, session_id: str, connection_id: str, now: float) -> int | None:
        """A new lease, if this connection holds the session and the last one is not over.

        The new TTL; None, and no change, otherwise. The session is not silent any more.
        """
        ...

    def mark_instrumenting(
        self, session_id: str, connection_id: str, token_key: str
    ) -> Session | None:
        """Notes that there will be something to restore, held under its own id and this token.

        None, and no change, unless this connection holds the session.
        """
        ...

    def mark_silent(self, session_id: str) -> None:
        """Notes that its debugger claims nothing, if a connection holds it."""
        ...

    def appoint_heir(self, session_id: str, heir: str) -> Session | None:
        """→ CLOSED, replaced by another session. Repeatable for the same heir.

        None, and no change, if it is PENDING, has another heir, or is being restored.
        """
        ...

    def inherit(
        self, session_id: str, connection_id: str, holds: Iterable[str], tokens: Iterable[str]
    ) -> Session | None:
        """Adds what former sessions held.

        None, and no change, unless this connection holds the session.
        """
        ...

    def disconnect(self, session_id: str, connection_id: str, now: float) -> Session | None:
        """→ CLOSED for now: an heir may come until the grace is over.

        None, and no change, unless this connection holds the session.
        """
        ...

    def close(
        self, session_id: str, connection_id: str, now: float, reason: str | None = None
    ) -> Session | None:
        """→ CLOSED for good: its functions are being restored. ``reason`` is kept.

        None, and no change, unless this connection holds the session.
        """
        ...

    def close_expired(self, session_id: str, connection_id: str, now: float) -> Session | None:
        """The same, but only if its TTL is over by now: a heartbeat in between wins."""
        ...

    def cancel(self, session_id: str, now: float, reason: str) -> Session | None:
        """PENDING → CLOSED for good. None, and no change, in any other state."""
        ...

    def begin_restoring(self, session_id: str, now: float, reason: str | None = None) -> bool:
        """Whether the functions of a CLOSED session are to be restored by whoever asks.

        A ``reason`` is kept, if it is for that.

        No, and no change, if it has an heir, or if that began a short while ago.
        """
        ...

    def id_by_connection(self, connection_id: str) -> str | None:
        """The id of the session that a connection holds, perhaps a second late."""
        ...

    def open_sessions(self, stack_name: str, now: float) -> list[Session]:
        """The stack's sessions that are neither closed nor expired, perhaps a second late."""
        ...

    def attached(self) -> list[Session]:
        """All sessions that a connection holds, of every stack, also those that are expired.

        Perhaps a second late. A connection opens a moment after it took its session
        (``connected_at``): until then it looks as if it were gone.
        """
        ...

    def page(
        self,
        stack_name: str,
        viewer: str,
        now: float,
        *,
        limit: int,
        after: Position | None = None,
        open_only: bool = False,
    ) -> Page:
        """The stack's sessions that the viewer may see and that are not expired.

        Highest TTL first, of equal ones by digest; perhaps a second late. Each is on exactly one
        page, unless its TTL changes in between. ``open_only`` leaves out what is CLOSED, unless it
        may be resumed.
        """
        ...

    def find(self, stack_name: str, prefix: str) -> list[Session]:
        """The stack's sessions, whatever their state, whose ids begin so."""
        ...

    def pending_ttls(self, stack_name: str, now: float, at_most: int) -> list[int]:
        """When the stack's PENDING sessions expire, soonest first; no more of them than asked."""
        ...


def by_ttl(session: Session) -> Position:
    """Its place in a list with the highest TTL first."""
    return Position(-session.ttl, digest(session.session_id))


def by_digest(session: Session) -> Position:
    return Position(0, digest(session.session_id))


def page_by_ttl(sessions: Iterable[Session], limit: int, after: Position | None) -> Page:
    """One page of sessions that come with the highest TTL first, equal ones in any order.

    All of the same TTL are looked at, and no more than the page needs beyond that. Where to go on
    is a matter of order alone, so it does not matter what became of the last one shown.
    """
    shown: list[Session] = []
    for _, group in groupby(sessions, key=lambda session: session.ttl):
        shown += sorted((s for s in group if after is None or by_ttl(s) > after), key=by_ttl)
        if len(shown) > limit:
            return Page(shown[:limit], by_ttl(shown[limit - 1]))
    return Page(shown, None)
