"""What an emulator does not do of a template: what plldb does about it, and what is left.

https://github.com/ministackorg/ministack: of an OpenAPI document, MiniStack takes a REST API's
single methods, and nothing of an HTTP API; it has no ``AWS::Serverless::Application``, and half of
the types of ``AWS::ApiGatewayV2``. The extension of LocalStack has those, and runs functions of
Python, and of Node's where its image has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from plldb.debugger.sources.functions import SAM_APPLICATION, SAM_FUNCTION
from plldb.deployed import FUNCTION_TYPE, NESTED_STACK_TYPE, is_custom_resource
from plldb.dev.custom_resources import adapt_custom_resource
from plldb.dev.omission import leave_out
from plldb.dev.template_package import lacks_image
from plldb.templates import as_dict

_HEALTH = "/_ministack/health"
_DIAGNOSTICS = "/_tokenfree/diagnostics"
_PATIENCE_SECONDS = 5
_NODE_WAY_OUT = "; an image built WITH_NODE=1 has it (docs/emulators.md)"
_HTTP_API = "AWS::Serverless::HttpApi"
_REST_API = "AWS::Serverless::Api"
_IMPLICIT_HTTP_API = "ServerlessHttpApi"
# https://swagger.io/specification/#path-item-object
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_ANY = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"
# ${Greeter.Arn} or ${Greeter} in an integration's URI.
_NAMED_FUNCTION = re.compile(r"\$\{(\w+)(?:\.(?:Arn|Alias))?\}/invocations")
_WAY_OUT = "--emulator localstack has it"
_APIS = "AWS::ApiGatewayV2::"
# SAM makes it of a function's DeploymentPreference.
_GRADUAL_DEPLOYMENT_TYPE = "AWS::CodeDeploy::DeploymentGroup"
_GRADUAL_DEPLOYMENT = "DeploymentPreference"
_DEPLOYMENT_TYPE = "AWS::ApiGatewayV2::Deployment"
_STAGE_TYPE = "AWS::ApiGatewayV2::Stage"
_INTEGRATION_TYPE = "AWS::ApiGatewayV2::Integration"
_SAM = "AWS::Serverless::"
# https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-application.html
_PASSED_ON = ("Parameters", "NotificationARNs", "Tags", "TimeoutInMinutes")


def is_ministack(endpoint_url: str) -> bool:
    import requests

    try:
        return requests.get(f"{endpoint_url}{_HEALTH}", timeout=_PATIENCE_SECONDS).ok
    except requests.RequestException:
        return False


def read_runtimes(endpoint_url: str) -> tuple[str, ...]:
    """The families of runtimes (``python``, ``nodejs``) that run on LocalStack with plldb's
    extension; nothing where no such emulator answers.
    """
    import requests

    try:
        answer = requests.get(f"{endpoint_url}{_DIAGNOSTICS}", timeout=_PATIENCE_SECONDS)
        runtimes = as_dict(answer.json()).get("runtimes") if answer.ok else None
    except (requests.RequestException, ValueError):
        return ()
    return tuple(map(str, runtimes)) if isinstance(runtimes, list) else ()


def name_functions_that_fail(body: dict[str, Any], runtimes: Sequence[str]) -> list[str]:
    """Says which functions LocalStack makes and can't run; changes nothing."""
    defaults = as_dict(as_dict(body.get("Globals")).get("Function"))
    remarks = []
    for logical_id, value in as_dict(body.get("Resources")).items():
        resource = as_dict(value)
        if resource.get("Type") not in (SAM_FUNCTION, FUNCTION_TYPE):
            continue
        properties = as_dict(resource.get("Properties"))
        if resource["Type"] == SAM_FUNCTION:
            properties = {**defaults, **properties}
        runtime = properties.get("Runtime")
        if properties.get("PackageType") == "Image":
            remarks.append(f"{logical_id}: container images do not run there: calls fail")
        elif isinstance(runtime, str) and not runtime.startswith(tuple(runtimes)):
            way_out = _NODE_WAY_OUT if runtime.startswith("nodejs") else ""
            remarks.append(f"{logical_id}: {runtime} does not run there: calls fail{way_out}")
    return remarks


