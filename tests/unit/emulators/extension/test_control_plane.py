"""What AWS refuses in the control plane, as far as no service has to run for it.

The pages and messages are in the rules' own documentation.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.session import Session
from localstack_tokenfree.apigatewayv2 import openapi
from localstack_tokenfree.apigatewayv2.domains import DomainStore, Region
from localstack_tokenfree.apigatewayv2.kinds import (
    AUTHORIZER,
    INTEGRATION,
    KINDS,
    ROUTE,
    STAGE,
)
from localstack_tokenfree.apigatewayv2.pages import page
from localstack_tokenfree.apigatewayv2.refusals import (
    BadRequestError,
    ConflictError,
    ControlPlaneError,
    NotFoundError,
)
from localstack_tokenfree.apigatewayv2.rules import check
from localstack_tokenfree.apigatewayv2.shapes import check_request
from localstack_tokenfree.apigatewayv2.store import ApiStore

SERVICE = Session().get_service_model("apigatewayv2")
ACCOUNT, REGION = "000000000000", "us-east-1"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
DOMAIN = "api.example.org"
HERE = Region(ACCOUNT, REGION)


@pytest.fixture
def store() -> ApiStore:
    return ApiStore(check)


def new_api(store: ApiStore, protocol: str = "HTTP", **fields: Any) -> dict[str, str]:
    fields = {"Name": "one", "ProtocolType": protocol, **fields}
    if protocol == "WEBSOCKET":
        fields = {"RouteSelectionExpression": "$request.body.action"} | fields
    return {"ApiId": store.create_api(ACCOUNT, REGION, fields)["ApiId"]}


def create(store: ApiStore, kind: str, **request: Any) -> Mapping[str, Any]:
    """As a request comes in: held against the service's model, then kept."""
    check_request(SERVICE.operation_model(f"Create{kind}").input_shape, request)
    return store.create(next(each for each in KINDS if each.name == kind), request)


def lambda_integration(**fields: Any) -> dict[str, Any]:
    return {
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": FUNCTION,
        "PayloadFormatVersion": "2.0",
        **fields,
    }


def lambda_authorizer(**fields: Any) -> dict[str, Any]:
    return {
        "Name": "keeper",
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": FUNCTION,
        "AuthorizerPayloadFormatVersion": "2.0",
        "IdentitySource": [],
        **fields,
    }


TOKENS: dict[str, Any] = {
    "Name": "tokens",
    "AuthorizerType": "JWT",
    "IdentitySource": ["$request.header.Authorization"],
    "JwtConfiguration": {"Issuer": "https://example.org", "Audience": ["me"]},
}
TO_A_URL = {
    "IntegrationType": "HTTP_PROXY",
    "IntegrationUri": "https://example.org",
    "PayloadFormatVersion": "1.0",
}


@pytest.mark.parametrize(
    ("kind", "request_", "says"),
    [
        (
            "Integration",
            {"IntegrationType": "AWS_PROXY", "IntegrationUri": FUNCTION},
            "PayloadFormatVersion is a required parameter for integration",
        ),
        (
            "Integration",
            lambda_integration(IntegrationMethod="GET"),
            "HttpMethod must be POST for AWS_PROXY IntegrationType",
        ),
        ("Integration", {**TO_A_URL, "IntegrationMethod": "FETCH"}, "Invalid HTTP method"),
        (
            "Integration",
            lambda_integration(IntegrationType="MOCK"),
            r"may only be associated with proxy integrations \(AWS_PROXY, HTTP_PROXY\)",
        ),
        ("Route", {"RouteKey": "GET /a/"}, "route key is not formatted properly"),
        (
            "Route",
            {"RouteKey": "GET /", "AuthorizationScopes": ["read"]},
            "Authorization Scopes are only valid for COGNITO_USER_POOLS and JWT",
        ),
        (
            "Authorizer",
            lambda_authorizer(AuthorizerResultTtlInSeconds=300),
            "Identity source must be set if authorizer caching is enabled",
        ),
        (
            "Authorizer",
            {**TOKENS, "AuthorizerPayloadFormatVersion": "2.0"},
            "AuthorizerPayloadFormatVersion can only be set for REQUEST authorizer",
        ),
        (
            "Stage",
            {"StageName": "s", "DefaultRouteSettings": {"LoggingLevel": "OFF"}},
            "Execution logs are not supported on protocolType HTTP",
        ),
        (
            "Stage",
            {"StageName": "s", "RouteSettings": {"GET /known": {"DataTraceEnabled": True}}},
            "Execution logs are not supported on protocolType HTTP",
        ),
        ("Stage", {"StageName": "s", "StageVariables": {"a": None}}, "StageVariables.a"),
        ("Authorizer", lambda_authorizer(IdentitySource=[None]), "IdentitySource"),
        (
            "Stage",
            {"StageName": "s", "DefaultRouteSettings": {"ThrottlingRateLimit": "fast"}},
            "ThrottlingRateLimit must be a number",
        ),
    ],
)
def test_refused_of_http_apis(
    store: ApiStore, kind: str, request_: Mapping[str, Any], says: str
) -> None:
    one = new_api(store)
    create(store, "Route", **one, RouteKey="GET /known")
    with pytest.raises(BadRequestError, match=says):
        create(store, kind, **one, **request_)


