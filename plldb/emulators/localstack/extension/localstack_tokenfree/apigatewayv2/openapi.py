"""HTTP APIs as OpenAPI 3.0 documents: read for import, written for export.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html and
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from .kinds import DEFAULT_ROUTE, HTTP, Record
from .refusals import BadRequestError

Document = dict[str, Any]

INTEGRATION_EXTENSION = "x-amazon-apigateway-integration"
AUTHORIZER_EXTENSION = "x-amazon-apigateway-authorizer"
AUTHTYPE_EXTENSION = "x-amazon-apigateway-authtype"
CORS_EXTENSION = "x-amazon-apigateway-cors"
ENDPOINT_EXTENSION = "x-amazon-apigateway-endpoint-configuration"
TAG_EXTENSION = "x-amazon-apigateway-tag-value"
ANY_METHOD = "x-amazon-apigateway-any-method"
IAM = "AWS_IAM"
# The scheme of routes that AWS_IAM guards.
SIGNED = "sigv4"
API_KEY_SCHEME: Document = {"type": "apiKey", "name": "Authorization", "in": "header"}
METHODS = ("delete", "get", "head", "options", "patch", "post", "put")

# extension's field -> field of the API; both directions
INTEGRATION_FIELDS = {
    "connectionId": "ConnectionId",
    "connectionType": "ConnectionType",
    "credentials": "CredentialsArn",
    "description": "Description",
    "httpMethod": "IntegrationMethod",
    "integrationSubtype": "IntegrationSubtype",
    "payloadFormatVersion": "PayloadFormatVersion",
    "requestParameters": "RequestParameters",
    "responseParameters": "ResponseParameters",
    "timeoutInMillis": "TimeoutInMillis",
    "type": "IntegrationType",
    "uri": "IntegrationUri",
}
CORS_FIELDS = {
    "allowCredentials": "AllowCredentials",
    "allowHeaders": "AllowHeaders",
    "allowMethods": "AllowMethods",
    "allowOrigins": "AllowOrigins",
    "exposeHeaders": "ExposeHeaders",
    "maxAge": "MaxAge",
}
AUTHORIZER_FIELDS = {
    "authorizerCredentials": "AuthorizerCredentialsArn",
    "authorizerPayloadFormatVersion": "AuthorizerPayloadFormatVersion",
    "authorizerResultTtlInSeconds": "AuthorizerResultTtlInSeconds",
    "authorizerUri": "AuthorizerUri",
    "enableSimpleResponses": "EnableSimpleResponses",
}


@dataclass(frozen=True)
class ImportedRoute:
    """``authorizer`` is the name of one of the document's security schemes, or empty."""

    fields: Record
    integration: Record | None
    authorizer: str = ""


@dataclass(frozen=True)
class ImportedApi:
    api: Record
    authorizers: Mapping[str, Record]
    routes: tuple[ImportedRoute, ...]
    warnings: tuple[str, ...] = field(default=())


def read(body: str, base_path: str = "ignore") -> ImportedApi:
    """What an OpenAPI document, as JSON or YAML text, describes.

    ``base_path``: what becomes of the path of the document's server: ``ignore``, ``prepend`` or
    ``split`` (which leaves its first part out). BadRequestError for what is no such document.
    """
    document = _load(body)
    try:
        return _described(document, base_path)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise BadRequestError(
            f"Invalid OpenAPI input: a part of it is missing or of another type: {error}"
        ) from error


def _described(document: Document, base_path: str) -> ImportedApi:
    warnings = tuple(_warnings(document))
    prefix = _prefix(document, base_path)
    components = _resolved(document, document.get("components") or {})
    schemes = {
        name: _resolved(document, scheme)
        for name, scheme in (components.get("securitySchemes") or {}).items()
    }
    authorizers = {
        name: authorizer
        for name, scheme in schemes.items()
        if (authorizer := _authorizer(name, scheme))
    }
    signed = {name for name, scheme in schemes.items() if scheme.get(AUTHTYPE_EXTENSION)}
    routes = tuple(_routes(document, prefix, authorizers, signed))
    return ImportedApi(_api(document), authorizers, routes, warnings)


