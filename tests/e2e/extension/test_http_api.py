"""What AWS's documentation says of HTTP APIs, row by row, each with the page that says so."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayProxyEventModel,
    APIGatewayProxyEventV2Model,
)
from cryptography.hazmat.primitives.asymmetric import rsa
from requests_aws4auth import AWS4Auth

from .cloud import REGION, Cloud, Stack, wait_for
from .websocket_api import endpoint_inside, function

GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
LAMBDA = "http-api-develop-integrations-lambda.html"
AUTHORIZER = "http-api-lambda-authorizer.html"
JWT = "http-api-jwt-authorizer.html"
JWT_TROUBLE = "http-api-troubleshooting-jwt.html"
ROUTES = "http-api-develop-routes.html"
CORS = "http-api-cors.html"
KEY_ID = "first"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREIGN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Api:
    """One deployed API, by its path on the emulator or by the names that AWS gives it."""

    cloud: Cloud
    stack: Stack
    api_id: str

    def call(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        url = f"{self.cloud.endpoint}/_aws/execute-api/{self.api_id}{path}"
        return requests.request(method, url, timeout=30, allow_redirects=False, **options)

    def event(self, path: str, method: str = "GET", **options: Any) -> dict[str, Any]:
        response = self.call(path, method, **options)
        assert response.status_code == 200, response.text
        event: dict[str, Any] = response.json()
        return event

    @property
    def issuer(self) -> str:
        return f"https://{self.stack.outputs['IssuerApiId']}.execute-api.{REGION}.amazonaws.com"

    def token(self, key: rsa.RSAPrivateKey = KEY, kid: str | None = KEY_ID, **claims: Any) -> str:
        """Signed, and valid for the ``token`` authorizer unless ``claims`` make it something else;
        a claim of None is left out."""
        now = int(time.time())
        all_claims = {"iss": self.issuer, "aud": "shop", "sub": "me", "iat": now, "exp": now + 600}
        given = {name: v for name, v in (all_claims | claims).items() if v is not None}
        return jwt.encode(given, key, "RS256", headers={"kid": kid} if kid else None)


def published(keys: Mapping[str, rsa.RSAPrivateKey]) -> str:
    """The keys of an issuer by their ids, as it publishes them."""
    known = [
        json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        | {"kid": key_id, "use": "sig", "alg": "RS256"}
        for key_id, key in keys.items()
    ]
    return json.dumps({"keys": known})


@pytest.fixture(scope="module")
def api(cloud: Cloud) -> Iterator[Api]:
    with cloud.stack("http_api", Jwks=published({KEY_ID: KEY})) as stack:
        yield Api(cloud, stack, stack.outputs["ApiId"])


# --- What reaches the function --------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A request, and what its event has by dotted path; None stands for no such key."""

    says: str
    source: str
    path: str
    event: Mapping[str, Any]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


