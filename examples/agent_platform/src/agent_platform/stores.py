"""Where sessions, agents and jobs are kept: what each store can do, and those in memory.

Those in memory serve tests and a server on your own machine. On Lambda, each environment would have
its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent_platform.models import Agent, Job, JobStatus, Session


class SessionStore(Protocol):
    """It may still have expired sessions: whoever asks looks at the time."""

    def add(self, session: Session) -> None: ...

    def find(self, session_id: str) -> Session | None: ...

    def list_of(self, user_id: str) -> list[Session]:
        """In any order. One that was added just now may not be among them yet."""

    def remove(self, session_id: str) -> bool:
        """Whether it was there."""


class AgentStore(Protocol):
    def keep(self, agent: Agent) -> None:
        """Instead of what was known of it."""


class JobStore(Protocol):
    def add(self, job: Job) -> None: ...

    def list_with(self, status: JobStatus, limit: int) -> list[Job]:
        """The oldest first. One that was added just now may not be among them yet."""


@dataclass(frozen=True)
class Stores:
    sessions: SessionStore
    agents: AgentStore
    jobs: JobStore


class MemorySessionStore:
    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def add(self, session: Session) -> None:
        self._sessions[session.session_id] = session

    def find(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def list_of(self, user_id: str) -> list[Session]:
        return [one for one in self._sessions.values() if one.user_id == user_id]

    def remove(self, session_id: str) -> bool:
        return self._sessions.pop(session_id, None) is not None


class MemoryAgentStore:
    def __init__(self) -> None:
        self._agents: dict[str, Agent] = {}

    def keep(self, agent: Agent) -> None:
        self._agents[agent.agent_id] = agent


class MemoryJobStore:
    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def add(self, job: Job) -> None:
        self._jobs.append(job)

    def list_with(self, status: JobStatus, limit: int) -> list[Job]:
        found = [job for job in self._jobs if job.status == status]
        return sorted(found, key=lambda job: job.created_at)[:limit]


def make_memory_stores() -> Stores:
    return Stores(MemorySessionStore(), MemoryAgentStore(), MemoryJobStore())
