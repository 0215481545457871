"""What AWS refuses in the control plane, row by row, each with the page that says so."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from .cloud import REGION, Cloud

REFERENCE = "https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/"
GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
APIS = f"{REFERENCE}apis.html"
ROUTES = f"{REFERENCE}apis-apiid-routes.html"
ROUTE_RESPONSES = f"{REFERENCE}apis-apiid-routes-routeid-routeresponses.html"
INTEGRATIONS = f"{REFERENCE}apis-apiid-integrations.html"
AUTHORIZERS = f"{REFERENCE}apis-apiid-authorizers.html"
MODELS = f"{REFERENCE}apis-apiid-models.html"
STAGES = f"{REFERENCE}apis-apiid-stages.html"
DOMAINS = f"{REFERENCE}domainnames.html"
SELECTION = f"{GUIDE}apigateway-websocket-api-selection-expressions.html"
ACCESS_LOGS = (
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
    "aws-properties-apigatewayv2-stage-accesslogsettings.html"
)
ROUTE_KEYS = f"{GUIDE}http-api-develop-routes.html"
MAPPING = f"{GUIDE}http-api-parameter-mapping.html"
SERVICES = f"{GUIDE}http-api-develop-integrations-aws-services-reference.html"
VARIABLES = f"{GUIDE}http-api-stages.stage-variables.html"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
LONG_FORMAT = "$context.requestId " * 80
JWT = {"Issuer": "https://example.org", "Audience": ["me"]}


@dataclass(frozen=True)
class Row:
    """A request and the code of its refusal; no code means that it is accepted.

    ``{name}`` in a value is the id of one of the resources of ``ids``.
    """

    page: str
    operation: str
    refused: str | None
    request: Mapping[str, Any]
    protocol: str = "WEBSOCKET"


def websocket(page: str, operation: str, refused: str | None = "BadRequest", **request: Any) -> Row:
    return Row(page, operation, refused, request)


def http(page: str, operation: str, refused: str | None = "BadRequest", **request: Any) -> Row:
    return Row(page, operation, refused, request, "HTTP")


def new_api(refused: str | None = "BadRequest", **request: Any) -> Row:
    return Row(APIS, "create_api", refused, {"Name": "x", **request}, "")


def mapped(target: str, status: str = "", refused: str | None = None) -> Row:
    """Parameters of a request, or of responses with ``status``."""
    parameters: Mapping[str, Any] = {target: "x"}
    field = "ResponseParameters" if status else "RequestParameters"
    return http(
        MAPPING,
        "create_integration",
        refused,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="GET",
        IntegrationUri="https://example.org",
        PayloadFormatVersion="1.0",
        **{field: {status: parameters} if status else parameters},
    )


WEBSOCKET_API = {"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}
ROWS = [
    # APIs
    new_api(ProtocolType="GRAPHQL"),
    new_api(**WEBSOCKET_API | {"Name": ""}),
    new_api(**WEBSOCKET_API | {"Name": " "}),
    new_api(**WEBSOCKET_API | {"Name": "n" * 129}),
    new_api(**WEBSOCKET_API | {"RouteSelectionExpression": "nonsense"}),
    new_api(**WEBSOCKET_API | {"RouteSelectionExpression": "$request.body."}),
    new_api(**WEBSOCKET_API | {"RouteSelectionExpression": "${request.body.action"}),
    new_api(**WEBSOCKET_API | {"RouteSelectionExpression": "$nowhere.action"}),
    new_api(ProtocolType="WEBSOCKET"),
    new_api(**WEBSOCKET_API, CorsConfiguration={"AllowOrigins": ["*"]}),
    new_api(**WEBSOCKET_API, Target=FUNCTION),
    new_api(ProtocolType="HTTP", CorsConfiguration={"MaxAge": 86401}),
    new_api(
        ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["*"], "AllowCredentials": True}
    ),
    new_api(ProtocolType="HTTP", Target=FUNCTION, RouteKey="GET"),
    new_api(None, **WEBSOCKET_API | {"RouteSelectionExpression": "${request.body.a.b}"}),
    new_api(None, ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["*"]}),
    websocket(APIS, "update_api", RouteSelectionExpression="$request.body."),
    websocket(APIS, "update_api", Name=""),
    websocket(APIS, "update_api", None, Description=""),
    # routes
    websocket(ROUTES, "create_route", RouteKey=""),
    websocket(ROUTES, "create_route", RouteKey="r", Target="nowhere"),
    websocket(ROUTES, "create_route", "NotFound", RouteKey="r", Target="integrations/none"),
    websocket(ROUTES, "create_route", RouteKey="$connect", AuthorizationType="CUSTOM"),
    websocket(
        ROUTES,
        "create_route",
        RouteKey="$connect",
        AuthorizationType="CUSTOM",
        AuthorizerId="none",
    ),
    websocket(ROUTES, "create_route", RouteKey="$connect", AuthorizationType="JWT"),
    websocket(ROUTES, "create_route", RouteKey="$connect", AuthorizationType="BOGUS"),
    websocket(ROUTES, "create_route", RouteKey="r", AuthorizationType="AWS_IAM"),
    websocket(ROUTES, "create_route", None, RouteKey="$connect", AuthorizationType="AWS_IAM"),
    websocket(ROUTES, "create_route", RouteKey="r", RouteResponseSelectionExpression="$other"),
    websocket(ROUTES, "create_route", "NotFound", ApiId="none", RouteKey="r"),
    websocket(ROUTES, "update_route", "NotFound", RouteId="{route}", Target="integrations/none"),
    websocket(ROUTES, "update_route", RouteId="{route}", RouteKey=""),
    websocket(ROUTES, "update_route", None, RouteId="{route}", RouteKey="other"),
    websocket(ROUTES, "get_route", "NotFound", RouteId="none"),
    http(ROUTE_KEYS, "create_route", RouteKey="echo"),
    http(ROUTE_KEYS, "create_route", RouteKey="FETCH /a"),
    http(ROUTE_KEYS, "create_route", RouteKey="GET a"),
    http(ROUTE_KEYS, "create_route", RouteKey="GET /{a+}/b"),
    http(ROUTE_KEYS, "create_route", RouteKey="GET /{a"),
    http(ROUTE_KEYS, "create_route", None, RouteKey="ANY /a/{b}/{c+}"),
    http(ROUTES, "create_route", RouteKey="GET /", RequestModels={"a": "b"}),
    http(ROUTES, "create_route", RouteKey="GET /", AuthorizationType="JWT"),
    websocket(ROUTE_RESPONSES, "create_route_response", RouteId="{route}", RouteResponseKey="x"),
    websocket(
        ROUTE_RESPONSES,
        "create_route_response",
        "NotFound",
        RouteId="none",
        RouteResponseKey="$default",
    ),
    # integrations
    mapped("append:header.x-added"),
    mapped("overwrite:path"),
    mapped("remove:querystring.a.b"),
    mapped("x-added", refused="BadRequest"),
    mapped("insert:header.x-added", refused="BadRequest"),
    mapped("remove:path", refused="BadRequest"),
    mapped("overwrite:statuscode", refused="BadRequest"),
    mapped("overwrite:header.Authorization", refused="BadRequest"),
    mapped("append:header.X-Amzn-Anything", refused="BadRequest"),
    mapped("overwrite:statuscode", "200"),
    mapped("overwrite:path", "200", refused="BadRequest"),
    mapped("append:header.Access-Control-Allow-Origin", "200", refused="BadRequest"),
    http(SERVICES, "create_integration", IntegrationType="AWS_PROXY", IntegrationSubtype="A-B"),
    websocket(INTEGRATIONS, "create_integration", IntegrationType="BOGUS"),
    websocket(INTEGRATIONS, "create_integration", IntegrationType="AWS_PROXY"),
    websocket(
        INTEGRATIONS, "create_integration", IntegrationType="AWS_PROXY", IntegrationUri="http://x"
    ),
    websocket(
        INTEGRATIONS, "create_integration", IntegrationType="HTTP_PROXY", IntegrationUri="ftp://x"
    ),
    websocket(INTEGRATIONS, "create_integration", IntegrationType="MOCK", TimeoutInMillis=29001),
    websocket(INTEGRATIONS, "create_integration", IntegrationType="MOCK", TimeoutInMillis=49),
    websocket(
        INTEGRATIONS,
        "create_integration",
        IntegrationType="MOCK",
        PayloadFormatVersion="2.0",
    ),
    websocket(
        SELECTION,
        "create_integration",
        IntegrationType="MOCK",
        TemplateSelectionExpression="${request.body.kind",
    ),
    websocket(
        INTEGRATIONS,
        "create_integration",
        IntegrationType="MOCK",
        ConnectionType="VPC_LINK",
    ),
    websocket(
        INTEGRATIONS, "update_integration", IntegrationId="{integration}", IntegrationType="X"
    ),
    http(INTEGRATIONS, "create_integration", IntegrationType="MOCK"),
    http(
        INTEGRATIONS,
        "create_integration",
        IntegrationType="AWS_PROXY",
        IntegrationUri=FUNCTION,
        PayloadFormatVersion="3.0",
    ),
    http(
        INTEGRATIONS,
        "create_integration",
        None,
        IntegrationType="AWS_PROXY",
        IntegrationUri=FUNCTION,
        PayloadFormatVersion="2.0",
    ),
    # authorizers
    websocket(
        AUTHORIZERS, "create_authorizer", Name="", AuthorizerType="REQUEST", IdentitySource=[]
    ),
    websocket(
        AUTHORIZERS,
        "create_authorizer",
        Name="a",
        AuthorizerType="JWT",
        IdentitySource=["route.request.header.Auth"],
        JwtConfiguration=JWT,
    ),
    websocket(
        AUTHORIZERS,
        "create_authorizer",
        Name="a",
        AuthorizerType="REQUEST",
        IdentitySource=["method.request.header.Auth"],
    ),
    http(
        AUTHORIZERS,
        "create_authorizer",
        Name="a",
        AuthorizerType="REQUEST",
        AuthorizerUri=FUNCTION,
        IdentitySource=["$request.header.Auth"],
    ),
    http(
        AUTHORIZERS,
        "create_authorizer",
        Name="a",
        AuthorizerType="REQUEST",
        AuthorizerUri=FUNCTION,
        IdentitySource=["route.request.header.Auth"],
        AuthorizerPayloadFormatVersion="2.0",
    ),
    http(
        AUTHORIZERS,
        "create_authorizer",
        Name="a",
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Auth"],
    ),
    http(
        AUTHORIZERS,
        "create_authorizer",
        None,
        Name="a",
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Auth"],
        JwtConfiguration=JWT,
    ),
    # models
    websocket(MODELS, "create_model", Name="a", Schema="{not json"),
    websocket(MODELS, "create_model", Name="a", Schema="[]"),
    websocket(MODELS, "create_model", Name="a", Schema='{"type": "nonsense"}'),
    websocket(MODELS, "create_model", Name="", Schema="{}"),
    websocket(MODELS, "create_model", Name="a b", Schema="{}"),
    websocket(MODELS, "create_model", None, Name="a", Schema='{"type": "object"}'),
    http(MODELS, "create_model", Name="a", Schema="{}"),
    # stages
    websocket(STAGES, "create_stage", StageName="a b"),
    websocket(STAGES, "create_stage", StageName=""),
    # By analogy with HTTP APIs: public applications have such stages.
    websocket(STAGES, "create_stage", None, StageName="$default"),
    websocket(STAGES, "create_stage", "NotFound", StageName="s", DeploymentId="none"),
    websocket(VARIABLES, "create_stage", StageName="s", StageVariables={"a b": "c"}),
    websocket(VARIABLES, "create_stage", StageName="s", StageVariables={"a": "b c"}),
    websocket(STAGES, "create_stage", StageName="s", DefaultRouteSettings={"LoggingLevel": "LOUD"}),
    # By analogy: the model says 1,024, and public applications have formats of 1,100 deployed.
    http(STAGES, "create_stage", None, StageName="s", AccessLogSettings={"Format": LONG_FORMAT}),
    http(STAGES, "create_stage", None, StageName="$default"),
    websocket(ACCESS_LOGS, "create_stage", StageName="logged", AccessLogSettings={"Format": "a"}),
    http(
        ACCESS_LOGS,
        "create_stage",
        StageName="logged",
        AccessLogSettings={"Format": "$context.requestId\n$context.stage"},
    ),
    http(
        ACCESS_LOGS,
        "create_stage",
        StageName="logged",
        AccessLogSettings={
            "DestinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:/not/there",
            "Format": "$context.requestId",
        },
    ),
    websocket(
        ACCESS_LOGS,
        "create_stage",
        None,
        StageName="logged",
        AccessLogSettings={"Format": '{"id": "$context.requestId"}'},
    ),
    # lists
    websocket(ROUTES, "get_routes", MaxResults="none"),
    websocket(ROUTES, "get_routes", NextToken="nonsense"),
    # domain names
    Row(DOMAINS, "create_domain_name", "BadRequest", {"DomainName": "a b"}, ""),
    Row(DOMAINS, "get_domain_name", "NotFound", {"DomainName": "nowhere.example.org"}, ""),
    Row(DOMAINS, "get_api_mappings", "NotFound", {"DomainName": "nowhere.example.org"}, ""),
]


@dataclass(frozen=True)
class Place:
    """APIs of both protocols, with one route and one integration for rows to name."""

    client: Any
    apis: Mapping[str, str]
    ids: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture
def place(cloud: Cloud) -> Iterator[Place]:
    unchecked = Config(parameter_validation=False, retries={"max_attempts": 0})
    client = cloud.client("apigatewayv2", config=unchecked)
    apis = {
        "WEBSOCKET": client.create_api(Name="rules", **WEBSOCKET_API)["ApiId"],
        "HTTP": client.create_api(Name="rules", ProtocolType="HTTP")["ApiId"],
    }
    try:
        one = {"ApiId": apis["WEBSOCKET"]}
        route = client.create_route(**one, RouteKey="known")
        integration = client.create_integration(**one, IntegrationType="MOCK")
        ids = {"route": route["RouteId"], "integration": integration["IntegrationId"]}
        yield Place(client, apis, ids)
    finally:
        for api_id in apis.values():
            client.delete_api(ApiId=api_id)


def outcome(place: Place, row: Row) -> str | None:
    """The code of the refusal, or None. APIs that a row has made are deleted again."""
    request = {
        name: value.format(**place.ids) if name.endswith("Id") else value
        for name, value in row.request.items()
    }
    if row.protocol:
        request.setdefault("ApiId", place.apis[row.protocol])
    try:
        answer = getattr(place.client, row.operation)(**request)
    except ClientError as error:
        return str(error.response["Error"]["Code"]).removesuffix("Exception")
    if row.operation == "create_api":
        place.client.delete_api(ApiId=answer["ApiId"])
    return None


def test_what_aws_refuses(place: Place) -> None:
    wrong = [(row, found) for row in ROWS if (found := outcome(place, row)) != row.refused]
    assert wrong == []


def test_a_refused_change_changes_nothing(place: Place) -> None:
    one = {"ApiId": place.apis["WEBSOCKET"], "RouteId": place.ids["route"]}
    before = place.client.get_route(**one)
    with pytest.raises(ClientError):
        place.client.update_route(**one, OperationName="new", Target="integrations/none")
    after = place.client.get_route(**one)
    del before["ResponseMetadata"], after["ResponseMetadata"]
    assert after == before


def test_settings_are_merged_and_taken_away_by_name(place: Place) -> None:
    one = {"ApiId": place.apis["WEBSOCKET"], "StageName": "s"}
    settings = {"known": {"ThrottlingBurstLimit": 1}, "other": {"ThrottlingBurstLimit": 2}}
    place.client.create_route(ApiId=one["ApiId"], RouteKey="other")
    place.client.create_stage(**one, StageVariables={"a": "1"}, RouteSettings=settings)
    place.client.update_stage(**one, StageVariables={"a": "", "b": "2"})
    place.client.delete_route_settings(**one, RouteKey="other")
    found = place.client.get_stage(**one)
    assert found["StageVariables"] == {"b": "2"}
    assert list(found["RouteSettings"]) == ["known"]


def test_pages(place: Place) -> None:
    one = {"ApiId": place.apis["HTTP"]}
    keys = [f"GET /{number}" for number in range(5)]
    for key in keys:
        place.client.create_route(**one, RouteKey=key)
    pages = place.client.get_paginator("get_routes").paginate(
        **one, PaginationConfig={"PageSize": 2}
    )
    found = [[route["RouteKey"] for route in page["Items"]] for page in pages]
    assert found == [keys[:2], keys[2:4], keys[4:]]


DOCUMENT = {
    "openapi": "3.0.1",
    "info": {"title": "imported", "version": "2"},
    "tags": [
        {"name": "made:by", "x-amazon-apigateway-tag-value": "hand"},
        {"name": "empty"},
    ],
    "servers": [{"url": "/", "variables": {"basePath": {"default": "/v1"}}}],
    "x-amazon-apigateway-cors": {"allowOrigins": ["https://example.org"], "maxAge": 5},
    "components": {
        "securitySchemes": {
            "keeper": {
                "type": "oauth2",
                "x-amazon-apigateway-authorizer": {
                    "type": "jwt",
                    "identitySource": "$request.header.Authorization",
                    "jwtConfiguration": {"issuer": "https://example.org", "audience": ["me"]},
                },
            }
        },
        "x-amazon-apigateway-integrations": {
            "shared": {
                "type": "aws_proxy",
                "httpMethod": "POST",
                "payloadFormatVersion": "2.0",
                "uri": FUNCTION,
            }
        },
    },
    "paths": {
        "/things/{id}": {
            "get": {
                "operationId": "getThing",
                "security": [{"keeper": ["read"]}],
                "x-amazon-apigateway-integration": {
                    "$ref": "#/components/x-amazon-apigateway-integrations/shared"
                },
            }
        },
        "/$default": {
            "x-amazon-apigateway-any-method": {
                "x-amazon-apigateway-integration": {
                    "type": "http_proxy",
                    "httpMethod": "ANY",
                    "payloadFormatVersion": "1.0",
                    "uri": "https://example.org/",
                }
            }
        },
    },
}


def test_openapi_there_and_back(place: Place) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html"""
    client = place.client
    created = client.import_api(Body=json.dumps(DOCUMENT), Basepath="prepend")
    one = {"ApiId": created["ApiId"]}
    try:
        assert (created["Name"], created["Version"]) == ("imported", "2")
        assert created["CorsConfiguration"] == {
            "AllowOrigins": ["https://example.org"],
            "MaxAge": 5,
        }
        routes = {route["RouteKey"]: route for route in client.get_routes(**one)["Items"]}
        assert sorted(routes) == ["$default", "GET /v1/things/{id}"]
        thing = routes["GET /v1/things/{id}"]
        (authorizer,) = client.get_authorizers(**one)["Items"]
        assert (
            thing["AuthorizationType"],
            thing["AuthorizerId"],
            thing["AuthorizationScopes"],
        ) == (
            "JWT",
            authorizer["AuthorizerId"],
            ["read"],
        )
        integration_id = thing["Target"].removeprefix("integrations/")
        integration = client.get_integration(**one, IntegrationId=integration_id)
        assert integration["IntegrationType"] == "AWS_PROXY"
        exported = client.export_api(**one, Specification="OAS30", OutputType="JSON")
        document = json.loads(exported["body"].read())
        assert created["Tags"] == {"made:by": "hand", "empty": ""}
        assert [tag["name"] for tag in document["tags"]] == ["made:by", "empty"]
        again = client.reimport_api(**one, Body=json.dumps(document))
        assert again["ApiId"] == one["ApiId"]
        after = client.get_routes(**one)["Items"]
        assert sorted(route["RouteKey"] for route in after) == sorted(routes)
    finally:
        client.delete_api(**one)


