"""The tables and the gateway, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from broadcast.sessions import Connection, Session


@dataclass
class MemoryStore:
    sessions: dict[str, Session] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)

    def begin(self, session: Session, connection: Connection) -> bool:
        self.join(connection)
        return self.sessions.setdefault(session.session_id, session) is session

    def join(self, connection: Connection) -> None:
        self.connections[connection.connection_id] = connection

    def find_session(self, session_id: str) -> Session | None:
        return self.sessions.get(session_id)

    def find_connection(self, connection_id: str) -> Connection | None:
        return self.connections.get(connection_id)

    def replace(self, old: Connection, new: Connection) -> None:
        session = self.sessions[old.session_id]
        if session.speaker_connection == old.connection_id:
            changed = replace(session, speaker_connection=new.connection_id)
            self.sessions[session.session_id] = changed
        del self.connections[old.connection_id]

    def leave(self, connection_id: str) -> Connection | None:
        return self.connections.pop(connection_id, None)

    def end(self, session_id: str, speaker_connection: str) -> bool:
        session = self.sessions.get(session_id)
        if session is None or session.speaker_connection != speaker_connection:
            return False
        del self.sessions[session_id]
        return True

    def list_connections(self, session_id: str) -> list[Connection]:
        return [one for one in self.connections.values() if one.session_id == session_id]


@dataclass
class TakenStore(MemoryStore):
    """As if the first ids that are tried were those of other sessions."""

    taken: int = 0

    def begin(self, session: Session, connection: Connection) -> bool:
        if self.taken == 0:
            return super().begin(session, connection)
        self.taken -= 1
        self.join(connection)
        return False


@dataclass
class MemoryCounters:
    counts: Counter[str] = field(default_factory=Counter)

    def increment(self, key: str, expires_at: int) -> int:
        self.counts[key] += 1
        return self.counts[key]


@dataclass
class MemoryGateway:
    posted: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def post(self, connection_id: str, message: Mapping[str, Any]) -> None:
        self.posted.append((connection_id, message))

    def close(self, connection_id: str) -> None:
        self.closed.append(connection_id)
