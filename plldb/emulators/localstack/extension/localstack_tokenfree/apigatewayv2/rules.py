"""What AWS refuses in the fields of a record, as one table: the rows of ``RULES``.

A rule looks at a record as it is to be kept, and at the API around it; it returns the message of
a refusal, or None. What the service's own model says (types, lengths, enumerations) is checked
before, by ``shapes``. Where the rules come from:
https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html and the pages
beside it, one for each sort of resource.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..http_api.service_operations import OPERATIONS
from .kinds import (
    AUTHORIZER,
    DEFAULT_ROUTE,
    DEFAULT_STAGE,
    DEPLOYMENT,
    HTTP,
    INTEGRATION,
    WEBSOCKET,
    Kind,
    Record,
)
from .refusals import BadRequestError, NotFoundError

METHODS = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class Surroundings(Protocol):
    """The API that a record belongs to."""

    @property
    def protocol(self) -> str: ...

    def children(self, kind: Kind, *parents: str) -> dict[str, Record]: ...


Rule = Callable[[Record, Surroundings], str | None]


def check(name: str, record: Record, api: Surroundings) -> None:
    """Raise what AWS answers when a record of the kind ``name`` breaks one of its rules."""
    for rule in RULES.get(name, ()):
        if message := rule(record, api):
            raise BadRequestError(message)


# selection expressions: https://docs.aws.amazon.com/apigateway/latest/developerguide/
# apigateway-websocket-api-selection-expressions.html

_PATH = r"[A-Za-z0-9_$-]+(?:\[\d+\])*(?:\.[A-Za-z0-9_$-]+(?:\[\d+\])*)*"
_VARIABLE = (
    rf"(?:request\.body(?:\.{_PATH})|request\.header\.[A-Za-z0-9_-]+"
    rf"|request\.(?:querystring|path)\.[A-Za-z0-9_.-]+|request\.(?:method|path|body)(?!\.)"
    rf"|context\.[A-Za-z0-9_.-]+|stageVariables\.[A-Za-z0-9_]+"
    rf"|integration\.response\.(?:statuscode|header\.[A-Za-z0-9_-]+|body(?:\.{_PATH})?)"
    rf"|route\.request\.[A-Za-z0-9_.-]+|default)"
)
_EXPRESSION = re.compile(rf"(?:\$\{{{_VARIABLE}\}}|\${_VARIABLE}|[^$])+")
_FROM_REQUEST = re.compile(rf"\$\{{?{_VARIABLE}\}}?")


def _is_expression(value: str) -> bool:
    return bool(_EXPRESSION.fullmatch(value)) and value.count("{") == value.count("}")


def _selects_routes(value: str) -> bool:
    """``$request.body.action``, with or without braces, or several such beside each other; or the
    route that is to get all messages, as public applications have it: ``\\$default``."""
    if value.removeprefix("\\") == DEFAULT_ROUTE:
        return True
    return _is_expression(value) and bool(re.search(r"\$\{?(?:request|context)\.", value))


def expressions(*fields: str) -> Rule:
    def rule(record: Record, _: Surroundings) -> str | None:
        for field in fields:
            value = record.get(field)
            if value and not _is_expression(value):
                return f"Invalid selection expression specified: {value}"
        return None

    return rule


# rules that serve for several fields


def only_for(protocol: str, *fields: str) -> Rule:
    """Fields that APIs of the other protocol may not have."""

    def rule(record: Record, api: Surroundings) -> str | None:
        for field in fields:
            if api.protocol != protocol and record.get(field):
                return f"{field} is supported only for {protocol} APIs"
        return None

    return rule


def kind_only_for(protocol: str, name: str) -> Rule:
    def rule(_: Record, api: Surroundings) -> str | None:
        wrong = api.protocol != protocol
        return f"{name} is supported only for {protocol} APIs" if wrong else None

    return rule


def not_empty(*fields: str) -> Rule:
    """Fields that every record has, and that hold more than blanks."""

    def rule(record: Record, _: Surroundings) -> str | None:
        for field in fields:
            if not str(record.get(field) or "").strip():
                return f"{field} is required and must not be empty"
        return None

    return rule


def matching(field: str, pattern: str, expectation: str) -> Rule:
    compiled = re.compile(pattern)

    def rule(record: Record, _: Surroundings) -> str | None:
        value = record.get(field)
        if value is None or compiled.fullmatch(value):
            return None
        return f"Invalid {field} specified: {value}. {expectation}"

    return rule


def exactly(field: str, *values: str, protocol: str = "") -> Rule:
    def rule(record: Record, api: Surroundings) -> str | None:
        value = record.get(field)
        if not value or value in values or (protocol and api.protocol != protocol):
            return None
        return f"Invalid {field} specified: {value}. Must be one of [{', '.join(values)}]"

    return rule


# APIs


def route_selection(record: Record, _: Surroundings) -> str | None:
    """HTTP APIs choose routes by method and path, whatever theirs says."""
    if record["ProtocolType"] != WEBSOCKET:
        return None
    expression = record.get("RouteSelectionExpression")
    if not expression:
        return "RouteSelectionExpression is required for WEBSOCKET protocol"
    if not _selects_routes(expression):
        return f"Invalid RouteSelectionExpression specified: {expression}"
    return None


def api_key_selection(record: Record, api: Surroundings) -> str | None:
    value = record.get("ApiKeySelectionExpression") or ""
    if api.protocol == WEBSOCKET and not value.startswith("$"):
        return f"Invalid ApiKeySelectionExpression specified: {value}"
    return None if api.protocol == HTTP else expressions("ApiKeySelectionExpression")(record, api)


def cors(record: Record, _: Surroundings) -> str | None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html; the message
    is in https://github.com/aws/aws-cdk/issues/9076
    """
    wanted = record.get("CorsConfiguration") or {}
    if wanted.get("AllowCredentials") and "*" in (wanted.get("AllowOrigins") or []):
        return "allow-credentials is not supported if 'allow-origin' is *"
    return None


