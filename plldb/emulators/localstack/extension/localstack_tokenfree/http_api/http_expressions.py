"""Selection expressions of HTTP APIs: ``$request.header.x``, ``${context.requestId}/${...}``.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from ..websocket.events import request_time
from ..websocket.expressions import dig
from .answers import HttpAnswer
from .payloads import Call, Caller

_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")
_INSIDE = re.compile(r"\$((?:request|response|context|stageVariables)(?:\.[\w-]+)+)")


def evaluate(expression: str, call: Call, answer: HttpAnswer | None = None) -> str | None:
    """The text an expression stands for, or None if there is nothing where it points.

    A string without expressions stands for itself. Those inside a text are empty when there is
    nothing; they need braces only where it would not be clear where they end.
    """

    def found(match: re.Match[str]) -> str:
        return _as_text(_look_up(match[1], call, answer)) or ""

    if _PLACEHOLDER.search(expression):
        return _PLACEHOLDER.sub(found, expression)
    if expression.startswith("$") and expression != "$default":
        return _as_text(_look_up(expression[1:], call, answer))
    return _INSIDE.sub(found, expression)


def _look_up(path: str, call: Call, answer: HttpAnswer | None) -> Any:
    source, _, rest = path.partition(".")
    match source:
        case "request":
            return _of_request(rest, call)
        case "context":
            return _descend(context_variables(call), rest)
        case "stageVariables":
            return call.stage_variables.get(rest)
        case "response" if answer is not None:
            return _of_answer(rest, answer)
    return None


def _of_request(path: str, call: Call) -> Any:
    request = call.request
    part, _, name = path.partition(".")
    match part:
        case "header":
            return request.header(name)
        case "querystring":
            return request.query_parameter(name)
        case "path":
            return request.path_parameters.get(name) if name else call.path
        case "method":
            return request.method
    if part.partition("[")[0] == "body":
        return _of_body(request.body, path.removeprefix("body"))
    return None


def _of_answer(path: str, answer: HttpAnswer) -> Any:
    part, _, name = path.partition(".")
    if part == "header":
        values = [value for key, value in answer.headers if key == name.lower()]
        return ",".join(values) if values else None
    if part.partition("[")[0] == "body":
        return _of_body(answer.body, path.removeprefix("body"))
    return None


def _of_body(body: bytes, path: str) -> Any:
    text = body.decode("utf-8", "replace")
    if not path:
        return text
    try:
        return _descend(json.loads(text), path)
    except ValueError:
        return None


def _descend(value: Any, path: str) -> Any:
    """``a.b[0]`` below ``value``; names with dots in them are found whole."""
    if isinstance(value, Mapping) and path in value:
        return value[path]
    return dig(value, path)


def context_variables(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/
    http-api-logging-variables.html
    """
    request = call.request
    identity = {"sourceIp": request.source_ip, "userAgent": request.header("user-agent")}
    return {
        "accountId": call.account_id,
        "apiId": call.api_id,
        "authorizer": _authorizer_variables(call.caller),
        "domainName": call.domain_name,
        "domainPrefix": call.domain_prefix,
        "extendedRequestId": call.request_id,
        "httpMethod": request.method,
        "identity": identity | dict(call.caller.identity or {}),
        "path": request.decoded_path,
        "protocol": request.protocol,
        "requestId": call.request_id,
        "requestTime": request_time(call.at),
        "requestTimeEpoch": int(call.at.timestamp()),
        "routeKey": call.route_key,
        "stage": call.stage,
    }


def _authorizer_variables(caller: Caller) -> dict[str, Any]:
    return {
        **(caller.context or {}),
        "claims": dict(caller.claims or {}),
        "principalId": caller.principal_id,
    }


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))
