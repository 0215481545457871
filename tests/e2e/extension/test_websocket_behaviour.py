"""What AWS's documentation says of WebSocket APIs, row by row, each with the page that says so."""

import base64
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as websocket_connect

from .cloud import REGION, Cloud, wait_for
from .code import bucket_with
from .websocket_api import (
    STAGE,
    Answer,
    WebSocketApi,
    endpoint_inside,
    function,
    websocket_api,
)

GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
SELECTION = "apigateway-websocket-api-selection-expressions.html"
RESPONSES = "apigateway-websocket-api-integration-responses.html"
ROUTE_RESPONSE = "apigateway-websocket-api-route-response.html"
TRANSFORMATIONS = "websocket-api-data-transformations.html"
REFERENCE = "apigateway-websocket-api-mapping-template-reference.html"
OVERRIDE = "apigateway-override-request-response-parameters.html"
PASSTHROUGH = "websocket-api-data-transformations.html"
VALIDATION = "websocket-api-request-validation.html"
OK = '{"statusCode": 200}'


@dataclass(frozen=True)
class Row:
    """A message to a route with a ``MOCK`` integration, and what comes back.

    ``answer`` is JSON, or the text of an API Gateway error in ``error``.
    """

    page: str
    says: str
    message: Any
    answer: Any = None
    error: str | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()


def templated(template: str, **request: Any) -> dict[str, Any]:
    return {"RequestTemplates": {"$default": template}, **request}


def answered(template: str, key: str = "$default", **options: Any) -> Answer:
    return Answer(key, {"$default": template}, options)


BY_KIND = {
    "RequestTemplates": {
        "good": OK,
        "bad": '{"statusCode": 404}',
        "$default": '{"statusCode": 500}',
    },
    "TemplateSelectionExpression": "${request.body.kind}",
}
BY_STATUS = (
    answered('{"is": "fine"}', "/2\\d\\d/"),
    answered('{"is": "missing"}', "/404/"),
    answered('{"is": "default"}'),
)
ROWS = [
    Row(
        REFERENCE,
        "$context names the connection's route, type and stage",
        {"action": "ask"},
        ["ask", "MESSAGE", STAGE],
        request=templated(OK),
        answers=(answered('["$context.routeKey", "$context.eventType", "$context.stage"]'),),
    ),
    Row(
        REFERENCE,
        "$stageVariables are those of the stage",
        {"action": "ask"},
        {"colour": "green"},
        request=templated(OK),
        answers=(answered('{"colour": "$stageVariables.colour"}'),),
    ),
    Row(
        TRANSFORMATIONS,
        "a request template reads the message by $input.path",
        {"action": "ask", "wanted": 404},
        {"is": "missing"},
        request=templated("{\"statusCode\": $input.path('$.wanted')}"),
        answers=BY_STATUS,
    ),
    Row(
        REFERENCE,
        "values of templates have the methods of Java's, and fields that they lack are nothing",
        {"action": "ask", "who": "me", "list": ["x"], "map": {"a": 1}},
        {"is": "missing"},
        request=templated(
            "#set($in = $input.path('$'))#set($made = {'b': [1, 'x']})"
            "#set($pairs = '')#foreach($pair in $in.map.entrySet())#set($pairs = $pair.key)#end"
            "{\"statusCode\": #if($in.who.toUpperCase().equals('ME') && !$in.items"
            " && $in.list.size() == 1 && $in.map.containsKey('a') && $pairs == 'a'"
            " && \"$made\" == '{b=[1, x]}' && $stageVariables.colour.length() == 5"
            " && $input.json('$.map') == '{\"a\":1}')404#{else}500#end}"
        ),
        answers=BY_STATUS,
    ),
    Row(
        REFERENCE,
        "JSONPath has filters, and a list for wildcards; loops may break, and leave variables",
        {"action": "ask", "rows": [{"id": 1, "name": "one"}, {"id": 2}]},
        {"is": "missing"},
        request=templated(
            "#foreach($row in $input.path('$.rows'))#set($first = $row)#break#end"
            "{\"statusCode\": #if($input.json('$.rows[*].name') == '[\"one\"]'"
            " && $input.path('$.rows[?(@.id == 2)]').size() == 1"
            " && $input.json('$..nobody') == '[]' && $first.name == 'one')404#{else}500#end}"
        ),
        answers=BY_STATUS,
    ),
    Row(
        SELECTION,
        "a template is chosen by what the expression comes to",
        {"action": "ask", "kind": "good"},
        {"is": "fine"},
        request=BY_KIND,
        answers=BY_STATUS,
    ),
    Row(
        SELECTION,
        "another message, another template",
        {"action": "ask", "kind": "bad"},
        {"is": "missing"},
        request=BY_KIND,
        answers=BY_STATUS,
    ),
    Row(
        SELECTION,
        "else it is that of $default",
        {"action": "ask", "kind": "neither"},
        {"is": "default"},
        request=BY_KIND,
        answers=BY_STATUS,
    ),
    Row(
        SELECTION,
        "\\$default is the key $default",
        {"action": "ask"},
        {"is": "fine"},
        request=templated(OK, TemplateSelectionExpression="\\$default"),
        answers=BY_STATUS,
    ),
    Row(
        RESPONSES,
        "without a match and without $default the client gets an error",
        {"action": "ask"},
        error="Internal server error",
        request=templated('{"statusCode": 500}'),
        answers=BY_STATUS[:2],
    ),
    Row(
        RESPONSES,
        "a response's template is chosen by its own expression",
        {"action": "ask"},
        {"by": "status"},
        request=templated(OK),
        answers=(
            Answer(
                "$default",
                {"200": '{"by": "status"}', "$default": '{"by": "default"}'},
                {"TemplateSelectionExpression": "${integration.response.statuscode}"},
            ),
        ),
    ),
    Row(
        PASSTHROUGH,
        "PassthroughBehavior NEVER refuses what has no template",
        {"action": "ask"},
        error="Internal server error",
        request={"PassthroughBehavior": "NEVER"},
    ),
    Row(
        PASSTHROUGH,
        "WHEN_NO_TEMPLATES refuses what has none among several",
        {"action": "ask", "kind": "neither"},
        error="Internal server error",
        request={
            "PassthroughBehavior": "WHEN_NO_TEMPLATES",
            "RequestTemplates": {"good": OK},
            "TemplateSelectionExpression": "${request.body.kind}",
        },
    ),
    Row(
        TRANSFORMATIONS,
        "a template that gives a MOCK no status fails",
        {"action": "ask"},
        error="Internal server error",
        request=templated("{}"),
        answers=BY_STATUS,
    ),
    Row(
        "apigateway-websocket-api-routes-integrations.html",
        "no route and no $default: forbidden",
        {"action": "unknown"},
        error="Forbidden",
        request=templated(OK),
    ),
]


