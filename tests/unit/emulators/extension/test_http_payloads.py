"""Events of HTTP APIs, answers of functions, mappings, CORS and tokens: everything without I/O."""

import base64
import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.http_api.answers import HttpAnswer, MalformedAnswerError, read_answer
from localstack_tokenfree.http_api.cors import preflight_answer, with_cors_headers
from localstack_tokenfree.http_api.http_expressions import evaluate
from localstack_tokenfree.http_api.http_request import HttpRequest, joined
from localstack_tokenfree.http_api.jwt_claims import (
    InsufficientScopeError,
    InvalidTokenError,
    as_strings,
    check_claims,
    granted_scopes,
    key_id_of,
    token_of,
)
from localstack_tokenfree.http_api.parameter_mapping import map_answer, map_request
from localstack_tokenfree.http_api.payloads import (
    Call,
    Caller,
    authorizer_event,
    encode_body,
    integration_event,
)
from localstack_tokenfree.http_status import http_status

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
REQUEST = HttpRequest(
    method="POST",
    path="/dev/pets/1",
    query="parameter1=value1&parameter1=value2&parameter2=value",
    headers=[
        ("header1", "value1"),
        ("header2", "value1"),
        ("header2", "value2"),
        ("cookie", "cookie1=a; cookie2=b"),
        ("content-type", "application/json"),
        ("user-agent", "agent"),
    ],
    body=b'{"pet":{"names":["Rex"]},"n":1}',
    source_ip="192.0.2.1",
    path_parameters={"id": "1"},
)


def call(request: HttpRequest = REQUEST, **changes: Any) -> Call:
    known: dict[str, Any] = {
        "account_id": "123456789012",
        "api_id": "abc123",
        "region": "us-east-1",
        "stage": "dev",
        "route_key": "POST /pets/{id}",
        "request_id": "id=",
        "path": "/pets/1",
        "stage_variables": {"colour": "green"},
        "at": datetime(2020, 3, 12, 19, 3, 58, tzinfo=UTC),
    }
    return Call(request=request, **(known | changes))


def test_format_2_0() -> None:
    """http-api-develop-integrations-lambda.html, field by field"""
    assert integration_event(call(), "2.0") == {
        "version": "2.0",
        "routeKey": "POST /pets/{id}",
        "rawPath": "/dev/pets/1",
        "rawQueryString": REQUEST.query,
        "cookies": ["cookie1=a", "cookie2=b"],
        "headers": {
            "header1": "value1",
            "header2": "value1,value2",
            "content-type": "application/json",
            "user-agent": "agent",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc123",
            "http": {
                "method": "POST",
                "path": "/dev/pets/1",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "agent",
            },
            "requestId": "id=",
            "routeKey": "POST /pets/{id}",
            "stage": "dev",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1584039838000,
        },
        "pathParameters": {"id": "1"},
        "stageVariables": {"colour": "green"},
        "body": REQUEST.body.decode(),
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("caller", "new", "old"),
    [
        (Caller(), None, {"claims": None, "scopes": None}),
        (
            Caller(claims={"sub": "me"}, scopes=["a"]),
            {"jwt": {"claims": {"sub": "me"}, "scopes": ["a"]}},
            {"claims": {"sub": "me"}, "scopes": ["a"]},
        ),
        (
            Caller(context={"k": [1]}, principal_id="me"),
            {"lambda": {"k": [1]}},
            {"k": [1], "principalId": "me"},
        ),
    ],
)
def test_who_called(caller: Caller, new: Any, old: Any) -> None:
    made = call(caller=caller)
    assert integration_event(made, "2.0")["requestContext"].get("authorizer") == new
    assert integration_event(made, "1.0")["requestContext"]["authorizer"] == old


def test_authorizer_events() -> None:
    """http-api-lambda-authorizer.html"""
    new = authorizer_event(call(), "2.0", ["user1", "123"])
    arn = "arn:aws:execute-api:us-east-1:123456789012:abc123/dev/POST/pets/1"
    assert (new["routeArn"], new["identitySource"]) == (arn, ["user1", "123"])
    old = authorizer_event(call(), "1.0", ["user1", "123"])
    assert (old["methodArn"], old["identitySource"]) == (arn, "user1,123")
    assert (old["authorizationToken"], old["type"]) == ("user1,123", "REQUEST")
    assert "body" not in new
    assert "body" not in old


