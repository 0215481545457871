"""Which session a function's token opens now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..sessions.heirs import find_latest
from ..sessions.session import Session, Status
from ..sessions.store import SessionStore
from .invocation import Grant
from .store import InvocationStore


@dataclass(frozen=True)
class Opened:
    """What a token opens: ``session`` is None if its item was deleted, after its end."""

    token_key: str
    grant: Grant
    session: Session | None


class Grants:
    """Follows sessions to their heirs, and remembers for each token where that led to.

    What is remembered may not hold any more: whoever makes use of it reads the session.
    """

    def __init__(self, invocations: InvocationStore, sessions: SessionStore) -> None:
        self._invocations = invocations
        self._sessions = sessions
        self._known: dict[str, Grant] = {}
        # The tokens whose sessions could be sent an invocation when they were looked at.
        self._good: set[str] = set()

    def recall(self, token_key: str) -> Grant | None:
        """What the token opened the last time, without a call, if it may well be of use still."""
        return self._known.get(token_key) if token_key in self._good else None

    def find(self, token_key: str) -> Opened | None:
        """What the token with that key opens; None if there is no such token.

        One read, as long as the session is attached that it opened the last time. Otherwise, one
        of the token, and one of each session from the one that it was granted to.
        """
        self._good.discard(token_key)
        known = self._known.get(token_key)
        if known is not None:
            session = self._sessions.get(known.session_id)
            if session is not None and session.status is Status.ACTIVE:
                return self._remember(Opened(token_key, known, session))
        grant = self._invocations.grant_of(token_key)
        if grant is None:
            return None
        session = find_latest(self._sessions, grant.session_id)
        if session is not None:
            grant = replace(grant, session_id=session.session_id)
        return self._remember(Opened(token_key, grant, session))

    def _remember(self, opened: Opened) -> Opened:
        session = opened.session
        if session is not None:
            self._known[opened.token_key] = opened.grant
            if session.status is Status.ACTIVE and not session.is_silent:
                self._good.add(opened.token_key)
        return opened
