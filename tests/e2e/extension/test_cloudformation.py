"""Stacks: created, changed in place, replaced, deleted; and two applications of other people."""

import json
import uuid
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from .cloud import REGION, TEMPLATES, Cloud, message
from .code import bucket_with


def exists(cloud: Cloud, api_id: str) -> bool:
    apis = cloud.client("apigatewayv2").get_apis()["Items"]
    return api_id in [api["ApiId"] for api in apis]


def test_references_and_deletion(cloud: Cloud) -> None:
    with cloud.stack("playground") as stack:
        outputs, ids = stack.outputs, cloud.physical_ids(stack.name)
        api_id = outputs["ApiId"]
        assert ids["Api"] == api_id
        assert ids["Stage"] == outputs["StageName"] == "test"
        assert ids["EchoRoute"] == outputs["EchoRouteId"]
        assert ids["Integration"] == outputs["IntegrationId"]
        assert ids["Authorizer"] == outputs["AuthorizerId"]
        found = cloud.client("apigatewayv2").get_stage(ApiId=api_id, StageName="test")
        assert found["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 5000
        assert cloud.client("apigatewayv2").get_api(ApiId=api_id)["Tags"] == {"purpose": "test"}
    assert not exists(cloud, api_id)


def test_update_in_place_and_replacement(cloud: Cloud) -> None:
    api = cloud.client("apigatewayv2")
    template = (TEMPLATES / "playground.yaml").read_text()
    with cloud.stack("playground") as stack:
        api_id, before = stack.outputs["ApiId"], cloud.physical_ids(stack.name)
        with cloud.connect(api_id, "test", token="allow") as socket:
            cloud.update_stack(
                stack.name,
                template.replace("RouteKey: echo", "RouteKey: say"),
                ApiDescription="second",
            )
            assert cloud.physical_ids(stack.name) == before
            assert api.get_api(ApiId=api_id)["Description"] == "second"
            socket.send(message("say", n=1))  # the open connection gets the new route
            assert json.loads(socket.recv(timeout=30))["n"] == 1
        cloud.update_stack(stack.name, template, StageName="other")
        after = cloud.physical_ids(stack.name)  # LocalStack no longer lists what it replaced
        assert after | {"Stage": "test"} == before
        assert cloud.outputs(stack.name)["StageName"] == "other"
        assert [stage["StageName"] for stage in api.get_stages(ApiId=api_id)["Items"]] == ["other"]
        with cloud.connect(api_id, "other", token="allow"):
            pass


def test_resource_that_leaves_the_template_is_deleted(cloud: Cloud) -> None:
    template = (TEMPLATES / "playground.yaml").read_text()
    start = template.index("  FailRoute:")
    without = template[:start] + template[template.index("  Stage:\n", start) :]
    with cloud.stack("playground") as stack:
        cloud.update_stack(stack.name, without)
        routes = cloud.client("apigatewayv2").get_routes(ApiId=stack.outputs["ApiId"])["Items"]
        assert "fail" not in [route["RouteKey"] for route in routes]
        assert len(routes) == 7


def test_chat_with_rooms(cloud: Cloud) -> None:
    with cloud.stack("chat_rooms", ExecuteApiBaseUrl=inside_url(cloud)) as stack, ExitStack() as up:
        api_id = stack.outputs["ChatApiId"]
        people = [up.enter_context(cloud.connect(api_id, "live")) for _ in range(3)]
        for number, person in enumerate(people[:2], start=1):
            person.send(json.dumps({"do": "join", "room": "kitchen"}))
            assert received(person) == {"room": "kitchen", "event": "joined", "people": number}
        assert received(people[0])["people"] == 2
        people[2].send(json.dumps({"do": "join", "room": "hall"}))
        assert received(people[2])["people"] == 1
        people[1].send(json.dumps({"do": "say", "room": "kitchen", "text": "tea?"}))
        said = {"room": "kitchen", "event": "said", "text": "tea?"}
        assert received(people[0]) == received(people[1]) == said
        people[1].close()
        assert received(people[0]) == {"room": "kitchen", "event": "left", "people": 1}
        with pytest.raises(TimeoutError):
            people[2].recv(timeout=0.2)
    assert not exists(cloud, api_id)


def test_deployed_stage(cloud: Cloud) -> None:
    api = cloud.client("apigatewayv2")
    with cloud.stack("deployed_stage") as stack:
        api_id = stack.outputs["ApiId"]
        stage = api.get_stage(ApiId=api_id, StageName="v1")
        assert stage["DeploymentId"] == stack.outputs["DeploymentId"]
        (model,) = api.get_models(ApiId=api_id)["Items"]
        assert json.loads(model["Schema"]) == {"type": "object"}
        with cloud.connect(api_id, "v1") as socket:
            assert asked(socket, "hello") == "hello"
            # Of the same stack, and made at the same time on AWS, where functions take longer.
            assert asked(socket, "aside") == "aside"
            route = api.create_route(
                ApiId=api_id,
                RouteKey="later",
                RouteResponseSelectionExpression="$default",
                Target=f"integrations/{stack.outputs['IntegrationId']}",
            )
            assert json.loads(asked(socket, "later"))["message"] == "Forbidden"
            deployment = api.create_deployment(ApiId=api_id)["DeploymentId"]
            assert json.loads(asked(socket, "later"))["message"] == "Forbidden"
            api.update_stage(ApiId=api_id, StageName="v1", DeploymentId=deployment)
            assert asked(socket, "later") == "later"
            api.update_stage(
                ApiId=api_id, StageName="v1", DeploymentId=stack.outputs["DeploymentId"]
            )
            assert json.loads(asked(socket, "later"))["message"] == "Forbidden"
        api.delete_route(ApiId=api_id, RouteId=route["RouteId"])  # it holds the integration
    assert not exists(cloud, api_id)


def test_stage_without_a_deployment_serves_nothing(cloud: Cloud) -> None:
    api = cloud.client("apigatewayv2")
    api_id = api.create_api(
        Name="empty", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )["ApiId"]
    try:
        api.create_stage(ApiId=api_id, StageName="v1")
        with pytest.raises(InvalidStatus) as refused, cloud.connect(api_id, "v1"):
            pass
        assert refused.value.response.status_code == 403
    finally:
        api.delete_api(ApiId=api_id)


def test_failed_creation_can_be_deleted(cloud: Cloud) -> None:
    template = (TEMPLATES / "deployed_stage.yaml").read_text()
    broken = template.replace("DeploymentId: !Ref Deployment}", "DeploymentId: nonesuch}")
    cloudformation = cloud.client("cloudformation")
    name = "broken-deployed-stage"
    try:
        cloudformation.create_stack(
            StackName=name, TemplateBody=broken, Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        status = cloud.settled(name)
        assert status in ("ROLLBACK_COMPLETE", "CREATE_FAILED")  # LocalStack rolls nothing back
        assert f"{name}-deployed" in names_of_apis(cloud)
    finally:
        cloud.delete_stack(name)
    assert f"{name}-deployed" not in names_of_apis(cloud)


def names_of_apis(cloud: Cloud) -> set[str]:
    pages = cloud.client("apigatewayv2").get_paginator("get_apis").paginate()
    return {api["Name"] for page in pages for api in page["Items"]}


CHILD = "Resources: {Wall: {Type: 'AWS::WAFv2::WebACL', Properties: {Name: wall}}}"
PARENT = """
Resources:
  Topic: {Type: 'AWS::SNS::Topic'}
  Child: {Type: 'AWS::CloudFormation::Stack', DependsOn: Topic, Properties: {TemplateURL: AT}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: '2012-10-17', Statement: []}
      Description: !Sub 'of ${Child.Outputs.Name}'
  After: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: !GetAtt Role.Arn}}
"""


def test_stack_fails_with_the_one_nested_in_it(cloud: Cloud) -> None:
    """And what was made goes with it, whatever was not made.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html"""
    with bucket_with(cloud, {"child.yaml": CHILD.encode()}) as bucket:
        url = f"https://s3.{REGION}.amazonaws.com/{bucket}/child.yaml"
        reason = failure(cloud, PARENT.replace("AT", url, 1))
    assert reason.startswith("Child: Embedded stack ")
    assert reason.endswith("Wall: Resource type AWS::WAFv2::WebACL not supported")
    topics = cloud.client("sns").list_topics()["Topics"]
    assert not [topic for topic in topics if ":failing-" in topic["TopicArn"]]


def test_literals_in_a_change_set(cloud: Cloud) -> None:
    """``${!Literal}`` with a dot is no attribute, also where a change set is described.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-sub.html"""
    cloudformation = cloud.client("cloudformation")
    name = {"StackName": f"literals-{uuid.uuid4().hex[:8]}"}
    called = {"DisplayName": {"Fn::Sub": "${!context.connectionId} of ${AWS::Region}"}}
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": called}}}
    try:
        cloudformation.create_change_set(
            **name, ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=json.dumps(template)
        )
        described = cloudformation.describe_change_set(**name, ChangeSetName="first")
        assert described["Status"] == "CREATE_COMPLETE"
    finally:
        cloudformation.delete_stack(**name)


def test_every_type_is_made_changed_and_deleted(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ApiGatewayV2.html"""
    api = cloud.client("apigatewayv2")
    template = (TEMPLATES / "http_types.yaml").read_text()
    domain = f"{uuid.uuid4().hex[:8]}.example.org"
    with cloud.stack("http_types", DomainName=domain) as stack:
        one, before = {"ApiId": stack.outputs["ApiId"]}, cloud.physical_ids(stack.name)
        assert stack.outputs["RegionalDomainName"].startswith("d-")
        assert route_keys(api, one) == ["$default", "GET /orders/{id}"]
        (managed,) = api.get_stages(ApiId=stack.outputs["QuickApiId"])["Items"]
        assert managed["Description"] == "overridden"
        quick_api = stack.outputs["QuickApiId"]
        mapped = api.get_integration(ApiId=quick_api, IntegrationId=before["Mapped"])
        assert mapped["PayloadFormatVersion"] == "1.0"
        assert mapped["ResponseParameters"] == {"500": {"overwrite:statuscode": "403"}}
        changed = (
            template.replace("/orders/{id}", "/things/{id}")
            .replace("ApiMappingKey: v1", "ApiMappingKey: v2")
            .replace("Name: link", "Name: bond")
            .replace("Description: overridden", "Description: again")
            .replace("MaxAge: 5", "MaxAge: 6")
            .replace(", Description: it leaves", "")
        )
        cloud.update_stack(stack.name, changed, DomainName=domain)
        assert cloud.physical_ids(stack.name) == before
        assert route_keys(api, one) == ["$default", "GET /things/{id}"]
        (mapping,) = api.get_api_mappings(DomainName=domain)["Items"]
        assert (mapping["ApiMappingKey"], mapping["ApiMappingId"]) == ("v2", before["Mapping"])
        assert api.get_vpc_link(VpcLinkId=before["Link"])["Name"] == "bond"
        quick = api.get_api(ApiId=stack.outputs["QuickApiId"])
        assert quick["CorsConfiguration"]["MaxAge"] == 6
        assert "Description" not in quick
    assert not exists(cloud, stack.outputs["ApiId"])
    assert domain not in [found["DomainName"] for found in api.get_domain_names()["Items"]]


def route_keys(api: Any, one: dict[str, str]) -> list[str]:
    return sorted(route["RouteKey"] for route in api.get_routes(**one)["Items"])


def test_a_type_that_nobody_provides_fails_by_name(cloud: Cloud) -> None:
    template = "Resources: {Wall: {Type: 'AWS::WAFv2::WebACL', Properties: {Name: wall}}}"
    assert failure(cloud, template) == "Wall: Resource type AWS::WAFv2::WebACL not supported"


def test_websocket_api_of_sam(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-websocketapi.html"""
    route53 = cloud.client("route53")
    zone = route53.create_hosted_zone(Name="example.net", CallerReference=uuid.uuid4().hex)
    zone_id = zone["HostedZone"]["Id"].rpartition("/")[2]

    def aliases() -> list[str]:
        records = route53.list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
        return [record["Name"] for record in records if "AliasTarget" in record]

    with cloud.stack("sam_chat", HostedZone=zone_id) as stack:
        assert aliases() == ["chat.example.net."]
        one = {"ApiId": stack.outputs["ApiId"]}
        assert route_keys(cloud.client("apigatewayv2"), one) == ["$connect", "$default"]
        with cloud.connect(one["ApiId"], "dev"):
            pass
    assert aliases() == []
    route53.delete_hosted_zone(Id=zone_id)


def test_custom_resources(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html"""
    template = (TEMPLATES / "custom_resource.yaml").read_text()
    with cloud.stack("custom_resource", Word="ab") as stack:
        made = {"Id": "id-ab", "Twice": "abab", "Kind": "Create", "Loud": "AB"}
        assert stack.outputs == made
        cloud.update_stack(stack.name, template, Word="cd")
        changed = {"Id": "id-cd", "Twice": "cdcd", "Kind": "Updateab", "Loud": "CD"}
        assert cloud.outputs(stack.name) == changed
    missing = "arn:aws:lambda:us-east-1:000000000000:function:none"
    broken = f"Resources: {{It: {{Type: 'Custom::It', Properties: {{ServiceToken: '{missing}'}}}}}}"
    assert "Function not found" in failure(cloud, broken)


def failure(cloud: Cloud, template: str) -> str:
    """Why the first resource of a stack failed. The stack is deleted again."""
    cloudformation = cloud.client("cloudformation")
    name = f"failing-{uuid.uuid4().hex[:8]}"
    try:
        cloudformation.create_stack(StackName=name, TemplateBody=template)
        cloud.settled(name)
        reasons = [reason for reason in cloud.reasons(name) if not reason.endswith("None")]
        return next(reason for reason in reasons if not reason.startswith(name))
    finally:
        cloud.delete_stack(name)


def inside_url(cloud: Cloud) -> str:
    """Functions run beside the emulator: in a container its port is always 4566."""
    with cloud.stack("endpoint_of_functions") as stack:
        answer = cloud.client("lambda").invoke(FunctionName=stack.outputs["Function"])
        return f"{json.load(answer['Payload'])}/_aws/execute-api"


def received(socket: Any) -> Any:
    return json.loads(socket.recv(timeout=30))


def asked(socket: Any, action: str) -> str:
    socket.send(message(action))
    answer: str = socket.recv(timeout=30)
    return answer