SENT = [
    Sent("format 2.0 has one field for each thing", LAMBDA, "/pets/1?a=1&a=2&b=%20x",
         {"version": "2.0", "routeKey": "GET /pets/{id}", "rawPath": "/pets/1",
          "rawQueryString": "a=1&a=2&b=%20x", "queryStringParameters": {"a": "1,2", "b": " x"},
          "pathParameters": {"id": "1"}, "requestContext.http.method": "GET",
          "requestContext.http.path": "/pets/1", "requestContext.stage": "$default",
          "requestContext.routeKey": "GET /pets/{id}", "isBase64Encoded": False,
          "multiValueHeaders": None, "multiValueQueryStringParameters": None}),
    Sent("what a request lacks has no key in 2.0", LAMBDA, "/anything",
         {"routeKey": "$default", "body": None, "cookies": None, "pathParameters": None,
          "queryStringParameters": None, "stageVariables": None, "rawQueryString": "",
          "requestContext.authorizer": None}),
    Sent("cookies are a list of their own in 2.0", LAMBDA, "/pets/1",
         {"cookies": ["a=1", "b=2"], "headers.cookie": None}, headers={"Cookie": "a=1; b=2"}),
    Sent("header names are in lower case", LAMBDA, "/pets/1",
         {"headers.x-colour": "Green"}, headers={"X-Colour": "Green"}),
    Sent("a named stage is part of the path", LAMBDA, "/dev/pets/1",
         {"rawPath": "/dev/pets/1", "requestContext.stage": "dev",
          "stageVariables.colour": "green", "pathParameters": {"id": "1"}}),
    Sent("JSON is text", LAMBDA, "/x", {"body": '{"a":1}', "isBase64Encoded": False},
         "POST", {"Content-Type": "application/json"}, b'{"a":1}'),
    Sent("a form is no text", LAMBDA, "/x",
         {"body": base64.b64encode(b"a=1").decode(), "isBase64Encoded": True},
         "POST", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1"),
    Sent("bytes come in Base64", LAMBDA, "/x",
         {"body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True},
         "PUT", {"Content-Type": "application/octet-stream"}, b"\x00\xff"),
    Sent("format 1.0 has null for what is missing", LAMBDA, "/old/a/b",
         {"version": "1.0", "resource": "/old/{proxy+}", "path": "/old/a/b", "httpMethod": "GET",
          "pathParameters": {"proxy": "a/b"}, "requestContext.resourcePath": "/old/{proxy+}",
          "requestContext.authorizer": {"claims": None, "scopes": None}, "isBase64Encoded": False}),
    Sent("format 1.0 has all values, and the last of them", LAMBDA, "/old/a?a=1&a=2",
         {"queryStringParameters": {"a": "2"}, "multiValueQueryStringParameters": {"a": ["1", "2"]},
          "multiValueHeaders.x-one": ["1"], "headers.x-one": "1"}, headers={"X-One": "1"}),
    Sent("path parameters are decoded", "http-api-parameter-mapping.html", "/pets/a%20b",
         {"pathParameters": {"id": "a b"}}),
    Sent("an encoded slash is part of a parameter", "http-api-develop-routes.html", "/pets/a%2Fb",
         {"routeKey": "GET /pets/{id}", "pathParameters": {"id": "a/b"}}),
    Sent("an integration may name its function by a stage variable",
         "http-api-stages.html", "/dev/variable", {"routeKey": "GET /variable"}),
]  # fmt: skip


@pytest.mark.parametrize("row", SENT, ids=lambda row: row.says)
def test_event(api: Api, row: Sent) -> None:
    event = api.event(row.path, row.method, headers=row.headers, data=row.body)
    got = {path: look_up(event, path) for path in row.event}
    assert got == row.event, GUIDE + row.source


def look_up(event: Any, path: str) -> Any:
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def test_events_have_the_shapes_that_applications_parse(api: Api) -> None:
    new = api.event("/dev/pets/1?a=1", headers={"Cookie": "a=1"})
    APIGatewayProxyEventV2Model.model_validate(new)
    context = new["requestContext"]
    assert context["domainName"] == f"{api.api_id}.execute-api.{REGION}.amazonaws.com"
    assert context["domainPrefix"] == api.api_id
    assert abs(context["timeEpoch"] / 1000 - time.time()) < 60
    old = api.event("/old/x", "POST", data="text", headers={"Content-Type": "text/plain"})
    APIGatewayProxyEventModel.model_validate(old)
    assert old["body"] == "text"


# --- What reaches the client ----------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """A function's answer, and the response that it becomes."""

    says: str
    answer: Any
    status: int
    body: str
    headers: Mapping[str, str | None] = field(default_factory=dict)
    path: str = "/pets/1"
    source: str = LAMBDA


FAILURE = '{"message":"Internal Server Error"}'
ANSWERED = [
    Answered("an answer without a status is the body", {"a": 1}, 200, '{"a":1}',
             {"content-type": "application/json"}),
    Answered("so is a text", "Hello", 200, "Hello", {"content-type": "application/json"}),
    Answered("status, headers and body are taken over",
             {"statusCode": 201, "headers": {"X-A": "b", "Content-Type": "text/html"}, "body": "x"},
             201, "x", {"x-a": "b", "content-type": "text/html"}),
    Answered("a status may be text", {"statusCode": "202", "body": "x"}, 202, "x"),
    Answered("cookies become headers", {"statusCode": 200, "cookies": ["a=1; Path=/", "b=2"]},
             200, "", {"set-cookie": "a=1; Path=/, b=2"}),
    Answered("Base64 is decoded", {"statusCode": 200, "body": "aGk=", "isBase64Encoded": True},
             200, "hi"),
    Answered("format 1.0 may have several headers of a name",
             {"statusCode": 200, "multiValueHeaders": {"X-A": ["1", "2"]}, "body": ""},
             200, "", {"x-a": "1, 2"}, "/old/x"),
    Answered("a header may have any text", {"statusCode": 200, "headers": {"x-a": "ж"}},
             200, "", {"x-a": "ж".encode().decode("latin-1")}),
    Answered("a line break in a header fails",
             {"statusCode": 200, "headers": {"x-a": "b\r\nx: y"}}, 500, FAILURE),
    Answered("headers of the connection are the gateway's",
             {"statusCode": 200, "body": "x",
              "headers": {"Content-Length": "9", "Transfer-Encoding": "x", "Connection": "close"}},
             200, "x", {"content-length": "1", "transfer-encoding": None}),
    Answered("a status before the answer's fails", {"statusCode": 101, "body": ""}, 500, FAILURE),
    Answered("a body that is no text fails", {"statusCode": 200, "body": {"a": 1}}, 500, FAILURE),
    Answered("a status out of range fails", {"statusCode": 999, "body": ""}, 500, FAILURE),
    Answered("format 1.0 infers nothing", {"a": 1}, 500, FAILURE, path="/old/x"),
]  # fmt: skip


@pytest.mark.parametrize("row", ANSWERED, ids=lambda row: row.says)
def test_response(api: Api, row: Answered) -> None:
    response = api.call(row.path, params={"answer": json.dumps(row.answer)})
    assert (response.status_code, response.text) == (row.status, row.body), GUIDE + row.source
    got = {name: response.headers.get(name) for name in row.headers}
    assert got == row.headers, GUIDE + row.source
    assert response.headers["apigw-requestid"]


@pytest.mark.parametrize(
    ("path", "status", "message", "source"),
    [
        ("/pets/1?raise=1", 500, "Internal Server Error", "http-api-troubleshooting-lambda.html"),
        ("/late?sleep=3", 503, "Service Unavailable", "http-api-quotas.html"),
        ("/nowhere", 503, "Service Unavailable", "http-api-develop-integrations-http.html"),
    ],
)
def test_failing_integration(api: Api, path: str, status: int, message: str, source: str) -> None:
    response = api.call(path)
    assert (response.status_code, response.json()) == (status, {"message": message}), GUIDE + source


def test_request_over_ten_megabytes(api: Api) -> None:
    """GUIDE + http-api-quotas.html"""
    response = api.call("/x", "POST", data=b"x" * (10 * 1024 * 1024 + 1))
    assert response.status_code == 413


# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [f"{{}}.execute-api.{REGION}.amazonaws.com", "{}.execute-api.localhost.localstack.cloud"],
)
@pytest.mark.parametrize(("path", "stage"), [("/pets/1", "$default"), ("/dev/pets/1", "dev")])
def test_names_of_an_api(api: Api, name: str, path: str, stage: str) -> None:
    """GUIDE + http-api-publish.html"""
    host = name.format(api.api_id)
    response = requests.get(api.cloud.endpoint + path, headers={"Host": host}, timeout=30)
    assert response.json()["requestContext"]["stage"] == stage


def test_no_api_and_no_route(api: Api) -> None:
    host = {"Host": f"nonesuch00.execute-api.{REGION}.amazonaws.com"}
    assert requests.get(f"{api.cloud.endpoint}/x", headers=host, timeout=30).status_code == 404
    issuer = Api(api.cloud, api.stack, "nonesuch00")
    assert issuer.call("/x").status_code == 404


def test_custom_domain(api: Api) -> None:
    """GUIDE + rest-api-mappings-evaluation.html and http-api-develop-integrations-lambda.html: the
    mapping is in the path of format 1.0 only."""
    control = api.cloud.client("apigatewayv2")
    stages = {"shop/v1": "dev", "old": "$default"}
    with api.cloud.custom_domain(api.api_id, stages) as name:

        def get(path: str) -> requests.Response:
            url = f"{api.cloud.endpoint}{path}"
            return requests.get(url, headers={"Host": name}, timeout=30)

        new = get("/shop/v1/pets/1").json()
        assert new["rawPath"] == "/pets/1"
        assert new["pathParameters"] == {"id": "1"}
        assert new["requestContext"]["domainName"] == name
        assert new["requestContext"]["stage"] == "dev"
        old = get("/old/old/x").json()
        assert old["path"] == "/old/old/x"
        assert old["pathParameters"] == {"proxy": "x"}
        try:
            control.update_api(ApiId=api.api_id, DisableExecuteApiEndpoint=True)
            assert api.call("/pets/1").status_code == 404
            assert get("/old/pets/1").status_code == 200
        finally:
            control.update_api(ApiId=api.api_id, DisableExecuteApiEndpoint=False)


def test_custom_domain_of_an_api_without_cors(api: Api) -> None:
    """Where the API configures nothing, CORS is the backend's, preflights too: GUIDE +
    http-api-cors.html"""
    issuer = api.stack.outputs["IssuerApiId"]
    with api.cloud.custom_domain(issuer, {"open": "$default"}) as name:
        asked = {"Host": name, "Origin": "https://app.example.com"}
        url = f"{api.cloud.endpoint}/open/x"
        plain = requests.get(url, headers=asked, timeout=30)
        preflight = requests.options(
            url, headers=asked | {"Access-Control-Request-Method": "PUT"}, timeout=30
        )
        assert preflight.json()[0] == "OPTIONS"
        for answered in (plain, preflight):
            assert answered.status_code == 202
            assert not [n for n in answered.headers if n.lower().startswith("access-control-")]


def test_path_of_a_custom_domain_that_nothing_is_mapped_to(api: Api) -> None:
    """GUIDE + rest-api-mappings-evaluation.html. A name wins over a wildcard that it matches:
    GUIDE + how-to-custom-domains.html"""
    issuer, below = api.stack.outputs["IssuerApiId"], f"{uuid.uuid4().hex[:8]}.example.com"
    cloud = api.cloud
    with (
        cloud.custom_domain(issuer, {"all": "$default"}, f"*.{below}"),
        cloud.custom_domain(issuer, {"one": "$default"}, f"a.{below}"),
    ):

        def get(host: str, path: str) -> tuple[int, Any]:
            url = f"{cloud.endpoint}{path}"
            response = requests.get(url, headers={"Host": f"{host}.{below}"}, timeout=30)
            return response.status_code, response.json()

        assert get("b", "/all/x") == (202, ["GET", "/x", "", None])
        assert get("a", "/one/x") == (202, ["GET", "/x", "", None])
        assert get("a", "/all/x") == (403, {"message": "Forbidden"})
        assert get("a", "/") == (403, {"message": "Forbidden"})


def test_outputs_name_this_machine(api: Api) -> None:
    url = urlsplit(api.stack.outputs["Endpoint"])
    assert url.scheme == "http"
    assert url.hostname == f"{api.api_id}.execute-api.localhost.localstack.cloud"
    assert url.path == "/dev/"


# --- Authorization --------------------------------------------------------------------------------


def encoded(header: Mapping[str, str]) -> str:
    """A token's first part."""
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Tokened:
    says: str
    make: Callable[[Api], str | None]
    status: int
    challenge: str | None
    path: str = "/jwt"
    source: str = JWT


TOKENED = [
    Tokened("a valid token", lambda api: api.token(), 200, None),
    Tokened("with Bearer in front", lambda api: f"Bearer {api.token()}", 200, None),
    Tokened("client_id counts without aud", lambda api: api.token(aud=None, client_id="shop"), 200,
            None),
    Tokened("client_id does not count beside aud",
            lambda api: api.token(aud="other", client_id="shop"), 401, "audience"),
    Tokened("one of several audiences", lambda api: api.token(aud=["other", "shop"]), 200, None),
    Tokened("no token", lambda api: None, 401, "Bearer"),
    Tokened("no token at all", lambda api: "nonsense", 401, "invalid_token"),
    Tokened("another audience", lambda api: api.token(aud="other"), 401,
            'error_description="the token does not have a valid audience"', source=JWT_TROUBLE),
    Tokened("another issuer", lambda api: api.token(iss="https://example.com"), 401, "issuer"),
    Tokened("expired", lambda api: api.token(exp=1), 401, "expired"),
    Tokened("not yet valid", lambda api: api.token(nbf=2**32), 401, "not valid yet"),
    Tokened("issued in the future", lambda api: api.token(iat=2**32), 401, "future"),
    Tokened("another key", lambda api: api.token(FOREIGN_KEY), 401, "signature"),
    Tokened("an unknown key", lambda api: api.token(kid="second"), 401, "kid"),
    Tokened("no key id", lambda api: api.token(kid=None), 401, "kid"),
    Tokened("not signed by RSA", lambda api: jwt.encode({"aud": "shop"}, "x" * 32, "HS256"), 401,
            "signing method HS256 is invalid"),
    Tokened("a line break in what the challenge cites",
            lambda api: f"{encoded({'alg': 'A' + chr(10) + 'B'})}.e30.x", 401,
            "signing method A B is invalid"),
    Tokened("a scope of the route", lambda api: api.token(scope="a read"), 200, None, "/scoped"),
    Tokened("scp will do", lambda api: api.token(scp=["write"]), 200, None, "/scoped"),
    Tokened("no scope of the route", lambda api: api.token(scope="email"), 403,
            'Bearer scope="read write" error="insufficient_scope"', "/scoped"),
]  # fmt: skip


@pytest.mark.parametrize("row", TOKENED, ids=lambda row: row.says)
def test_json_web_token(api: Api, row: Tokened) -> None:
    token = row.make(api)
    response = api.call(row.path, headers={"Authorization": token} if token else {})
    assert response.status_code == row.status, GUIDE + row.source
    challenge = response.headers.get("www-authenticate")
    assert challenge is None if row.challenge is None else row.challenge in str(challenge)
    if row.status != 200:
        message = {401: "Unauthorized", 403: "Forbidden"}[row.status]
        assert response.json() == {"message": message}


def test_key_that_the_issuer_adds(api: Api) -> None:
    """GUIDE + http-api-jwt-authorizer.html: keys may be kept for two hours, so the old one stays
    valid beside the new one."""
    new = {"Authorization": api.token(FOREIGN_KEY, kid="added")}
    assert api.call("/jwt", headers=new).status_code == 401
    issuer = {"FunctionName": api.cloud.physical_ids(api.stack.name)["Issuer"]}
    variables = {"JWKS": published({KEY_ID: KEY, "added": FOREIGN_KEY})}
    functions = api.cloud.client("lambda")
    functions.update_function_configuration(**issuer, Environment={"Variables": variables})
    functions.get_waiter("function_updated_v2").wait(**issuer)
    assert api.call("/jwt", headers=new).status_code == 200
    assert api.call("/jwt", headers={"Authorization": api.token()}).status_code == 200


def test_claims_reach_the_function(api: Api) -> None:
    """GUIDE + http-api-jwt-authorizer.html, in both formats"""
    token = api.token(roles=["a", "b"], admin=True, scope="read other")
    new = api.event("/jwt", headers={"Authorization": token})
    authorizer = new["requestContext"]["authorizer"]["jwt"]
    assert authorizer["claims"]["sub"] == "me"
    assert authorizer["claims"]["roles"] == "[a b]"
    assert authorizer["claims"]["admin"] == "true"
    assert authorizer["scopes"] is None
    old = api.event("/scoped", headers={"Authorization": token})
    assert old["requestContext"]["authorizer"]["scopes"] == ["read"]
    assert old["requestContext"]["authorizer"]["claims"]["sub"] == "me"


@pytest.mark.parametrize(
    ("path", "token", "status", "message"),
    [
        ("/simple?who=me", "allow", 200, None),
        ("/simple?who=me", "deny", 403, "Forbidden"),
        ("/simple?who=me", "", 401, "Unauthorized"),
        ("/simple", "allow", 401, "Unauthorized"),
        ("/simple?who=me", "raise", 500, "Internal Server Error"),
        ("/simple?who=me", "malformed", 500, "Internal Server Error"),
        ("/simple?who=me", "unauthorized", 401, "Unauthorized"),
        ("/policy", "allow", 200, None),
        ("/policy", "deny", 403, "Forbidden"),
        ("/policy", "elsewhere", 403, "Forbidden"),
        ("/policy", "malformed", 500, "Internal Server Error"),
        ("/policy", "", 401, "Unauthorized"),
    ],
)
def test_function_that_authorizes(
    api: Api, path: str, token: str, status: int, message: str | None
) -> None:
    """GUIDE + http-api-lambda-authorizer.html"""
    response = api.call(path, headers={"x-token": token} if token else {})
    assert response.status_code == status, response.text
    if message:
        assert response.json() == {"message": message}


def test_authorizer_event_and_context_in_2_0(api: Api) -> None:
    event = api.event("/simple?who=me", headers={"x-token": "allow"})
    context = event["requestContext"]["authorizer"]["lambda"]
    assert context["token"] == "allow"
    assert context["list"] == [1, 2]
    asked = context["event"]
    assert asked["version"] == "2.0"
    assert asked["type"] == "REQUEST"
    assert asked["identitySource"] == ["allow", "me"]
    assert asked["routeArn"].endswith(f":{api.api_id}/$default/GET/simple")
    assert asked["routeKey"] == "GET /simple"
    assert asked["requestContext"]["http"]["path"] == "/simple"


def test_answer_of_an_authorizer_is_kept(api: Api) -> None:
    """By identity and stage, as AuthorizerResultTtlInSeconds says: GUIDE + AUTHORIZER"""

    def answered(token: str) -> Any:
        event = api.event("/policy", headers={"x-token": token})
        assert event["requestContext"]["authorizer"]["principalId"] == "me"
        return event["requestContext"]["authorizer"]["answered"]

    first, second = f"allow-{uuid.uuid4()}", f"allow-{uuid.uuid4()}"
    assert answered(first) == answered(first)
    assert answered(second) != answered(first)
    before = answered(first)
    stage = {"ApiId": api.api_id, "StageName": "$default"}
    api.cloud.client("apigatewayv2").reset_authorizers_cache(**stage)
    assert answered(first) != before


@pytest.fixture(scope="module", autouse=True)
def overdue(api: Api) -> Iterator[Future[requests.Response]]:
    """The answer to a request whose authorizer takes too long, while the other tests run."""
    with ThreadPoolExecutor(1) as clients:
        yield clients.submit(api.call, "/policy", headers={"x-token": "slow"})


def test_authorizer_that_takes_more_than_ten_seconds(overdue: Future[requests.Response]) -> None:
    """GUIDE + http-api-quotas.html"""
    assert overdue.result().status_code == 500


def test_signed_requests(api: Api) -> None:
    """GUIDE + http-api-access-control-iam.html"""
    assert api.call("/iam").status_code == 403
    assert api.call("/iam").json() == {"message": "Forbidden"}
    signed = AWS4Auth("test", "test", REGION, "execute-api")
    identity = api.event("/iam", auth=signed)["requestContext"]["authorizer"]["iam"]
    assert identity["accessKey"] == "test"
    assert identity["userArn"].startswith("arn:aws:iam::")


def test_signature_that_iam_does_not_let_through(api: Api) -> None:
    """Of a user whose policies name another API, and by another secret: both 403.
    GUIDE + http-api-access-control-iam.html"""
    iam = api.cloud.client("iam")
    name = f"caller-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    try:

        def status(secret: str, resource: str) -> int:
            statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=name, PolicyName="calls", PolicyDocument=document)
            signed = AWS4Auth(keys["AccessKeyId"], secret, REGION, "execute-api")
            return api.call("/iam", auth=signed).status_code

        arn = f"arn:aws:execute-api:{REGION}:*:{api.api_id}/$default/GET/iam"
        assert status(keys["SecretAccessKey"], arn) == 200
        assert status(keys["SecretAccessKey"], "arn:aws:execute-api:*:*:other/*") == 403
        assert status("x" * 40, arn) == 403
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=keys["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName="calls")
        iam.delete_user(UserName=name)


# --- CORS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("http://anything.example", "http://anything.example"),
        ("https://evil.example", None),
    ],
)
def test_preflight_without_a_route(api: Api, origin: str, allowed: str | None) -> None:
    """GUIDE + http-api-cors.html"""
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    response = api.call("/nonesuch/x", "OPTIONS", headers=headers)
    assert response.status_code == 204
    assert response.headers.get("access-control-allow-origin") == allowed
    if allowed:
        assert response.headers["access-control-allow-methods"] == "GET,POST"
        assert response.headers["access-control-allow-headers"] == "authorization"
        assert response.headers["access-control-allow-credentials"] == "true"
        assert response.headers["access-control-max-age"] == "300"