@pytest.fixture(scope="module")
def open_api(cloud: Cloud) -> Iterator[WebSocketApi]:
    """An API that everybody may connect to, for tests that add routes of their own names."""
    with websocket_api(cloud, {"colour": "green"}) as api:
        yield api


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says.replace(" ", "-"))
def test_messages(cloud: Cloud, row: Row) -> None:
    with websocket_api(cloud, {"colour": "green"}) as api:
        api.add_route("ask", *row.answers, **row.request)
        got = api.ask(row.message)
    if row.error:
        assert got["message"] == row.error, GUIDE + row.page
        assert got["connectionId"]
        assert got["requestId"]
    else:
        assert got == row.answer, GUIDE + row.page


def test_one_way_route_sends_nothing(open_api: WebSocketApi) -> None:
    """apigateway-websocket-api-route-response.html"""
    open_api.add_route("silent", answered("never"), two_way=False, **templated(OK))
    open_api.add_route("loud", answered('{"heard": true}'), **templated(OK))
    with open_api.connect() as socket:
        socket.send('{"action": "silent"}')
        socket.send('{"action": "loud"}')
        assert json.loads(socket.recv(timeout=30)) == {"heard": True}


# models


MODEL = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "required": ["action", "text"],
    "properties": {"text": {"type": "string", "maxLength": 5}},
}


@pytest.mark.parametrize(
    ("message", "is_valid"),
    [
        ({"action": "say", "text": "hello"}, True),
        ({"action": "say", "text": "too long"}, False),
        ({"action": "say"}, False),
        ({"action": "say", "text": 5}, False),
    ],
)
def test_messages_are_held_against_the_model(cloud: Cloud, message: Any, is_valid: bool) -> None:
    """websocket-api-request-validation.html"""
    with websocket_api(cloud) as api:
        cloud.client("apigatewayv2").create_model(
            ApiId=api.api_id,
            Name="Said",
            ContentType="application/json",
            Schema=json.dumps(MODEL),
        )
        api.add_route(
            "say",
            answered('{"said": true}'),
            route={
                "ModelSelectionExpression": "$request.body.action",
                "RequestModels": {"say": "Said"},
            },
            **templated(OK),
        )
        got = api.ask(message)
    assert got == {"said": True} if is_valid else got["message"] == "Invalid request body"


# who may connect


def connect_route(api: WebSocketApi, **options: Any) -> None:
    api.add_route("$connect", two_way=False, **{**templated(OK), **options})


def test_connect_template_decides(cloud: Cloud) -> None:
    """A mapping template as the authorizer: it answers 401 for whom it does not know."""
    template = (
        "#if($input.params('token') == 'open sesame'){\"statusCode\": 200}"
        '#else{"statusCode": 401}#end'
    )
    with websocket_api(cloud) as api:
        connect_route(api, **templated(template))
        assert api.is_let_in(token="open sesame")
        assert api.refusal(token="knock knock")[0] == 401


def test_connect_template_sees_the_handshake(cloud: Cloud) -> None:
    """REFERENCE: ``$input.params()`` are maps, which are written as Java writes them; names of
    headers in them are the client's, and are found in any case."""
    template = (
        '#if("$input.params().querystring" == "{room=blue}"'
        " && $input.params().get('header').get('x-colour') == 'red'"
        ' && $input.params().header.get("X-Colour") == "red")'
        '{"statusCode": 200}#else{"statusCode": 403}#end'
    )
    red = {"X-Colour": "red"}
    with websocket_api(cloud) as api:
        connect_route(api, **templated(template))
        assert api.is_let_in(room="blue", additional_headers=red)
        assert not api.is_let_in(room="green", additional_headers=red)
        assert not api.is_let_in(room="blue")


