"""The end of a session, whoever ends it: closed once, and what it instrumented is restored."""

from __future__ import annotations

from dataclasses import replace

from ..instrumentation.request import Instrumentation, restore_request
from ..shared.ids import shortened
from ..websocket import wire
from ..websocket.connections import Connections
from .session import Session, Status
from .store import SessionStore

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
    if session is not None:
        _start_restoring(session, instrumentation, connection_id if tell else None)
    return session


def force_end(
    session: Session,
    reason: str,
    store: SessionStore,
    instrumentation: Instrumentation,
    connections: Connections,
) -> tuple[Session, bool]:
    """The session, CLOSED, and whether it is so by this call; whoever holds it.

    If it instrumented anything, restoring begins, or begins again: there may be nothing left to
    do. Its connection hears the reason and is dropped.
    """
    for _ in range(_ATTEMPTS):
        if session.status is Status.CLOSED:
            # Whoever closed it may have failed right after that.
            _start_restoring(session, instrumentation)
            return session, False
        closed = close_as_seen(session, store)
        if closed is not None:
            finish(closed, session.connection_id, reason, instrumentation, connections)
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


def finish(
    closed: Session,
    connection_id: str | None,
    reason: str,
    instrumentation: Instrumentation,
    connections: Connections,
) -> None:
    """What follows an end that the debugger did not wish: restoring, a word to it, hanging up.

    None of it waits for the success of what comes before, which is raised only afterwards: the
    session knows its connection no more, so nobody could make up for the rest. A debugger that is
    just cut off attaches again.
    """
    try:
        _start_restoring(closed, instrumentation)
    finally:
        if connection_id is not None:
            _hang_up(connection_id, reason, connections)


def _hang_up(connection_id: str, reason: str, connections: Connections) -> None:
    try:
        connections.post(connection_id, wire.closed(reason))
    finally:
        connections.drop(connection_id)


def _start_restoring(
    closed: Session, instrumentation: Instrumentation, connection_id: str | None = None
) -> None:
    """If it instrumented anything; ``connection_id`` hears of it."""
    if closed.instruments:
        session = shortened(closed.session_id)
        instrumentation.start(restore_request(closed.stack_name, session, connection_id))