def test_backend_has_no_say_in_cors(api: Api) -> None:
    """GUIDE + http-api-cors.html"""
    answer = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}, "body": ""}
    query = {"answer": json.dumps(answer)}
    plain = api.call("/pets/1", params=query)
    assert "access-control-allow-origin" not in plain.headers
    origin = {"Origin": "https://app.example.com"}
    crossed = api.call("/pets/1", params=query, headers=origin)
    assert crossed.headers["access-control-allow-origin"] == origin["Origin"]
    assert crossed.headers["access-control-expose-headers"] == "x-shown"


# --- Other integrations ---------------------------------------------------------------------------


def test_request_forwarded_to_a_url(api: Api) -> None:
    """GUIDE + http-api-develop-integrations-http.html and http-api-parameter-mapping.html"""
    response = api.call(
        "/proxy/a/b?colour=green", "POST", data="x", headers={"Content-Type": "text/plain"}
    )
    assert response.status_code == 202
    assert response.json() == ["POST", "/below/a/b", "colour=green", "x"]
    assert response.headers["x-seen"] == "light.green"
    assert response.headers["set-cookie"] == "a=1, b=2"


HEADERS_BACK = """
import json


def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["headers"])}
"""


@pytest.mark.parametrize("mapped", ["other.example.com", None])
def test_host_that_a_url_is_called_with(api: Api, mapped: str | None) -> None:
    """Its own, or what the mapping says, as the rules of load balancers want it.
    GUIDE + http-api-parameter-mapping.html"""
    cloud, inside = api.cloud, endpoint_inside(api.cloud)
    with (
        function(cloud, HEADERS_BACK) as uri,
        cloud.http_api("GET /", {"IntegrationType": "AWS_PROXY", "IntegrationUri": uri}) as backend,
        cloud.http_api(
            "GET /",
            {
                "IntegrationType": "HTTP_PROXY",
                "IntegrationMethod": "GET",
                "IntegrationUri": f"{inside}/_aws/execute-api/{backend}/",
                "RequestParameters": {"overwrite:header.Host": mapped} if mapped else {},
            },
        ) as front,
    ):
        answer = requests.get(f"{cloud.endpoint}/_aws/execute-api/{front}/", timeout=60)
    assert answer.json()["host"] == (mapped or urlsplit(inside).netloc)