@pytest.mark.parametrize(
    ("protocol", "kind", "request_"),
    [
        ("HTTP", "Integration", lambda_integration(IntegrationMethod="POST")),
        ("HTTP", "Integration", {**TO_A_URL, "IntegrationMethod": "ANY"}),
        ("HTTP", "Authorizer", lambda_authorizer(AuthorizerResultTtlInSeconds=0)),
        ("WEBSOCKET", "Integration", {"IntegrationType": "MOCK"}),
        (
            "WEBSOCKET",
            "Stage",
            {"StageName": "s", "DefaultRouteSettings": {"LoggingLevel": "INFO"}},
        ),
    ],
)
def test_kept(store: ApiStore, protocol: str, kind: str, request_: Mapping[str, Any]) -> None:
    assert create(store, kind, **new_api(store, protocol), **request_)


@pytest.mark.parametrize("target", [FUNCTION, "https://example.org"])
def test_quick_create_needs_no_format(store: ApiStore, target: str) -> None:
    assert new_api(store, Target=target)


@pytest.mark.parametrize("expression", ["\\$default", "$default"])
def test_all_messages_may_be_for_the_default_route(store: ApiStore, expression: str) -> None:
    assert new_api(store, "WEBSOCKET", RouteSelectionExpression=expression)


@pytest.mark.parametrize(
    ("kind", "authorization", "says"),
    [
        ("JWT", "CUSTOM", "CUSTOM or COGNITO_USER_POOLS requires a valid authorizer"),
        ("REQUEST", "JWT", "JWT requires a valid JWT authorizer"),
        ("", "CUSTOM", "CUSTOM or COGNITO_USER_POOLS requires a valid authorizer"),
        ("", "JWT", "JWT requires a valid JWT authorizer"),
    ],
)
def test_routes_name_an_authorizer_of_their_sort(
    store: ApiStore, kind: str, authorization: str, says: str
) -> None:
    one = new_api(store)
    route = {**one, "RouteKey": "GET /", "AuthorizationType": authorization, "AuthorizerId": "none"}
    if kind:
        made = create(
            store, "Authorizer", **one, **(TOKENS if kind == "JWT" else lambda_authorizer())
        )
        route["AuthorizerId"] = made["AuthorizerId"]
    with pytest.raises(BadRequestError, match=says):
        create(store, "Route", **route)


def test_scopes_go_with_their_authorizer(store: ApiStore) -> None:
    one = new_api(store)
    authorizer = create(store, "Authorizer", **one, **TOKENS)
    route = create(
        store,
        "Route",
        **one,
        RouteKey="GET /",
        AuthorizationType="JWT",
        AuthorizerId=authorizer["AuthorizerId"],
        AuthorizationScopes=["read"],
    )
    ids = {**one, "RouteId": route["RouteId"]}
    assert store.update(ROUTE, {**ids, "OperationName": "x"})["AuthorizationScopes"] == ["read"]
    assert store.update(ROUTE, {**ids, "AuthorizationType": "NONE"})["AuthorizationScopes"] == []


def test_names_that_are_taken(store: ApiStore) -> None:
    one = new_api(store)
    create(store, "Route", **one, RouteKey="GET /")
    with pytest.raises(ConflictError, match="Route with key GET / already exists for this API"):
        create(store, "Route", **one, RouteKey="GET /")
    create(store, "Authorizer", **one, **lambda_authorizer())
    with pytest.raises(BadRequestError, match="Authorizer keeper already exists in this RestApi"):
        create(store, "Authorizer", **one, **lambda_authorizer())


def test_what_routes_use_is_not_deleted(store: ApiStore) -> None:
    one = new_api(store)
    integration = create(store, "Integration", **one, **lambda_integration())["IntegrationId"]
    authorizer = create(store, "Authorizer", **one, **lambda_authorizer())["AuthorizerId"]
    route = create(
        store,
        "Route",
        **one,
        RouteKey="GET /",
        AuthorizationType="CUSTOM",
        AuthorizerId=authorizer,
        Target=f"integrations/{integration}",
    )
    with pytest.raises(ConflictError, match=rf"Routes with Ids: \[{route['RouteId']}\]"):
        store.delete(INTEGRATION, {**one, "IntegrationId": integration})
    with pytest.raises(ConflictError, match="'keeper', is referenced in route: GET /"):
        store.delete(AUTHORIZER, {**one, "AuthorizerId": authorizer})


