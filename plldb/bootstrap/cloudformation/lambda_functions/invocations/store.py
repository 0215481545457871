"""Where invocations and tokens live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from ..shared.signed_request import SignedRequest
from .invocation import Answer, Grant, Invocation, InvocationId


class Recorded(Enum):
    """REPEATED: the same function has sent this very one before, whatever became of it since.
    REFUSED: another invocation with that request id is open.
    """

    NEW = auto()
    REPEATED = auto()
    REFUSED = auto()


@dataclass(frozen=True)
class Step:
    """Whether a step was taken, and the invocation as it is now; None if there is none."""

    is_taken: bool
    invocation: Invocation | None


class InvocationStore(Protocol):
    """Each call is atomic, however many callers there are at once.

    A step is taken once; whoever repeats it is told of the invocation as it is.
    """

    def add_token(self, token_key: str, grant: Grant, now: float) -> None: ...

    def grant_of(self, token_key: str) -> Grant | None: ...

    def grant_to(self, token_key: str, session_id: str, now: float) -> None:
        """The token opens another session from now on, and is kept as long as a new one.

        No change if there is no such token.
        """
        ...

    def unsettled(self) -> Iterator[tuple[str, Grant]]:
        """The keys of tokens that are not settled, and what they open."""
        ...

    def settle(self, token_key: str) -> None:
        """Notes that the functions of a token are being restored, for good."""
        ...

    def record(self, invocation: Invocation) -> Recorded:
        """Stores it if it is NEW; otherwise there is no change.

        It takes the place of one that is over, and of an earlier try of the same function.
        """
        ...

    def begin_record(self, invocation: Invocation) -> Callable[[], Recorded]:
        """The same, of which the end is waited for by what is returned."""
        ...

    def bury(self, invocation: Invocation) -> Step:
        """Stores it as ABANDONED, if it has not come, and nobody has use for what has.

        If it has come and is WAITING, it is ABANDONED as well. Otherwise there is no change.
        """
        ...

    def get(self, request_id: str) -> Invocation | None: ...

    def claim(self, id: InvocationId, session_id: str, now: float) -> Step:
        """WAITING → STARTED, of that session, before the deadline.

        Taken as well if it is STARTED already.
        """
        ...

    def answer(self, id: InvocationId, session_id: str, answer: Answer, now: float) -> Step:
        """STARTED → ANSWERED, of that session, before the deadline."""
        ...

    def decline(self, id: InvocationId, session_id: str) -> Step:
        """WAITING → ABANDONED, of that session."""
        ...

    def abandon(self, id: InvocationId, token_key: str) -> Step:
        """WAITING → ABANDONED, of that token."""
        ...

    def lose(self, id: InvocationId, token_key: str) -> Step:
        """WAITING or STARTED → ABANDONED, of that token: its session is lost."""
        ...

    def readdress(self, id: InvocationId, token_key: str, session_id: str) -> Step:
        """Only that session may claim it from now on, if it is WAITING and of that token."""
        ...

    def follow(self, id: InvocationId, token_key: str, connection_id: str) -> Step:
        """The function waits at this connection, if the invocation is open and of that token."""
        ...

    def stale(self, now: float) -> Iterator[str]:
        """The request ids of what is open though its deadline is over."""
        ...

    def expire(self, request_id: str, now: float) -> bool:
        """Open → EXPIRED, once its deadline is over. False, and no change, otherwise."""
        ...


class Claims(Protocol):
    """Lets debuggers take one step by themselves."""

    def sign(self, id: InvocationId, session_id: str, now: float) -> SignedRequest:
        """What ``InvocationStore.claim`` would do now, for the debugger of that session to send.

        It is taken if, and only if, the answer's status is 200.
        """
        ...