def test_body_of_a_url_keeps_its_encoding(api: Api) -> None:
    """As the backend made it, also in an encoding that the emulator does not know.
    GUIDE + http-api-develop-integrations-http.html"""
    answer = {"X-Answer-Encoding": "br", "Accept-Encoding": "br"}
    response = api.call("/proxy/a", headers=answer, stream=True)
    assert response.headers["content-encoding"] == "br"
    assert response.raw.read(decode_content=False) == b"as it came"


def test_url_behind_the_default_route(api: Api) -> None:
    """It gets the whole path, as quick create makes it: GUIDE + http-api-develop-routes.html"""
    catching = Api(api.cloud, api.stack, api.stack.outputs["UrlApiId"])
    response = catching.call("/store/check%20out?a=1", "PUT")
    assert response.json() == ["PUT", "/base/store/check out", "a=1", None]


def test_parameters_mapped_for_a_function(api: Api) -> None:
    """GUIDE + http-api-parameter-mapping.html"""
    response = api.call(
        "/dev/mapped/7?kept=1&secret=2",
        "POST",
        json={"list": [{"name": "ann"}]},
        headers={"X-Several": "1", "X-Gone": "1", "X-Body": "mine"},
    )
    assert response.status_code == 203
    assert response.headers["x-route"] == "POST /mapped/{id}"
    assert response.headers["content-type"] == "text/plain"
    event = response.json()
    sent = {name: event["headers"].get(name) for name in ("x-several", "x-body", "x-gone")}
    assert sent == {"x-several": "1,7", "x-body": "ann", "x-gone": None}
    assert event["queryStringParameters"] == {"kept": "1", "stage": "green"}
    assert event["rawPath"] == "/fixed/7/POST"