def origins(record: Record, _: Surroundings) -> str | None:
    """Browsers have other schemes for what is no page of the web; AWS does not."""
    for origin in (record.get("CorsConfiguration") or {}).get("AllowOrigins") or []:
        scheme, separator, _rest = origin.partition("://")
        if separator and scheme.lower() not in ("http", "https"):
            return f"Invalid format for origin {origin}"
    return None


def known_protocol(record: Record, _: Surroundings) -> str | None:
    if record.get("ProtocolType") in (HTTP, WEBSOCKET):
        return None
    return "Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]"


def quick_route_key(record: Record, api: Surroundings) -> str | None:
    if "Target" not in record:
        return None
    return http_route_key({"RouteKey": record.get("RouteKey", DEFAULT_ROUTE)}, api)


# routes

RESERVED_ROUTES = ("$connect", "$default", "$disconnect")


def websocket_route_key(record: Record, api: Surroundings) -> str | None:
    """The message is in https://github.com/serverless/serverless/issues/9530"""
    key = record["RouteKey"]
    if api.protocol == WEBSOCKET and key.startswith("$") and key not in RESERVED_ROUTES:
        return "The provided route key is not formatted properly"
    return None


def http_route_key(record: Record, api: Surroundings) -> str | None:
    """``$default``, or a method and a path whose last part may be greedy. No path but the root's
    ends with a slash: https://github.com/aws/serverless-application-model/issues/1949

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
    """
    key = record["RouteKey"]
    if api.protocol != HTTP or key == DEFAULT_ROUTE:
        return None
    method, _, path = key.partition(" ")
    if method in METHODS and is_http_path(path):
        return None
    return (
        "The provided route key is not formatted properly for HTTP protocol. "
        'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
    )


