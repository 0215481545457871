"""The apigatewayv2 API through boto3's own client."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .cloud import Cloud


@pytest.fixture
def api(cloud: Cloud) -> Any:
    return cloud.client("apigatewayv2")


@pytest.fixture
def api_id(api: Any) -> Iterator[str]:
    created = api.create_api(
        Name="one",
        ProtocolType="WEBSOCKET",
        RouteSelectionExpression="$request.body.action",
        Tags={"a": "1"},
    )
    yield created["ApiId"]
    api.delete_api(ApiId=created["ApiId"])


def refused(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    code: str = error.value.response["Error"]["Code"]
    return code


def test_api(cloud: Cloud, api: Any, api_id: str) -> None:
    found = api.get_api(ApiId=api_id)
    assert found["ProtocolType"] == "WEBSOCKET"
    assert found["ApiEndpoint"] == f"wss://{api_id}.execute-api.us-east-1.amazonaws.com"
    assert found["CreatedDate"]
    assert api_id in [item["ApiId"] for item in api.get_apis()["Items"]]
    elsewhere = cloud.client("apigatewayv2", region_name="eu-west-1")
    assert api_id not in [item["ApiId"] for item in elsewhere.get_apis()["Items"]]
    api.update_api(ApiId=api_id, Description="changed")
    found = api.get_api(ApiId=api_id)
    assert (found["Name"], found["Description"]) == ("one", "changed")


def test_quick_create(api: Any) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop.html"""
    created = api.create_api(Name="quick", ProtocolType="HTTP", Target="http://127.0.0.1:9/")
    one = {"ApiId": created["ApiId"]}
    try:
        assert created["ApiEndpoint"].startswith("https://")
        (route,) = api.get_routes(**one)["Items"]
        (integration,) = api.get_integrations(**one)["Items"]
        (stage,) = api.get_stages(**one)["Items"]
        assert (route["RouteKey"], route["ApiGatewayManaged"]) == ("$default", True)
        assert route["Target"] == f"integrations/{integration['IntegrationId']}"
        assert integration["IntegrationType"] == "HTTP_PROXY"
        assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)
    finally:
        api.delete_api(**one)


def test_tags(api: Any, api_id: str) -> None:
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api_id}"
    api.tag_resource(ResourceArn=arn, Tags={"b": "2"})
    api.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert api.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"}


def test_route_and_integration(api: Any, api_id: str) -> None:
    integration = api.create_integration(ApiId=api_id, IntegrationType="MOCK")
    target = f"integrations/{integration['IntegrationId']}"
    route = api.create_route(ApiId=api_id, RouteKey="$connect", Target=target)
    assert route["AuthorizationType"] == "NONE"
    assert route["ApiKeyRequired"] is False
    assert refused(api.create_route, ApiId=api_id, RouteKey="$connect") == "ConflictException"
    api.update_route(ApiId=api_id, RouteId=route["RouteId"], OperationName="open")
    found = api.get_route(ApiId=api_id, RouteId=route["RouteId"])
    assert (found["OperationName"], found["Target"]) == ("open", target)
    used = {"ApiId": api_id, "IntegrationId": integration["IntegrationId"]}
    assert refused(api.delete_integration, **used) == "ConflictException"
    api.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    api.delete_integration(**used)
    assert api.get_routes(ApiId=api_id)["Items"] == []
    assert refused(api.get_integration, **used) == "NotFoundException"


def test_authorizer(api: Any, api_id: str) -> None:
    authorizer = api.create_authorizer(
        ApiId=api_id,
        Name="keeper",
        AuthorizerType="REQUEST",
        AuthorizerUri="arn:x",
        IdentitySource=["route.request.querystring.token"],
    )
    one = {"ApiId": api_id, "AuthorizerId": authorizer["AuthorizerId"]}
    api.update_authorizer(**one, Name="other")
    assert api.get_authorizer(**one)["Name"] == "other"
    api.delete_authorizer(**one)
    assert api.get_authorizers(ApiId=api_id)["Items"] == []


def test_responses_go_with_their_route(api: Any, api_id: str) -> None:
    route_id = api.create_route(ApiId=api_id, RouteKey="r")["RouteId"]
    api.create_route_response(ApiId=api_id, RouteId=route_id, RouteResponseKey="$default")
    found = api.get_route_responses(ApiId=api_id, RouteId=route_id)["Items"]
    assert [item["RouteResponseKey"] for item in found] == ["$default"]
    api.delete_route(ApiId=api_id, RouteId=route_id)
    gone = {"ApiId": api_id, "RouteId": route_id}
    assert refused(api.get_route_responses, **gone) == "NotFoundException"


def test_deployment_and_stage(api: Any, api_id: str) -> None:
    assert refused(api.create_deployment, ApiId=api_id) == "BadRequestException"
    api.create_route(ApiId=api_id, RouteKey="$default")
    missing = {"ApiId": api_id, "StageName": "a", "DeploymentId": "nonesuch"}
    assert refused(api.create_stage, **missing) == "NotFoundException"
    first = api.create_deployment(ApiId=api_id, Description="first")
    assert first["DeploymentStatus"] == "DEPLOYED"
    api.create_stage(ApiId=api_id, StageName="a", DeploymentId=first["DeploymentId"])
    assert refused(api.create_stage, ApiId=api_id, StageName="a") == "ConflictException"
    second = api.create_deployment(ApiId=api_id, StageName="a")
    found = api.get_stage(ApiId=api_id, StageName="a")
    assert found["DeploymentId"] == second["DeploymentId"]
    assert (found["AutoDeploy"], found["StageVariables"]) == (False, {})
    used = {"ApiId": api_id, "DeploymentId": second["DeploymentId"]}
    assert refused(api.delete_deployment, **used) == "BadRequestException"
    api.update_stage(ApiId=api_id, StageName="a", AutoDeploy=True, StageVariables={"k": "v"})
    assert api.get_stage(ApiId=api_id, StageName="a")["StageVariables"] == {"k": "v"}
    api.delete_stage(ApiId=api_id, StageName="a")
    api.delete_deployment(**used)
    assert len(api.get_deployments(ApiId=api_id)["Items"]) == 1


def test_unknown_identifiers(api: Any, api_id: str) -> None:
    assert refused(api.get_api, ApiId="nonesuch") == "NotFoundException"
    assert refused(api.get_route, ApiId=api_id, RouteId="nonesuch") == "NotFoundException"
    assert refused(api.delete_stage, ApiId=api_id, StageName="nonesuch") == "NotFoundException"