def test_required_parameters(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html"""
    required = {
        "route.request.querystring.room": {"Required": True},
        "route.request.header.X-Colour": {"Required": True},
        "route.request.querystring.mood": {"Required": False},
    }
    with websocket_api(cloud) as api:
        connect_route(api, route={"RequestParameters": required})
        assert api.is_let_in(room="kitchen", additional_headers={"x-colour": "red"})
        status, body = api.refusal(room="kitchen")
        assert status == 400
        assert "X-Colour" in body["message"]


def test_disabled_endpoint(cloud: Cloud) -> None:
    """rest-api-disable-default-endpoint.html, which WebSocket APIs share"""
    with websocket_api(cloud, DisableExecuteApiEndpoint=True) as api:
        assert api.refusal()[0] == 403


def test_api_key(cloud: Cloud) -> None:
    """apigateway-websocket-api-selection-expressions.html, "API key selection expressions" """
    rest = cloud.client("apigateway")
    secret = uuid.uuid4().hex + uuid.uuid4().hex
    with websocket_api(cloud) as api:
        connect_route(api, route={"ApiKeyRequired": True})
        key = rest.create_api_key(name=f"key-{secret[:8]}", enabled=True, value=secret)["id"]
        plan = rest.create_usage_plan(
            name=f"plan-{secret[:8]}", apiStages=[{"apiId": api.api_id, "stage": STAGE}]
        )["id"]
        given = {"additional_headers": {"x-api-key": secret}}
        try:
            assert api.refusal()[0] == 403
            assert api.refusal(**given)[0] == 403  # in no usage plan yet
            rest.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
            assert api.is_let_in(**given)
            assert api.refusal(additional_headers={"x-api-key": "another"})[0] == 403
        finally:
            rest.delete_api_key(apiKey=key)


# REQUEST authorizers


POLICY_OF_THE_QUERY = """
import json

def handler(event, context):
    query = event.get("queryStringParameters") or {}
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
    changes = json.loads(query.get("policy", "{}"))
    statement = {k: v for k, v in {**statement, **changes}.items() if v is not None}
    return {"principalId": "me", "policyDocument": {
        "Version": "2012-10-17", "Statement": [statement]}}
"""
ANYWHERE = {"IpAddress": {"aws:SourceIp": ["0.0.0.0/0", "::/0"]}}
NOWHERE = {"IpAddress": {"aws:SourceIp": "192.0.2.0/32"}}


@pytest.fixture(scope="module")
def guarded(cloud: Cloud) -> Iterator[WebSocketApi]:
    """An API whose authorizer allows what the query says, and asks for four things."""
    with (
        function(cloud, POLICY_OF_THE_QUERY) as uri,
        websocket_api(cloud, {"colour": "green"}) as api,
    ):
        authorizer = cloud.client("apigatewayv2").create_authorizer(
            ApiId=api.api_id,
            Name="guard",
            AuthorizerType="REQUEST",
            AuthorizerUri=uri,
            IdentitySource=[
                "route.request.header.Authorization",
                "route.request.querystring.policy",
                "stageVariables.colour",
                "context.identity.sourceIp",
            ],
        )["AuthorizerId"]
        connect_route(api, route={"AuthorizationType": "CUSTOM", "AuthorizerId": authorizer})
        yield api


@pytest.mark.parametrize(
    ("changes", "is_allowed"),
    [
        ({}, True),
        ({"Action": "execute-api:*"}, True),
        ({"Resource": "arn:aws:execute-api:*:*:*/test/*"}, True),
        ({"Condition": ANYWHERE}, True),
        ({"Condition": NOWHERE}, False),
        ({"Condition": {"StringSounds": {"aws:UserAgent": "x"}}}, False),
        ({"Action": None, "NotAction": "s3:*"}, True),
        ({"Action": None, "NotAction": "execute-api:*"}, False),
        ({"Resource": None, "NotResource": "arn:aws:execute-api:*:*:*/test/*"}, False),
        ({"Effect": "Deny", "Condition": ANYWHERE}, False),
    ],
)
def test_authorizers_policy(
    guarded: WebSocketApi, changes: Mapping[str, Any], is_allowed: bool
) -> None:
    """apigateway-lambda-authorizer-output.html"""
    given = {"additional_headers": {"authorization": "x"}, "policy": json.dumps(changes)}
    if is_allowed:
        assert guarded.is_let_in(**given)
    else:
        assert guarded.refusal(**given)[0] == 403


def test_every_identity_source_must_be_there(guarded: WebSocketApi) -> None:
    """apigateway-websocket-api-lambda-auth.html"""
    headers = {"additional_headers": {"Authorization": "x"}}
    assert guarded.is_let_in(policy="{}", **headers)
    assert guarded.refusal(policy="{}")[0] == 401
    assert guarded.refusal(**headers)[0] == 401


# functions


ANSWERS = """
import time

def handler(event, context):
    if event.get("slow"):
        time.sleep(3)
    if event.get("fail"):
        raise ValueError("no such thing")
    return {"doubled": event.get("n", 0) * 2}
"""


def test_function_behind_templates(cloud: Cloud) -> None:
    """apigateway-websocket-api-integration-responses.html: not a proxy, the template makes the
    event and the response; an error is matched by its message. The stage names the function."""
    with (
        function(cloud, ANSWERS) as uri,
        websocket_api(cloud, {"function": uri.split(":function:")[1].split("/")[0]}) as api,
    ):
        prefix = uri.partition(":function:")[0]
        api.add_route(
            "double",
            answered("{\"is\": $input.path('$.doubled')}"),
            answered('{"failed": "$input.path(\'$.errorMessage\')"}', "/no such .*/"),
            IntegrationType="AWS",
            IntegrationUri=f"{prefix}:function:${{stageVariables.function}}/invocations",
            RequestTemplates={
                "$default": "{\"n\": $input.path('$.n')}",
                "bad": '{"fail": true}',
            },
            TemplateSelectionExpression="${request.body.kind}",
        )
        api.add_route(
            "impatient",
            IntegrationType="AWS",
            IntegrationUri=uri,
            TimeoutInMillis=200,
            **templated('{"slow": true}'),
        )
        api.add_route(
            "later",
            answered('{"accepted": true}'),
            IntegrationType="AWS",
            IntegrationUri=uri,
            RequestParameters={"integration.request.header.X-Amz-Invocation-Type": "'Event'"},
            **templated("{}"),
        )
        with api.connect() as socket:

            def asked(message: Mapping[str, Any]) -> Any:
                socket.send(json.dumps(message))
                return json.loads(socket.recv(timeout=30))

            assert asked({"action": "double", "n": 21}) == {"is": 42}
            assert asked({"action": "double", "kind": "bad"}) == {"failed": "no such thing"}
            assert asked({"action": "later"}) == {"accepted": True}
            assert asked({"action": "impatient"})["message"] == "Endpoint request timed out"


# IAM


@dataclass(frozen=True)
class User:
    name: str
    access_key: str
    secret: str


@pytest.fixture
def user(cloud: Cloud) -> Iterator[User]:
    """A user without rights."""
    iam = cloud.client("iam")
    name = f"user-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    try:
        yield User(name, key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=policy)
        iam.delete_user(UserName=name)


def document(**statement: Any) -> str:
    allowing = {"Effect": "Allow", "Resource": "*", **statement}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowing]})


def allow(cloud: Cloud, user: User, **statement: Any) -> None:
    cloud.client("iam").put_user_policy(
        UserName=user.name, PolicyName="rights", PolicyDocument=document(**statement)
    )


def presigned(api: WebSocketApi, access_key: str, secret: str) -> str:
    """The URL of a handshake, signed in its query as browsers do it."""
    request = AWSRequest("GET", api.cloud.stage_url(api.api_id, STAGE))
    SigV4QueryAuth(Credentials(access_key, secret), "execute-api", REGION, expires=60).add_auth(
        request
    )
    url: str = request.prepare().url
    return url.replace("http", "ws", 1)


def signed(api: WebSocketApi, access_key: str, secret: str) -> dict[str, str]:
    """The headers of a handshake that is signed in them, as programs do it."""
    request = AWSRequest("GET", api.cloud.stage_url(api.api_id, STAGE))
    SigV4Auth(Credentials(access_key, secret), "execute-api", REGION).add_auth(request)
    return dict(request.headers.items())


def opens(url: str, **options: Any) -> bool:
    try:
        with websocket_connect(url, compression=None, **options):
            return True
    except InvalidStatus as refusal:
        return refusal.response.status_code != 403


def test_iam_on_connect(cloud: Cloud, user: User) -> None:
    """apigateway-websocket-control-access-iam.html"""
    with websocket_api(cloud) as api:
        connect_route(api, route={"AuthorizationType": "AWS_IAM"})
        status, body = api.refusal()
        assert (status, body["message"]) == (403, "Missing Authentication Token")
        assert opens(presigned(api, "test", "test"))  # root
        assert not opens(presigned(api, user.access_key, user.secret))  # no rights
        arn = f"arn:aws:execute-api:{REGION}:*:{api.api_id}/{STAGE}/$connect"
        allow(cloud, user, Action="execute-api:Invoke", Resource=arn)
        assert opens(presigned(api, user.access_key, user.secret))
        assert not opens(presigned(api, user.access_key, "another secret"))
        url = cloud.stage_url(api.api_id, STAGE).replace("http", "ws", 1)
        in_headers = signed(api, user.access_key, user.secret)
        assert opens(url, additional_headers=in_headers)
        in_headers = signed(api, user.access_key, "another secret")
        assert not opens(url, additional_headers=in_headers)
        allow(cloud, user, NotAction="execute-api:*")
        assert not opens(presigned(api, user.access_key, user.secret))
        for name, is_allowed in ((user.name, True), ("somebody", False)):
            arn_of_me = {"aws:PrincipalArn": "arn:aws:iam::*:user/${aws:username}"}
            condition = {"StringEquals": {"aws:username": name}, "ArnLike": arn_of_me}
            allow(cloud, user, Action="execute-api:Invoke", Condition=condition)
            assert opens(presigned(api, user.access_key, user.secret)) is is_allowed


def test_iam_limits_of_a_role(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html:
    the permissions boundary and the session policy must allow it, too"""
    iam, sts = cloud.client("iam"), cloud.client("sts")
    name = f"role-{uuid.uuid4().hex[:8]}"
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
            ],
        }
    )
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(
        RoleName=name, PolicyName="all", PolicyDocument=document(Action="execute-api:*")
    )
    boundary = iam.create_policy(PolicyName=name, PolicyDocument=document(Action="s3:*"))
    boundary_arn = boundary["Policy"]["Arn"]

    def is_let_in(**limits: str) -> bool:
        made = sts.assume_role(RoleArn=role, RoleSessionName="me", **limits)["Credentials"]
        return opens(presigned(api, made["AccessKeyId"], made["SecretAccessKey"]))

    try:
        with websocket_api(cloud) as api:
            connect_route(api, route={"AuthorizationType": "AWS_IAM"})
            assert is_let_in()
            assert is_let_in(Policy=document(Action="execute-api:Invoke"))
            assert not is_let_in(Policy=document(Action="s3:*"))
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary_arn)
            assert not is_let_in()
    finally:
        iam.delete_role_policy(RoleName=name, PolicyName="all")
        iam.delete_role(RoleName=name)
        iam.delete_policy(PolicyArn=boundary_arn)