_PLAIN_PART = re.compile(r"[^/{}\s]*")
_PATH_VARIABLE = re.compile(r"\{[A-Za-z0-9._:$-]+(\+?)\}")


def is_http_path(path: str) -> bool:
    """Each part is text or one variable; only the last one may be greedy."""
    if not path.startswith("/") or (path != "/" and path.endswith("/")):
        return False
    parts = path[1:].split("/")
    for number, part in enumerate(parts, start=1):
        variable = _PATH_VARIABLE.fullmatch(part)
        if variable is None and not _PLAIN_PART.fullmatch(part):
            return False
        if variable and variable.group(1) and number < len(parts):
            return False
    return True


def route_target(record: Record, api: Surroundings) -> str | None:
    target = record.get("Target")
    if not target:
        return None
    collection, _, integration_id = target.partition("/")
    if collection != "integrations" or not integration_id:
        return f'Invalid Target specified: {target}. Format should be "integrations/<ID>"'
    if integration_id not in api.children(INTEGRATION):
        raise NotFoundError(f"Invalid Integration identifier specified {integration_id}")
    return None


def route_scopes(record: Record, _: Surroundings) -> str | None:
    """The message is in https://github.com/aws/aws-cdk/pull/27576"""
    if not record.get("AuthorizationScopes") or record.get("AuthorizationType") == "JWT":
        return None
    return (
        "Invalid Route authorization type specified. Authorization Scopes are only valid for "
        "COGNITO_USER_POOLS and JWT authorization types"
    )


AUTHORIZERS_OF = {"CUSTOM": "REQUEST", "JWT": "JWT"}


def route_authorization(record: Record, api: Surroundings) -> str | None:
    """``CUSTOM`` and ``JWT`` name an authorizer of their own type, else it counts as none.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-api-lambda-auth.html; the messages are in
    https://github.com/hashicorp/terraform-provider-aws/issues/17497 and
    https://github.com/anomalyco/sst/issues/4591
    """
    authorization = record.get("AuthorizationType", "NONE")
    if authorization == "JWT" and api.protocol == WEBSOCKET:
        return "AuthorizationType JWT is supported only for HTTP APIs"
    on_websocket = api.protocol == WEBSOCKET and authorization != "NONE"
    if on_websocket and record["RouteKey"] != "$connect":
        return "Currently, authorization is restricted to the $connect route only"
    wanted = AUTHORIZERS_OF.get(authorization)
    if wanted is None:
        return None
    authorizer = api.children(AUTHORIZER).get(record.get("AuthorizerId") or "")
    if authorizer and authorizer["AuthorizerType"] == wanted:
        return None
    asked = {
        "CUSTOM": "CUSTOM or COGNITO_USER_POOLS requires a valid authorizer",
        "JWT": "JWT requires a valid JWT authorizer",
    }[authorization]
    return f"Invalid authorizer ID specified. Setting the authorization type to {asked}."


# integrations

HTTP_INTEGRATIONS = ("AWS_PROXY", "HTTP_PROXY")


def integration_type(record: Record, api: Surroundings) -> str | None:
    """The message is in https://github.com/aws/aws-cli/issues/6363"""
    if api.protocol == HTTP and record["IntegrationType"] not in HTTP_INTEGRATIONS:
        return (
            "Currently, an API with a protocol type of HTTP may only be associated with proxy "
            "integrations (AWS_PROXY, HTTP_PROXY)"
        )
    return None


def integration_method(record: Record, api: Surroundings) -> str | None:
    """The message of functions is in
    https://github.com/hashicorp/terraform-provider-aws/issues/42391
    """
    method = record.get("IntegrationMethod")
    if not method:
        return None
    if method.upper() not in METHODS:
        return f"Invalid HTTP method specified: {method}. Must be one of [{', '.join(METHODS)}]"
    if api.protocol == HTTP and record["IntegrationType"] == "AWS_PROXY" and method != "POST":
        return "HttpMethod must be POST for AWS_PROXY IntegrationType"
    return None