def fill_gaps_of_ministack(
    body: dict[str, Any], find_unknown: Callable[[Collection[str]], Collection[str]]
) -> list[str]:
    """Changes a template so that MiniStack deploys what AWS would; says what it did, by resource,
    and what can't be had. ``find_unknown`` gives which of some types MiniStack does not know.
    """
    resources = body["Resources"]
    remarks = _leave_out_unknown(body, find_unknown)
    for logical_id, value in list(resources.items()):
        resource = as_dict(value)
        kind = resource.get("Type")
        if kind == SAM_APPLICATION:
            remarks += _nest(logical_id, resource)
        elif lacks_image(resource):
            leave_out(logical_id, body)
            remarks.append(
                f"{logical_id}: left out: its image is not built, nor would it run"
            )
        elif kind == SAM_FUNCTION:
            remarks += _route_events(logical_id, resource, resources)
        elif kind in (_HTTP_API, "AWS::ApiGatewayV2::Api"):
            remarks += _route_document(logical_id, resource, resources)
        elif kind in (_REST_API, "AWS::ApiGateway::RestApi"):
            remarks += _spell_out_any(logical_id, resource)
        elif kind == _DEPLOYMENT_TYPE:
            remarks += _deploy_by_itself(logical_id, body)
        elif kind == _INTEGRATION_TYPE:
            remarks += _name_integration(logical_id, as_dict(resource.get("Properties")))
        elif is_custom_resource(kind):
            remarks += adapt_custom_resource(logical_id, body)
        elif kind == "AWS::DynamoDB::Table" and "TimeToLiveSpecification" in as_dict(
            resource.get("Properties")
        ):
            remarks.append(f"{logical_id}: MiniStack leaves the table's time to live switched off")
    return remarks


def _name_integration(logical_id: str, properties: Mapping[str, Any]) -> list[str]:
    """What an integration asks for that MiniStack passes over: it calls functions, and URLs for
    HTTP APIs.
    """
    kind = properties.get("IntegrationType")
    if kind == "HTTP" or (kind == "AWS" and not _calls_function(properties.get("IntegrationUri"))):
        return [f"{logical_id}: MiniStack has no integrations of type {kind}: {_WAY_OUT}"]
    if properties.get("RequestTemplates") and kind != "AWS_PROXY":
        return [f"{logical_id}: MiniStack runs no mapping templates: {_WAY_OUT}"]
    return []


def _leave_out_unknown(
    body: dict[str, Any], find_unknown: Callable[[Collection[str]], Collection[str]]
) -> list[str]:
    """What SAM makes something else of is not asked about."""
    kinds = {
        logical_id: kind
        for logical_id, value in body["Resources"].items()
        if isinstance(kind := as_dict(value).get("Type"), str)
    }
    asked = {
        kind
        for kind in kinds.values()
        if not kind.startswith(_SAM) and not is_custom_resource(kind)
    }
    unknown = {*find_unknown(asked | {_GRADUAL_DEPLOYMENT_TYPE})} - {_DEPLOYMENT_TYPE}
    remarks = []
    for logical_id, kind in kinds.items():
        if kind in unknown:
            leave_out(logical_id, body)
            way_out = f": {_WAY_OUT}" if kind.startswith(_APIS) else ""
            remarks.append(f"{logical_id}: left out: MiniStack has no {kind}{way_out}")
    if _GRADUAL_DEPLOYMENT_TYPE in unknown:
        remarks += _deploy_at_once(body)
    return remarks


def _deploy_at_once(body: dict[str, Any]) -> list[str]:
    functions = {
        "Globals": as_dict(as_dict(body.get("Globals")).get("Function")),
        **{
            logical_id: as_dict(as_dict(value).get("Properties"))
            for logical_id, value in body["Resources"].items()
            if as_dict(value).get("Type") == SAM_FUNCTION
        },
    }
    return [
        f"{name}: its aliases invoke a new version at once: MiniStack has no CodeDeploy"
        for name, properties in functions.items()
        if properties.pop(_GRADUAL_DEPLOYMENT, None) is not None
    ]


def _deploy_by_itself(logical_id: str, body: dict[str, Any]) -> list[str]:
    """A stage that has a deployment has all of its API then, and goes on having it."""
    leave_out(logical_id, body)
    for value in body["Resources"].values():
        stage = as_dict(value)
        properties = as_dict(stage.get("Properties"))
        if stage.get("Type") == _STAGE_TYPE and properties.get("DeploymentId") == {
            "Ref": logical_id
        }:
            del properties["DeploymentId"]
            properties["AutoDeploy"] = True
    return [f"{logical_id}: left out: the API's stages are deployed by themselves"]


def _calls_function(uri: Any) -> bool:
    return ":lambda:" in json.dumps(uri) or _find_function(uri) is not None


def _nest(logical_id: str, resource: dict[str, Any]) -> list[str]:
    properties = as_dict(resource.get("Properties"))
    location = properties.get("Location")
    if not isinstance(location, str):
        return [f"{logical_id}: MiniStack has no Serverless Application Repository"]
    resource["Type"] = NESTED_STACK_TYPE
    kept = {name: properties[name] for name in _PASSED_ON if name in properties}
    if isinstance(kept.get("Tags"), dict):
        kept["Tags"] = [{"Key": key, "Value": value} for key, value in kept["Tags"].items()]
    resource["Properties"] = {"TemplateURL": location} | kept
    return [f"{logical_id}: a nested stack takes the place of the application"]


