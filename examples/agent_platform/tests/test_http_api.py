"""The endpoints through the HTTP API: the function runs here, the tables are the emulator's."""

from __future__ import annotations

import secrets
from typing import Any

import boto3
import httpx2
import pytest
from agent_platform.dynamodb_stores import DynamoDBSessionStore
from session_store_contract import check_store

from plldb.pytest_plugin.fixtures import PlldbAttached, PlldbEmulator, PlldbStack

_SECONDS = 30.0


class Api:
    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def call(
        self, method: str, path: str, session_id: str | None = None, **given: Any
    ) -> httpx2.Response:
        headers = {} if session_id is None else {"Authorization": f"Bearer {session_id}"}
        url = self._url + path
        return httpx2.request(method, url, headers=headers, timeout=_SECONDS, **given)

    def log_in(self, user_id: str) -> str:
        created = self.call("POST", "/sessions", json={"user_id": user_id})
        assert created.status_code == 201, created.text
        return str(created.json()["session_id"])


@pytest.fixture
def api(attached: PlldbAttached) -> Api:
    return Api(attached.stack.outputs["ApiUrl"])


@pytest.fixture
def user() -> str:
    """One whom no other test knows."""
    return f"user-{secrets.token_hex(4)}"


def test_the_platform_says_what_it_is(api: Api, attached: PlldbAttached) -> None:
    assert api.call("GET", "/health").json() == {"status": "ok"}
    assert api.call("GET", "/info").json()["session_store"] == "dynamodb"
    seen = attached.wait_for_invocations(2, "Platform")
    assert [one.event["rawPath"].rpartition("/")[2] for one in seen] == ["health", "info"]


def test_a_session_from_its_creation_to_its_end(api: Api, stack: PlldbStack, user: str) -> None:
    session_id, other = api.log_in(user), api.log_in(user)
    valid = api.call("GET", f"/sessions/{session_id}").json()
    assert valid["user_id"] == user
    listed = api.call("GET", "/sessions", session_id).json()
    assert {one["session_id"] for one in listed} == {session_id, other}
    kept = stack.client("dynamodb").get_item(
        TableName=stack.outputs["SessionsTable"], Key={"session_id": {"S": session_id}}
    )["Item"]
    assert int(kept["expires_at"]["N"]) == valid["created_at"] + 3600
    assert api.call("DELETE", f"/sessions/{session_id}", other).status_code == 204
    assert api.call("GET", f"/sessions/{session_id}").status_code == 404
    assert api.call("GET", "/sessions", session_id).status_code == 401


def test_an_agent_is_configured_and_heard(api: Api, stack: PlldbStack) -> None:
    path = f"/agents/agent-{secrets.token_hex(4)}"
    assert api.call("GET", f"{path}/configuration").json()["heartbeat_seconds"] == 30
    heartbeat = {"region": "eu-west-1", "status": "idle", "running_jobs": 0}
    agent = api.call("POST", f"{path}/heartbeat", json=heartbeat).json()
    kept = stack.client("dynamodb").get_item(
        TableName=stack.resources["Agents"], Key={"agent_id": {"S": agent["agent_id"]}}
    )["Item"]
    assert kept["region"] == {"S": "eu-west-1"}


def test_a_job_waits_for_an_agent(api: Api, user: str) -> None:
    session_id = api.log_in(user)
    job = {"name": "build", "parameters": {"branch": "main"}}
    created = api.call("POST", "/jobs", session_id, json=job).json()
    assert (created["status"], created["user_id"]) == ("queued", user)
    queued = api.call("GET", "/jobs", session_id, params={"limit": 100}).json()
    assert created in queued
    assert api.call("POST", "/jobs", json=job).status_code == 401


def test_what_makes_no_sense_is_refused_with_its_place(api: Api) -> None:
    refused = api.call("POST", "/sessions", json={"user_id": ""})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "user_id"]


def test_the_store_in_dynamodb_is_one_as_that_in_memory(
    stack: PlldbStack, plldb_emulator: PlldbEmulator
) -> None:
    found = plldb_emulator.environment
    dynamodb = boto3.resource(
        "dynamodb",
        endpoint_url=plldb_emulator.endpoint_url,
        region_name=plldb_emulator.region,
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
    )
    table = dynamodb.Table(stack.outputs["SessionsTable"])
    check_store(DynamoDBSessionStore(table), secrets.token_hex(4))