def _load(body: str) -> Document:
    try:
        document = _parsed(body)
    except yaml.YAMLError as error:
        raise BadRequestError(f"Invalid OpenAPI input: {error}") from error
    if not isinstance(document, dict):
        raise BadRequestError("Invalid OpenAPI input: it is not a document")
    if not str(document.get("openapi", "")).startswith("3."):
        raise BadRequestError("Invalid OpenAPI input: only OpenAPI 3.0 definitions are supported")
    return document


def _parsed(text: str) -> Any:
    """JSON is YAML, but for the tabs that may stand between its parts."""
    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)


def _api(document: Document) -> Record:
    info = document.get("info") or {}
    fields: Record = {"ProtocolType": HTTP, "Name": str(info.get("title") or "")}
    if info.get("version"):
        fields["Version"] = str(info["version"])
    if info.get("description"):
        fields["Description"] = str(info["description"])
    if CORS_EXTENSION in document:
        fields["CorsConfiguration"] = _cors(document[CORS_EXTENSION] or {})
    if tags := document.get("tags"):
        fields["Tags"] = {tag["name"]: str(tag.get(TAG_EXTENSION, "")) for tag in tags}
    places = [document, *(document.get("servers") or [])]
    endpoints = [place.get(ENDPOINT_EXTENSION) or {} for place in places]
    if any(endpoint.get("disableExecuteApiEndpoint") for endpoint in endpoints):
        fields["DisableExecuteApiEndpoint"] = True
    return fields


def _cors(extension: Document) -> Record:
    """Lists may be given as one text; ``true`` alone has no meaning to AWS."""
    found = {CORS_FIELDS[k]: v for k, v in extension.items() if k in CORS_FIELDS}
    for name in ("AllowHeaders", "AllowMethods", "AllowOrigins", "ExposeHeaders"):
        if isinstance(value := found.get(name), str):
            found[name] = [value]
        else:
            _require_texts(*(value or []))
    return found


def _routes(
    document: Document, prefix: str, authorizers: Mapping[str, Record], signed: set[str]
) -> Iterator[ImportedRoute]:
    for path, item in (document.get("paths") or {}).items():
        if _ends_with_a_slash(path):
            continue
        for verb, described in _resolved(document, item or {}).items():
            if verb != ANY_METHOD and verb.lower() not in METHODS:
                continue
            operation = described or {}
            fields: Record = {
                "AuthorizationScopes": [],
                "RequestParameters": {},
                "RouteKey": _route_key(verb, path, prefix),
            }
            if operation.get("operationId"):
                fields["OperationName"] = operation["operationId"]
            name, scopes = _security(document, operation)
            if name in signed:
                fields["AuthorizationType"] = IAM
            elif name in authorizers:
                jwt = authorizers[name]["AuthorizerType"] == "JWT"
                fields["AuthorizationType"] = "JWT" if jwt else "CUSTOM"
                fields["AuthorizationScopes"] = scopes if jwt else []
            yield ImportedRoute(
                fields,
                _integration(document, operation.get(INTEGRATION_EXTENSION)),
                name if name in authorizers else "",
            )


def _ends_with_a_slash(path: str) -> bool:
    """Such a path gets no route:
    https://github.com/aws/serverless-application-model/issues/1949
    """
    return path.endswith("/") and path.strip("/") not in ("", DEFAULT_ROUTE)


def _route_key(verb: str, path: str, prefix: str) -> str:
    if path.strip("/") == DEFAULT_ROUTE:
        return DEFAULT_ROUTE
    method = "ANY" if verb == ANY_METHOD else verb.upper()
    return f"{method} {prefix}{path}"


def _security(document: Document, operation: Document) -> tuple[str, list[str]]:
    """The first scheme that the operation, or else the document, asks for, with its scopes."""
    wanted = operation.get("security", document.get("security")) or []
    for requirement in wanted:
        for name, scopes in requirement.items():
            return name, list(scopes or [])
    return "", []


