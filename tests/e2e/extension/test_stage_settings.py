"""Settings of stages: throttling and access logs, for WebSocket and HTTP APIs alike."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from .cloud import REGION, Cloud, wait_for
from .websocket_api import STAGE, Answer, WebSocketApi, websocket_api

OK: dict[str, Any] = {"RequestTemplates": {"$default": '{"statusCode": 200}'}}
# A route that leads to where nobody answers.
NOWHERE = (
    "GET /there",
    {
        "IntegrationType": "HTTP_PROXY",
        "IntegrationMethod": "GET",
        "IntegrationUri": "http://localhost:1/",
    },
)
HEARD = Answer("$default", {"$default": '{"heard": true}'})
# So slow that no loaded machine sees a token come back.
ONE_AN_HOUR = {"ThrottlingRateLimit": 1 / 3600, "ThrottlingBurstLimit": 1}
FORM = (
    '{"id": "$context.requestId", "route": "$context.routeKey", "type": "$context.eventType",'
    ' "status": "$context.status", "error": $context.error.messageString,'
    ' "from": "$context.identity.sourceIp", "integration": "$context.integration.status",'
    ' "nothing": "$context.authorizer.principalId"}'
)


@pytest.fixture
def log_group(cloud: Cloud) -> Iterator[str]:
    logs = cloud.client("logs")
    name = f"/access/{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=name)
    yield name
    logs.delete_log_group(logGroupName=name)


def arn_of(log_group: str) -> str:
    return f"arn:aws:logs:{REGION}:000000000000:log-group:{log_group}"


def lines(cloud: Cloud, log_group: str, count: int) -> list[str]:
    """The messages of a log group, once there are ``count``."""

    def read() -> list[str]:
        events = cloud.client("logs").filter_log_events(logGroupName=log_group)["events"]
        return [event["message"] for event in events]

    return wait_for(read, lambda found: len(found) >= count)


def set_stage(api: WebSocketApi, **settings: Any) -> None:
    client = api.cloud.client("apigatewayv2")
    client.update_stage(ApiId=api.api_id, StageName=STAGE, **settings)


def ask(socket: Any, action: str) -> Any:
    socket.send(json.dumps({"action": action}))
    return json.loads(socket.recv(timeout=30))


def test_messages_over_the_limit_are_refused(cloud: Cloud) -> None:
    """websocket-api-protect.html: a token bucket for each route, with settings of its own or the
    default ones. How a refused message reads is by analogy with API Gateway's other errors."""
    with websocket_api(cloud) as api:
        for key in ("slow", "quick", "other"):
            api.add_route(key, HEARD, **OK)
        set_stage(
            api,
            DefaultRouteSettings=ONE_AN_HOUR,
            RouteSettings={"quick": {"ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 1000}},
        )
        with api.connect() as socket:
            assert ask(socket, "slow") == {"heard": True}
            refused = ask(socket, "slow")
            assert refused["message"] == "Too Many Requests"
            assert refused["connectionId"]
            assert ask(socket, "other") == {"heard": True}
            assert [ask(socket, "quick") for _ in range(3)] == [{"heard": True}] * 3
            set_stage(api, RouteSettings={"slow": {"ThrottlingRateLimit": 1e6}})
            assert wait_for(lambda: ask(socket, "slow") == {"heard": True})


def test_connections_over_the_limit_are_refused(cloud: Cloud) -> None:
    """websocket-api-protect.html: 429 Too Many Requests"""
    with websocket_api(cloud) as api:
        api.add_route("$connect", two_way=False, **OK)
        set_stage(api, RouteSettings={"$connect": ONE_AN_HOUR})
        assert api.is_let_in()
        status, body = api.refusal()
        assert (status, body["message"]) == (429, "Too Many Requests")


def test_requests_over_the_limit_are_refused(cloud: Cloud) -> None:
    """http-api-throttling.html; a limit of nothing lets nobody pass"""
    with cloud.http_api(*NOWHERE, DefaultRouteSettings={"ThrottlingBurstLimit": 0}) as api_id:
        refused = requests.get(cloud.stage_url(api_id, "there"), timeout=30)
        assert (refused.status_code, refused.json()) == (429, {"message": "Too Many Requests"})


def test_access_log_of_a_websocket_api(cloud: Cloud, log_group: str) -> None:
    """websocket-api-logging.html: a line for each request, a hyphen where there is no value"""
    with websocket_api(cloud) as api:
        api.add_route("say", HEARD, **OK)
        set_stage(api, AccessLogSettings={"DestinationArn": arn_of(log_group), "Format": FORM})
        with api.connect() as socket:
            ask(socket, "say")
            ask(socket, "unknown")
        found = [
            json.loads(line.replace('"error": -', '"error": null'))
            for line in lines(cloud, log_group, 4)
        ]
    assert [(line["type"], line["route"], line["status"], line["error"]) for line in found] == [
        ("CONNECT", "$connect", "200", None),
        ("MESSAGE", "say", "200", None),
        ("MESSAGE", "-", "403", "Forbidden"),
        ("DISCONNECT", "$disconnect", "200", None),
    ]
    assert all(line["id"] and line["from"] and line["nothing"] == "-" for line in found)


def test_access_log_of_an_http_api(cloud: Cloud, log_group: str) -> None:
    """http-api-logging-variables.html"""
    form = "$context.httpMethod $context.routeKey $context.status $context.requestId"
    settings = {"DestinationArn": f"{arn_of(log_group)}:*", "Format": form}
    with cloud.http_api(*NOWHERE, AccessLogSettings=settings) as api_id:
        answers = [
            requests.get(cloud.stage_url(api_id, path), timeout=30) for path in ("there", "nowhere")
        ]
        ids = [answer.headers["apigw-requestid"] for answer in answers]
        assert lines(cloud, log_group, 2) == [
            f"GET GET /there 503 {ids[0]}",
            f"GET - 404 {ids[1]}",
        ]


def test_access_logs_need_a_log_group(cloud: Cloud, log_group: str) -> None:
    """set-up-logging.html: the group is made before"""
    with websocket_api(cloud) as api:
        for arn in (arn_of("/not/there"), "arn:aws:s3:::bucket"):
            with pytest.raises(ClientError, match="BadRequest"):
                set_stage(api, AccessLogSettings={"DestinationArn": arn, "Format": FORM})