def test_operations_of_services_without_a_function(api: Api) -> None:
    """GUIDE + http-api-develop-integrations-aws-services-reference.html"""
    put = api.call("/publish", "POST", json={"a": 1})
    assert put.json()["FailedEntryCount"] == 0
    ran = api.call("/start", "POST", json={"a": 1})
    assert ran.status_code == 200, ran.text
    assert json.loads(ran.json()["output"]) == {"a": 1}
    data = {"data": "x"}
    here = {"stream": api.stack.outputs["StreamName"]}
    assert api.call("/put", "POST", params=here, json=data).json()["SequenceNumber"]
    elsewhere = here | {"region": "eu-west-1"}
    refused = api.call("/put", "POST", params=elsewhere, json=data)
    assert refused.status_code == 400
    assert refused.json()["__type"] == "ResourceNotFoundException"


def test_message_sent_without_a_function(api: Api) -> None:
    """SQS answers in XML, which the client gets as it is, as serverlessland.com's patterns show:
    GUIDE + http-api-develop-integrations-aws-services-reference.html"""
    text = str(uuid.uuid4())
    sent = api.call("/send", "POST", json={"text": text})
    assert (sent.status_code, sent.headers["content-type"]) == (200, "text/xml")
    assert "</MessageId>" in sent.text
    assert sent.text.endswith("</SendMessageResponse>")
    sqs = api.cloud.client("sqs")
    messages = wait_for(
        lambda: sqs.receive_message(QueueUrl=api.stack.outputs["QueueUrl"]).get("Messages")
    )
    assert [message["Body"] for message in messages or []] == [text]
    refused = api.call("/send", "POST", json={})
    assert refused.status_code == 400
    assert "<ErrorResponse" in refused.text