def test_manage_connections_needs_rights(cloud: Cloud, user: User) -> None:
    """apigateway-websocket-control-access-iam.html, "execute-api:ManageConnections" """
    with websocket_api(cloud) as api:
        api.add_route("who", answered('{"id": "$context.connectionId"}'), **templated(OK))
        management = boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=cloud.stage_url(api.api_id, STAGE),
            region_name=REGION,
            aws_access_key_id=user.access_key,
            aws_secret_access_key=user.secret,
        )
        with api.connect() as socket:
            socket.send('{"action": "who"}')
            connection_id = json.loads(socket.recv(timeout=30))["id"]
            with pytest.raises(ClientError, match="AccessDenied"):
                management.post_to_connection(ConnectionId=connection_id, Data=b"no")
            arn = f"arn:aws:execute-api:{REGION}:*:{api.api_id}/{STAGE}/POST/@connections"
            # What AWS's refusals name, and policies have: the literal {connectionId}.
            for rest in ("/*", "/{connectionId}"):
                allow(cloud, user, Action="execute-api:ManageConnections", Resource=arn + rest)
                management.post_to_connection(ConnectionId=connection_id, Data=b"yes")
                assert socket.recv(timeout=30) == "yes"
            with pytest.raises(ClientError, match="AccessDenied"):
                management.delete_connection(ConnectionId=connection_id)


