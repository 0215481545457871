"""The end of a session, whoever ends it: closed once, and what it instrumented is restored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..instrumentation.request import Instrumentation, restore_request
from ..websocket import wire
from ..websocket.connections import Connections
from .heirs import find_latest
from .session import Session, Status
from .store import SessionStore

# How often a session is looked at again because it connected or closed in between.
_ATTEMPTS = 5


class UnsettledError(Exception):
    """A session changed hands faster than it could be closed."""


@dataclass(frozen=True)
class Ending:
    """What ends sessions."""

    sessions: SessionStore
    instrumentation: Instrumentation
    connections: Connections

    def close(self, session_id: str, connection_id: str, now: float) -> Session | None:
        """The session, now CLOSED, as its debugger wishes; None if it is so already.

        If it instrumented anything, restoring begins, and the connection hears of each restored
        function and of the end.
        """
        session = self.sessions.close(session_id, connection_id, now)
        if session is not None:
            self._start_restoring(session, connection_id)
        return session

    def force(self, session: Session, reason: str, now: float) -> tuple[Session, bool]:
        """The session, CLOSED, and whether it is so by this call; whoever holds it.

        Of one that was replaced, it is the one that has its functions now: functions still name the
        former one as their holder.

        If it instrumented anything, restoring begins, or begins again: there may be nothing left to
        do. Its connection hears the reason and is dropped. Raises UnsettledError.
        """
        # An heir may have been appointed that has not inherited yet.
        holds: frozenset[str] = frozenset()
        for _ in range(_ATTEMPTS):
            holds |= session.holds
            if session.heir is None:
                if session.status is Status.CLOSED:
                    self.restore(session, now, holds, again=True, reason=reason)
                    return session, False
                closed = self._close_as_seen(session, now, reason)
                if closed is not None:
                    self._finish(
                        replace(closed, holds=closed.holds | holds), session.connection_id, reason
                    )
                    return closed, True
            latest = find_latest(self.sessions, session.session_id)
            if latest is None:
                return replace(session, status=Status.CLOSED), False
            session = latest
        raise UnsettledError

    def expire(self, session: Session, now: float) -> bool:
        """Ends an attached session whose lease is over, unless a heartbeat came first.

        Its debugger may only have slept. It is cut off without a word, and so it attaches again.
        """
        if session.connection_id is None:
            return False
        closed = self.sessions.close_expired(session.session_id, session.connection_id, now)
        if closed is None:
            return False
        self._finish(closed, session.connection_id)
        return True

    def restore(
        self,
        session: Session,
        now: float,
        holds: Iterable[str] = (),
        *,
        again: bool = False,
        reason: str | None = None,
    ) -> bool:
        """Whether restoring the functions of a CLOSED session has been started by this call.

        Not if it has an heir, nor if that began a short while ago, unless ``again``. ``holds`` adds
        names under which functions may be held for it. Its debugger hears the ``reason`` if it is
        about to come back.
        """
        # Once that has begun, there will be no heir.
        has_begun = again and session.restoring_since is not None
        if not has_begun and not self.sessions.begin_restoring(session.session_id, now, reason):
            return False
        self._start_restoring(replace(session, holds=session.holds | frozenset(holds)))
        return True

    def _close_as_seen(self, session: Session, now: float, reason: str) -> Session | None:
        """→ CLOSED, unless it connected or closed since it was seen so; None, then."""
        if session.connection_id is None:
            return self.sessions.cancel(session.session_id, now, reason)
        return self.sessions.close(session.session_id, session.connection_id, now, reason)

    def _finish(
        self, closed: Session, connection_id: str | None, reason: str | None = None
    ) -> None:
        """What follows an end that the debugger did not wish: restoring, a word to it, hanging up.

        None of it waits for the success of what comes before, which is raised only afterwards: the
        session knows its connection no more, so nobody could make up for the rest. A debugger that
        hears no ``reason`` attaches again.
        """
        try:
            self._start_restoring(closed)
        finally:
            if connection_id is not None:
                self._hang_up(connection_id, reason)

    def _hang_up(self, connection_id: str, reason: str | None) -> None:
        try:
            if reason is not None:
                self.connections.post(connection_id, wire.closed(reason))
        finally:
            self.connections.drop(connection_id)

    def _start_restoring(self, closed: Session, connection_id: str | None = None) -> None:
        """If it instrumented anything; ``connection_id`` hears of it."""
        if closed.holds:
            request = restore_request(closed.stack_name, closed.holds, connection_id)
            self.instrumentation.start(request)