def test_signed_routes_stay_signed_there_and_back(place: Place) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/
    api-gateway-swagger-extensions-authtype.html"""
    client, one = place.client, {"ApiId": place.apis["HTTP"]}
    client.create_route(**one, RouteKey="GET /signed", AuthorizationType="AWS_IAM")
    exported = client.export_api(**one, Specification="OAS30", OutputType="YAML")["body"].read()
    client.reimport_api(**one, Body=exported.decode())
    routes = {route["RouteKey"]: route for route in client.get_routes(**one)["Items"]}
    assert routes["GET /signed"]["AuthorizationType"] == "AWS_IAM"


@pytest.mark.parametrize("place_of", ["document", "server"])
def test_import_that_closes_the_name_of_the_api(place: Place, place_of: str) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/
    api-gateway-swagger-extensions-endpoint-configuration.html"""
    closed = {"x-amazon-apigateway-endpoint-configuration": {"disableExecuteApiEndpoint": True}}
    document = DOCUMENT | (closed if place_of == "document" else {"servers": [closed]})
    again = place.client.reimport_api(ApiId=place.apis["HTTP"], Body=json.dumps(document))
    assert again["DisableExecuteApiEndpoint"] is True


def test_import_of_json_with_tabs(place: Place) -> None:
    one = {"ApiId": place.apis["HTTP"]}
    again = place.client.reimport_api(**one, Body=json.dumps(DOCUMENT, indent="\t"))
    assert again["Name"] == "imported"


