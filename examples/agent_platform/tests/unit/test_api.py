"""The ten endpoints, on stores in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from agent_platform.api import Platform, create_app
from agent_platform.settings import Settings
from agent_platform.stores import make_memory_stores
from fastapi.testclient import TestClient


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
    with TestClient(create_app(Platform(make_memory_stores(), settings, clock.now))) as client:
        yield client


def _log_in(client: TestClient, user_id: str = "ann", device: str = "laptop") -> str:
    created = client.post("/sessions", json={"user_id": user_id, "device": device})
    assert created.status_code == 201
    return str(created.json()["session_id"])


def _own(session_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {session_id}"}


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
        session_id = _log_in(client)
        valid = client.get(f"/sessions/{session_id}")
        assert (valid.status_code, valid.json()["user_id"]) == (200, "ann")
        clock.time += 60
        assert client.get(f"/sessions/{session_id}").status_code == 404
        assert client.get("/sessions", headers=_own(session_id)).status_code == 401

    def test_a_user_lists_those_of_all_devices(self, client: TestClient, clock: Clock) -> None:
        first = _log_in(client, device="laptop")
        clock.time += 1
        _log_in(client, device="phone")
        _log_in(client, user_id="bob")
        listed = client.get("/sessions", headers=_own(first)).json()
        assert [one["device"] for one in listed] == ["phone", "laptop"]

    def test_a_user_closes_one_on_another_device(self, client: TestClient) -> None:
        laptop, phone = _log_in(client), _log_in(client, device="phone")
        assert client.delete(f"/sessions/{phone}", headers=_own(laptop)).status_code == 204
        assert client.get(f"/sessions/{phone}").status_code == 404
        assert client.delete(f"/sessions/{phone}", headers=_own(laptop)).status_code == 404

    def test_nobody_closes_anothers(self, client: TestClient) -> None:
        ann, bob = _log_in(client), _log_in(client, user_id="bob")
        assert client.delete(f"/sessions/{ann}", headers=_own(bob)).status_code == 404
        assert client.delete(f"/sessions/{ann}").status_code == 401
        assert client.get(f"/sessions/{ann}").status_code == 200

    @pytest.mark.parametrize(
        "body", [{}, {"user_id": ""}, {"user_id": "a b"}, {"user_id": "ann", "x": 1}], ids=str
    )
    def test_what_makes_no_sense_is_refused(
        self, client: TestClient, body: dict[str, object]
    ) -> None:
        assert client.post("/sessions", json=body).status_code == 422


class TestAgents:
    def test_an_agent_is_configured_before_it_is_known(self, client: TestClient) -> None:
        assert client.get("/agents/agent-1/configuration").json() == {
            "agent_id": "agent-1",
            "heartbeat_seconds": 30,
            "max_jobs": 4,
        }

    def test_a_heartbeat_is_recorded(self, client: TestClient, clock: Clock) -> None:
        heartbeat = {"region": "eu-west-1", "status": "busy", "running_jobs": 2}
        agent = client.post("/agents/agent-1/heartbeat", json=heartbeat).json()
        assert agent == heartbeat | {"agent_id": "agent-1", "seen_at": int(clock.time)}

    def test_a_heartbeat_with_less_than_no_job_is_refused(self, client: TestClient) -> None:
        heartbeat = {"region": "eu-west-1", "status": "busy", "running_jobs": -1}
        assert client.post("/agents/agent-1/heartbeat", json=heartbeat).status_code == 422


class TestJobs:
    def test_jobs_wait_in_turn(self, client: TestClient, clock: Clock) -> None:
        own = _own(_log_in(client))
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
        assert client.get("/jobs", headers=_own("guessed")).status_code == 401
