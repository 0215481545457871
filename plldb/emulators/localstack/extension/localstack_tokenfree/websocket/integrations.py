"""What a route's integration does with a request, and what comes back from it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-websocket-api-integrations.html
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..apigatewayv2.store import Record, StageView
from ..http_status import http_status
from . import backends
from .backends import BackendRequest
from .events import Event
from .expressions import Response, Scope, choose_by_pattern
from .functions import (
    FunctionError,
    IntegrationError,
    call_function,
    function_of,
    invoke,
    with_stage_variables,
)
from .mapping import (
    MappedParameters,
    choose_template,
    map_parameters,
    map_response_headers,
    render,
)
from .mock_status import NoStatusError, mock_status
from .proxy_answer import MalformedAnswerError, read_answer

MAX_MILLISECONDS = 29_000
PROXIES = ("AWS_PROXY", "HTTP_PROXY")


@dataclass(frozen=True)
class Call:
    """One use of a route: what the function of a proxy gets, and what expressions see."""

    stage: StageView
    route: Record
    integration: Record
    event: Event
    scope: Scope

    @property
    def is_connect(self) -> bool:
        return bool(self.route["RouteKey"] == "$connect")

    @property
    def timeout_seconds(self) -> float:
        return int(self.integration.get("TimeoutInMillis") or MAX_MILLISECONDS) / 1000

    @property
    def uri(self) -> str:
        """Empty if the integration has none, which no backend takes."""
        uri = self.integration.get("IntegrationUri") or ""
        return with_stage_variables(uri, self.stage.variables)

    @property
    def is_of_function(self) -> bool:
        """Whether a function answers, without being a proxy: no HTTP backend or other service."""
        return self.integration["IntegrationType"] == "AWS" and "/functions/" in self.uri


@dataclass(frozen=True)
class Reply:
    """What an integration came to. ``body`` is for a two-way route's client, None if there is
    nothing; ``headers`` are for the client of ``$connect``; it took ``milliseconds``."""

    status: int
    body: str | bytes | None = None
    headers: Mapping[str, Any] | None = None
    milliseconds: int | None = None


def call_integration(call: Call) -> Reply:
    """Raises IntegrationError when the backend fails, or answers nothing that can be used."""
    perform = INTEGRATIONS.get(call.integration["IntegrationType"])
    if perform is None:
        kind = call.integration["IntegrationType"]
        raise IntegrationError(f"integration type {kind} is not supported")
    reply = perform(call)
    if call.is_connect and http_status(reply.status) is None:
        raise IntegrationError(f"no handshake can be answered with the status {reply.status}")
    return reply


# proxies: the request goes through as it is, and so does the answer


def _aws_proxy(call: Call) -> Reply:
    called = call_function(function_of(call.uri), call.stage.region, call.event)
    try:
        answer = read_answer(called, call.is_connect)
    except MalformedAnswerError as error:
        raise IntegrationError(f"Malformed Lambda proxy response: {error}") from error
    if call.is_connect:
        status = int(answer["statusCode"])
        return Reply(status, answer.get("body") or "", answer.get("headers") or {})
    return Reply(200, answer.get("body"))


def _http_proxy(call: Call) -> Reply:
    mapped = _map_parameters(call)
    if call.is_connect:
        mapped = replace(
            mapped,
            headers={**_forwarded(call.scope.headers), **mapped.headers},
            query={**call.scope.query, **mapped.query},
        )
    response = backends.call_http(_request(call, mapped, call.scope.body.encode()))
    return Reply(response.status, response.payload, response.headers)


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """The client's headers without those of its connection. On AWS, backends get those of the
    handshake, too, and some take offence at ``Sec-WebSocket-Version``:
    https://stackoverflow.com/questions/67640010
    """
    own = ("host", "connection", "upgrade", "content-length", "authorization")
    return {name: value for name, value in headers.items() if name.lower() not in own}


# the others: templates before and after


def _mock(call: Call) -> Reply:
    """The request template says which status to answer with; without one it is 200."""
    text, override = _mapped_body(call)
    try:
        return _respond(call, Response(mock_status(text)), override)
    except NoStatusError as error:
        raise IntegrationError("the request template of a MOCK gives no statusCode") from error


def _http(call: Call) -> Reply:
    text, override = _mapped_body(call)
    mapped = _mapped_parameters(call, override)
    return _respond(call, backends.call_http(_request(call, mapped, _data(call, text))), override)


def _aws(call: Call) -> Reply:
    text, override = _mapped_body(call)
    mapped = _mapped_parameters(call, override)
    if call.is_of_function:
        response = _call_lambda(call, text, mapped)
    else:
        response = backends.call_aws_service(_request(call, mapped, _data(call, text)))
    return _respond(call, response, override)


def _call_lambda(call: Call, text: str, mapped: MappedParameters) -> Response:
    kinds = {name.lower(): value for name, value in mapped.headers.items()}
    kind = kinds.get("x-amz-invocation-type", "RequestResponse")
    try:
        answer = invoke(function_of(call.uri), call.stage.region, text or "{}", kind)
    except FunctionError as error:
        if call.is_connect and not _integration_responses(call):
            raise
        answer = error.body
    return Response(200, body=answer)


def _mapped_body(call: Call) -> tuple[str, "Overrides"]:
    """-> what goes to the backend, and what the template overrides.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    websocket-api-data-transformations.html
    """
    integration = call.integration
    templates = integration.get("RequestTemplates") or {}
    expression = integration.get("TemplateSelectionExpression")
    template = choose_template(templates, expression, call.scope)
    if template is not None:
        rendered = render(template, call.scope.body, call.scope)
        return rendered.text, Overrides(rendered.request_override, rendered.response_override)
    behaviour = integration.get("PassthroughBehavior") or "WHEN_NO_MATCH"
    if behaviour == "NEVER" or (behaviour == "WHEN_NO_TEMPLATES" and templates):
        raise IntegrationError(f"no request template, and PassthroughBehavior is {behaviour}")
    passed = "" if integration["IntegrationType"] == "MOCK" else call.scope.body
    return passed, Overrides({}, {})


@dataclass(frozen=True)
class Overrides:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-override-request-response-parameters.html"""

    request: Mapping[str, Any]
    response: Mapping[str, Any]


