"""An invocation under debugging, from the function that waits to the answer of the debugger.

::

    WAITING --claim, before the deadline--> STARTED --answer, before the deadline--> ANSWERED
       |                                       \\--its session is lost--> ABANDONED
       |--nobody claims it, or the debugger declines it--> ABANDONED
       \\--the deadline passes, in either state--> EXPIRED

Only what was never STARTED may the function run by itself. Functions prove which session they
belong to by a token. Only its hash is stored, and looking the hash up is the comparison.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

# Seconds for which records are kept; payloads in the bucket live for a day.
RETENTION = 2 * 3600
# Heartbeats keep a session alive for days, and a token must outlive it: a function that still
# shows one is restored then.
TOKEN_RETENTION = 30 * 24 * 3600


# Of the keys of tokens, which lie among the invocations.
TOKEN_PREFIX = "token#"  # noqa: S105 # nosec B105 - no secret


class InvocationState(StrEnum):
    WAITING = "WAITING"
    STARTED = "STARTED"
    ANSWERED = "ANSWERED"
    ABANDONED = "ABANDONED"
    EXPIRED = "EXPIRED"


OPEN = (InvocationState.WAITING, InvocationState.STARTED)


@dataclass(frozen=True)
class Grant:
    """What a token opens: one session's invocations.

    ``session_id`` is the session that has the functions now, ``hold`` the beginning of the id of
    the one that instrumented them, as they say it themselves. The stack is where they are.
    ``is_settled``: the session is over, and they were restored once more, as far as is known.
    """

    session_id: str
    stack_name: str
    hold: str
    is_settled: bool = False


@dataclass(frozen=True)
class Answer:
    """What the handler gave: the JSON text of a body (see ``wire``), or the key of an upload."""

    body: str | None = field(default=None, repr=False)
    body_key: str | None = None


@dataclass(frozen=True)
class InvocationId:
    """Names an invocation: Lambda tries one again under the same request id, with a new deadline.

    ``deadline`` is in seconds since the epoch, and counts to the millisecond.
    """

    request_id: str
    deadline: float


@dataclass(frozen=True)
class Invocation:
    """``session_id`` is the session that it was sent to, ``token_key`` the key of the function's
    token, ``connection_id`` where the function waits. Times are seconds since the epoch.
    """

    id: InvocationId
    session_id: str
    token_key: str = field(repr=False)
    function: str
    created_at: float
    connection_id: str
    state: InvocationState = InvocationState.WAITING
    has_started: bool = False
    answer: Answer | None = None

    def is_same_as(self, other: Invocation) -> bool:
        """Whether both are one try of one function, wherever it stands."""
        return (self.id, self.token_key) == (other.id, other.token_key)


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_key(token: str) -> str:
    """Where a token is stored. It has 256 random bits: a plain hash can't be searched."""
    return f"{TOKEN_PREFIX}{hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()}"