CALLING_MACHINE = {
    "StartAt": "Call",
    "States": {
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::apigateway:invoke",
            "Parameters": {
                "ApiEndpoint.$": "$.api",
                "Method": "POST",
                "Path": "/old/a/b",
                "QueryParameters": {"colour": ["green"]},
                "RequestBody": {"n": 1},
            },
            "OutputPath": "$.ResponseBody",
            "End": True,
        }
    },
}


def test_workflow_behind_a_route_calls_the_api_by_its_name(api: Api) -> None:
    """GUIDE + http-api-develop-integrations-aws-services-reference.html, and
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-api-gateway.html"""
    with api.cloud.state_machine(CALLING_MACHINE, type="EXPRESS") as machine:
        start = {
            "IntegrationType": "AWS_PROXY",
            "IntegrationSubtype": "StepFunctions-StartSyncExecution",
            "CredentialsArn": "arn:aws:iam::000000000000:role/any",
            "RequestParameters": {"StateMachineArn": machine, "Input": "$request.body"},
        }
        with api.cloud.http_api("POST /", start) as made:
            name = f"{api.api_id}.execute-api.{REGION}.amazonaws.com"
            run = Api(api.cloud, api.stack, made).call("/", "POST", json={"api": name}).json()
            assert run["status"] == "SUCCEEDED", run
            event = json.loads(run["output"])
            assert event["path"] == "/old/a/b"
            assert event["queryStringParameters"] == {"colour": "green"}
            assert event["requestContext"]["domainName"] == name