def integration_payload_format(record: Record, api: Surroundings) -> str | None:
    missing = api.protocol == HTTP and not record.get("PayloadFormatVersion")
    return "PayloadFormatVersion is a required parameter for integration" if missing else None


def integration_uri(record: Record, _: Surroundings) -> str | None:
    """Functions and AWS services have ARNs, HTTP integrations URLs; both may use variables."""
    kind, uri = record["IntegrationType"], record.get("IntegrationUri")
    if kind == "AWS_PROXY" and not uri and not record.get("IntegrationSubtype"):
        return "IntegrationUri is required for integrations of type AWS_PROXY"
    if not uri or uri.startswith("$") or _is_link(record):
        return None
    if kind.startswith("AWS") and not uri.startswith("arn:"):
        return f"Invalid IntegrationUri specified: {uri}. It must be an ARN"
    if kind.startswith("HTTP") and not re.match(r"https?://", uri):
        return f"Invalid HTTP endpoint specified for URI: {uri}"
    return None


def _is_link(record: Record) -> bool:
    return record.get("ConnectionType") == "VPC_LINK"


def vpc_link(record: Record, _: Surroundings) -> str | None:
    missing = _is_link(record) and not record.get("ConnectionId")
    return "ConnectionId is required for ConnectionType VPC_LINK" if missing else None


def longest_timeout(record: Record, api: Surroundings) -> str | None:
    longest = 29000 if api.protocol == WEBSOCKET else 30000
    if record.get("TimeoutInMillis", 0) > longest:
        return f"TimeoutInMillis must be between 50 and {longest}"
    return None


# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
_HEADER_TARGET = r"(?:append|overwrite|remove):header\.(?P<header>[^.\s]\S*)"
_REQUEST_TARGET = re.compile(
    rf"{_HEADER_TARGET}|(?:append|overwrite|remove):querystring\.\S+|overwrite:path"
)
_RESPONSE_TARGET = re.compile(rf"{_HEADER_TARGET}|overwrite:statuscode")
_RESERVED_HEADER = re.compile(
    r"access-control-.*|apigw-.*|authorization|connection|content-encoding|content-length"
    r"|content-location|forwarded|keep-alive|origin|proxy-authenticate|proxy-authorization|te"
    r"|trailers|transfer-encoding|upgrade|x-amz-.*|x-amzn-.*|x-forwarded-for|x-forwarded-host"
    r"|x-forwarded-proto|via",
    re.IGNORECASE,
)


def parameter_mapping(record: Record, api: Surroundings) -> str | None:
    """The places that HTTP APIs change, of which some headers are API Gateway's own."""
    if api.protocol != HTTP or record.get("IntegrationSubtype"):
        return None
    responses = record.get("ResponseParameters") or {}
    targets = [(_REQUEST_TARGET, target) for target in record.get("RequestParameters") or {}]
    targets += [(_RESPONSE_TARGET, target) for mapped in responses.values() for target in mapped]
    return next(filter(None, (_target_fault(*pair) for pair in targets)), None)


def _target_fault(pattern: re.Pattern[str], target: str) -> str | None:
    match = pattern.fullmatch(target)
    fault = None
    if match is None:
        fault = f"Invalid mapping expression parameter specified: {target}"
    elif (header := match["header"]) and _RESERVED_HEADER.fullmatch(header):
        fault = f"Operations on header {header} are restricted"
    if fault is None:
        return None
    result = f"warnings : [], errors : [{fault}]"
    return f"Invalid mapping expression specified: Validation Result: {result}"


# authorizers

_IDENTITY_SOURCES = {
    HTTP: re.compile(
        r"\$request\.(?:header|querystring)\.[^.\s]\S*|\$context\.\S+|\$stageVariables\.\w+"
    ),
    WEBSOCKET: re.compile(
        r"\$?(?:route\.request\.(?:header|querystring)\.[^.\s]\S*|context\.\S+|stageVariables\.\w+)"
    ),
}