# --- HTTP APIs ------------------------------------------------------------------------------------


def _route_events(
    logical_id: str, resource: Mapping[str, Any], resources: dict[str, Any]
) -> list[str]:
    """A route for each HttpApi event of a function; each method for ANY of a REST API's."""
    events = as_dict(as_dict(resource.get("Properties")).get("Events"))
    remarks, keys = [], []
    for name, value in list(events.items()):
        event = as_dict(value)
        kind, properties = event.get("Type"), as_dict(event.get("Properties"))
        method = str(properties.get("Method", "")).lower()
        if kind == "HttpApi":
            api = properties.get("ApiId", {"Ref": _IMPLICIT_HTTP_API})
            path = properties.get("Path")
            method = "ANY" if method in ("", "any", _ANY, "*") else method.upper()
            key = "$default" if path is None else f"{method} {path}"
            added = f"{logical_id}{name}"
            _add_route(resources, added, api, key, {"Fn::GetAtt": [logical_id, "Arn"]}, properties)
            keys.append(key)
            if as_dict(properties.get("Auth")).get("Authorizer") not in (None, "NONE"):
                remarks.append(f"{logical_id}: the authorizer of {key} is not asked")
        elif kind == "Api" and method in ("any", "*", _ANY):
            del events[name]
            for one in _METHODS:
                events[f"{name}{one.capitalize()}"] = event | {
                    "Properties": properties | {"Method": one}
                }
            remarks.append(f"{logical_id}: ANY {properties.get('Path')} is spelled out by method")
    return [*_say_routes(logical_id, keys), *remarks]


def _say_routes(logical_id: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    return [f"{logical_id}: made beside the API's document, as routes: {', '.join(keys)}"]


def _route_document(
    logical_id: str, resource: Mapping[str, Any], resources: dict[str, Any]
) -> list[str]:
    """A route for each path and method of an HTTP API's OpenAPI document."""
    properties = as_dict(resource.get("Properties"))
    document = as_dict(properties.get("DefinitionBody") or properties.get("Body"))
    remarks, keys = [], []
    for number, (path, method, operation) in enumerate(_list_operations(document)):
        key = path if path == "$default" else f"{method} {path}"
        function = _find_function(as_dict(operation.get(_INTEGRATION)).get("uri"))
        if function is None:
            remarks.append(
                f"{logical_id}: {key} has no function that could be found: it is left out"
            )
            continue
        arn = {"Fn::GetAtt": [function, "Arn"]}
        _add_route(resources, f"{logical_id}Path{number}", {"Ref": logical_id}, key, arn, {})
        keys.append(key)
    return [*_say_routes(logical_id, keys), *remarks]


def _list_operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in as_dict(document.get("paths")).items():
        for method, operation in as_dict(item).items():
            if method == _ANY or method in _METHODS:
                yield path, "ANY" if method == _ANY else method.upper(), as_dict(operation)


def _find_function(uri: Any) -> str | None:
    """The logical id of the function that an integration calls."""
    reference = as_dict(uri)
    attribute = reference.get("Fn::GetAtt")
    if isinstance(attribute, list) and attribute[1:] == ["Arn"]:
        return str(attribute[0])
    text = reference.get("Fn::Sub", uri)
    named = _NAMED_FUNCTION.search(text) if isinstance(text, str) else None
    return named[1] if named is not None else None


def _add_route(
    resources: dict[str, Any],
    name: str,
    api: Any,
    key: str,
    function_arn: Any,
    event: Mapping[str, Any],
) -> None:
    integration = f"{name}PlldbIntegration"
    resources[integration] = {
        "Type": _INTEGRATION_TYPE,
        "Properties": {
            "ApiId": api,
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": function_arn,
            "PayloadFormatVersion": str(event.get("PayloadFormatVersion", "2.0")),
        },
    }
    resources[f"{name}PlldbRoute"] = {
        "Type": "AWS::ApiGatewayV2::Route",
        "Properties": {
            "ApiId": api,
            "RouteKey": key,
            "Target": {"Fn::Join": ["/", ["integrations", {"Ref": integration}]]},
        },
    }


# --- REST APIs ------------------------------------------------------------------------------------


def _spell_out_any(logical_id: str, resource: Mapping[str, Any]) -> list[str]:
    properties = as_dict(resource.get("Properties"))
    document = as_dict(properties.get("DefinitionBody") or properties.get("Body"))
    remarks = []
    for path, item in as_dict(document.get("paths")).items():
        if isinstance(item, dict) and _ANY in item:
            operation = item.pop(_ANY)
            for method in _METHODS:
                item.setdefault(method, operation)
            remarks.append(f"{logical_id}: ANY {path} is spelled out by method")
    return remarks
