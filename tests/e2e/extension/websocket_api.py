"""WebSocket APIs made for one test each, by the API of apigatewayv2."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from .cloud import REGION, Cloud
from .code import zipped
from .conftest import ENDPOINT_VARIABLE

STAGE = "test"


@dataclass(frozen=True)
class Answer:
    """One integration response: its key, its template, and how the template is chosen."""

    key: str = "$default"
    templates: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WebSocketApi:
    cloud: Cloud
    api_id: str

    def add_route(
        self,
        key: str,
        *answers: Answer,
        two_way: bool = True,
        route: Mapping[str, Any] | None = None,
        **integration: Any,
    ) -> None:
        """A route, its integration (``MOCK`` unless it says otherwise) and what comes back."""
        api = self.cloud.client("apigatewayv2")
        options = {"IntegrationType": "MOCK", **integration}
        integration_id = api.create_integration(ApiId=self.api_id, **options)["IntegrationId"]
        for answer in answers:
            api.create_integration_response(
                ApiId=self.api_id,
                IntegrationId=integration_id,
                IntegrationResponseKey=answer.key,
                ResponseTemplates=dict(answer.templates),
                **answer.options,
            )
        made = api.create_route(
            ApiId=self.api_id,
            RouteKey=key,
            Target=f"integrations/{integration_id}",
            **(route or {}),
        )
        if two_way:
            api.create_route_response(
                ApiId=self.api_id, RouteId=made["RouteId"], RouteResponseKey="$default"
            )

    def connect(self, **options: Any) -> ClientConnection:
        return self.cloud.connect(self.api_id, STAGE, **options)

    def refusal(self, **options: Any) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of a handshake that is refused."""
        with pytest.raises(InvalidStatus) as refused, self.connect(**options):
            pass
        body = refused.value.response.body or b""
        return refused.value.response.status_code, json.loads(body) if b"{" in body else {}

    def is_let_in(self, **options: Any) -> bool:
        try:
            with self.connect(**options):
                return True
        except InvalidStatus:
            return False

    def ask(self, message: Any, **options: Any) -> Any:
        """What comes back for one message, decoded where it is JSON."""
        with self.connect(**options) as socket:
            socket.send(message if isinstance(message, str) else json.dumps(message))
            text = socket.recv(timeout=30)
        try:
            return json.loads(text)
        except ValueError:
            return text


@contextmanager
def websocket_api(
    cloud: Cloud, variables: Mapping[str, str] | None = None, **options: Any
) -> Iterator[WebSocketApi]:
    """An API with a stage that serves it as it is; deleted at the end, if it is still there."""
    api = cloud.client("apigatewayv2")
    api_id: str = api.create_api(
        **{
            "Name": f"api-{uuid.uuid4().hex[:8]}",
            "ProtocolType": "WEBSOCKET",
            "RouteSelectionExpression": "$request.body.action",
            **options,
        }
    )["ApiId"]
    try:
        api.create_stage(
            ApiId=api_id, StageName=STAGE, AutoDeploy=True, StageVariables=dict(variables or {})
        )
        yield WebSocketApi(cloud, api_id)
    finally:
        with suppress(api.exceptions.NotFoundException):
            api.delete_api(ApiId=api_id)


@contextmanager
def function(cloud: Cloud, code: str | bytes) -> Iterator[str]:
    """A function as the URI by which API Gateway calls it. ``code`` is the module ``index``, which
    has ``handler``, or a zip with it."""
    client = cloud.client("lambda")
    name = f"function-{uuid.uuid4().hex[:8]}"
    arn = client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="index.handler",
        Role="arn:aws:iam::000000000000:role/any",
        Timeout=30,
        Code={"ZipFile": zipped(index=code) if isinstance(code, str) else code},
    )["FunctionArn"]
    try:
        client.get_waiter("function_active_v2").wait(FunctionName=name)
        yield uri_of(arn)
    finally:
        client.delete_function(FunctionName=name)


def uri_of(arn: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"


def endpoint_inside(cloud: Cloud) -> str:
    """Where the emulator finds itself."""
    return cloud.endpoint if os.environ.get(ENDPOINT_VARIABLE) else "http://localhost:4566"
