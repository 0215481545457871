"""The events that functions and authorizers behind an HTTP API get, in AWS's two formats.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
http-api-develop-integrations-lambda.html and http-api-lambda-authorizer.html
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..addresses import name_on_aws
from ..websocket.events import milliseconds, request_time
from .http_request import HttpRequest

Event = dict[str, Any]
Record = Mapping[str, Any]
TEXT_TYPES = ("application/json", "application/javascript", "application/xml")
# What a caller is by format 1.0, of which a request without a signature has only two.
_IDENTITY = (
    *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider"),
    *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId"),
    *("principalOrgId", "sourceIp", "user", "userAgent", "userArn"),
)


@dataclass(frozen=True)
class Caller:
    """What authorization found out, as events carry it.

    ``claims`` and ``scopes`` come from a JWT, ``context`` and ``principal_id`` from a function,
    ``identity`` (keys as STS and format 1.0 name them) from a signature.
    """

    claims: Mapping[str, str] | None = None
    scopes: Sequence[str] | None = None
    context: Mapping[str, Any] | None = None
    principal_id: str | None = None
    identity: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Call:
    """One request at one route of one stage.

    ``path`` is decoded and without what leads to the stage: its name, or a domain's mapping.
    ``domain`` is a custom one; without it the API has the name that AWS gives it.
    """

    request: HttpRequest
    account_id: str
    api_id: str
    region: str
    stage: str
    route_key: str
    request_id: str
    path: str
    domain: str = ""
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    caller: Caller = field(default_factory=Caller)

    @property
    def domain_name(self) -> str:
        return self.domain or name_on_aws(self.api_id, self.region)

    @property
    def domain_prefix(self) -> str:
        return self.domain_name.partition(".")[0]

    @property
    def resource(self) -> str:
        """The route's path: ``/pets/{id}``, or ``$default``."""
        return self.route_key.partition(" ")[2] or self.route_key

    @property
    def route_arn(self) -> str:
        """What an authorizer's policy speaks of: the method and path of the request."""
        return (
            f"arn:aws:execute-api:{self.region}:{self.account_id}:{self.api_id}/"
            f"{self.stage}/{self.request.method}{self.path}"
        )


def integration_event(call: Call, version: str) -> Event:
    """``version`` is the integration's PayloadFormatVersion: ``1.0`` or ``2.0``."""
    event = _event_2(call) if version == "2.0" else _event_1(call)
    body, is_base64 = encode_body(call.request)
    if body is not None or version != "2.0":
        event["body"] = body
    event["isBase64Encoded"] = is_base64
    return event


def authorizer_event(call: Call, version: str, identity: Sequence[str]) -> Event:
    """``identity`` are the values of the authorizer's identity sources, in their order."""
    asked: Event
    if version == "2.0":
        event = _event_2(call)
        asked = {"routeArn": call.route_arn, "identitySource": list(identity)}
    else:
        event, joined = _event_1(call), ",".join(identity)
        asked = {
            "methodArn": call.route_arn,
            "identitySource": joined,
            "authorizationToken": joined,
        }
    return {"version": event.pop("version"), "type": "REQUEST", **asked, **event}


def encode_body(request: HttpRequest) -> tuple[str | None, bool]:
    """Text as it is, everything else in Base64; None for no body.

    A form (``application/x-www-form-urlencoded``) is no text to an HTTP API.
    """
    if not request.body:
        return None, False
    content_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
    is_text = content_type.startswith("text/") or content_type in ("", *TEXT_TYPES)
    if is_text and not request.header("content-encoding"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def raw_path(call: Call) -> str:
    """Format 2.0 has the name of a stage in its path, but not the mapping of a custom domain."""
    return call.path if call.domain else call.request.decoded_path


def _event_2(call: Call) -> Event:
    request = call.request
    headers = {name: ",".join(values) for name, values in request.header_values().items()}
    headers.pop("cookie", None)
    event: Event = {
        "version": "2.0",
        "routeKey": call.route_key,
        "rawPath": raw_path(call),
        "rawQueryString": request.query,
    }
    if cookies := request.cookies:
        event["cookies"] = cookies
    event["headers"] = headers
    if query := request.query_values():
        event["queryStringParameters"] = {name: ",".join(v) for name, v in query.items()}
    event["requestContext"] = _context_2(call)
    if request.path_parameters:
        event["pathParameters"] = dict(request.path_parameters)
    if call.stage_variables:
        event["stageVariables"] = dict(call.stage_variables)
    return event


def _context_2(call: Call) -> Event:
    request = call.request
    context: Event = {
        "accountId": call.account_id,
        "apiId": call.api_id,
        "domainName": call.domain_name,
        "domainPrefix": call.domain_prefix,
        "http": {
            "method": request.method,
            "path": raw_path(call),
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent") or "",
        },
        "requestId": call.request_id,
        "routeKey": call.route_key,
        "stage": call.stage,
        "time": request_time(call.at),
        "timeEpoch": milliseconds(call.at),
    }
    if authorizer := _authorizer_2(call.caller):
        context["authorizer"] = authorizer
    return context


def _authorizer_2(caller: Caller) -> Event:
    if caller.claims is not None:
        scopes = list(caller.scopes) if caller.scopes is not None else None
        return {"jwt": {"claims": dict(caller.claims), "scopes": scopes}}
    if caller.context is not None:
        return {"lambda": dict(caller.context)}
    if caller.identity is not None:
        identity = caller.identity
        return {
            "iam": {
                "accessKey": identity.get("accessKey"),
                "accountId": identity.get("accountId"),
                "callerId": identity.get("caller"),
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": identity.get("userArn"),
                "userId": identity.get("user"),
            }
        }
    return {}


def _event_1(call: Call) -> Event:
    request = call.request
    headers = request.header_values()
    query = request.query_values()
    return {
        "version": "1.0",
        "resource": call.resource,
        "path": request.decoded_path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: v[-1] for name, v in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": _context_1(call),
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": dict(call.stage_variables) or None,
    }


def _context_1(call: Call) -> Event:
    request = call.request
    found: Mapping[str, str | None] = {
        **(call.caller.identity or {}),
        "sourceIp": request.source_ip,
        "userAgent": request.header("user-agent"),
    }
    return {
        "accountId": call.account_id,
        "apiId": call.api_id,
        "authorizer": _authorizer_1(call.caller),
        "domainName": call.domain_name,
        "domainPrefix": call.domain_prefix,
        "extendedRequestId": call.request_id,
        "httpMethod": request.method,
        "identity": {name: found.get(name) for name in _IDENTITY},
        "path": request.decoded_path,
        "protocol": request.protocol,
        "requestId": call.request_id,
        "requestTime": request_time(call.at),
        "requestTimeEpoch": milliseconds(call.at),
        "resourceId": call.route_key,
        "resourcePath": call.resource,
        "stage": call.stage,
    }


def _authorizer_1(caller: Caller) -> Event:
    if caller.context is not None:
        principal = {} if caller.principal_id is None else {"principalId": caller.principal_id}
        return {**caller.context, **principal}
    claims = None if caller.claims is None else dict(caller.claims)
    scopes = None if caller.scopes is None else list(caller.scopes)
    return {"claims": claims, "scopes": scopes}