# AWS services and HTTP


def service(name: str, action: str) -> dict[str, Any]:
    uri = f"arn:aws:apigateway:{REGION}:{name}:{action}"
    return {"IntegrationType": "AWS", "IntegrationMethod": "POST", "IntegrationUri": uri}


def http_get(uri: str) -> dict[str, Any]:
    return {"IntegrationType": "HTTP", "IntegrationMethod": "GET", "IntegrationUri": uri}


def test_sqs(cloud: Cloud, open_api: WebSocketApi) -> None:
    """apigateway-websocket-api-integrations.html: the pattern of a queue behind a route, a form
    with the connection as an attribute."""
    sqs = cloud.client("sqs")
    name = f"queue-{uuid.uuid4().hex[:8]}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    form = (
        "Action=SendMessage&MessageAttribute.1.Name=connectionId"
        "&MessageAttribute.1.Value.StringValue=$context.connectionId"
        "&MessageAttribute.1.Value.DataType=String"
        "&MessageBody=$input.json('$.data')"
    )
    try:
        open_api.add_route(
            "enqueue",
            answered('{"queued": true}', "/200/"),
            RequestParameters={
                "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"
            },
            PassthroughBehavior="NEVER",
            TemplateSelectionExpression="\\$default",
            **service("sqs", f"path/000000000000/{name}"),
            **templated(form),
        )
        assert open_api.ask({"action": "enqueue", "data": {"n": 1}}) == {"queued": True}
        received = wait_for(
            lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")
        )
        assert received is not None
        assert json.loads(received[0]["Body"]) == {"n": 1}
        assert received[0]["MessageAttributes"]["connectionId"]["StringValue"]
    finally:
        sqs.delete_queue(QueueUrl=url)


def test_dynamodb(open_api: WebSocketApi, table: str) -> None:
    """websocket-api-data-transformations.html: items in and out without a function, PutItem, then
    GetItem with a response template."""
    key = {"Id": {"S": "$context.connectionId"}}
    item = key | {"Name": {"S": "$input.path('$.name')"}}
    open_api.add_route(
        "put",
        answered('{"put": true}'),
        **service("dynamodb", "action/PutItem"),
        **templated(json.dumps({"TableName": table, "Item": item})),
    )
    open_api.add_route(
        "get",
        answered('{"name": "$input.path(\'$.Item.Name.S\')"}'),
        **service("dynamodb", "action/GetItem"),
        **templated(json.dumps({"TableName": table, "Key": key})),
    )
    with open_api.connect() as socket:
        socket.send('{"action": "put", "name": "Ada"}')
        assert json.loads(socket.recv(timeout=30)) == {"put": True}
        socket.send('{"action": "get"}')
        assert json.loads(socket.recv(timeout=30)) == {"name": "Ada"}


