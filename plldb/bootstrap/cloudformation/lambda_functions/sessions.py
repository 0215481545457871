"""A debugging session and the rules of its life.

::

    PENDING --$connect, once, before TTL--> ACTIVE --$disconnect or close--> CLOSED
       \\--TTL passes--> refused, later deleted

A session id is a credential: logs and errors carry at most ``shortened(id)``.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

# Seconds from creation until a session that nobody connected to is refused (REQ_FN_0003: 1 hour).
LIFETIME = 3600
_SESSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Status(StrEnum):
    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    CLOSED = "CLOSED"


@dataclass(frozen=True)
class Session:
    """``ttl`` is in seconds since the epoch, ``created_at`` in ISO 8601, ``owner`` an ARN.

    ``instruments``: it was asked to instrument functions, which therefore may have to be restored.
    """

    session_id: str
    stack_name: str
    status: Status
    ttl: int
    created_at: str
    owner: str
    connection_id: str | None = None
    instruments: bool = False

    def may_connect(self, now: float) -> bool:
        """DynamoDB deletes expired items late, by days: expiry is decided here, on reading."""
        return self.status is Status.PENDING and self.ttl > now

    def is_attached(self, now: float) -> bool:
        """Somebody is connected, and no debugger forgot it for an hour."""
        return self.status is Status.ACTIVE and self.ttl > now


class SessionStore(Protocol):
    """Where sessions live. Each call is atomic, however many callers there are at once."""

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

    def close(self, session_id: str, connection_id: str) -> Session | None:
        """→ CLOSED, if this connection holds the session. None, and no change, otherwise."""
        ...

    def open_sessions(self, stack_name: str, now: float) -> list[Session]:
        """The stack's sessions that are neither closed nor expired, perhaps a second late."""
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


def shortened(secret: str) -> str:
    """As much of an id as may be shown."""
    return secret[:8]
