"""The end of a session, whoever ends it: closed once, and what it instrumented is restored."""

from __future__ import annotations

from dataclasses import replace

from . import messages
from .connections import Connections
from .instrumentation_request import Instrumentation, restore_request
from .sessions import Session, SessionStore, Status, shortened

# How often a session is looked at again because it connected or moved in between.
_ATTEMPTS = 5


class UnsettledError(Exception):
    """A session changed hands faster than it could be closed."""


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


def force_end(
    session: Session,
    reason: str,
    store: SessionStore,
    instrumentation: Instrumentation,
    connections: Connections,
) -> tuple[Session, bool]:
    """The session, CLOSED, and whether it is so by this call; whoever holds it.

    If it instrumented anything, restoring begins. Its connection hears the reason and is dropped.
    """
    for _ in range(_ATTEMPTS):
        if session.status is Status.CLOSED:
            return session, False
        closed = close_as_seen(session, store)
        if closed is not None:
            if closed.instruments:
                restoring = restore_request(closed.stack_name, shortened(closed.session_id))
                instrumentation.start(restoring)
            if session.connection_id is not None:
                connections.post(session.connection_id, messages.closed(reason))
                connections.drop(session.connection_id)
            return closed, True
        seen = store.get(session.session_id)
        if seen is None:
            return replace(session, status=Status.CLOSED), False
        session = seen
    raise UnsettledError


def close_as_seen(session: Session, store: SessionStore) -> Session | None:
    """→ CLOSED, unless it connected or moved since it was seen so. None, and no change, then."""
    if session.connection_id is None:
        return store.cancel(session.session_id)
    return store.close(session.session_id, session.connection_id)
