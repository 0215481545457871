"""The ten endpoints, on stores in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from agent_platform.api import Platform, create_app
from agent_platform.settings import Settings
from agent_platform.stores import make_memory_stores
from fastapi.testclient import TestClient

SERVICE = {"X-Service-Key": "the key"}


@dataclass
class Clock:
    time: float = 1_800_000_000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Iterator[TestClient]:
    settings = Settings(session_seconds=60, allowed_origins=("https://console.example.com",))
    platform = Platform(make_memory_stores(), settings, SERVICE["X-Service-Key"], clock.now)
    with TestClient(create_app(platform)) as client:
        yield client


@dataclass(frozen=True)
class Own:
    """A session's id, and what its user sends along."""

    session_id: str
    headers: dict[str, str]


def _log_in(client: TestClient, user_id: str = "ann", device: str = "laptop") -> Own:
    given = {"user_id": user_id, "device": device}
    created = client.post("/sessions", json=given, headers=SERVICE)
    assert created.status_code == 201
    return Own(created.json()["session_id"], _bear(created.json()["token"]))


def _bear(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class TestPlatform:
    def test_it_is_healthy(self, client: TestClient) -> None:
        assert client.get("/health").json() == {"status": "ok"}

    def test_it_says_what_it_is(self, client: TestClient) -> None:
        info = client.get("/info").json()
        assert (info["name"], info["session_store"]) == ("agent-platform", "memory")

    def test_the_frontend_may_call_it(self, client: TestClient) -> None:
        allowed = "access-control-allow-origin"
        for origin, answer in (
            ("https://console.example.com", "https://console.example.com"),
            ("https://evil.example.com", None),
        ):
            headers = client.get("/health", headers={"Origin": origin}).headers
            assert headers.get(allowed) == answer


class TestSessions:
    def test_a_session_is_valid_until_it_expires(self, client: TestClient, clock: Clock) -> None:
        own = _log_in(client)
        valid = client.get("/sessions/current", headers=own.headers)
        assert (valid.status_code, valid.json()["user_id"]) == (200, "ann")
        clock.time += 60
        for path in ("/sessions/current", "/sessions"):
            assert client.get(path, headers=own.headers).status_code == 401

    def test_a_user_lists_those_of_all_devices(self, client: TestClient, clock: Clock) -> None:
        first = _log_in(client, device="laptop")
        clock.time += 1
        _log_in(client, device="phone")
        _log_in(client, user_id="bob")
        listed = client.get("/sessions", headers=first.headers).json()
        assert [one["device"] for one in listed] == ["phone", "laptop"]

    def test_nobody_gets_in_by_what_is_listed(self, client: TestClient) -> None:
        own = _log_in(client)
        [listed] = client.get("/sessions", headers=own.headers).json()
        assert "token" not in listed
        refused = client.get("/sessions", headers=_bear(listed["session_id"]))
        assert refused.status_code == 401

    def test_a_user_closes_one_on_another_device(self, client: TestClient) -> None:
        laptop, phone = _log_in(client), _log_in(client, device="phone")
        for status in (204, 404):
            path = f"/sessions/{phone.session_id}"
            assert client.delete(path, headers=laptop.headers).status_code == status
        assert client.get("/sessions/current", headers=phone.headers).status_code == 401

    def test_nobody_closes_anothers(self, client: TestClient) -> None:
        ann, bob = _log_in(client), _log_in(client, user_id="bob")
        path = f"/sessions/{ann.session_id}"
        assert client.delete(path, headers=bob.headers).status_code == 404
        assert client.delete(path).status_code == 401
        assert client.get("/sessions/current", headers=ann.headers).status_code == 200

    @pytest.mark.parametrize("headers", [{}, {"X-Service-Key": "guessed"}, _bear("the key")])
    def test_only_a_service_creates_them(self, client: TestClient, headers: dict[str, str]) -> None:
        created = client.post("/sessions", json={"user_id": "ann"}, headers=headers)
        assert created.status_code == 401

    @pytest.mark.parametrize(
        "body", [{}, {"user_id": ""}, {"user_id": "a b"}, {"user_id": "ann", "x": 1}], ids=str
    )
    def test_what_makes_no_sense_is_refused(
        self, client: TestClient, body: dict[str, object]
    ) -> None:
        assert client.post("/sessions", json=body, headers=SERVICE).status_code == 422


class TestAgents:
    def test_an_agent_is_configured_before_it_is_known(self, client: TestClient) -> None:
        configuration = client.get("/agents/agent-1/configuration", headers=SERVICE)
        assert configuration.json() == {
            "agent_id": "agent-1",
            "heartbeat_seconds": 30,
            "max_jobs": 4,
        }

    def test_a_heartbeat_is_recorded(self, client: TestClient, clock: Clock) -> None:
        heartbeat = {"region": "eu-west-1", "status": "busy", "running_jobs": 2}
        path = "/agents/agent-1/heartbeat"
        agent = client.post(path, json=heartbeat, headers=SERVICE).json()
        assert agent == heartbeat | {"agent_id": "agent-1", "seen_at": int(clock.time)}

    @pytest.mark.parametrize(("running_jobs", "status"), [(0, 200), (-1, 422), (10**40, 422)])
    def test_a_number_of_jobs_makes_sense(
        self, client: TestClient, running_jobs: int, status: int
    ) -> None:
        heartbeat = {"region": "eu-west-1", "status": "busy", "running_jobs": running_jobs}
        done = client.post("/agents/agent-1/heartbeat", json=heartbeat, headers=SERVICE)
        assert done.status_code == status

    def test_nobody_else_is_an_agent(self, client: TestClient) -> None:
        own = _log_in(client)
        heartbeat = {"region": "eu-west-1", "status": "idle", "running_jobs": 0}
        done = client.post("/agents/agent-1/heartbeat", json=heartbeat, headers=own.headers)
        assert done.status_code == 401
        assert client.get("/agents/agent-1/configuration").status_code == 401


class TestJobs:
    def test_jobs_wait_in_turn(self, client: TestClient, clock: Clock) -> None:
        own = _log_in(client).headers
        for name in ("build", "test", "deploy"):
            created = client.post("/jobs", json={"name": name}, headers=own)
            assert (created.status_code, created.json()["user_id"]) == (201, "ann")
            clock.time += 1
        listed = client.get("/jobs", params={"limit": 2}, headers=own).json()
        assert [job["name"] for job in listed] == ["build", "test"]
        assert client.get("/jobs", params={"status": "failed"}, headers=own).json() == []

    def test_only_with_a_session(self, client: TestClient) -> None:
        assert client.post("/jobs", json={"name": "build"}).status_code == 401
        assert client.get("/jobs").status_code == 401
        assert client.get("/jobs", headers=_bear("guessed")).status_code == 401
