"""What the API takes, answers, and keeps. Times are in epoch seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\w.@-]+$")]
JobStatus = Literal["queued", "running", "succeeded", "failed"]


class _Value(BaseModel):
    """It never changes, and what it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Health(_Value):
    status: Literal["ok"] = "ok"


class Info(_Value):
    name: str
    version: str
    session_store: str


class NewSession(_Value):
    user_id: Name
    device: str = Field(default="", max_length=200)


class Session(_Value):
    """Whoever knows ``session_id`` has the session."""

    session_id: str
    user_id: str
    device: str
    created_at: int
    expires_at: int

    def is_valid(self, now: int) -> bool:
        """DynamoDB may delete an expired item days later."""
        return now < self.expires_at


class AgentConfiguration(_Value):
    agent_id: str
    heartbeat_seconds: int
    max_jobs: int


class Heartbeat(_Value):
    region: Name
    status: Literal["idle", "busy"]
    running_jobs: int = Field(ge=0)


class Agent(Heartbeat):
    agent_id: str
    seen_at: int


class NewJob(_Value):
    name: Name
    parameters: dict[str, str] = Field(default_factory=dict)


class Job(NewJob):
    job_id: str
    user_id: str
    status: JobStatus
    created_at: int