def test_s3(cloud: Cloud, open_api: WebSocketApi) -> None:
    """websocket-api-data-mapping.html: the path of an AWS integration"""
    s3 = cloud.client("s3")
    with bucket_with(cloud, {}) as bucket:
        open_api.add_route(
            "keep",
            answered('{"kept": true}', "/200/"),
            RequestParameters={"integration.request.path.name": "context.connectionId"},
            **service("s3", f"path/{bucket}/{{name}}") | {"IntegrationMethod": "PUT"},
        )
        assert open_api.ask({"action": "keep", "n": 1}) == {"kept": True}
        (kept,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
        body = s3.get_object(Bucket=bucket, Key=kept["Key"])["Body"].read()
        assert json.loads(body) == {"action": "keep", "n": 1}


def test_kinesis(cloud: Cloud, open_api: WebSocketApi) -> None:
    """websocket-api-data-transformations.html: a record by template, whose partition is the
    connection"""
    kinesis = cloud.client("kinesis")
    name = f"stream-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    record = (
        f'{{"StreamName": "{name}", "PartitionKey": "$context.connectionId",'
        ' "Data": "$util.base64Encode($input.body)"}'
    )
    try:
        open_api.add_route(
            "emit",
            answered('{"shard": "$input.path(\'$.ShardId\')"}', "/200/"),
            **service("kinesis", "action/PutRecord"),
            **templated(record),
        )
        shard = open_api.ask({"action": "emit", "n": 1})["shard"]
        iterator = kinesis.get_shard_iterator(
            StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        (kept,) = kinesis.get_records(ShardIterator=iterator)["Records"]
        assert json.loads(kept["Data"]) == {"action": "emit", "n": 1}
    finally:
        kinesis.delete_stream(StreamName=name)


MACHINE = {
    "StartAt": "Answer",
    "States": {
        "Answer": {"Type": "Pass", "Parameters": {"sum.$": "$.numbers[0]"}, "End": True},
    },
}


def test_step_functions(cloud: Cloud, open_api: WebSocketApi) -> None:
    """websocket-api-step-functions-tutorial.html: a synchronous express workflow whose output goes
    back to the client"""
    with cloud.state_machine(MACHINE, type="EXPRESS") as machine:
        started = (
            f'{{"stateMachineArn": "{machine}",'
            ' "input": "$util.escapeJavaScript($input.json(\'$.data\'))"}'
        )
        open_api.add_route(
            "compute",
            answered("$input.path('$.output')", "/200/"),
            **service("states", "action/StartSyncExecution"),
            **templated(started),
        )
        answer = open_api.ask({"action": "compute", "data": {"numbers": [3, 4]}})
        assert answer == {"sum": 3}


POSTING_MACHINE = {
    "StartAt": "Post",
    "States": {
        "Post": {
            "Type": "Task",
            "Resource": "arn:aws:states:::apigateway:invoke",
            "Parameters": {
                "ApiEndpoint.$": "$.api",
                "Method": "POST",
                "Stage": STAGE,
                "Path.$": "States.Format('/@connections/{}', $.connection)",
                "RequestBody": {"sum": 7},
                "AuthType": "IAM_ROLE",
            },
            "End": True,
        }
    },
}


def test_state_machine_that_posts_to_a_connection(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-api-gateway.html"""
    with cloud.state_machine(POSTING_MACHINE) as machine, websocket_api(cloud) as api:
        started = (
            f'{{"stateMachineArn": "{machine}", "input": "{{\\"api\\": \\"$context.domainName\\",'
            ' \\"connection\\": \\"$context.connectionId\\"}"}'
        )
        api.add_route(
            "compute",
            two_way=False,
            **service("states", "action/StartExecution"),
            **templated(started),
        )
        assert api.ask({"action": "compute"}) == {"sum": 7}


def test_sns_and_events(cloud: Cloud, open_api: WebSocketApi) -> None:
    """websocket-api-data-mapping.html: the query and the headers of an AWS integration"""
    topic = cloud.client("sns").create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    try:
        open_api.add_route(
            "publish",
            RequestParameters={
                "integration.request.querystring.TopicArn": f"'{topic}'",
                "integration.request.querystring.Message": "route.request.body.text",
            },
            **service("sns", "action/Publish"),
        )
        answer = open_api.ask({"action": "publish", "text": "news"})
        assert answer["PublishResponse"]["PublishResult"]["MessageId"]
    finally:
        cloud.client("sns").delete_topic(TopicArn=topic)
    entry = '{"Entries": [{"Source": "test", "DetailType": "said", "Detail": "{}"}]}'
    open_api.add_route(
        "event",
        RequestParameters={
            "integration.request.header.X-Amz-Target": "'AWSEvents.PutEvents'",
            "integration.request.header.Content-Type": "'application/x-amz-json-1.1'",
        },
        **service("events", "action/PutEvents"),
        **templated(entry),
    )
    assert open_api.ask({"action": "event"})["FailedEntryCount"] == 0


def test_http_and_stage_variables(cloud: Cloud) -> None:
    """apigateway-websocket-api-integration-responses.html and stage-variables.html: an HTTP backend
    by an address of the stage, which the emulator's S3 plays. Its status chooses the response,
    whatever the address has in it."""
    with bucket_with(cloud, {}) as bucket:
        base = f"{endpoint_inside(cloud)}/{bucket}"
        with websocket_api(cloud, {"base": base}) as api:
            api.add_route(
                "store",
                IntegrationType="HTTP_PROXY",
                IntegrationMethod="PUT",
                IntegrationUri="${stageVariables.base}/functions/{key}",
                RequestParameters={"integration.request.path.key": "route.request.body.key"},
                two_way=False,
            )
            api.add_route(
                "load",
                answered("{\"n\": $input.path('$.n')}", "/200/"),
                answered('{"error": "not there"}', "/404/"),
                **http_get("${stageVariables.base}/functions/{key}"),
                RequestParameters={"integration.request.path.key": "route.request.body.key"},
            )
            with api.connect() as socket:
                socket.send('{"action": "store", "key": "a", "n": 7}')
                socket.send('{"action": "load", "key": "a"}')
                assert json.loads(socket.recv(timeout=30)) == {"n": 7}
                socket.send('{"action": "load", "key": "b"}')
                assert json.loads(socket.recv(timeout=30)) == {"error": "not there"}


def test_bodies_of_http_backends(cloud: Cloud) -> None:
    """apigateway-websocket-api-integration-responses.html: a proxy's answer is passed on as it is,
    and websocket-api-develop-binary-media-types.html: CONVERT_TO_TEXT makes base64 of it. What is
    no text goes into a binary frame, by analogy with @connections."""
    bodies = {"xml": b"<a>\xc3\xa9</a>", "picture": b"\x89PNG\xff", "nothing": b""}
    with bucket_with(cloud, bodies) as bucket, websocket_api(cloud) as api:
        for name in bodies:
            url = f"{endpoint_inside(cloud)}/{bucket}/{name}"
            api.add_route(name, **http_get(url) | {"IntegrationType": "HTTP_PROXY"})
            as_text = Answer(options={"ContentHandlingStrategy": "CONVERT_TO_TEXT"})
            api.add_route(f"{name} in text", as_text, **http_get(url))
        with api.connect() as socket:
            for name, body in bodies.items():
                socket.send(json.dumps({"action": name}))
                received = socket.recv(timeout=30)
                assert received == (body if name == "picture" else body.decode())
                socket.send(json.dumps({"action": f"{name} in text"}))
                assert socket.recv(timeout=30) == base64.b64encode(body).decode()


def test_http_backend_without_an_address(open_api: WebSocketApi) -> None:
    """No page says it: by analogy with a backend that is not there"""
    open_api.add_route("unaddressed", IntegrationType="HTTP_PROXY", IntegrationMethod="POST")
    assert open_api.ask({"action": "unaddressed"})["message"] == "Internal server error"


def test_http_backend_that_is_not_there(open_api: WebSocketApi) -> None:
    """No page says it: as the answer of a function that fails"""
    open_api.add_route(
        "nowhere",
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="POST",
        IntegrationUri="http://127.0.0.1:1/",
    )
    assert open_api.ask({"action": "nowhere"})["message"] == "Internal server error"


def test_http_backend_by_the_name_of_an_api(cloud: Cloud) -> None:
    """apigateway-websocket-api-integrations.html: names that AWS gives APIs, and custom domains,
    lead to this emulator's. A stage answers 426 to whom asks without an upgrade."""
    with websocket_api(cloud) as api, cloud.custom_domain(api.api_id, {"live": STAGE}) as domain:
        name = f"{api.api_id}.execute-api.{REGION}.amazonaws.com"
        for key, url in (("name", f"https://{name}/{STAGE}"), ("domain", f"https://{domain}/live")):
            api.add_route(key, answered('{"reached": true}', "/426/"), **http_get(url))
            assert api.ask({"action": key}) == {"reached": True}


def test_private_integrations(cloud: Cloud) -> None:
    """apigateway-websocket-api-integrations.html, by analogy with REST APIs: there is no VPC here,
    so that a URL is called as this machine finds it, and nothing is behind the ARN of a listener.
    """
    listener = f"arn:aws:elasticloadbalancing:{REGION}:000000000000:listener/net/a/b/c"
    health = f"{endpoint_inside(cloud)}/_localstack/health"
    with websocket_api(cloud) as api:
        for key, uri in (("url", health), ("listener", listener)):
            api.add_route(
                key,
                answered('{"reached": true}', "/200/"),
                **http_get(uri),
                ConnectionType="VPC_LINK",
                ConnectionId="${stageVariables.link}",
            )
        assert api.ask({"action": "url"}) == {"reached": True}
        assert api.ask({"action": "listener"})["message"] == "Internal server error"


READER_OF_HEADERS = """
def handler(event, context):
    headers = event["headers"]
    good = headers.get("x-mine") == "yes" and headers.get("sec-websocket-version") == "13"
    return {"statusCode": 200 if good else 400}
"""


def test_http_proxy_gets_the_headers_of_the_handshake(cloud: Cloud) -> None:
    """No page says it: a log of AWS's in https://stackoverflow.com/questions/67640010 shows it"""
    control = cloud.client("apigatewayv2")
    with function(cloud, READER_OF_HEADERS) as uri, websocket_api(cloud) as api:
        arn = uri.partition("/functions/")[2].removesuffix("/invocations")
        behind = control.create_api(Name="behind", ProtocolType="HTTP", Target=arn)["ApiId"]
        try:
            url = f"{endpoint_inside(cloud)}/_aws/execute-api/{behind}/"
            api.add_route("$connect", **http_get(url) | {"IntegrationType": "HTTP_PROXY"})
            assert api.is_let_in(additional_headers={"X-Mine": "yes"})
            assert api.refusal()[0] == 400
        finally:
            control.delete_api(ApiId=behind)


def test_parameters_of_the_handshake(cloud: Cloud) -> None:
    """websocket-api-data-mapping.html: all values of a name, and for $connect alone"""
    s3 = cloud.client("s3")
    with bucket_with(cloud, {}) as bucket:

        def store(source: str) -> dict[str, Any]:
            return {
                "IntegrationType": "HTTP_PROXY",
                "IntegrationMethod": "PUT",
                "IntegrationUri": f"{endpoint_inside(cloud)}/{bucket}/{{place}}/{{key}}",
                "RequestParameters": {
                    "integration.request.path.place": "context.routeKey",
                    "integration.request.path.key": source,
                },
            }

        with websocket_api(cloud) as api:
            api.add_route("$connect", **store("route.request.multivaluequerystring.room"))
            api.add_route("say", **store("route.request.querystring.room"))
            url = cloud.stage_url(api.api_id, STAGE).replace("http", "ws", 1)
            with websocket_connect(f"{url}?room=a&room=b", compression=None) as socket:
                socket.send('{"action": "say"}')
                assert socket.recv(timeout=30) == ""
        found = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
        assert sorted(found) == ["$connect/a,b", "say/{key}"]


def test_response_parameters_choose_the_subprotocol(cloud: Cloud) -> None:
    """websocket-connect-route-subprotocol.html for functions; for other integrations by analogy,
    with the header that apis-apiid-integrations-integrationid-integrationresponses.html maps."""
    chosen = {"method.response.header.Sec-WebSocket-Protocol": "'b'"}
    with websocket_api(cloud) as api:
        answer = Answer("$default", options={"ResponseParameters": chosen})
        api.add_route("$connect", answer, two_way=False, **templated(OK))
        with api.connect(subprotocols=["a", "b"]) as socket:
            assert socket.subprotocol == "b"


def test_stage_of_the_default_name(cloud: Cloud) -> None:
    """No page says it: public applications connect to wss://….amazonaws.com/$default, and post to
    https://….amazonaws.com/$default/@connections"""
    with websocket_api(cloud) as api:
        api.add_route(
            "ask", answered('["$context.connectionId", "$context.stage"]'), **templated(OK)
        )
        cloud.client("apigatewayv2").create_stage(
            ApiId=api.api_id, StageName="$default", AutoDeploy=True
        )
        with cloud.connect(api.api_id, "$default") as socket:
            socket.send('{"action": "ask"}')
            connection_id, stage = json.loads(socket.recv(timeout=30))
            assert stage == "$default"
            management = cloud.management(api.api_id, "$default")
            management.post_to_connection(ConnectionId=connection_id, Data=b"hello")
            assert socket.recv(timeout=30) == "hello"


# what changes under an open connection


def test_routes_are_chosen_by_the_message_not_by_the_handshake(cloud: Cloud) -> None:
    """websocket-api-develop-routes.html, apigateway-websocket-api-mapping-template-reference.html:
    $context is that of the message, also where the route is chosen."""
    expression = "${context.eventType}-${request.body.action}"
    with websocket_api(cloud, RouteSelectionExpression=expression) as api:
        template = '["$context.requestId", "$context.messageId", "$context.routeKey"]'
        api.add_route("MESSAGE-ask", answered(template), **templated(OK))
        request_id, message_id, route = api.ask({"action": "ask"})
        assert route == "MESSAGE-ask"
        assert request_id
        assert message_id
        assert api.ask({"action": "other"})["message"] == "Forbidden"


def test_stage_variables_are_those_of_now(cloud: Cloud) -> None:
    """websocket-api-stages: by analogy with deployments, which open connections follow, too"""
    with websocket_api(cloud, {"colour": "green"}) as api:
        api.add_route("ask", answered('"$stageVariables.colour"'), **templated(OK))
        with api.connect() as socket:
            socket.send('{"action": "ask"}')
            assert json.loads(socket.recv(timeout=30)) == "green"
            cloud.client("apigatewayv2").update_stage(
                ApiId=api.api_id, StageName=STAGE, StageVariables={"colour": "blue"}
            )
            socket.send('{"action": "ask"}')
            assert json.loads(socket.recv(timeout=30)) == "blue"


@pytest.mark.parametrize("deleted", ["stage", "API"])
def test_connections_of_what_is_deleted(cloud: Cloud, table: str, deleted: str) -> None:
    """No page says it: by analogy with a time limit's end, which apigateway-websocket-api-overview
    has 1001 for, and with $disconnect, which is tried after whatever end."""
    control = cloud.client("apigatewayv2")
    item = {"Id": {"S": "it"}, "Code": {"N": "$context.disconnectStatusCode"}}
    with websocket_api(cloud) as api:
        api.add_route(
            "$disconnect",
            two_way=False,
            **service("dynamodb", "action/PutItem"),
            **templated(json.dumps({"TableName": table, "Item": item})),
        )
        with api.connect() as socket:
            if deleted == "API":
                control.delete_api(ApiId=api.api_id)
            else:
                control.delete_stage(ApiId=api.api_id, StageName=STAGE)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=30)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            assert api.refusal()[0] == 403
    scan = cloud.client("dynamodb").scan
    items = wait_for(lambda: scan(TableName=table)["Items"])
    assert [each["Code"] for each in items] == [{"N": "1001"}]
