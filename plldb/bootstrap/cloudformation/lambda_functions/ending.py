"""The end of a session, whoever ends it: closed once, and what it instrumented is restored."""

from __future__ import annotations

from .instrumentation_request import Instrumentation, restore_request
from .sessions import Session, SessionStore, shortened


def end_session(
    session_id: str,
    connection_id: str,
    store: SessionStore,
    instrumentation: Instrumentation,
    *,
    tell: bool,
) -> Session | None:
    """The session, now CLOSED; None if this connection does not hold it (any more).

    If it instrumented anything, restoring begins. With ``tell``, the connection hears of each
    restored function, and of the end.
    """
    session = store.close(session_id, connection_id)
    if session is not None and session.instruments:
        instrumentation.start(
            restore_request(
                session.stack_name, shortened(session_id), connection_id if tell else None
            )
        )
    return session