def _integration(document: Document, extension: Any) -> Record | None:
    if not extension:
        return None
    resolved = _resolved(document, extension)
    changes = (resolved.get("responseParameters") or {}).values()
    _require_texts(resolved.get("uri") or "", *(key for each in changes for key, _ in each.items()))
    fields = {INTEGRATION_FIELDS[k]: v for k, v in resolved.items() if k in INTEGRATION_FIELDS}
    for name in ("ConnectionType", "IntegrationMethod", "IntegrationType"):
        if name in fields:
            fields[name] = str(fields[name]).upper()
    fields["PayloadFormatVersion"] = str(fields.get("PayloadFormatVersion", "1.0"))
    if server := (resolved.get("tlsConfig") or {}).get("serverNameToVerify"):
        fields["TlsConfig"] = {"ServerNameToVerify": server}
    if fields.get("ConnectionType") == "INTERNET":
        fields.pop("ConnectionId", None)
    return fields


def _authorizer(name: str, scheme: Document) -> Record | None:
    extension = scheme.get(AUTHORIZER_EXTENSION)
    if not extension:
        return None
    fields: Record = {
        AUTHORIZER_FIELDS[k]: v for k, v in extension.items() if k in AUTHORIZER_FIELDS
    }
    fields["Name"] = name
    fields["IdentitySource"] = _sources(extension.get("identitySource"))
    if str(extension.get("type", "")).lower() == "jwt":
        configuration = extension.get("jwtConfiguration") or {}
        fields["AuthorizerType"] = "JWT"
        fields["JwtConfiguration"] = {
            "Audience": list(configuration.get("audience") or []),
            "Issuer": configuration.get("issuer") or "",
        }
        _require_texts(fields["JwtConfiguration"]["Issuer"])
    else:
        fields["AuthorizerType"] = "REQUEST"
        if "AuthorizerPayloadFormatVersion" in fields:
            version = str(fields["AuthorizerPayloadFormatVersion"])
            fields["AuthorizerPayloadFormatVersion"] = version
    return fields


def _sources(given: Any) -> list[str]:
    if isinstance(given, str):
        return [source.strip() for source in given.split(",") if source.strip()]
    _require_texts(*(given or []))
    return list(given or [])


def _require_texts(*values: Any) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is no text")


def _prefix(document: Document, base_path: str) -> str:
    servers = document.get("servers") or [{}]
    variables = servers[0].get("variables") or {}
    path = "/" + str((variables.get("basePath") or {}).get("default", "")).strip("/")
    if base_path == "prepend":
        return path.rstrip("/")
    if base_path == "split":
        return "".join(f"/{part}" for part in path.split("/")[2:])
    return ""


def _resolved(document: Document, value: Any) -> Document:
    """``value``, or what it refers to inside the document. Empty when that is missing."""
    reference = value.get("$ref") if isinstance(value, dict) else None
    if not isinstance(reference, str):
        return value if isinstance(value, dict) else {}
    found = _at(document, reference)
    return cast("Document", found) if isinstance(found, dict) else {}


