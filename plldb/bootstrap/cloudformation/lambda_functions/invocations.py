"""An invocation under debugging, from the function that waits to the answer of the debugger.

::

    WAITING --answer of the session's owner, once, before the deadline--> ANSWERED
       \\--the session ended, or its connection is gone--> ABANDONED

Functions prove which session they belong to by a token. Only its hash is stored, and looking the
hash up is the comparison.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

# Seconds for which tokens and records are kept; payloads in the bucket live as long.
RETENTION = 24 * 3600


class State(StrEnum):
    WAITING = "WAITING"
    ANSWERED = "ANSWERED"
    ABANDONED = "ABANDONED"


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
    state: State = State.WAITING
    event: str | None = field(default=None, repr=False)
    event_key: str | None = None
    answer: Answer | None = field(default=None, repr=False)


class InvocationStore(Protocol):
    """Where invocations and tokens live. Each call is atomic."""

    def add_token(self, token: str, session_id: str, now: float) -> None: ...

    def session_of(self, token: str) -> str | None:
        """The id of the session that a token opens."""
        ...

    def record(self, invocation: Invocation) -> bool:
        """Stores it as WAITING. False, and no change, if another session waits for that id.

        Lambda retries asynchronous invocations under the same request id.
        """
        ...

    def get(self, request_id: str) -> Invocation | None: ...

    def answer(self, request_id: str, owner: str, answer: Answer, now: float) -> bool:
        """WAITING → ANSWERED, by its owner and in time. False, and no change, otherwise."""
        ...

    def abandon(self, request_id: str, session_id: str) -> None:
        """WAITING → ABANDONED; no change in any other state."""
        ...


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_key(token: str) -> str:
    """Where a token is stored. It has 256 random bits: a plain hash can't be searched."""
    return f"token#{hashlib.sha256(token.encode()).hexdigest()}"
