"""A debugging session and the rules of its life.

::

    PENDING --$connect, once, before TTL--> ACTIVE --$disconnect or close--> CLOSED
       \\--TTL passes--> refused, later deleted

An ACTIVE session is a lease that heartbeats renew; one that has run out can't be revived. A session
whose connection was lost keeps its functions for a grace, in which another session of the same
debugger may become its heir (``resume``): no function is changed then.

A session id is a credential: logs and errors carry at most ``shortened(id)``, and where sessions
are put in an order or a place in it is told, it is by ``digest(id)``.
"""

from __future__ import annotations

import hashlib
import re
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
# Seconds for which an ACTIVE session lives without a heartbeat.
LEASE = 150
# Seconds for which a session whose connection was lost keeps its functions, for an heir.
GRACE = 60
# Seconds after which restoring that had begun may be begun again: what a Lambda function has.
RESTORING_SECONDS = 900
_SESSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ANY_ID = str(uuid.UUID(int=0))


class Status(StrEnum):
    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    CLOSED = "CLOSED"


@dataclass(frozen=True)
class Session:
    """``ttl`` and ``connected_at`` are in seconds since the epoch, ``created_at`` in ISO 8601.

    ``owner`` is an ARN. ``connection_id`` took the session at ``connected_at``, and opens a moment
    later. ``holds`` are the beginnings of the ids under which functions are instrumented for the
    session, its own and those of sessions that it replaced; ``tokens`` are the keys of the tokens
    that those functions show. ``heir`` is the id of the session that replaced it. ``is_silent``:
    its debugger left an invocation unclaimed, and has not been heard of since. At
    ``restoring_since``, its functions began to be restored, if there are any: it is over.
    ``reason`` is for what it was closed, if not by its debugger: that one is not to attach again.
    """

    session_id: str
    stack_name: str
    status: Status
    ttl: int
    created_at: str
    owner: str
    connection_id: str | None = None
    connected_at: int | None = None
    holds: frozenset[str] = frozenset()
    tokens: frozenset[str] = field(default=frozenset(), repr=False)
    heir: str | None = field(default=None, repr=False)
    is_silent: bool = False
    restoring_since: int | None = None
    reason: str | None = None

    @property
    def instruments(self) -> bool:
        """Whether there may be functions to restore."""
        return bool(self.holds)

    def may_connect(self, now: float) -> bool:
        """DynamoDB deletes expired items late, by days: expiry is decided here, on reading."""
        return self.status is Status.PENDING and self.ttl > now

    def is_attached(self, now: float) -> bool:
        """Somebody is connected, and was heard of within the lease."""
        return self.status is Status.ACTIVE and self.ttl > now

    def may_be_resumed(self, now: float) -> bool:
        """Whether its debugger may come back to its functions: nobody restores them until then."""
        is_over = self.heir is not None or self.restoring_since is not None
        return self.status is not Status.PENDING and self.ttl > now and not is_over

    def is_over(self, now: float) -> bool:
        """Nobody is connected, and nobody will be."""
        return not (self.is_attached(now) or self.may_be_resumed(now))

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


def is_same_principal(one: str, other: str) -> bool:
    """Whether two ARNs are of one user or role, whatever the session names of the role.

    Whoever renews credentials may get another session name with each renewal:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    return _principal(one) == _principal(other)


def _principal(arn: str) -> str:
    return arn.rpartition("/")[0] if ":assumed-role/" in arn else arn
