"""What the API takes, answers, and keeps. Times are in epoch seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\w.@-]+$")]
JobStatus = Literal["queued", "running", "succeeded", "failed"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Input(_Value):
    """What it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class Health(_Value):
    status: Literal["ok"] = "ok"


class Info(_Value):
    name: str
    version: str
    session_store: str


class NewSession(_Input):
    user_id: Name
    device: str = Field(default="", max_length=200)


class Session(_Value):
    """``session_id`` is no secret: see credentials.py."""

    session_id: str
    user_id: str
    device: str
    created_at: int
    expires_at: int

    def is_valid(self, now: int) -> bool:
        """DynamoDB may delete an expired item days later."""
        return now < self.expires_at


class CreatedSession(Session):
    """Nobody is told ``token`` again."""

    token: str


class AgentConfiguration(_Value):
    agent_id: str
    heartbeat_seconds: int
    max_jobs: int


class Heartbeat(_Input):
    region: Name
    status: Literal["idle", "busy"]
    running_jobs: int = Field(ge=0, le=1000)


class Agent(_Value):
    agent_id: str
    region: str
    status: str
    running_jobs: int
    seen_at: int


class NewJob(_Input):
    name: Name
    parameters: dict[Name, Annotated[str, Field(max_length=1000)]] = Field({}, max_length=50)


class Job(_Value):
    job_id: str
    name: str
    parameters: dict[str, str]
    user_id: str
    status: JobStatus
    created_at: int
