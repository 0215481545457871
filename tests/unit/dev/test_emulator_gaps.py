"""What MiniStack does not do of a template is done in another way, and said."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import pytest

from plldb.dev.emulator_gaps import fill_gaps_of_ministack, name_functions_that_fail
from plldb.templates import parse_template

# Of these tests. The emulator says itself what it does not know.
UNKNOWN = {
    "AWS::ApiGatewayV2::Deployment",
    "AWS::ApiGatewayV2::RouteResponse",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
}


def fill(body: dict[str, Any]) -> list[str]:
    return fill_gaps_of_ministack(body, UNKNOWN.intersection)


def filled(text: str) -> tuple[dict[str, Any], list[str]]:
    body = parse_template(text)
    remarks = fill(body)
    return body["Resources"], remarks


def function(*events: str) -> str:
    lines = "".join(f"        {event}\n" for event in events)
    return (
        "Resources:\n  Fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Events:\n"
        + lines
    )


def routes(resources: dict[str, Any]) -> list[tuple[Any, str, Any]]:
    """API, key and function of each route."""
    found = []
    for resource in resources.values():
        if resource["Type"] == "AWS::ApiGatewayV2::Route":
            target = resource["Properties"]["Target"]["Fn::Join"][1][1]["Ref"]
            uri = resources[target]["Properties"]["IntegrationUri"]
            found.append((resource["Properties"]["ApiId"], resource["Properties"]["RouteKey"], uri))
    return found


IMPLICIT = {"Ref": "ServerlessHttpApi"}
FN = {"Fn::GetAtt": ["Fn", "Arn"]}


class TestFunctionsOfLocalStack:
    """The extension tells which families of runtimes it runs."""

    BODY: ClassVar = parse_template(
        "Globals: {Function: {Runtime: nodejs22.x}}\n"
        "Resources:\n"
        "  Web: {Type: AWS::Serverless::Function}\n"
        "  Own: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.13}}\n"
        "  Jar: {Type: AWS::Lambda::Function, Properties: {Runtime: java21}}\n"
        "  Box: {Type: AWS::Lambda::Function, Properties: {PackageType: Image}}\n"
        "  Ref: {Type: AWS::Lambda::Function, Properties: {Runtime: !Ref Any}}\n"
        "  Queue: {Type: AWS::SQS::Queue}\n"
    )

    def test_those_that_fail_are_named(self) -> None:
        assert name_functions_that_fail(self.BODY, ["python"]) == [
            "Web: nodejs22.x does not run there: calls fail; "
            "an image built WITH_NODE=1 has it (docs/emulators.md)",
            "Jar: java21 does not run there: calls fail",
            "Box: container images do not run there: calls fail",
        ]

    def test_node_runs_where_the_image_has_it(self) -> None:
        named = name_functions_that_fail(self.BODY, ["nodejs", "python"])
        assert [one.partition(":")[0] for one in named] == ["Jar", "Box"]


class TestHttpApis:
    def test_each_event_is_a_route(self) -> None:
        resources, remarks = filled(
            function(
                "One: {Type: HttpApi, Properties: {Path: /a, Method: get}}",
                "Two: {Type: HttpApi, Properties: {Path: '/b/{id}', Method: ANY, ApiId: !Ref Own}}",
                "All: {Type: HttpApi}",
            )
        )
        assert routes(resources) == [
            (IMPLICIT, "GET /a", FN),
            ({"Ref": "Own"}, "ANY /b/{id}", FN),
            (IMPLICIT, "$default", FN),
        ]
        assert remarks == [
            "Fn: made beside the API's document, as routes: GET /a, ANY /b/{id}, $default"
        ]

    def test_an_authorizer_is_told_of(self) -> None:
        event = "One: {Type: HttpApi, Properties: {Path: /a, Method: get, Auth: {Authorizer: J}}}"
        assert "Fn: the authorizer of GET /a is not asked" in filled(function(event))[1]

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("AWS::Serverless::HttpApi", "DefinitionBody"), ("AWS::ApiGatewayV2::Api", "Body")],
    )
    def test_each_operation_of_a_document_is_a_route(self, kind: str, name: str) -> None:
        uri = "arn:aws:apigateway:r:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations"
        resources, remarks = filled(
            f"Resources: {{Api: {{Type: '{kind}', Properties: {{{name}: {{paths: {{"
            f"/a: {{get: {{x-amazon-apigateway-integration: {{uri: !Sub '{uri}'}}}}}}, "
            f"/b: {{x-amazon-apigateway-any-method: "
            "{x-amazon-apigateway-integration: {uri: !GetAtt Fn.Arn}}}, "
            "/c: {get: {x-amazon-apigateway-integration: {uri: 'https://x'}}, parameters: []}"
            "}}}}}"
        )
        assert routes(resources) == [({"Ref": "Api"}, "GET /a", FN), ({"Ref": "Api"}, "ANY /b", FN)]
        assert any("GET /c has no function" in one for one in remarks)


class TestRestApis:
    def test_any_is_spelled_out_by_method(self) -> None:
        resources, remarks = filled(
            function("One: {Type: Api, Properties: {Path: /a, Method: any, Auth: {A: b}}}")
        )
        events = resources["Fn"]["Properties"]["Events"]
        assert {event["Properties"]["Method"] for event in events.values()} == {
            *("get", "put", "post", "delete", "options", "head", "patch")
        }
        assert all(one["Properties"]["Auth"] == {"A": "b"} for one in events.values())
        assert remarks == ["Fn: ANY /a is spelled out by method"]

    def test_also_in_a_document_and_what_is_there_wins(self) -> None:
        resources, _ = filled(
            "Resources: {Api: {Type: AWS::ApiGateway::RestApi, Properties: {Body: {paths: "
            "{/a: {x-amazon-apigateway-any-method: {n: any}, get: {n: get}}}}}}}"
        )
        item = resources["Api"]["Properties"]["Body"]["paths"]["/a"]
        assert item["get"] == {"n": "get"}
        assert item["post"] == {"n": "any"}


def test_a_nested_application_is_a_nested_stack() -> None:
    resources, remarks = filled(
        "Resources: {App: {Type: AWS::Serverless::Application, DependsOn: X, Properties: "
        "{Location: app.yaml, Parameters: {A: b}, Tags: {k: v}}}}"
    )
    assert resources["App"] == {
        "Type": "AWS::CloudFormation::Stack",
        "DependsOn": "X",
        "Properties": {
            "TemplateURL": "app.yaml",
            "Parameters": {"A": "b"},
            "Tags": [{"Key": "k", "Value": "v"}],
        },
    }
    assert len(remarks) == 1


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ("{Type: AWS::Serverless::Function, Properties: {PackageType: Image}}", "is not built"),
        ("{Type: AWS::CodeDeploy::Application}", "MiniStack has no AWS::CodeDeploy::Application"),
        ("{Type: AWS::ApiGatewayV2::RouteResponse}", "--emulator localstack has it"),
        (
            "{Type: AWS::ApiGatewayV2::Integration, Properties: {IntegrationType: AWS, "
            "IntegrationUri: !Sub 'arn:aws:apigateway:${AWS::Region}:sqs:action/SendMessage'}}",
            "no integrations of type AWS: --emulator localstack",
        ),
        (
            "{Type: AWS::ApiGatewayV2::Integration, Properties: {IntegrationType: HTTP}}",
            "no integrations of type HTTP",
        ),
        (
            "{Type: AWS::ApiGatewayV2::Integration, Properties: {IntegrationType: MOCK, "
            "RequestTemplates: {a: b}}}",
            "mapping templates",
        ),
        (
            "{Type: AWS::Serverless::Application, Properties: {Location: {ApplicationId: a}}}",
            "Repository",
        ),
        (
            "{Type: AWS::DynamoDB::Table, Properties: {TimeToLiveSpecification: {Enabled: true}}}",
            "time to live",
        ),
    ],
)
def test_what_can_not_be_had_is_named(resource: str, said: str) -> None:
    (remark,) = filled(f"Resources: {{Thing: {resource}}}")[1]
    assert remark.startswith("Thing: ")
    assert said in remark


@pytest.mark.parametrize(
    "text",
    [
        function("Q: {Type: SQS, Properties: {Queue: q}}", "A: {Type: Api}"),
        "Resources: {Fn: {Type: AWS::Serverless::Function}}",
        "Resources: {I: {Type: AWS::ApiGatewayV2::Integration, Properties: {IntegrationType: AWS, "
        "IntegrationUri: !Sub 'arn:x:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations'}}}",
        "Resources: {Fn: {Type: AWS::Serverless::Function, Properties: []}, X: 7, Y: {}}",
        "Resources: {A: {Type: AWS::Serverless::HttpApi, Properties: {DefinitionBody: 7}}}",
        "Resources: {A: {Type: AWS::ApiGateway::RestApi, Properties: {Body: {paths: {/a: 1}}}}}",
    ],
)
def test_nothing_else_is_changed(text: str) -> None:
    body = parse_template(text)
    before = copy.deepcopy(body)
    assert fill(body) == []
    assert body == before


def test_what_is_left_out_leaves_the_rest_whole() -> None:
    resources, _ = filled(
        "Resources:\n"
        "  App: {Type: AWS::CodeDeploy::Application, Condition: Is, Properties: {A: b}}\n"
        "  Other: {Type: AWS::SQS::Queue, DependsOn: App, Properties: {\n"
        "    A: !Ref App, B: !GetAtt App.Name, C: !Sub '${App}-${App.Name}-${Apple.Name}',\n"
        "    D: !Sub ['${App.Name}', {App: 1}], E: '${App.Name}'}}\n"
    )
    assert resources == {
        "App": {"Type": "AWS::CloudFormation::WaitConditionHandle", "Condition": "Is"},
        "Other": {
            "Type": "AWS::SQS::Queue",
            "DependsOn": "App",
            "Properties": {
                "A": {"Ref": "App"},
                "B": "App.Name",
                "C": {"Fn::Sub": "${App}-App.Name-${Apple.Name}"},
                "D": {"Fn::Sub": ["App.Name", {"App": 1}]},
                "E": "${App.Name}",
            },
        },
    }


def test_a_gradual_deployment_is_one_at_once() -> None:
    body = parse_template(
        "Globals: {Function: {DeploymentPreference: {Type: AllAtOnce}, Timeout: 3}}\n"
        "Resources:\n"
        "  Fn: {Type: AWS::Serverless::Function, Properties: {AutoPublishAlias: live, "
        "DeploymentPreference: {Type: Canary10Percent5Minutes}}}\n"
    )
    assert [one.partition(":")[0] for one in fill(body)] == ["Globals", "Fn"]
    assert body["Globals"] == {"Function": {"Timeout": 3}}
    assert body["Resources"]["Fn"]["Properties"] == {"AutoPublishAlias": "live"}


def test_stages_with_a_deployment_deploy_themselves() -> None:
    resources, remarks = filled(
        "Resources:\n"
        "  Now: {Type: AWS::ApiGatewayV2::Deployment, DependsOn: [Route], Properties: {ApiId: a}}\n"
        "  Stage:\n    Type: AWS::ApiGatewayV2::Stage\n    DependsOn: Now\n"
        "    Properties: {ApiId: a, StageName: dev, DeploymentId: !Ref Now}\n"
        "  Other: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: b, DeploymentId: x}}\n"
    )
    assert resources["Stage"]["Properties"] == {
        "ApiId": "a",
        "StageName": "dev",
        "AutoDeploy": True,
    }
    assert resources["Other"]["Properties"] == {"ApiId": "b", "DeploymentId": "x"}
    assert "Properties" not in resources["Now"]
    assert remarks == ["Now: left out: the API's stages are deployed by themselves"]


class TestCustomResources:
    """MiniStack runs Node's functions, which most providers of the CDK are, with a part of the SDK
    alone, and waits for the answers of those that need more. It has no ``/opt``.
    """

    NODE = "{Type: AWS::Lambda::Function, Properties: {Runtime: nodejs22.x}}"
    BY_REGION = (
        "{Type: AWS::Lambda::Function, Properties: "
        "{Runtime: !FindInMap [LatestNodeRuntimeMap, !Ref AWS::Region, value]}}"
    )
    PYTHON = "{Type: AWS::Lambda::Function, Properties: {Runtime: python3.13}}"

    @pytest.mark.parametrize(
        "kind",
        ["Custom::LogRetention", "Custom::S3AutoDeleteObjects", "Custom::VpcRestrictDefaultSG"],
    )
    def test_what_can_be_done_without_is_left_out(self, kind: str) -> None:
        resources, remarks = filled(
            f"Resources:\n  Fn: {self.NODE}\n"
            f"  One: {{Type: '{kind}', DependsOn: Fn, "
            "Properties: {ServiceToken: !GetAtt Fn.Arn}}\n"
            "  After: {Type: AWS::SQS::Queue, DependsOn: One}\n"
        )
        assert resources["One"] == {
            "Type": "AWS::CloudFormation::WaitConditionHandle",
            "DependsOn": "Fn",
        }
        assert [one.partition(": left out: ")[0] for one in remarks] == ["One"]

    def test_its_attributes_follow_from_its_properties(self) -> None:
        body = parse_template(
            "Resources:\n"
            "  Logs:\n    Type: Custom::LogRetention\n"
            "    Properties: {LogGroupName: !Join ['', [/aws/lambda/, !Ref Fn]]}\n"
            "  Fn: {Type: AWS::Lambda::Function}\n"
            "  Filter:\n    Type: AWS::Logs::MetricFilter\n"
            "    Properties: {LogGroupName: !GetAtt Logs.LogGroupName}\n"
            "  Site:\n    Type: Custom::CDKBucketDeployment\n"
            "    Properties: {DestinationBucketName: !Ref Bucket}\n"
            "Outputs:\n"
            "  Group: {Value: {'Fn::GetAtt': [Logs, LogGroupName]}}\n"
            "  Bucket: {Value: !GetAtt Site.DestinationBucketArn}\n"
        )
        fill(body)
        name = {"Fn::Join": ["", ["/aws/lambda/", {"Ref": "Fn"}]]}
        assert body["Resources"]["Filter"]["Properties"]["LogGroupName"] == name
        arn = {"Fn::Join": ["", ["arn:aws:s3:::", {"Ref": "Bucket"}]]}
        assert body["Outputs"] == {"Group": {"Value": name}, "Bucket": {"Value": arn}}

    @pytest.mark.parametrize("provider", [NODE, BY_REGION])
    def test_nobody_waits_an_hour_for_one_of_node(self, provider: str) -> None:
        resources, remarks = filled(
            f"Resources:\n  Fn: {provider}\n"
            "  One: {Type: Custom::AWS, Properties: {ServiceToken: !GetAtt Fn.Arn}}\n"
            "  Own: {Type: AWS::CloudFormation::CustomResource, "
            "Properties: {ServiceToken: !GetAtt Fn.Arn, ServiceTimeout: 300}}\n"
        )
        assert resources["One"]["Properties"]["ServiceTimeout"] == 60
        assert resources["Own"]["Properties"]["ServiceTimeout"] == 300
        assert [one.partition(": Fn answers for it")[0] for one in remarks] == ["One", "Own"]

    @pytest.mark.parametrize("token", ["!GetAtt Fn.Arn", "!Ref Topic", "'arn:aws:lambda:…'"])
    def test_all_others_are_left_as_they_are(self, token: str) -> None:
        text = (
            f"Resources:\n  Fn: {self.PYTHON}\n"
            f"  One: {{Type: Custom::Own, Properties: {{ServiceToken: {token}}}}}\n"
        )
        assert filled(text) == (parse_template(text)["Resources"], [])
