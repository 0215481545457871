"""The ten endpoints.

Those that ask a store are plain functions, which FastAPI runs in threads: boto3 makes them wait.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, status
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from agent_platform import __version__
from agent_platform.credentials import are_same, make_token, name_session
from agent_platform.models import (
    Agent,
    AgentConfiguration,
    CreatedSession,
    Health,
    Heartbeat,
    Info,
    Job,
    JobStatus,
    Name,
    NewJob,
    NewSession,
    Session,
)
from agent_platform.settings import Settings
from agent_platform.stores import Stores

router = APIRouter()


@dataclass(frozen=True)
class Platform:
    """``service_key`` is that of the identity provider and the agents; ``now`` tells the time in
    epoch seconds.
    """

    stores: Stores
    settings: Settings
    service_key: str
    now: Callable[[], float] = time.time


def create_app(platform: Platform) -> FastAPI:
    app = FastAPI(title="Agent platform", version=__version__)
    app.state.platform = platform
    app.include_router(router)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(platform.settings.allowed_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
    )
    return app


def _find_platform(request: Request) -> Platform:
    platform = request.app.state.platform
    assert isinstance(platform, Platform)
    return platform


ThePlatform = Annotated[Platform, Depends(_find_platform)]
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
_Key = Annotated[str | None, Depends(APIKeyHeader(name="X-Service-Key", auto_error=False))]


def _require_session(platform: ThePlatform, bearer: _Bearer) -> Session:
    """The caller's own, by ``Authorization: Bearer TOKEN``."""
    sessions = platform.stores.sessions
    found = None if bearer is None else sessions.find(name_session(bearer.credentials))
    if found is None or not found.is_valid(int(platform.now())):
        headers = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "No valid session.", headers)
    return found


def _require_service(platform: ThePlatform, key: _Key) -> None:
    if key is None or not are_same(key, platform.service_key):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "No valid X-Service-Key.")


OwnSession = Annotated[Session, Depends(_require_session)]
for_services = Depends(_require_service)


# --- The platform ---------------------------------------------------------------------------------


@router.get("/health")
async def check_health() -> Health:
    return Health()


@router.get("/info")
async def get_info(platform: ThePlatform) -> Info:
    store = platform.settings.session_store
    return Info(name="agent-platform", version=__version__, session_store=store)


# --- Sessions -------------------------------------------------------------------------------------


@router.post("/sessions", status_code=status.HTTP_201_CREATED, dependencies=[for_services])
def create_session(new: NewSession, platform: ThePlatform) -> CreatedSession:
    """For the identity provider, once it knows who the user is."""
    token, now = make_token(), int(platform.now())
    session = Session(
        session_id=name_session(token),
        user_id=new.user_id,
        device=new.device,
        created_at=now,
        expires_at=now + platform.settings.session_seconds,
    )
    platform.stores.sessions.add(session)
    return CreatedSession(token=token, **session.model_dump())


@router.get("/sessions/current")
def validate_session(own: OwnSession) -> Session:
    """Whose token that is, if it is valid."""
    return own


@router.get("/sessions")
def list_sessions(own: OwnSession, platform: ThePlatform) -> list[Session]:
    """Those of the caller, on all devices, the newest first."""
    now = int(platform.now())
    valid = [one for one in platform.stores.sessions.list_of(own.user_id) if one.is_valid(now)]
    return sorted(valid, key=lambda one: one.created_at, reverse=True)


@router.delete("/sessions/{session_id}", status_code=status.HTTP_204_NO_CONTENT)
def close_session(session_id: str, own: OwnSession, platform: ThePlatform) -> None:
    """Any of the caller's, such as the one on a lost device."""
    session = platform.stores.sessions.find(session_id)
    if session is None or session.user_id != own.user_id:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "You have no such session.")
    platform.stores.sessions.remove(session_id)


# --- Agents ---------------------------------------------------------------------------------------


@router.get("/agents/{agent_id}/configuration", dependencies=[for_services])
def get_configuration(agent_id: Name, platform: ThePlatform) -> AgentConfiguration:
    """Agents ask for it before their first heartbeat, so it exists for those unknown as well."""
    settings = platform.settings
    return AgentConfiguration(
        agent_id=agent_id,
        heartbeat_seconds=settings.heartbeat_seconds,
        max_jobs=settings.max_jobs,
    )


@router.post("/agents/{agent_id}/heartbeat", dependencies=[for_services])
def record_heartbeat(agent_id: Name, heartbeat: Heartbeat, platform: ThePlatform) -> Agent:
    seen_at = int(platform.now())
    agent = Agent(agent_id=agent_id, seen_at=seen_at, **heartbeat.model_dump())
    platform.stores.agents.keep(agent)
    return agent


# --- Jobs -----------------------------------------------------------------------------------------


@router.post("/jobs", status_code=status.HTTP_201_CREATED)
def create_job(new: NewJob, own: OwnSession, platform: ThePlatform) -> Job:
    job = Job(
        job_id=secrets.token_hex(8),
        user_id=own.user_id,
        status="queued",
        created_at=int(platform.now()),
        **new.model_dump(),
    )
    platform.stores.jobs.add(job)
    return job


@router.get("/jobs")
def list_jobs(
    own: OwnSession,
    platform: ThePlatform,
    status: JobStatus = "queued",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[Job]:
    """Those of all users, who are one team; the oldest first."""
    return platform.stores.jobs.list_with(status, limit)