def identity_sources(record: Record, api: Surroundings) -> str | None:
    """https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/
    apis-apiid-authorizers.html#apis-apiid-authorizers-model-createauthorizerinput
    """
    for source in record.get("IdentitySource") or []:
        if not _IDENTITY_SOURCES[api.protocol].fullmatch(source):
            return f"Invalid identity source specified: {source}"
    return None


def payload_format(record: Record, api: Surroundings) -> str | None:
    version = record.get("AuthorizerPayloadFormatVersion")
    if record["AuthorizerType"] != "REQUEST":
        only = "AuthorizerPayloadFormatVersion can only be set for REQUEST authorizer."
        return only if version else None
    if api.protocol == HTTP and not version:
        return "AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer"
    return None


def cached_by_identity(record: Record, api: Surroundings) -> str | None:
    """The message is in https://github.com/hashicorp/terraform-provider-aws/pull/32629"""
    is_cached = api.protocol == HTTP and record.get("AuthorizerResultTtlInSeconds")
    if not is_cached or record["AuthorizerType"] != "REQUEST" or record.get("IdentitySource"):
        return None
    return "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)"


def simple_responses(record: Record, _: Surroundings) -> str | None:
    first = record.get("AuthorizerPayloadFormatVersion") == "1.0"
    if record.get("EnableSimpleResponses") and first:
        return "EnableSimpleResponses is supported only with AuthorizerPayloadFormatVersion 2.0"
    return None


def jwt_configuration(record: Record, api: Surroundings) -> str | None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html"""
    if record["AuthorizerType"] != "JWT":
        return None
    if api.protocol == WEBSOCKET:
        return "Authorizers of type JWT are supported only for HTTP APIs"
    configuration = record.get("JwtConfiguration") or {}
    if not re.match(r"https?://", configuration.get("Issuer") or ""):
        return "JwtConfiguration needs an Issuer that is a URL"
    if not configuration.get("Audience"):
        return "JwtConfiguration needs at least one Audience"
    if len(record.get("IdentitySource") or []) != 1:
        return "A JWT authorizer needs exactly one identity source"
    return None


# models


def model_schema(record: Record, _: Surroundings) -> str | None:
    """JSON models are JSON schemas of draft 4.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
    """
    if "json" not in record["ContentType"]:
        return None
    try:
        schema = json.loads(record["Schema"])
    except ValueError as error:
        return f"Invalid model schema specified: it is not JSON: {error}"
    if not isinstance(schema, dict):
        return "Invalid model schema specified: it is not a JSON object"
    return _schema_fault(schema)


def _schema_fault(schema: Any) -> str | None:
    from jsonschema import Draft4Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft4Validator.check_schema(schema)
    except SchemaError as error:
        return f"Invalid model schema specified: {error.message}"
    return None


# stages


def stage_name(record: Record, _: Surroundings) -> str | None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.html

    ``$default`` is good for WebSocket APIs, too, at ``/$default``, as public applications have it.
    """
    name = record["StageName"]
    if name == DEFAULT_STAGE or re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name):
        return None
    return "Stage name only allows a-zA-Z0-9_- or $default"