def _mapped_parameters(call: Call, override: Overrides) -> MappedParameters:
    mapped = _map_parameters(call)
    return MappedParameters(
        headers={**mapped.headers, **override.request.get("header", {})},
        query={**mapped.query, **override.request.get("querystring", {})},
        path={**mapped.path, **override.request.get("path", {})},
    )


def _map_parameters(call: Call) -> MappedParameters:
    """Header and query of the handshake are for ``$connect`` alone.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
    """
    scope = call.scope if call.is_connect else call.scope.without_handshake()
    return map_parameters(call.integration.get("RequestParameters") or {}, scope)


def _data(call: Call, text: str) -> bytes:
    """The payload; ``CONVERT_TO_BINARY`` takes base64 for what it stands for.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    websocket-api-develop-binary-media-types.html
    """
    if call.integration.get("ContentHandlingStrategy") != "CONVERT_TO_BINARY":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise IntegrationError("the payload is no base64") from error


def _request(call: Call, mapped: MappedParameters, data: bytes) -> BackendRequest:
    uri = call.uri
    for name, value in mapped.path.items():
        uri = uri.replace(f"{{{name}}}", str(value))
    return BackendRequest(
        stage=call.stage,
        route_key=call.route["RouteKey"],
        request_id=call.event["requestContext"]["requestId"],
        method=call.integration.get("IntegrationMethod") or "POST",
        uri=uri,
        headers=mapped.headers,
        query=mapped.query,
        data=data,
        credentials=call.integration.get("CredentialsArn"),
        timeout_seconds=call.timeout_seconds,
    )


def _integration_responses(call: Call) -> list[Record]:
    responses = call.stage.configuration.integration_responses
    return list(responses.get(call.integration["IntegrationId"], ()))


def _respond(call: Call, response: Response, override: Overrides) -> Reply:
    """What the integration's responses make of the backend's.

    One is chosen by the status, for a function by its ``errorMessage``, else it is ``$default``.
    Without any, ``body`` is the backend's.
    """
    records = _integration_responses(call)
    if not records:
        return Reply(_status(response.status, override.response), response.payload)
    record = choose_by_pattern(_response_key(call, response), records, "IntegrationResponseKey")
    if record is None:
        raise IntegrationError("no IntegrationResponse matches, and there is none of $default")
    scope = call.scope.after(response)
    templates = record.get("ResponseTemplates") or {}
    template = choose_template(templates, record.get("TemplateSelectionExpression"), scope)
    body = response.payload
    if template is not None:
        rendered = render(template, response.body, scope)
        body, override = rendered.text, replace(override, response=rendered.response_override)
    elif record.get("ContentHandlingStrategy") == "CONVERT_TO_TEXT":
        data = body.encode() if isinstance(body, str) else body
        body = base64.b64encode(data).decode()
    headers = map_response_headers(record.get("ResponseParameters") or {}, scope)
    headers |= override.response.get("header", {})
    return Reply(_status(response.status, override.response), body, headers)


def _response_key(call: Call, response: Response) -> str:
    if not call.is_of_function:
        return str(response.status)
    try:
        answer = json.loads(response.body or "null")
    except ValueError:
        return ""
    return str(answer.get("errorMessage", "")) if isinstance(answer, Mapping) else ""


def _status(status: int, override: Mapping[str, Any]) -> int:
    wanted = override.get("status") or status
    try:
        return int(wanted)
    except (TypeError, ValueError) as error:
        raise IntegrationError(f"$context.responseOverride.status is {wanted!r}") from error


INTEGRATIONS: Mapping[str, Callable[[Call], Reply]] = {
    "AWS": _aws,
    "AWS_PROXY": _aws_proxy,
    "HTTP": _http,
    "HTTP_PROXY": _http_proxy,
    "MOCK": _mock,
}
