"""The handlers take events as AWS documents them, with and without what it does not promise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.bootstrap.lambda_functions.handlers import documented_events as documented
from tests.unit.bootstrap.lambda_functions.handlers.loading import Handlers
from tests.unit.bootstrap.lambda_functions.handlers.test_handlers import (
    Cloud,
    Context,
    cloud,  # noqa: F401 - a fixture
)

# Of a client that hung up, of API Gateway at its limits, and of a network that broke:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
ENDS = [
    (1000, ""),
    (1001, "Going away"),
    (1006, "Connection closed abnormally"),
    (1009, "Message too long"),
]


@pytest.fixture
def world(cloud: tuple[Handlers, Cloud]) -> tuple[Handlers, Cloud]:  # noqa: F811
    return cloud


def create(handlers: Handlers) -> str:
    event = documented.rest_event("POST", "/sessions", body='{"stackName": "app"}')
    answer = handlers["management"](event, Context())
    assert answer["statusCode"] == 201
    session_id: str = json.loads(answer["body"])["sessionId"]
    return session_id


def connect(handlers: Handlers, session_id: str, connection_id: str) -> dict[str, Any]:
    """The authorizer's word, as API Gateway may pass it on from then on."""
    query = {"sessionId": session_id}
    admitted = handlers["websocket"](documented.authorizer_event(query), Context())
    assert admitted["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    assert all(isinstance(value, str) for value in admitted["context"].values())
    authorizer = documented.passed_on(admitted)
    event = documented.connect_event(connection_id, query, authorizer)
    assert handlers["websocket"](event, Context())["statusCode"] == 200
    return authorizer


def status_of(world: tuple[Handlers, Cloud], session_id: str) -> str:
    found: str = world[1].table.items[session_id]["Status"]["S"]
    return found


@pytest.mark.parametrize("is_told", [True, False], ids=["authorizer", "none"])
@pytest.mark.parametrize(("code", "reason"), ENDS)
def test_a_session_ends_with_its_connection_however_that_ends(
    world: tuple[Handlers, Cloud], code: int, reason: str, is_told: bool
) -> None:
    handlers, _ = world
    session_id = create(handlers)
    authorizer = connect(handlers, session_id, "L0SM9cOFvHcCIhw=")
    more = {"authorizer": authorizer} if is_told else {}
    event = documented.disconnect_event("L0SM9cOFvHcCIhw=", code, reason, **more)
    assert handlers["websocket"](event, Context()) == {"statusCode": 200}
    assert status_of(world, session_id) == "CLOSED"


@pytest.mark.parametrize("is_told", [True, False], ids=["authorizer", "none"])
def test_a_message_is_answered_whoever_is_told_of(
    world: tuple[Handlers, Cloud], is_told: bool
) -> None:
    handlers, aws = world
    session_id = create(handlers)
    authorizer = connect(handlers, session_id, "L0SM9cOFvHcCIhw=")
    more = {"authorizer": authorizer} if is_told else {}
    body = json.dumps({"action": "heartbeat", "sessionId": session_id})
    event = documented.message_event("L0SM9cOFvHcCIhw=", body, **more)
    assert handlers["websocket"](event, Context()) == {"statusCode": 200}
    ((connection, answer),) = aws.told()
    assert connection == "L0SM9cOFvHcCIhw%3D"
    assert answer["type"] == "heartbeat"


@pytest.mark.parametrize("body", [None, "", "x", "[]", '{"action": 1}'])
def test_a_message_without_sense_is_answered_and_nobody_hangs_up(
    world: tuple[Handlers, Cloud], body: str | None
) -> None:
    handlers, aws = world
    assert handlers["websocket"](documented.message_event("c=", body), Context()) == {
        "statusCode": 200
    }
    ((_, answer),) = aws.told()
    assert answer["type"] == "error"


def test_a_connection_that_no_session_belongs_to_ends_without_a_word(
    world: tuple[Handlers, Cloud],
) -> None:
    """So does one that was refused: ``$disconnect`` comes all the same, or late, or twice."""
    handlers, _ = world
    event = documented.disconnect_event("unknown=", 1006, "")
    assert handlers["websocket"](event, Context()) == {"statusCode": 200}


@pytest.mark.parametrize("query", [None, {}, {"sessionId": ""}, {"other": "x"}])
def test_who_names_no_session_is_denied(
    world: tuple[Handlers, Cloud], query: dict[str, str] | None
) -> None:
    handlers, _ = world
    answer = handlers["websocket"](documented.authorizer_event(query), Context())
    (statement,) = answer["policyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "execute-api:Invoke")
    assert answer["principalId"]


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_a_header_comes_in_any_case(world: tuple[Handlers, Cloud], name: str) -> None:
    """An unknown token is refused as such, and not for the session that is not named."""
    handlers, aws = world
    event = documented.authorizer_event({"sessionId": "12345678"}, {name: "Bearer of-nobody"})
    answer = handlers["websocket"](event, Context())
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert aws.calls() == ([], ["GetItem"])


def test_a_connect_that_no_authorizer_tells_of_is_refused(world: tuple[Handlers, Cloud]) -> None:
    """The route may have lost its authorizer: the id alone opens nothing."""
    handlers, _ = world
    session_id = create(handlers)
    event = documented.connect_event("c=", {"sessionId": session_id}, None)
    assert handlers["websocket"](event, Context())["statusCode"] == 403
    assert status_of(world, session_id) == "PENDING"


@pytest.mark.parametrize(
    ("method", "resource", "path", "status"),
    [
        ("GET", "/sessions", None, 200),
        ("DELETE", "/sessions", None, 400),
        ("GET", "/health", None, 200),
        ("POST", "/sessions", None, 400),
        ("GET", "/sessions/{sessionId}", {"sessionId": "x"}, 400),
        ("DELETE", "/sessions/{sessionId}", {"sessionId": "0" * 8}, 400),
        ("PATCH", "/sessions", None, 404),
    ],
)
@pytest.mark.parametrize("user_arn", ["arn:aws:sts::123456789012:assumed-role/R/name", None])
def test_what_a_rest_request_lacks_is_null(
    world: tuple[Handlers, Cloud],
    method: str,
    resource: str,
    path: dict[str, str] | None,
    status: int,
    user_arn: str | None,
) -> None:
    handlers, _ = world
    event = documented.rest_event(method, resource, path=path, user_arn=user_arn)
    answer = handlers["management"](event, Context())
    assert answer["statusCode"] == status, answer
    assert isinstance(answer["body"], str)
    assert all(isinstance(value, str) for value in answer["headers"].values())


def test_below_a_stacks_path_there_is_nothing_but_that_stack(
    world: tuple[Handlers, Cloud],
) -> None:
    """IAM judges the path: neither the body nor the query gets anywhere else."""
    handlers, _ = world
    sessions, one = "/stacks/{stackName}/sessions", "/stacks/{stackName}/sessions/{sessionId}"

    def call(method: str, resource: str, path: dict[str, str], **more: Any) -> tuple[int, Any]:
        event = documented.rest_event(method, resource, path=path, **more)
        answer = handlers["management"](event, Context())
        return answer["statusCode"], json.loads(answer["body"])

    mine, others = {"stackName": "app"}, {"stackName": "other"}
    status, created = call("POST", sessions, mine)
    assert status == 201
    assert call("POST", sessions, mine, body='{"stackName": "app"}')[0] == 201
    assert call("POST", sessions, mine, body='{"stackName": "other"}')[0] == 400
    assert call("POST", sessions, {"stackName": "no name"})[0] == 400
    assert call("GET", sessions, mine, query=others)[0] == 400
    assert len(call("GET", sessions, mine)[1]["sessions"]) == 2
    assert call("GET", sessions, others)[1]["sessions"] == []
    session_id = created["sessionId"]
    assert call("GET", one, mine | {"sessionId": session_id})[0] == 200
    assert call("GET", one, others | {"sessionId": session_id})[0] == 404
    assert call("GET", one, mine | {"sessionId": session_id}, query=others)[0] == 400
    assert call("DELETE", one, others | {"sessionId": session_id})[0] == 404
    assert call("DELETE", one, mine | {"sessionId": session_id[:8]})[1]["status"] == "CLOSED"
    assert call("DELETE", sessions, mine)[1] == {"closed": 1}


def test_the_schedule_starts_the_reaper(world: tuple[Handlers, Cloud]) -> None:
    handlers, _ = world
    session_id = create(handlers)
    handlers["reaper"](documented.schedule_event(), Context())
    assert status_of(world, session_id) == "PENDING"
