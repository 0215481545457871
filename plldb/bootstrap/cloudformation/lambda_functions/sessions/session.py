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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from ..shared.ids import SHOWN_CHARACTERS

# Seconds from creation until a session that nobody connected to is refused (REQ_FN_0003: 1 hour).
LIFETIME = 3600
# Seconds for which a connection may look as if it were gone though it is only about to open: its
# session is ACTIVE before that, as its socket opens after $connect has returned.
CONNECTING_SECONDS = 60
# Seconds for which a token that moves a session to another connection is good.
REFRESH_LIFETIME = 60
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
    return len(text) >= SHOWN_CHARACTERS and is_session_id(text + _ANY_ID[len(text) :])


def digest(session_id: str) -> str:
    """What stands for an id where it must not be told. It has 122 random bits: no use to search."""
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]


def new_refresh_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def refresh_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