def stage_variables(record: Record, _: Surroundings) -> str | None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.stage-variables.html"""
    for name, value in (record.get("StageVariables") or {}).items():
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):
            return f"Stage variable names must be alphanumeric or underscores: {name}"
        if not re.fullmatch(r"[A-Za-z0-9-._~:/?#&=,]*", value):
            return f"Stage variable {name} has characters other than A-Za-z0-9-._~:/?#&=,"
    return None


def stage_deployment(record: Record, api: Surroundings) -> str | None:
    deployment_id = record.get("DeploymentId")
    if deployment_id and deployment_id not in api.children(DEPLOYMENT):
        raise NotFoundError(f"Unable to find Deployment by ID {deployment_id}")
    return None


def execution_logs(record: Record, api: Surroundings) -> str | None:
    """``OFF`` is a level, too. The message is in
    https://github.com/hashicorp/terraform-provider-aws/issues/14010
    """
    routes = [
        record.get("DefaultRouteSettings") or {},
        *(record.get("RouteSettings") or {}).values(),
    ]
    wanted = any(route.get("LoggingLevel") or route.get("DataTraceEnabled") for route in routes)
    if api.protocol == HTTP and wanted:
        return "Execution logs are not supported on protocolType HTTP"
    return None


def access_log_format(record: Record, _: Surroundings) -> str | None:
    """One line, by which a request can be found.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
    aws-properties-apigatewayv2-stage-accesslogsettings.html
    """
    settings = record.get("AccessLogSettings") or {}
    form = settings.get("Format")
    if not form:
        return None
    if "\n" in form.rstrip("\n"):
        return "The Format of AccessLogSettings must be a single line"
    if not re.search(r"\$context\.(requestId|extendedRequestId)\b", form):
        return "The Format of AccessLogSettings must include $context.requestId"
    return None


RULES: Mapping[str, tuple[Rule, ...]] = {
    "Api": (
        known_protocol,
        not_empty("Name"),
        route_selection,
        api_key_selection,
        only_for(HTTP, "CorsConfiguration", "Target", "RouteKey", "CredentialsArn"),
        quick_route_key,
        cors,
        origins,
    ),
    "Route": (
        not_empty("RouteKey"),
        http_route_key,
        websocket_route_key,
        only_for(
            WEBSOCKET,
            "ApiKeyRequired",
            "ModelSelectionExpression",
            "RequestModels",
            "RequestParameters",
            "RouteResponseSelectionExpression",
        ),
        expressions("ModelSelectionExpression", "RouteResponseSelectionExpression"),
        exactly("RouteResponseSelectionExpression", "$default"),
        route_scopes,
        route_target,
        route_authorization,
    ),
    "RouteResponse": (
        kind_only_for(WEBSOCKET, "RouteResponse"),
        not_empty("RouteResponseKey"),
        exactly("RouteResponseKey", "$default"),
        expressions("ModelSelectionExpression"),
    ),
    "Integration": (
        not_empty("IntegrationType"),
        integration_type,
        integration_method,
        integration_payload_format,
        exactly("IntegrationSubtype", *OPERATIONS, protocol=HTTP),
        integration_uri,
        parameter_mapping,
        exactly("PayloadFormatVersion", "1.0", "2.0"),
        exactly("PayloadFormatVersion", "1.0", protocol=WEBSOCKET),
        only_for(
            WEBSOCKET,
            "ContentHandlingStrategy",
            "PassthroughBehavior",
            "RequestTemplates",
            "TemplateSelectionExpression",
        ),
        expressions("TemplateSelectionExpression"),
        vpc_link,
        longest_timeout,
    ),
    "IntegrationResponse": (
        kind_only_for(WEBSOCKET, "IntegrationResponse"),
        not_empty("IntegrationResponseKey"),
        expressions("TemplateSelectionExpression"),
    ),
    "Authorizer": (
        not_empty("Name"),
        payload_format,
        matching("AuthorizerPayloadFormatVersion", r"\d\.\d", "Supported values are 1.0 and 2.0"),
        only_for(HTTP, "EnableSimpleResponses"),
        simple_responses,
        jwt_configuration,
        identity_sources,
        cached_by_identity,
    ),
    "Model": (
        kind_only_for(WEBSOCKET, "Model"),
        matching("Name", r"[A-Za-z0-9_-]+", "It must be alphanumeric"),
        model_schema,
    ),
    "Stage": (
        not_empty("StageName"),
        stage_name,
        stage_variables,
        stage_deployment,
        execution_logs,
        access_log_format,
    ),
}