def _at(document: Document, reference: str) -> object:
    current: Any = document
    for part in reference.removeprefix("#/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(current, dict) or name not in current:
            return None
        current = current[name]
    return current


def _warnings(document: Document) -> Iterator[str]:
    """What AWS warns of: references to parts that the document lacks, and paths of none.

    SAM's translator cites the latter:
    https://github.com/aws/serverless-application-model/issues/2297
    """
    for path, item in (document.get("paths") or {}).items():
        if not path.startswith("/"):
            yield f"Parse issue: attribute paths. Resource {path} should start with /"
        if _ends_with_a_slash(path):
            yield f"Parse issue: attribute paths. Resource {path} should not end with /"
        for verb, operation in (item or {}).items():
            for place, reference in _references(operation, ()):
                if reference.startswith("#/") and _at(document, reference) is None:
                    spot = ".".join((f"paths.'{path}'({verb})", *place, reference))
                    yield f"Parse issue: attribute {spot} is missing"


def _references(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, content in value.items():
            if name == "$ref" and isinstance(content, str):
                yield place, content
            else:
                # media types are left out of the place, as AWS does it
                below = place if "/" in str(name) else (*place, str(name))
                yield from _references(content, below)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item, place)


# export


def write(
    api: Record,
    routes: Mapping[str, Record],
    integrations: Mapping[str, Record],
    authorizers: Mapping[str, Record],
    extensions: bool = True,
) -> Document:
    """The OpenAPI document of an API; without ``extensions``, only what OpenAPI itself knows."""
    info = {"title": api["Name"], "version": api.get("Version") or str(api["CreatedDate"])}
    if api.get("Description"):
        info["description"] = api["Description"]
    document: Document = {"openapi": "3.0.1", "info": info, "paths": {}}
    for key, route in sorted(routes.items()):
        method, path = ("ANY", f"/{key}") if key == DEFAULT_ROUTE else key.split(" ", 1)
        verb = ANY_METHOD if method == "ANY" else method.lower()
        item = document["paths"].setdefault(path, {})
        item[verb] = _operation(route, path, integrations, authorizers, extensions)
    if extensions:
        signed = any(route.get("AuthorizationType") == IAM for route in routes.values())
        _write_extensions(document, api, authorizers, signed)
    return document


def _operation(
    route: Record,
    path: str,
    integrations: Mapping[str, Record],
    authorizers: Mapping[str, Record],
    extensions: bool,
) -> Document:
    responses = {"default": {"description": f"Default response for {route['RouteKey']}"}}
    operation: Document = {"responses": responses}
    parameters = [
        {"name": part.strip("{}+"), "in": "path", "required": True, "schema": {"type": "string"}}
        for part in path.split("/")
        if part.startswith("{")
    ]
    if parameters:
        operation["parameters"] = parameters
    if authorizer := authorizers.get(route.get("AuthorizerId", "")):
        operation["security"] = [{authorizer["Name"]: route.get("AuthorizationScopes") or []}]
    elif route.get("AuthorizationType") == IAM:
        operation["security"] = [{SIGNED: []}]
    integration = integrations.get(route.get("Target", "").removeprefix("integrations/"))
    if extensions and integration:
        operation[INTEGRATION_EXTENSION] = {
            name: integration[field]
            for name, field in INTEGRATION_FIELDS.items()
            if field in integration
        }
    return operation


def _write_extensions(
    document: Document, api: Record, authorizers: Mapping[str, Record], signed: bool
) -> None:
    if cors := api.get("CorsConfiguration"):
        names = {field: name for name, field in CORS_FIELDS.items()}
        document[CORS_EXTENSION] = {names[field]: value for field, value in cors.items()}
    if tags := api.get("Tags"):
        document["tags"] = [{"name": name, TAG_EXTENSION: value} for name, value in tags.items()]
    document["x-amazon-apigateway-importexport-version"] = "1.0"
    schemes = {one["Name"]: _scheme(one) for one in authorizers.values()}
    if signed:
        schemes[SIGNED] = {**API_KEY_SCHEME, AUTHTYPE_EXTENSION: "awsSigv4"}
    if schemes:
        document["components"] = {"securitySchemes": schemes}


def _scheme(authorizer: Record) -> Document:
    extension: Document = {
        name: authorizer[field] for name, field in AUTHORIZER_FIELDS.items() if field in authorizer
    }
    extension["identitySource"] = ", ".join(authorizer.get("IdentitySource") or [])
    extension["type"] = authorizer["AuthorizerType"].lower()
    if configuration := authorizer.get("JwtConfiguration"):
        extension["jwtConfiguration"] = {
            "audience": configuration.get("Audience") or [],
            "issuer": configuration.get("Issuer"),
        }
    kind = {"type": "oauth2", "flows": {}} if extension["type"] == "jwt" else API_KEY_SCHEME
    return {**kind, AUTHORIZER_EXTENSION: extension}


def as_text(document: Document, output_type: str) -> str:
    """``output_type`` is ``JSON`` or ``YAML``."""
    if output_type == "JSON":
        return json.dumps(document, indent=2, default=str)
    return yaml.safe_dump(json.loads(json.dumps(document, default=str)), sort_keys=False)
