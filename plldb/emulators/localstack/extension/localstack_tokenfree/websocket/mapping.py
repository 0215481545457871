"""Mapping of requests and responses: templates in VTL, and parameters.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
The engine for templates is that of LocalStack's REST APIs, with ``$util`` mended. Maps are written
as Java writes them, ``{a=b, c=d}``: https://docs.aws.amazon.com/apigateway/latest/developerguide/
api-gateway-mapping-template-reference.html calls them so.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import airspeed
from localstack.services.apigateway.next_gen.execute_api.template_mapping import (
    ApiGatewayVtlTemplate,
    VelocityUtilApiGateway,
    VTLMap,
)

from .expressions import Scope, choose
from .functions import IntegrationError
from .template_utilities import decoded_base64, with_single_quotes_escaped


class Utilities(VelocityUtilApiGateway):
    """``$util``."""

    def base64Decode(self, value: Any) -> str:  # noqa: N802  # Velocity's name
        return decoded_base64(str(value))

    def escapeJavaScript(self, value: Any) -> str:  # noqa: N802  # Velocity's name
        escaped: str = super().escapeJavaScript(value)
        return with_single_quotes_escaped(escaped) if isinstance(value, str) else escaped


class Engine(ApiGatewayVtlTemplate):
    def prepare_namespace(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        return {**super().prepare_namespace(*arguments, **options), "util": Utilities()}


ENGINE = Engine()
JSON = "application/json"


@dataclass(frozen=True)
class Rendered:
    """What a template made, and what it set in ``$context.requestOverride`` and
    ``$context.responseOverride``."""

    text: str
    request_override: Mapping[str, Any] = field(default_factory=dict)
    response_override: Mapping[str, Any] = field(default_factory=dict)


def render(template: str, body: str, scope: Scope) -> Rendered:
    """Raises IntegrationError for a template that can't be rendered."""
    context = copy.deepcopy(dict(scope.context))
    context["requestOverride"] = {"header": {}, "path": {}, "querystring": {}}
    context["responseOverride"] = {"header": {}, "status": 0}
    context = VTLMap(context)
    params = VTLMap({"path": {}, "querystring": dict(scope.query)})
    params["header"] = _AnyCase(scope.headers)
    variables = {
        "context": context,
        "stageVariables": VTLMap(scope.stage_variables),
        "input": {"body": body, "params": params},
    }
    try:
        text = ENGINE.render_vtl(template.strip(), variables)
    except Exception as error:  # whatever the engine meets in somebody's template
        raise IntegrationError(f"the template can't be rendered: {error}") from error
    return Rendered(text, context["requestOverride"], context["responseOverride"])


class _AnyCase(VTLMap):
    """Headers: names in any case."""

    def get(self, name: str, default: Any = None) -> Any:
        return next((value for key, value in self.items() if key.lower() == name.lower()), default)


METHODS = airspeed.operators.__additional_methods__
METHODS[_AnyCase] = METHODS[dict]  # such as keySet(), which the engine finds by the exact class


def choose_template(
    templates: Mapping[str, str], expression: str | None, scope: Scope
) -> str | None:
    """The template that the selection expression names; else that of ``$default``, then of JSON."""
    template = choose(expression, templates, scope)
    return templates.get(JSON) if template is None else template


@dataclass(frozen=True)
class MappedParameters:
    """What ``RequestParameters`` put where."""

    headers: Mapping[str, str]
    query: Mapping[str, str | Sequence[str]]
    path: Mapping[str, str]


def map_parameters(parameters: Mapping[str, str], scope: Scope) -> MappedParameters:
    """Keys like ``integration.request.header.X``; values are text in single quotes, or name
    something of the request. What has no value is left out."""
    headers: dict[str, str] = {}
    query: dict[str, str | Sequence[str]] = {}
    path: dict[str, str] = {}
    for target, source in parameters.items():
        place, _, name = target.removeprefix("integration.request.").partition(".")
        value = _value(str(source), scope)
        if value is None:
            continue
        match place:
            case "header":
                headers[name] = _joined(value)
            case "querystring":
                query[name] = value
            case "path":
                path[name] = _joined(value)
    return MappedParameters(headers, query, path)


def map_response_headers(parameters: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """``ResponseParameters`` like ``method.response.header.X``, as ``map_parameters``.

    https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/
    apis-apiid-integrations-integrationid-integrationresponses.html
    """
    headers = {}
    for target, source in parameters.items():
        place, _, name = target.partition(".response.header.")
        value = _value(str(source), scope)
        if place in ("method", "route") and name and value is not None:
            headers[name] = _joined(value)
    return headers


def _value(source: str, scope: Scope) -> str | Sequence[str] | None:
    if source.startswith("'") and source.endswith("'"):
        return source[1:-1]
    value = scope.find(source)
    if value is None:
        return None
    return [str(each) for each in value] if isinstance(value, list) else str(value)


def _joined(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ",".join(value)