def test_keys_of_routes_that_messages_can_not_name(store: ApiStore) -> None:
    one = new_api(store, "WEBSOCKET")
    for reserved in ("$connect", "$disconnect", "$default"):
        create(store, "Route", **one, RouteKey=reserved)
    with pytest.raises(BadRequestError, match="The provided route key is not formatted properly"):
        create(store, "Route", **one, RouteKey="$getauthorized")


def test_origins_are_those_of_pages(store: ApiStore) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html"""
    for origin in ("*", "https://*", "http://localhost:3000", "https://example.org"):
        assert new_api(store, CorsConfiguration={"AllowOrigins": [origin]})
    for origin in ("capacitor://localhost", "chrome-extension://abc"):
        with pytest.raises(BadRequestError, match=f"Invalid format for origin {origin}"):
            new_api(store, CorsConfiguration={"AllowOrigins": ["*", origin]})


def test_settings_are_for_routes_that_are_there(store: ApiStore) -> None:
    one = new_api(store)
    create(store, "Route", **one, RouteKey="GET /known")
    known, unknown = ({key: {"ThrottlingRateLimit": 1.5}} for key in ("GET /known", "GET /other"))
    says = "Unable to find Route by key GET /other within the provided RouteSettings"
    with pytest.raises(NotFoundError, match=says):
        create(store, "Stage", **one, StageName="s", RouteSettings=unknown)
    create(store, "Stage", **one, StageName="s", RouteSettings=known)
    for change in (store.update, store.replace):
        with pytest.raises(NotFoundError, match=says):
            change(STAGE, {**one, "StageName": "s", "RouteSettings": unknown})
    for route in store.list(ROUTE, one):
        store.delete(ROUTE, {**one, "RouteId": route["RouteId"]})
    assert store.update(STAGE, {**one, "StageName": "s", "Description": "new"})


def test_a_stage_that_deploys_by_itself_takes_no_deployment(store: ApiStore) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
    aws-resource-apigatewayv2-stage.html#cfn-apigatewayv2-stage-deploymentid
    """
    one = new_api(store)
    create(store, "Route", **one, RouteKey="GET /known")
    deployment = {"DeploymentId": create(store, "Deployment", **one)["DeploymentId"]}
    stage = {**one, "StageName": "s"}
    create(store, "Stage", **stage, AutoDeploy=True)
    for automatic in ({}, {"AutoDeploy": True}):
        with pytest.raises(BadRequestError, match="DeploymentId"):
            store.update(STAGE, stage | deployment | automatic)
    assert store.update(STAGE, stage | deployment | {"AutoDeploy": False})


def test_only_text_is_cleared_by_an_empty_one() -> None:
    shape = SERVICE.operation_model("UpdateIntegration").input_shape
    ids = {"ApiId": "a", "IntegrationId": "i"}
    check_request(shape, {**ids, "Description": ""}, clearing=True)
    with pytest.raises(BadRequestError, match="TimeoutInMillis"):
        check_request(shape, {**ids, "TimeoutInMillis": ""}, clearing=True)