@given(st.binary(max_size=20), st.sampled_from(["", "text/a", "application/json", "image/png"]))
def test_body_comes_back(body: bytes, content_type: str) -> None:
    request = HttpRequest("POST", "/", headers=[("content-type", content_type)], body=body)
    text, is_base64 = encode_body(request)
    assert (base64.b64decode(text or "") if is_base64 else (text or "").encode()) == body


@given(JSON, st.sampled_from(["1.0", "2.0"]))
def test_whatever_a_function_answers(answer: Any, version: str) -> None:
    try:
        response = read_answer(answer, version)
    except MalformedAnswerError:
        return
    assert 100 <= response.status <= 599
    if not isinstance(answer, dict):
        assert response.body.decode() == (
            answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":"))
        )


@pytest.mark.parametrize(
    ("given_", "status"),
    [
        (200, 200),
        ("404", 404),
        (599.0, 599),
        *((wrong, None) for wrong in (True, None, "", "x", 99, 100, 600, "999", [200], {})),
        (float("inf"), None),
        (float("nan"), None),
    ],
)
def test_statuses_that_answers_have(given_: Any, status: int | None) -> None:
    assert http_status(given_) == status


@given(st.dictionaries(st.text(max_size=8), JSON | st.text(max_size=8), min_size=1))
def test_headers_that_a_function_answers_are_headers(headers: dict[str, Any]) -> None:
    try:
        response = read_answer({"statusCode": 200, "headers": headers}, "2.0")
    except MalformedAnswerError:
        return
    for name, value in response.headers:
        assert name.isascii()
        assert not {*name} & {*" :\r\n"}
        assert not {*value} & {*"\r\n"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$request.header.Header2", "value1,value2"),
        ("$request.querystring.parameter1", "value1,value2"),
        ("$request.body.pet.names[0]", "Rex"),
        ("$request.body.pet", '{"names":["Rex"]}'),
        ("$request.body.n", "1"),
        ("$request.body", REQUEST.body.decode()),
        ("$request.path", "/pets/1"),
        ("$request.path.id", "1"),
        ("$context.identity.sourceIp", "192.0.2.1"),
        ("$context.authorizer.claims.sub", "me"),
        ("$stageVariables.colour", "green"),
        ("${request.path.id}-${context.stage}-${request.header.none}", "1-dev-"),
        ("a constant", "a constant"),
        ("$request.header.none", None),
        ("$request.body.pet.names[9]", None),
        ("$nonsense.x", None),
    ],
)
def test_expression(expression: str, value: str | None) -> None:
    """http-api-parameter-mapping.html"""
    assert evaluate(expression, call(caller=Caller(claims={"sub": "me"}))) == value


@given(st.text(max_size=20))
def test_any_expression_is_harmless(text: str) -> None:
    for expression in (f"${text}", f"${{{text}}}", f"$request.body{text}", f"$context.{text}"):
        evaluate(expression, call())


def test_lines_of_one_name_are_joined_and_cookies_as_cookies_are() -> None:
    lines = [("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2"), ("x-a", "2")]
    assert joined(lines) == {"cookie": "a=1; b=2", "x-a": "1,2"}


def test_parameters_are_mapped() -> None:
    mapped = map_request(
        {
            "append:header.header1": "more",
            "overwrite:header.header2": "$request.header.header1",
            "remove:header.cookie": "''",
            "append:header.none": "$request.header.none",
            "overwrite:querystring.parameter1": "one",
            "remove:querystring.parameter2": "''",
            "overwrite:path": "/other/${request.path.id}",
        },
        call(),
    )
    values = mapped.header_values()
    assert values["header1"] == ["value1", "more"]
    assert values["header2"] == ["value1"]
    assert "cookie" not in values
    assert "none" not in values
    assert mapped.query == "parameter1=one"
    assert mapped.path == "/other/1"


@given(st.text(max_size=9))
def test_a_mapped_path_stays_on_its_host(text: str) -> None:
    """However it begins: it is put behind the host of an integration's URL."""
    asked = call(replace(REQUEST, path_parameters={"id": text}))
    path = map_request({"overwrite:path": "$request.path.id"}, asked).path
    assert path.startswith("/")
    assert path.isascii()