def test_a_refused_quick_create_leaves_no_api(place: Place) -> None:
    name = f"quick-{place.apis['HTTP']}"
    with pytest.raises(ClientError, match="BadRequest"):
        place.client.create_api(Name=name, ProtocolType="HTTP", Target="nowhere")
    assert name not in [api["Name"] for api in place.client.get_apis()["Items"]]


def test_a_refused_import_leaves_the_api_as_it_was(place: Place) -> None:
    one = {"ApiId": place.apis["HTTP"]}
    place.client.create_route(**one, RouteKey="GET /kept")
    broken = json.loads(json.dumps(DOCUMENT).replace('"aws_proxy"', '"bogus"'))
    for body in (json.dumps(broken), "swagger: '2.0'", "[]", "{"):
        with pytest.raises(ClientError):
            place.client.reimport_api(**one, Body=body)
    assert place.client.get_api(**one)["Name"] == "rules"
    keys = [route["RouteKey"] for route in place.client.get_routes(**one)["Items"]]
    assert keys == ["GET /kept"]


def test_domain_names_and_their_mappings(place: Place) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html"""
    client, name = place.client, f"{place.apis['HTTP']}.example.org"
    arn = f"arn:aws:apigateway:{REGION}::/domainnames/{name}"
    client.create_domain_name(DomainName=name, Tags={"a": "1"})
    try:
        mapped = {"DomainName": name, "ApiId": place.apis["HTTP"], "Stage": "$default"}
        mapping = client.create_api_mapping(**mapped, ApiMappingKey="v1")
        with pytest.raises(ClientError, match="Conflict"):
            client.create_api_mapping(**mapped, ApiMappingKey="v1")
        one = {"DomainName": name, "ApiMappingId": mapping["ApiMappingId"]}
        client.update_api_mapping(**one, ApiId=place.apis["HTTP"], ApiMappingKey="v2")
        assert client.get_api_mapping(**one)["ApiMappingKey"] == "v2"
        client.tag_resource(ResourceArn=arn, Tags={"b": "2"})
        client.untag_resource(ResourceArn=arn, TagKeys=["a"])
        assert client.get_domain_name(DomainName=name)["Tags"] == {"b": "2"}
        client.delete_api_mapping(**one)
    finally:
        client.delete_domain_name(DomainName=name)


@pytest.mark.parametrize(
    "fields",
    [
        {"MutualTlsAuthentication": {"TruststoreUri": "s3://bucket/trusted.pem"}},
        {"RoutingMode": "ROUTING_RULE_ONLY"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_domain_names_that_would_stay_open(place: Place, fields: dict[str, Any]) -> None:
    """Refused by name: GUIDE + http-api-mutual-tls.html and rest-api-routing-rules.html"""
    with pytest.raises(ClientError, match=next(iter(fields))) as refused:
        place.client.create_domain_name(DomainName="closed.example.org", **fields)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_vpc_links(place: Place) -> None:
    client = place.client
    link = client.create_vpc_link(Name="link", SubnetIds=["subnet-1"], Tags={"a": "1"})
    one = {"VpcLinkId": link["VpcLinkId"]}
    try:
        assert link["VpcLinkStatus"] == "AVAILABLE"
        assert client.update_vpc_link(**one, Name="other")["Name"] == "other"
    finally:
        client.delete_vpc_link(**one)
    with pytest.raises(ClientError, match="NotFound"):
        client.get_vpc_link(**one)


def test_operations_that_are_not_served_are_refused_by_name(place: Place) -> None:
    with pytest.raises(ClientError, match="ListPortals") as refused:
        place.client.list_portals()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
