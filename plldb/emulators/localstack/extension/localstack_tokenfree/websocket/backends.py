"""HTTP backends and AWS services, as an integration reaches them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import requests
import xmltodict
from localstack.services.apigateway.next_gen.execute_api.gateway_response import (
    BaseGatewayException,
)
from localstack.services.apigateway.next_gen.execute_api.integrations.aws import (
    RestApiAwsIntegration,
)
from werkzeug.datastructures import Headers

from ..apigatewayv2.store import StageView
from ..http_client import request_url
from .expressions import Response
from .functions import IntegrationError, with_stage_variables

JSON = "application/json"


@dataclass(frozen=True)
class BackendRequest:
    """What an integration sends, and where. ``credentials`` is the ARN of a role, if any."""

    stage: StageView
    route_key: str
    request_id: str
    method: str
    uri: str
    headers: Mapping[str, str]
    query: Mapping[str, str | Sequence[str]]
    data: bytes
    credentials: str | None
    timeout_seconds: float

    def with_defaults(self, **defaults: str) -> dict[str, str]:
        """The headers, with those of ``defaults`` that they lack (``_`` stands for ``-``)."""
        own = {name.lower() for name in self.headers}
        added = {name.replace("_", "-"): value for name, value in defaults.items()}
        return {
            **{name: value for name, value in added.items() if name.lower() not in own},
            **self.headers,
        }


def call_http(request: BackendRequest) -> Response:
    """Raises IntegrationError when nobody answers in time."""
    if request.uri.startswith("arn:"):
        raise IntegrationError(f"there is no load balancer here behind {request.uri}")
    try:
        response = request_url(
            request.method,
            request.uri,
            request.with_defaults(
                Accept=JSON,
                Content_Type=JSON,
                User_Agent=f"AmazonAPIGateway_{request.stage.api_id}",
                X_Amzn_Apigateway_Api_Id=request.stage.api_id,
            ),
            request.data,
            request.timeout_seconds,
            query=request.query,
        )
    except requests.RequestException as error:
        raise IntegrationError(f"{request.uri} does not answer: {error}") from error
    return _response(response.status_code, response.headers, response.content)


def call_aws_service(request: BackendRequest) -> Response:
    """By what LocalStack's REST APIs call AWS services with.

    ``uri`` is ``arn:aws:apigateway:REGION:SERVICE:action/NAME`` or ``...:path/PATH``.
    """
    credentials = with_stage_variables(request.credentials or "", request.stage.variables)
    context: Any = SimpleNamespace(
        integration={"credentials": credentials if ":role/" in credentials else None},
        integration_request={
            "http_method": request.method,
            "uri": request.uri,
            "query_string_parameters": dict(request.query),
            "headers": Headers(request.with_defaults(Content_Type=JSON, Accept=JSON)),
            "body": request.data,
        },
        account_id=request.stage.account_id,
        region=request.stage.region,
        api_id=request.stage.api_id,
        stage=request.stage.name,
        stage_variables=dict(request.stage.variables),
        resource={"path": ""},
        resource_method={"httpMethod": request.route_key},
        context_variables={"requestId": request.request_id},
    )
    try:
        response = RestApiAwsIntegration().invoke(context)
    except (BaseGatewayException, requests.RequestException, ValueError) as error:
        raise IntegrationError(f"{request.uri} can't be called: {error!r}") from error
    answer = _response(response["status_code"], response["headers"], response["body"])
    wants_xml = any(
        "xml" in value for name, value in request.headers.items() if name.lower() == "accept"
    )
    is_document = ":s3:" in request.uri or wants_xml
    return answer if is_document else _in_json(answer)


def _in_json(response: Response) -> Response:
    """Services with AWS's query protocol answer API Gateway in JSON; LocalStack's know XML only.

    A list, whose items XML calls ``member``, is a list; an error is what ``ErrorResponse`` has.
    """
    if "xml" not in response.headers.get("content-type", ""):
        return response
    document = xmltodict.parse(response.body, xml_attribs=False)
    plain = _without_members(document.get("ErrorResponse", document))
    headers = {**response.headers, "content-type": JSON}
    return replace(response, headers=headers, body=json.dumps(plain))


def _without_members(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_members(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"member"}:
        members = value["member"]
        return _without_members(members if isinstance(members, list) else [members])
    return {name: _without_members(item) for name, item in value.items()}


def _response(status: int, headers: Mapping[str, str], content: bytes) -> Response:
    named = {name.lower(): value for name, value in headers.items()}
    try:
        return Response(status, named, content.decode())
    except UnicodeDecodeError:
        return Response(status, named, content.decode(errors="replace"), content)
