"""An invocation under debugging, from the function that waits to the answer of the debugger.

::

    WAITING --answer of the session's owner, once, before the deadline--> ANSWERED
       \\--the session ended, or its connection is gone--> ABANDONED
       \\--nobody asked any more, and the deadline passed--> EXPIRED

Functions prove which session they belong to by a token. Only its hash is stored, and looking the
hash up is the comparison.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Seconds for which records are kept; payloads in the bucket live as long.
RETENTION = 24 * 3600
# Heartbeats keep a session alive for days, and a token must outlive it: a function that still
# shows one is restored then.
TOKEN_RETENTION = 30 * 24 * 3600


# Of the keys of tokens, which lie among the invocations.
TOKEN_PREFIX = "token#"  # noqa: S105 # nosec B105 - no secret


class InvocationState(StrEnum):
    WAITING = "WAITING"
    ANSWERED = "ANSWERED"
    ABANDONED = "ABANDONED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True)
class Grant:
    """What a token opens: one session's invocations. The stack is where its functions are."""

    session_id: str
    stack_name: str


@dataclass(frozen=True)
class Answer:
    """What the handler gave: the JSON text of its result, the key of one, or an error.

    ``error`` has Lambda's own names: errorType, errorMessage, stackTrace.
    """

    result: str | None = None
    result_key: str | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True)
class Invocation:
    """``owner`` is the ARN that may answer; times are seconds since the epoch.

    The event is here only where it fits neither the message nor needs the bucket (``event_key``).
    """

    request_id: str
    session_id: str
    owner: str
    function: str
    created_at: float
    deadline: float
    state: InvocationState = InvocationState.WAITING
    event: str | None = field(default=None, repr=False)
    event_key: str | None = None
    answer: Answer | None = field(default=None, repr=False)


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_key(token: str) -> str:
    """Where a token is stored. It has 256 random bits: a plain hash can't be searched."""
    return f"{TOKEN_PREFIX}{hashlib.sha256(token.encode()).hexdigest()}"
