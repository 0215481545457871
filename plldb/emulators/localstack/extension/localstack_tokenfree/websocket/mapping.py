"""Mapping of requests and responses: templates in VTL, and parameters.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localstack.services.apigateway.next_gen.execute_api.template_mapping import VTLMap

from .expressions import Scope, choose
from .functions import IntegrationError
from .template_engine import AnyCase, Engine

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
    params["header"] = AnyCase(scope.headers)
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
