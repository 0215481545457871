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
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Any, Protocol

# Seconds for which records are kept; payloads in the bucket live as long.
RETENTION = 24 * 3600
# Heartbeats keep a session alive for days, and a token must outlive it: a function that still
# shows one is restored then.
TOKEN_RETENTION = 30 * 24 * 3600


# Of the keys of tokens, which lie among the invocations.
TOKEN_PREFIX = "token#"  # noqa: S105 # nosec B105 - no secret


class State(StrEnum):
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
    state: State = State.WAITING
    event: str | None = field(default=None, repr=False)
    event_key: str | None = None
    answer: Answer | None = field(default=None, repr=False)


class Recorded(Enum):
    """REPEATED: the same session has sent this very one before, whatever became of it since.
    REFUSED: another session waits for that id.

    Lambda tries an asynchronous invocation again under the same id, but with another deadline:
    that is a NEW one.
    """

    NEW = auto()
    REPEATED = auto()
    REFUSED = auto()


class InvocationStore(Protocol):
    """Where invocations and tokens live. Each call is atomic."""

    def add_token(self, token: str, grant: Grant, now: float) -> None: ...

    def grant_of(self, token: str) -> Grant | None: ...

    def unsettled(self) -> Iterator[tuple[str, Grant]]:
        """The tokens of which nobody has noted that their session is over and restored.

        Each with the key by which ``settle`` knows it.
        """
        ...

    def settle(self, key: str) -> None: ...

    def record(self, invocation: Invocation) -> Recorded:
        """Stores it as WAITING if it is NEW; otherwise there is no change."""
        ...

    def get(self, request_id: str) -> Invocation | None: ...

    def answer(self, request_id: str, owner: str, answer: Answer, now: float) -> bool:
        """WAITING → ANSWERED, by its owner and in time. False, and no change, otherwise."""
        ...

    def abandon(self, request_id: str, session_id: str) -> None:
        """WAITING → ABANDONED; no change in any other state."""
        ...

    def stale(self, now: float) -> Iterator[str]:
        """The request ids of what is WAITING though its deadline is over."""
        ...

    def expire(self, request_id: str, now: float) -> bool:
        """WAITING → EXPIRED, once its deadline is over. False, and no change, otherwise."""
        ...


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_key(token: str) -> str:
    """Where a token is stored. It has 256 random bits: a plain hash can't be searched."""
    return f"{TOKEN_PREFIX}{hashlib.sha256(token.encode()).hexdigest()}"