# --- An application as SAM's users write it -------------------------------------------------------


def test_orders_of_customers_with_tokens(api: Api) -> None:
    """Routes, authorizer, scopes and CORS come from SAM's own template of an API."""
    with api.cloud.stack("sam_orders", Issuer=api.issuer) as stack:
        shop = Api(api.cloud, api.stack, stack.outputs["ApiId"])
        assert shop.call("/live/health").json() == {"ok": True}
        assert shop.call("/live/orders").status_code == 401
        readers = {"Authorization": f"Bearer {api.token(sub='ann', scope='read')}"}
        assert shop.call("/live/orders", headers=readers).status_code == 403
        ann = {"Authorization": f"Bearer {api.token(sub='ann', scope='orders')}"}
        bob = {"Authorization": f"Bearer {api.token(sub='bob', scope='orders')}"}
        order = {"id": "7", "what": "tea"}
        placed = shop.call("/live/orders", "POST", headers=ann, json=order)
        assert placed.status_code == 201
        assert placed.headers["location"] == "/orders/7"
        assert shop.call("/live/orders/7", headers=ann).json() == order
        assert shop.call("/live/orders", headers=ann).json() == [order]
        assert shop.call("/live/orders/7", headers=bob).status_code == 404
        for origin in ("https://shop.example.com", "https://m.example.com"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            preflight = shop.call("/live/orders", "OPTIONS", headers=asked)
            assert preflight.headers["access-control-allow-origin"] == origin
