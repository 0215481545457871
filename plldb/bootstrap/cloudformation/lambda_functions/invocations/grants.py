"""Which session a function's token opens now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..sessions.heirs import find_latest
from ..sessions.session import Session, Status
from ..sessions.store import SessionStore
from .invocation import Grant
from .store import InvocationStore

# For so long after a session was found attached, invocations are sent to it without another look.
# Whatever has become of it since, its connection tells, or the debugger. It is less than the 5 s
# after which a function finds out that its debugger is silent, so that this is seen by the next.
_RECENT_SECONDS = 2.0


@dataclass(frozen=True)
class Opened:
    """What a token opens: ``session`` is None if its item was deleted, after its end."""

    token_key: str
    grant: Grant
    session: Session | None


class Grants:
    """Follows sessions to their heirs, and remembers for each token where that led to."""

    def __init__(self, invocations: InvocationStore, sessions: SessionStore) -> None:
        self._invocations = invocations
        self._sessions = sessions
        self._known: dict[str, Grant] = {}
        # What was found attached, and when.
        self._recent: dict[str, tuple[Opened, float]] = {}

    def remember(self, opened: Opened, now: float) -> None:
        """Its session was found attached."""
        self._recent[opened.token_key] = opened, now

    def forget(self, token_key: str) -> None:
        """What is remembered is not true any more."""
        self._recent.pop(token_key, None)

    def recall(self, token_key: str, now: float) -> Opened | None:
        """What is remembered since a moment ago; None if it is to be found."""
        opened, found_at = self._recent.get(token_key, (None, 0.0))
        if opened is None or not now - _RECENT_SECONDS < found_at <= now:
            return None
        # Its lease may have been renewed.
        is_attached = opened.session is not None and opened.session.is_attached(now)
        return opened if is_attached else None

    def find(self, token_key: str) -> Opened | None:
        """What the token with that key opens; None if there is no such token.

        One read, as long as the session is attached that it opened the last time. Otherwise, one
        of the token, and one of each session from the one that it was granted to.
        """
        known = self._known.get(token_key)
        if known is not None:
            session = self._sessions.get(known.session_id)
            if session is not None and session.status is Status.ACTIVE:
                return Opened(token_key, known, session)
        grant = self._invocations.grant_of(token_key)
        if grant is None:
            return None
        session = find_latest(self._sessions, grant.session_id)
        if session is not None:
            grant = replace(grant, session_id=session.session_id)
            self._known[token_key] = grant
        return Opened(token_key, grant, session)
