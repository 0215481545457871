"""The running management API keeps to docs/openapi.yaml, whatever it is sent."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from requests.auth import AuthBase
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .support import DEADLINE_SECONDS, Backend, Keys, allowed, random_name, user

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
# Requests for each operation, on top of those for the limits of each of its parameters. All of them
# take about a minute.
EXAMPLES = 100
# Its gateway fails on a multipart body without a boundary, before any function sees it.
LOCALSTACK_FAULT = "Error in apigateway invocation"
GATEWAY_CHECKS = [not_a_server_error, status_code_conformance]
CHECKS = [
    *GATEWAY_CHECKS,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Signatures are not invented.
_CONFIG = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
SCHEMA = schemathesis.openapi.from_dict(
    yaml.safe_load(DOCUMENT.read_text(encoding="utf-8")), config=_CONFIG
)


@dataclass
class Api:
    """The API, and the developer who calls it."""

    backend: Backend
    developer: Keys

    def __post_init__(self) -> None:
        self.sessions = itertools.cycle([None, self.new_session(), str(uuid.uuid4()), None])

    def new_session(self) -> str:
        answer = self.call("POST", "/sessions", json={"stackName": "described"})
        return str(answer.json()["sessionId"])

    def add_twin(self, session_id: str) -> str:
        """Another session, whose id begins in the same way."""
        dynamodb = self.backend.target.client("dynamodb")
        table = self.backend.helper.sessions_table
        key = {"SessionId": {"S": session_id}}
        item = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
        twin = session_id[:8] + str(uuid.uuid4())[8:]
        dynamodb.put_item(TableName=table, Item=item | {"SessionId": {"S": twin}})
        return twin

    def call(
        self, method: str, path: str, *, of: str | None = None, **content: Any
    ) -> requests.Response:
        """One request; the answer is as the document says of ``of`` (the path, templated)."""
        auth = self.backend.signed_by(self.developer)
        return self.call_as(auth, method, path, of=of, **content)

    def call_as(
        self, auth: AuthBase | None, method: str, path: str, *, of: str | None, **content: Any
    ) -> requests.Response:
        url = self.backend.helper.management_api_url + path
        answer = requests.request(method, url, auth=auth, timeout=DEADLINE_SECONDS, **content)
        operation = SCHEMA[of or path.partition("?")[0]][method]
        assert str(answer.status_code) in operation.definition.raw["responses"], answer.text
        operation.validate_response(answer)
        return answer


@pytest.fixture(scope="module")
def api(backend: Backend) -> Iterator[Api]:
    arn = f"arn:aws:execute-api:*:*:{backend.helper.management_api_id}/plldb/*"
    with user(backend.target, allowed("execute-api:Invoke", on=arn)) as (_, keys):
        yield Api(backend, keys)


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_it_is_sent_it_answers_as_described(case: Case, api: Api) -> None:
    if "sessionId" in case.path_parameters:
        case.path_parameters["sessionId"] = next(api.sessions) or case.path_parameters["sessionId"]
    answer = case.call(
        base_url=api.backend.helper.management_api_url,
        auth=api.backend.signed_by(api.developer),
        timeout=DEADLINE_SECONDS,
    )
    if answer.text.startswith(LOCALSTACK_FAULT):
        return
    # An emulator's gateway has its own words for what it refuses before any function sees it.
    is_ours = answer.headers.get("cache-control") == ["no-store"]
    case.validate_response(answer, checks=CHECKS if is_ours else GATEWAY_CHECKS)
    assert "Traceback" not in answer.text


OPERATIONS = [operation.ok() for operation in SCHEMA.get_all_operations()]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_without_a_signature_it_refuses_as_described(operation: Any, api: Api) -> None:
    path = operation.path.format(sessionId=uuid.uuid4(), stackName="described")
    answer = api.call_as(None, operation.method.upper(), path, of=operation.path)
    assert answer.status_code == 403


def test_the_life_of_a_session_is_as_described(api: Api) -> None:
    stack, one = random_name("described"), "/sessions/{sessionId}"
    ids = [
        api.call("POST", "/sessions", json={"stackName": stack}).json()["sessionId"]
        for _ in range(3)
    ]

    assert api.call("GET", "/health").json()["status"] == "ok"
    first = api.call("GET", f"/sessions?stackName={stack}&limit=2").json()
    rest = api.call("GET", "/sessions", params={"stackName": stack} | _next(first)).json()
    shown = [session["session"] for page in (first, rest) for session in page["sessions"]]
    assert sorted(shown) == sorted(session_id[:8] for session_id in ids)
    assert "nextToken" not in rest
    assert api.call("GET", "/sessions").status_code == 200
    assert api.call("GET", f"/sessions/{ids[0]}", of=one).status_code == 200
    prefix = f"/sessions/{ids[0][:8]}"
    assert api.call("GET", prefix, of=one).status_code == 400
    twin = api.add_twin(ids[0])
    assert api.call("GET", f"{prefix}?stackName={stack}", of=one).status_code == 409
    assert api.call("DELETE", f"/sessions/{twin}", of=one).status_code == 200
    closed = api.call("DELETE", f"/sessions/{ids[1][:8]}?stackName={stack}", of=one)
    assert (closed.status_code, closed.json()["status"]) == (200, "CLOSED")
    assert api.call("DELETE", f"/sessions?stackName={stack}").json() == {"closed": 2}
    assert api.call("DELETE", f"/sessions/{uuid.uuid4()}", of=one).status_code == 404


def test_below_a_stacks_path_it_is_the_same(api: Api) -> None:
    stack = random_name("described")
    sessions, path = "/stacks/{stackName}/sessions", f"/stacks/{stack}/sessions"
    one = f"{sessions}/{{sessionId}}"
    ids = [api.call("POST", path, of=sessions).json()["sessionId"] for _ in range(2)]
    named = {"json": {"stackName": stack}}
    assert api.call("POST", path, of=sessions, **named).status_code == 201
    others = {"json": {"stackName": "other"}}
    assert api.call("POST", path, of=sessions, **others).status_code == 400
    first = api.call("GET", f"{path}?limit=2", of=sessions).json()
    assert [session["stackName"] for session in first["sessions"]] == [stack] * 2
    assert api.call("GET", f"{path}?stackName=other", of=sessions).status_code == 400
    assert api.call("GET", f"{path}/{ids[0][:8]}", of=one).status_code == 200
    elsewhere = f"/stacks/{random_name('other')}/sessions/{ids[0]}"
    assert api.call("GET", elsewhere, of=one).status_code == 404
    assert api.call("DELETE", elsewhere, of=one).status_code == 404
    assert api.call("DELETE", f"{path}/{ids[0]}", of=one).json()["status"] == "CLOSED"
    assert api.call("DELETE", path, of=sessions).json() == {"closed": 2}


def _next(page: dict[str, Any]) -> dict[str, str]:
    return {"nextToken": page["nextToken"]}
