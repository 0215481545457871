"""Selection expressions of WebSocket APIs.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-websocket-api-selection-expressions.html
"""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.websocket.events import is_id, new_id
from localstack_tokenfree.websocket.expressions import (
    Response,
    Scope,
    choose,
    choose_by_pattern,
    evaluate,
    missing_identity,
    select_route_key,
)

SCOPE = Scope(
    body=json.dumps(
        {
            "action": "join",
            "room": {"name": "kitchen"},
            "n": 3,
            "x": "$connect",
            "to": [{"kind": "all"}],
        }
    ),
    headers={"x-api-key": "secret", "authorization": "token"},
    query={"token": "t"},
    multi_headers={"x-api-key": ["secret", "other"]},
    multi_query={"token": ["s", "t"]},
    stage_variables={"colour": "green"},
    context={"connectionId": "abc=", "identity": {"sourceIp": "10.1.2.3"}},
    response=Response(404, {"x-kind": "late"}, '{"error": "gone"}'),
)


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        ("$request.body.action", "join"),
        ("${request.body.action}", "join"),
        ("$request.body.room.name", "kitchen"),
        ("${request.body.action}-${request.body.room.name}", "join-kitchen"),
        ("$request.header.x-api-key", "secret"),
        ("$request.querystring.token", "t"),
        ("$context.connectionId", "abc="),
        ("$stageVariables.colour", "green"),
        ("${integration.response.statuscode}", "404"),
        ("${integration.response.header.X-Kind}", "late"),
        ("${integration.response.body.error}", "gone"),
        ("$request.body.to[0].kind", "all"),
        ("${request.body.to[0].kind}!", "all!"),
        ("$request.body.to[1].kind", None),
        ("$request.body.room[0]", None),
        ("\\$default", "$default"),
        ("$default", "$default"),
        ("200", "200"),
        ("$request.body.missing", None),
        ("$request.body.n", None),
        ("$request.body.room", None),
        ("$nonsense", None),
    ],
)
def test_evaluation(expression: str, key: str | None) -> None:
    assert evaluate(expression, SCOPE) == key


def test_reserved_routes_cannot_be_named() -> None:
    assert select_route_key("$request.body.x", SCOPE) is None


@pytest.mark.parametrize("expression", ["\\$default", "$default"])
def test_a_message_for_the_default_route(expression: str) -> None:
    assert select_route_key(expression, SCOPE) is None


def test_all_values_of_a_name() -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html"""
    assert SCOPE.find("route.request.multivalueheader.X-Api-Key") == ["secret", "other"]
    assert SCOPE.find("route.request.multivaluequerystring.token") == ["s", "t"]
    message = SCOPE.without_handshake()
    for place in ("header.x-api-key", "querystring.token", "multivaluequerystring.token"):
        assert message.find(f"route.request.{place}") is None
    assert message.find("route.request.body.action") == "join"


@pytest.mark.parametrize(
    ("text", "well_formed"),
    [
        ("L0SM9cOFvHcCIhw=", True),
        ("J9dA-etnoAMCF_Q=", True),
        ("WDGT8fY4joECJrQ=test", False),
        ("bot_GAMECODE_X", False),
        ("test-connection-123", False),
        ("é", False),
    ],
)
def test_form_of_connection_ids(text: str, well_formed: bool) -> None:
    """AWS answers 400, ``Invalid connectionId``, where a connection can't ever have been."""
    assert is_id(text) is well_formed
    assert is_id(new_id())


@given(st.text())
def test_any_message_selects_a_route_or_none(text: str) -> None:
    key = select_route_key("$request.body.action", replace(SCOPE, body=text))
    assert key is None or isinstance(key, str)


@given(st.text())
def test_any_expression_comes_to_something(expression: str) -> None:
    key = evaluate(expression, SCOPE)
    assert key is None or isinstance(key, str)


def test_choice_by_key_else_default() -> None:
    choices = {"join": 1, "$default": 2}
    assert choose("$request.body.action", choices, SCOPE) == 1
    assert choose("$request.body.missing", choices, SCOPE) == 2
    assert choose(None, choices, SCOPE) == 2
    assert choose("$request.body.missing", {"join": 1}, SCOPE) is None


@pytest.mark.parametrize(
    ("key", "chosen"), [("404", "/4\\d\\d/"), ("500", "500"), ("200", "$default")]
)
def test_choice_by_pattern(key: str, chosen: str) -> None:
    records = [{"Key": name} for name in ("$default", "/4\\d\\d/", "500")]
    record = choose_by_pattern(key, records, "Key")
    assert record == {"Key": chosen}


def test_a_pattern_that_can_not_be_read_matches_nothing() -> None:
    records = [{"Key": name} for name in ("/(?<java>x)/", "/(/", "$default")]
    assert choose_by_pattern("x", records, "Key") == {"Key": "$default"}


@pytest.mark.parametrize(
    ("sources", "missing"),
    [
        ([], None),
        (["route.request.header.Authorization"], None),
        (["route.request.querystring.token", "stageVariables.colour"], None),
        (["context.identity.sourceIp", "context.connectionId"], None),
        (["$request.header.Authorization"], None),
        (["route.request.querystring.token", "route.request.header.X"], "route.request.header.X"),
        (["stageVariables.size"], "stageVariables.size"),
        (["context.nothing"], "context.nothing"),
        (["cookie.session"], "cookie.session"),
    ],
)
def test_identity_sources(sources: list[str], missing: str | None) -> None:
    assert missing_identity(sources, SCOPE) == missing
