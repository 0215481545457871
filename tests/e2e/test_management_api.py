"""``POST /sessions``: who may open a session, with what, and what is stored."""

from __future__ import annotations

import time
import uuid

import pytest
import requests

from .support import Backend, Keys, allowed, user


def test_a_signed_request_opens_a_pending_session(backend: Backend) -> None:
    before = int(time.time())

    response = backend.post_sessions({"stackName": "my-stack"})

    assert response.status_code == 201
    assert set(response.json()) == {"sessionId"}
    session_id = response.json()["sessionId"]
    assert uuid.UUID(session_id).version == 4
    item = backend.item(session_id)
    assert item.pop("SessionId") == session_id
    assert item.pop("StackName") == "my-stack"
    assert item.pop("Status") == "PENDING"
    assert before + 3600 <= int(item.pop("TTL")) <= time.time() + 3600
    assert item.pop("Owner").startswith(f"arn:{backend.target.partition}:")
    assert item.pop("CreatedAt").startswith("20")
    assert item.keys() <= {"Attempt"}


def test_the_stack_need_not_exist(backend: Backend) -> None:
    assert backend.post_sessions({"stackName": "no-such-stack"}).status_code == 201


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 8000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"my-stack"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "stackName is missing"),
        (b'{"stackName": null}', "stackName is missing"),
        (b'{"stackname": "x"}', "stackName is missing"),
        (b'{"stackName": 1}', "must be a letter"),
        (b'{"stackName": ["x"]}', "must be a letter"),
        (b'{"stackName": ""}', "must be a letter"),
        (b'{"stackName": "1abc"}', "must be a letter"),
        (b'{"stackName": "a b"}', "must be a letter"),
        (b'{"stackName": "a\\n"}', "must be a letter"),
        (b'{"stackName": "\\ud800"}', "must be a letter"),
        (b'{"stackName": "' + b"a" * 129 + b'"}', "must be a letter"),
        (b'{"stackName": "a", "x": "' + b"y" * 8192 + b'"}', "over 8192 bytes"),
    ],
)
def test_a_malformed_body_is_refused_with_a_reason(
    backend: Backend, body: bytes, complaint: str
) -> None:
    before = set(backend.all_session_ids())

    response = backend.post_sessions(body)

    assert response.status_code == 400
    assert complaint in response.json()["message"]
    # The table forgets expired ones at any time.
    assert set(backend.all_session_ids()) <= before, "something was stored"


def test_an_unsigned_request_is_refused(backend: Backend) -> None:
    response = backend.post_unsigned(b'{"stackName": "unsigned"}')

    assert response.status_code == 403
    assert backend.sessions_of("unsigned") == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer " + "x" * 43}])
def test_no_route_of_the_whole_api_is_open_without_a_signature(
    backend: Backend, headers: dict[str, str]
) -> None:
    helper, apis = backend.helper, backend.target.client("apigateway")
    pages = apis.get_paginator("get_resources").paginate(restApiId=helper.management_api_id)
    routes = [
        (method, str(resource["path"]))
        for page in pages
        for resource in page["items"]
        for method in resource.get("resourceMethods", {})
    ]
    # Those of functions, as they once were.
    former = [("POST", "/debug/invocations"), ("GET", "/debug/session"), ("POST", "/debug/uploads")]

    answers = {
        route: requests.request(
            route[0], helper.management_api_url + route[1], headers=headers, timeout=30
        ).status_code
        for route in routes + former
    }

    assert len(routes) == 11, routes
    assert set(answers.values()) == {403}, answers


@pytest.mark.needs("iam")
def test_a_wrong_secret_is_refused(backend: Backend, nobody: Keys) -> None:
    response = backend.post_sessions(
        {"stackName": "wrong-secret"}, Keys(nobody.access_key_id, "wrong")
    )

    assert response.status_code == 403
    assert backend.sessions_of("wrong-secret") == []


@pytest.mark.needs("iam")
def test_a_principal_without_permission_is_refused(backend: Backend, nobody: Keys) -> None:
    response = backend.post_sessions({"stackName": "not-allowed"}, nobody)

    assert response.status_code == 403
    assert backend.sessions_of("not-allowed") == []


@pytest.mark.needs("iam")
def test_the_owner_is_the_caller_who_was_allowed(backend: Backend) -> None:
    with user(backend.target, allowed("execute-api:Invoke")) as (arn, keys):
        response = backend.post_sessions({"stackName": "owned"}, keys)

    assert response.status_code == 201
    assert backend.item(response.json()["sessionId"])["Owner"] == arn
