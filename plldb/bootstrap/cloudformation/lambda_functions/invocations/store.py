"""Where invocations and tokens live."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol

from .invocation import Answer, Grant, Invocation


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