@pytest.mark.parametrize("request_", [{"NextToken": "é"}, {"MaxResults": "²"}])
def test_pages_that_there_are_not(request_: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        page([{}], request_)


@pytest.mark.parametrize("below", ["routes/r", "stages/s/x", "stages"])
def test_tags_are_of_apis_and_stages(store: ApiStore, below: str) -> None:
    arn = f"arn:aws:apigateway:{REGION}::/apis/{new_api(store)['ApiId']}"
    store.set_tags(arn, {"a": "1"})
    assert store.tags(arn) == {"a": "1"}
    with pytest.raises(NotFoundError):
        store.tags(f"{arn}/{below}")


def test_websocket_apis_are_not_exported(store: ApiStore) -> None:
    with pytest.raises(BadRequestError, match="Only HTTP APIs"):
        store.exported(new_api(store, "WEBSOCKET")["ApiId"], None)


# custom domains


@pytest.fixture
def domains(store: ApiStore) -> DomainStore:
    domains = DomainStore(store)
    domains.create(HERE, {"DomainName": DOMAIN})
    return domains


def mapping(store: ApiStore, key: str, protocol: str = "HTTP") -> dict[str, Any]:
    one = new_api(store, protocol)
    create(store, "Stage", **one, StageName="s")
    return {**one, "DomainName": DOMAIN, "Stage": "s", "ApiMappingKey": key}


@pytest.mark.parametrize("key", ["a b", "a?b", "ä", "a" * 301])
def test_keys_that_no_mapping_has(store: ApiStore, domains: DomainStore, key: str) -> None:
    with pytest.raises(BadRequestError):
        domains.create_mapping(HERE, mapping(store, key))


def test_keys_of_mappings(store: ApiStore, domains: DomainStore) -> None:
    for key in ("", "v1", "v1/$-_.+!*'()", "a" * 300):
        assert domains.create_mapping(HERE, mapping(store, key))["ApiMappingKey"] == key


def test_a_domain_has_apis_of_one_protocol(store: ApiStore, domains: DomainStore) -> None:
    first = domains.create_mapping(HERE, mapping(store, "v1"))
    websocket = mapping(store, "v2", "WEBSOCKET")
    with pytest.raises(BadRequestError, match="WebSocket"):
        domains.create_mapping(HERE, websocket)
    moved = {name: websocket[name] for name in ("ApiId", "DomainName", "Stage")}
    assert domains.update_mapping(HERE, moved | {"ApiMappingId": first["ApiMappingId"]})
    assert domains.create_mapping(HERE, websocket)


def test_an_api_with_mappings_is_not_deleted(store: ApiStore, domains: DomainStore) -> None:
    wanted = mapping(store, "v1")
    one = {
        "DomainName": DOMAIN,
        "ApiMappingId": domains.create_mapping(HERE, wanted)["ApiMappingId"],
    }
    with pytest.raises(BadRequestError, match="Please remove all API mappings"):
        domains.check_unmapped(wanted["ApiId"])
    domains.delete_mapping(HERE, one)
    domains.check_unmapped(wanted["ApiId"])


# OpenAPI

SIGNED = {"type": "apiKey", "x-amazon-apigateway-authtype": "awsSigv4"}
DOCUMENT = {
    "openapi": "3.0.1",
    "info": {"title": "one", "version": "1"},
    "tags": [{"name": "made-by"}],
    "servers": [{"url": "/", "variables": {"basePath": {"default": "/v1"}}}],
    "x-amazon-apigateway-cors": {"allowOrigins": ["*"]},
    "security": [{"signed": []}],
    "components": {
        "securitySchemes": {
            "signed": {"$ref": "#/x-schemes/signed"},
            "token": {
                "x-amazon-apigateway-authorizer": {
                    "type": "jwt",
                    "identitySource": "$request.header.Authorization",
                    "jwtConfiguration": {"issuer": "https://example.org", "audience": ["me"]},
                }
            },
        }
    },
    "x-schemes": {"signed": SIGNED},
    "paths": {
        "/a": {
            "get": {
                "x-amazon-apigateway-integration": {
                    "type": "aws_proxy",
                    "uri": FUNCTION,
                    "responseParameters": {"200": {"overwrite:header.x-a": "b"}},
                }
            }
        }
    },
}


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value)
    below = (
        found
        for name, child in (children if isinstance(value, (dict, list)) else ())
        for found in places(child, (*place, name))
    )
    return [place, *below]


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[place[0]] = replaced(value[place[0]], place[1:], new)
    return changed


@pytest.mark.parametrize("new", [None, 1, True, "x", [], ["x"], [None], {}, {"x": 1}, {"x": None}])
def test_a_malformed_document_is_refused_if_it_is_not_read(store: ApiStore, new: Any) -> None:
    for place in places(DOCUMENT):
        text = openapi.as_text(replaced(DOCUMENT, place, new), "JSON")
        count = len(store.list_apis(ACCOUNT, REGION))
        try:
            store.import_api(ACCOUNT, REGION, openapi.read(text, "prepend"))
        except ControlPlaneError:
            assert len(store.list_apis(ACCOUNT, REGION)) == count


def test_a_scheme_elsewhere_in_the_document_guards_its_routes(store: ApiStore) -> None:
    (route,) = openapi.read(openapi.as_text(DOCUMENT, "JSON")).routes
    assert route.fields["AuthorizationType"] == "AWS_IAM"


def test_paths_that_are_none_are_warned_of() -> None:
    document = {**DOCUMENT, "paths": {"$default": {"get": {}}, "/": {"get": {}}}}
    read = openapi.read(openapi.as_text(document, "JSON"))
    assert read.warnings == ("Parse issue: attribute paths. Resource $default should start with /",)


def test_paths_that_end_with_a_slash_get_no_route() -> None:
    """https://github.com/aws/serverless-application-model/issues/1949"""
    document = {**DOCUMENT, "paths": {"/": {"get": {}}, "/a/": {"get": {}}}}
    read = openapi.read(openapi.as_text(document, "JSON"))
    assert [route.fields["RouteKey"] for route in read.routes] == ["GET /"]
    assert read.warnings == ("Parse issue: attribute paths. Resource /a/ should not end with /",)
