"""From a session to the one that has its functions now."""

from __future__ import annotations

from .session import Session
from .store import SessionStore

# A session is replaced once in two hours, or after a loss; a chain of heirs is no longer than this.
_MOST_HEIRS = 100


def line_of(sessions: SessionStore, session_id: str, until: str | None = None) -> list[Session]:
    """The session and its heirs, the latest one last; ``until`` and what follows is left out.

    Empty if the session was deleted. If an heir was, the last one's heir is not there.
    """
    line: list[Session] = []
    next_id: str | None = session_id
    while next_id is not None and next_id != until and len(line) < _MOST_HEIRS:
        session = sessions.get(next_id)
        if session is None:
            break
        line.append(session)
        next_id = session.heir
    return line


def find_latest(sessions: SessionStore, session_id: str) -> Session | None:
    """The session, or the heir of its heirs; None if that was deleted, after its end."""
    line = line_of(sessions, session_id)
    return line[-1] if line and line[-1].heir is None else None
