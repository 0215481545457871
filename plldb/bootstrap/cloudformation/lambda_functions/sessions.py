"""A debugging session and the rules of its life.

::

    PENDING --$connect, once, before TTL--> ACTIVE --$disconnect or close--> CLOSED
       \\--TTL passes--> refused, later deleted

An ACTIVE session moves to another connection by a one-time token (``refresh``), and stays
ACTIVE. A session id is a credential: logs and errors carry at most ``shortened(id)``, and where
sessions are put in an order or a place in it is told, it is by ``digest(id)``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import Protocol

# Seconds from creation until a session that nobody connected to is refused (REQ_FN_0003: 1 hour).
LIFETIME = 3600
# Seconds for which a connection may look as if it were gone though it is only about to open: its
# session is ACTIVE before that, as its socket opens after $connect has returned.
CONNECTING_SECONDS = 60
# Seconds for which a token that moves a session to another connection is good.
REFRESH_LIFETIME = 60
# Characters of an id that may be shown, and by which a session may be named.
SHORTENED = 8
_SESSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ANY_ID = str(uuid.UUID(int=0))


class Status(StrEnum):
    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    CLOSED = "CLOSED"


@dataclass(frozen=True)
class RefreshOffer:
    """A token that moves the session to another connection, once; only its hash is kept."""

    token_hash: str = field(repr=False)
    expires: int


@dataclass(frozen=True)
class Session:
    """``ttl`` and ``connected_at`` are in seconds since the epoch, ``created_at`` in ISO 8601.

    ``owner`` is an ARN. ``instruments``: it was asked to instrument functions, which therefore may
    have to be restored. ``previous_connection_id`` held the session before it was refreshed. At
    ``connected_at``, ``connection_id`` took the session, and opens a moment later.
    """

    session_id: str
    stack_name: str
    status: Status
    ttl: int
    created_at: str
    owner: str
    connection_id: str | None = None
    instruments: bool = False
    connected_at: int | None = None
    previous_connection_id: str | None = None
    offer: RefreshOffer | None = None

    def may_connect(self, now: float) -> bool:
        """DynamoDB deletes expired items late, by days: expiry is decided here, on reading."""
        return self.status is Status.PENDING and self.ttl > now

    def may_refresh(self, token_hash: str, now: float) -> bool:
        """Whether that token moves it to another connection."""
        return (
            self.is_attached(now)
            and self.offer is not None
            and self.offer.expires > now
            and hmac.compare_digest(self.offer.token_hash, token_hash)
        )

    def is_attached(self, now: float) -> bool:
        """Somebody is connected, and no debugger forgot it for an hour."""
        return self.status is Status.ACTIVE and self.ttl > now

    def connected_within(self, seconds: float, now: float) -> bool:
        """Whether its connection took it so short a while ago; no, if that is not known."""
        return self.connected_at is not None and self.connected_at > now - seconds

    def is_visible_to(self, viewer: str, now: float) -> bool:
        """A PENDING id opens a connection: nobody but its owner learns that there is one.

        One that is ACTIVE though it expired still has to be closed, and so is there.
        """
        if self.status is Status.PENDING and self.owner != viewer:
            return False
        return self.ttl > now or self.status is Status.ACTIVE


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

    def activate(self, session_id: str, connection_id: str, now: float) -> bool:
        """PENDING → ACTIVE with this connection. False, and no change, unless it may connect."""
        ...

    def extend(self, session_id: str, connection_id: str, now: float) -> int | None:
        """A new TTL, ``LIFETIME`` from now, if this connection holds the session; else None."""
        ...

    def mark_instrumenting(self, session_id: str, connection_id: str) -> Session | None:
        """Notes that there will be something to restore; None unless this connection holds it."""
        ...

    def offer_refresh(self, session_id: str, connection_id: str, offer: RefreshOffer) -> bool:
        """Puts the offer in the place of a former one, if this connection holds the session."""
        ...

    def refresh(self, session_id: str, connection_id: str, token_hash: str, now: float) -> bool:
        """Moves the session to this connection and extends it, and the offer is used up.

        False, and no change, unless ``Session.may_refresh``.
        """
        ...

    def close(self, session_id: str, connection_id: str) -> Session | None:
        """→ CLOSED, if this connection holds the session. None, and no change, otherwise."""
        ...

    def close_expired(self, session_id: str, connection_id: str, now: float) -> Session | None:
        """The same, but only if its TTL is over by now: a heartbeat in between wins."""
        ...

    def cancel(self, session_id: str) -> Session | None:
        """PENDING → CLOSED. None, and no change, in any other state."""
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
        page, unless its TTL changes in between. ``open_only`` leaves out what is CLOSED.
        """
        ...

    def find(self, stack_name: str, prefix: str) -> list[Session]:
        """The stack's sessions, whatever their state, whose ids begin so."""
        ...

    def pending_ttls(self, stack_name: str, now: float, at_most: int) -> list[int]:
        """When the stack's PENDING sessions expire, soonest first; no more of them than asked."""
        ...


def new_session(stack_name: str, owner: str, now: float) -> Session:
    return Session(
        session_id=str(uuid.uuid4()),
        stack_name=stack_name,
        status=Status.PENDING,
        ttl=int(now) + LIFETIME,
        created_at=datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
        owner=owner,
    )


def is_session_id(text: str) -> bool:
    """Whether it has the form of an id, so that no lookup is spent on what can't be one."""
    return _SESSION_ID.fullmatch(text) is not None


def is_prefix_of_id(text: str) -> bool:
    """Whether ids can begin so, and it is long enough to name one."""
    return len(text) >= SHORTENED and is_session_id(text + _ANY_ID[len(text) :])


def shortened(secret: str) -> str:
    """As much of an id as may be shown."""
    return secret[:SHORTENED]


def digest(session_id: str) -> str:
    """What stands for an id where it must not be told. It has 122 random bits: no use to search."""
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]


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


def new_refresh_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def refresh_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
