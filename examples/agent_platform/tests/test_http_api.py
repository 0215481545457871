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

_SECONDS = 60.0


class Api:
    def __init__(self, stack: PlldbStack) -> None:
        self._url = stack.outputs["ApiUrl"].rstrip("/")
        secrets_manager = stack.client("secretsmanager")
        key = secrets_manager.get_secret_value(SecretId=stack.outputs["ServiceKeyArn"])
        self._service = {"X-Service-Key": key["SecretString"]}

    def call(
        self, method: str, path: str, token: str | None = None, **given: Any
    ) -> httpx2.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self._request(method, path, headers, **given)

    def call_as_service(self, method: str, path: str, **given: Any) -> httpx2.Response:
        return self._request(method, path, self._service, **given)

    def _request(
        self, method: str, path: str, headers: dict[str, str], **given: Any
    ) -> httpx2.Response:
        url = self._url + path
        return httpx2.request(method, url, headers=headers, timeout=_SECONDS, **given)

    def log_in(self, user_id: str) -> dict[str, Any]:
        """The session, with its token."""
        created = self.call_as_service("POST", "/sessions", json={"user_id": user_id})
        assert created.status_code == 201, created.text
        session: dict[str, Any] = created.json()
        return session


@pytest.fixture
def api(attached: PlldbAttached) -> Api:
    return Api(attached.stack)


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
    session, other = api.log_in(user), api.log_in(user)
    valid = api.call("GET", "/sessions/current", session["token"]).json()
    assert valid["user_id"] == user
    listed = api.call("GET", "/sessions", session["token"]).json()
    assert {one["session_id"] for one in listed} == {session["session_id"], other["session_id"]}
    kept = stack.client("dynamodb").get_item(
        TableName=stack.outputs["SessionsTable"], Key={"session_id": {"S": session["session_id"]}}
    )["Item"]
    assert int(kept["expires_at"]["N"]) == valid["created_at"] + 3600
    assert session["token"] not in str(kept)
    closed = api.call("DELETE", f"/sessions/{session['session_id']}", other["token"])
    assert closed.status_code == 204
    for path in ("/sessions/current", "/sessions"):
        assert api.call("GET", path, session["token"]).status_code == 401


def test_an_agent_is_configured_and_heard(api: Api, stack: PlldbStack) -> None:
    path = f"/agents/agent-{secrets.token_hex(4)}"
    configuration = api.call_as_service("GET", f"{path}/configuration").json()
    assert configuration["heartbeat_seconds"] == 30
    heartbeat = {"region": "eu-west-1", "status": "idle", "running_jobs": 0}
    agent = api.call_as_service("POST", f"{path}/heartbeat", json=heartbeat).json()
    kept = stack.client("dynamodb").get_item(
        TableName=stack.resources["Agents"], Key={"agent_id": {"S": agent["agent_id"]}}
    )["Item"]
    assert kept["region"] == {"S": "eu-west-1"}


def test_a_job_waits_for_an_agent(api: Api, user: str) -> None:
    token = api.log_in(user)["token"]
    job = {"name": "build", "parameters": {"branch": "main"}}
    created = api.call("POST", "/jobs", token, json=job).json()
    assert (created["status"], created["user_id"]) == ("queued", user)
    queued = api.call("GET", "/jobs", token, params={"limit": 100}).json()
    assert created in queued
    assert api.call("POST", "/jobs", json=job).status_code == 401


def test_what_makes_no_sense_is_refused_with_its_place(api: Api) -> None:
    refused = api.call_as_service("POST", "/sessions", json={"user_id": ""})
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