@given(st.text(max_size=9))
def test_mapped_headers_have_no_line_breaks(text: str) -> None:
    answer = HttpAnswer(200, (), json.dumps({"a": text}).encode())
    mappings = {"200": {"overwrite:header.x-a": "$response.body.a"}}
    assert not set(str(map_answer(mappings, call(), answer).header("x-a"))) & {*"\r\n\0"}


@pytest.mark.parametrize(
    ("wanted", "status"), [("404", 404), ("99", 200), ("600", 200), ("x", 200)]
)
def test_a_mapped_status_is_one_of_http(wanted: str, status: int) -> None:
    mappings = {"200": {"overwrite:statuscode": wanted}}
    assert map_answer(mappings, call(), HttpAnswer(200)).status == status


def test_response_is_mapped_by_its_status() -> None:
    answer = HttpAnswer(500, (("x-old", "1"),), b'{"why":"because"}')
    mappings = {
        "500": {
            "overwrite:statuscode": "403",
            "append:header.x-why": "$response.body.why",
            "remove:header.x-old": "''",
        }
    }
    mapped = map_answer(mappings, call(), answer)
    assert (mapped.status, mapped.headers) == (403, (("x-why", "because"),))
    other = HttpAnswer(200, (("x-old", "1"),))
    assert map_answer(mappings, call(), other) == other


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        (["*"], "https://a.example", "*"),
        (["https://*"], "https://a.example", "https://a.example"),
        (["https://*"], "http://a.example", None),
        (["https://A.example"], "https://a.example", "https://a.example"),
        (["https://a.example"], "https://a.example.evil", None),
        ([], "https://a.example", None),
    ],
)
def test_origins(allowed: list[str], origin: str, expected: str | None) -> None:
    """http-api-cors.html"""
    request = HttpRequest("GET", "/", headers=[("origin", origin)])
    backend = HttpAnswer(200, (("access-control-allow-origin", "nonsense"), ("x", "y")))
    answer = with_cors_headers({"AllowOrigins": allowed}, request, backend)
    assert answer.header("access-control-allow-origin") == expected
    assert answer.header("x") == "y"
    assert with_cors_headers(None, request, backend) == backend
    preflight = preflight_answer({"AllowOrigins": allowed, "MaxAge": 0}, request)
    assert preflight.header("access-control-max-age") == (expected and "0")


def token(**header: Any) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{encoded}.e30.x"


@given(st.text(max_size=30) | JSON.map(lambda value: token(alg=value, kid=value)))
def test_any_token_has_a_key_id_or_is_invalid(text: str) -> None:
    with contextlib.suppress(InvalidTokenError):
        assert key_id_of(token_of(text))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "other"},
        {"aud": "other"},
        {"aud": [{"shop": 1}]},
        {"aud": [], "client_id": "shop"},
        {"aud": None, "client_id": "shop"},
        {"exp": 100},
        {"exp": "later"},
        {"exp": None},
        {"nbf": 101},
        {"iat": 101},
    ],
)
def test_claims_that_do_not_do(changed: dict[str, Any]) -> None:
    """http-api-jwt-authorizer.html"""
    claims = {"iss": "me", "aud": "shop", "exp": 101, "nbf": 100, "iat": 100}
    check_claims(claims, "me", ["shop"], 100.0)
    with pytest.raises(InvalidTokenError):
        check_claims(claims | changed, "me", ["shop"], 100.0)


def test_scopes() -> None:
    assert granted_scopes({}, []) is None
    assert granted_scopes({"scope": "a b"}, ["b", "c"]) == ["b"]
    assert granted_scopes({"scp": ["c"]}, ["b", "c"]) == ["c"]
    with pytest.raises(InsufficientScopeError):
        granted_scopes({"scope": "ab"}, ["a"])


def test_claims_are_texts() -> None:
    """Objects: https://github.com/aws/aws-lambda-go/issues/570"""
    claims = {
        "a": ["x", "y"],
        "b": True,
        "n": 1,
        "o": {"roles": ["x", "y"], "k": {"key": "value"}},
        "p": [{"a": 1}],
        "q": {},
        "s": "t",
    }
    assert as_strings(claims) == {
        "a": "[x y]",
        "b": "true",
        "n": "1",
        "o": "map[k:map[key:value] roles:[x y]]",
        "p": "[map[a:1]]",
        "q": "map[]",
        "s": "t",
    }
