"""What a template names of this machine goes into a bucket, and everything else stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plldb.dev.template_package import (
    Adaptation,
    PackagedTemplate,
    Storage,
    package_template,
    render,
)
from plldb.errors import SourceError

STORAGE = Storage("bucket", "p/", lambda key: f"https://s3/bucket/{key}")


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "src").mkdir()
        (folder / "src" / "app.py").write_text("def handler(event, context): ...\n")

    def write(self, text: str, name: str = "template.yaml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def package(self, text: str, **options: Any) -> PackagedTemplate:
        return package_template(self.write(text), STORAGE, **options)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def properties(packaged: PackagedTemplate, name: str = "Fn") -> Any:
    return packaged.body["Resources"][name]["Properties"]


class TestCode:
    def test_of_sam(self, project: Project) -> None:
        packaged = project.package(
            "Transform: AWS::Serverless-2016-10-31\n"
            "Resources:\n"
            "  Fn: {Type: AWS::Serverless::Function, Properties: {CodeUri: src/}}\n"
            "  Layer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: src}}\n"
        )
        (key,) = {upload.key for upload in packaged.uploads}
        assert key.startswith("p/src-")
        assert properties(packaged)["CodeUri"] == f"s3://bucket/{key}"
        assert properties(packaged, "Layer")["ContentUri"] == f"s3://bucket/{key}"

    def test_of_cloudformation(self, project: Project) -> None:
        packaged = project.package(
            "Resources:\n"
            "  Fn: {Type: AWS::Lambda::Function, Properties: {Code: src}}\n"
            "  Layer: {Type: AWS::Lambda::LayerVersion, Properties: {Content: src}}\n"
        )
        key = packaged.uploads[0].key
        assert properties(packaged)["Code"] == {"S3Bucket": "bucket", "S3Key": key}
        assert properties(packaged, "Layer")["Content"] == {"S3Bucket": "bucket", "S3Key": key}

    @pytest.mark.parametrize("own", ["", "CodeUri: src"])
    def test_of_globals(self, project: Project, own: str) -> None:
        packaged = project.package(
            "Globals: {Function: {CodeUri: src, Runtime: python3.13}}\n"
            f"Resources: {{Fn: {{Type: AWS::Serverless::Function, Properties: {{{own}}}}}}}\n"
        )
        assert properties(packaged)["CodeUri"].startswith("s3://bucket/p/src-")
        assert packaged.body["Globals"] == {"Function": {"Runtime": "python3.13"}}

    @pytest.mark.parametrize(
        ("code", "name"),
        [
            ("!Sub ./src", "src"),
            ("!Sub '${Folder}'", "src"),
            ("!Ref Folder", "src"),
            ("!If [IsOther, other, !Ref Folder]", "src"),
            ("!If [IsOther, other, !Ref AWS::NoValue]", ""),
        ],
    )
    def test_what_is_computed_from_what_is_known(
        self, project: Project, code: str, name: str
    ) -> None:
        packaged = project.package(
            "Parameters: {Folder: {Type: String, Default: src}}\n"
            "Conditions: {IsOther: !Equals [!Ref Folder, other]}\n"
            "Resources: {Fn: {Type: AWS::Serverless::Function, "
            f"Properties: {{CodeUri: {code}}}}}}}"
        )
        name = name or project.folder.name
        assert properties(packaged)["CodeUri"].startswith(f"s3://bucket/p/{name}-")

    @pytest.mark.parametrize("code", ["!Ref Place", "!Sub 's3://${Place}/k'", "!GetAtt B.Name"])
    def test_what_only_cloudformation_knows_stays(self, project: Project, code: str) -> None:
        packaged = project.package(
            "Parameters: {Place: {Type: String, Default: 's3://b/k'}}\n"
            "Resources: {Fn: {Type: AWS::Serverless::Function, "
            f"Properties: {{CodeUri: {code}}}}}}}"
        )
        assert isinstance(properties(packaged)["CodeUri"], dict)
        assert packaged.uploads == ()

    def test_a_nested_template_knows_what_it_is_passed(self, project: Project) -> None:
        project.write(
            "Parameters: {Folder: {Type: String}}\n"
            "Resources: {Fn: {Type: AWS::Lambda::Function, Properties: {Code: !Ref Folder}}}\n",
            "inner.yaml",
        )
        packaged = project.package(
            "Resources: {Inner: {Type: AWS::CloudFormation::Stack, "
            "Properties: {TemplateURL: inner.yaml, Parameters: {Folder: src}}}}\n"
        )
        assert packaged.nested[0]["Resources"]["Fn"]["Properties"]["Code"]["S3Bucket"] == "bucket"

    @pytest.mark.parametrize("rest", ["", ", Properties: "])
    def test_none_is_the_templates_folder(self, project: Project, rest: str) -> None:
        packaged = project.package(f"Resources: {{Fn: {{Type: AWS::Serverless::Function{rest}}}}}")
        assert properties(packaged)["CodeUri"].startswith("s3://bucket/p/")

    @pytest.mark.parametrize(
        "code",
        [
            "InlineCode: 'x = 1'",
            "CodeUri: s3://elsewhere/code.zip",
            "CodeUri: {Bucket: elsewhere, Key: code.zip}",
            "CodeUri: !Sub 's3://${Bucket}/code.zip'",
            "PackageType: Image, ImageUri: 1.dkr.ecr.us-east-1.amazonaws.com/image",
        ],
    )
    def test_what_is_elsewhere_stays_there(self, project: Project, code: str) -> None:
        text = f"Resources: {{Fn: {{Type: AWS::Serverless::Function, Properties: {{{code}}}}}}}"
        packaged = project.package(text)
        assert packaged.uploads == ()

    def test_a_definition_comes_into_the_template(self, project: Project) -> None:
        project.write("openapi: 3.0.1\npaths: {/a: {get: {x: !Sub '${Fn.Arn}'}}}\n", "api.yaml")
        packaged = project.package(
            "Resources: {Api: {Type: AWS::Serverless::HttpApi, "
            "Properties: {DefinitionUri: api.yaml}}}"
        )
        operation = properties(packaged, "Api")["DefinitionBody"]["paths"]["/a"]["get"]
        assert operation == {"x": {"Fn::Sub": "${Fn.Arn}"}}

    @pytest.mark.parametrize(
        ("resource", "named"),
        [
            ("{Type: AWS::Serverless::Function, Properties: {CodeUri: scr}}", "scr"),
            ("{Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: no.yaml}}", "no.yaml"),
        ],
    )
    def test_what_is_not_there_is_named(self, project: Project, resource: str, named: str) -> None:
        with pytest.raises(SourceError) as raised:
            project.package(f"Resources: {{Thing: {resource}}}")
        assert "Thing's" in raised.value.message
        assert str(project.folder / named) in raised.value.message

    def test_an_image_that_is_not_built_is_refused(self, project: Project) -> None:
        with pytest.raises(SourceError, match="Fn is a container image"):
            project.package(
                "Resources: {Fn: {Type: AWS::Serverless::Function, "
                "Properties: {PackageType: Image}}}"
            )

    @pytest.mark.parametrize(
        ("requirements", "is_said"), [("requests\n", True), ("# none\n-r x\n\n", False)]
    )
    def test_packages_that_are_not_installed_are_said(
        self, project: Project, requirements: str, is_said: bool
    ) -> None:
        project.write(requirements, "src/requirements.txt")
        packaged = project.package(
            "Resources: {Fn: {Type: AWS::Serverless::Function, Properties: {CodeUri: src}}}"
        )
        assert any("--build" in one for one in packaged.remarks) == is_said

    def test_nothing_is_said_of_what_was_built(self, project: Project) -> None:
        project.write("requests\n", ".aws-sam/build/Fn/requirements.txt")
        text = (
            "Resources: {Fn: {Type: AWS::Serverless::Function, Properties: {CodeUri: Fn}, "
            "Metadata: {BuildMethod: makefile}}}"
        )
        path = project.write(text, ".aws-sam/build/template.yaml")
        assert package_template(path, STORAGE).remarks == ()


class TestNested:
    def test_templates_are_uploaded_with_their_code(self, project: Project) -> None:
        project.write(
            "Resources: {Fn: {Type: AWS::Lambda::Function, Properties: {Code: ../src}}}",
            "child/template.yaml",
        )
        packaged = project.package(
            "Resources: {Child: {Type: AWS::CloudFormation::Stack, "
            "Properties: {TemplateURL: child/template.yaml}}}"
        )
        code, template = packaged.uploads
        assert properties(packaged, "Child")["TemplateURL"] == f"https://s3/bucket/{template.key}"
        body = json.loads(template.make().body)
        assert body["Resources"]["Fn"]["Properties"]["Code"]["S3Key"] == code.key

    def test_one_in_itself_is_refused(self, project: Project) -> None:
        with pytest.raises(SourceError, match="nested in itself"):
            project.package(
                "Resources: {Me: {Type: AWS::CloudFormation::Stack, "
                "Properties: {TemplateURL: template.yaml}}}"
            )

    def test_each_one_is_adapted_and_the_remarks_name_the_path(self, project: Project) -> None:
        project.write("Resources: {Fn: {Type: AWS::SNS::Topic}}", "child.yaml")
        adaptation = Adaptation(
            lambda body: [f"{name}: seen" for name in body["Resources"]],
            lambda body: body | {"Description": "finished"},
        )
        packaged = project.package(
            "Resources: {Child: {Type: AWS::CloudFormation::Stack, "
            "Properties: {TemplateURL: child.yaml}}}",
            adaptation=adaptation,
        )
        assert packaged.remarks == ("Child: seen", "Child/Fn: seen")
        assert "Description" not in packaged.body
        assert packaged.nested[0]["Description"] == "finished"


class TestCapabilities:
    @pytest.mark.parametrize(
        ("text", "asked"),
        [
            ("Resources: {T: {Type: AWS::SNS::Topic}}", []),
            ("Resources: {R: {Type: AWS::IAM::Role, Properties: {}}}", ["CAPABILITY_IAM"]),
            (
                "Resources: {R: {Type: AWS::IAM::Role, Properties: {RoleName: r}}}",
                ["CAPABILITY_NAMED_IAM"],
            ),
            (
                "Transform: AWS::Serverless-2016-10-31\n"
                "Resources: {A: {Type: AWS::Serverless::Api, Properties: {StageName: x}}}",
                ["CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM"],
            ),
            (
                "Resources: {T: {Type: AWS::SNS::Topic, "
                "Properties: {Fn::Transform: {Name: Mine}}}}",
                ["CAPABILITY_AUTO_EXPAND"],
            ),
            (
                "Resources: {S: {Type: AWS::CloudFormation::Stack, "
                "Properties: {TemplateURL: 'https://x'}}}",
                ["CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            ),
        ],
    )
    def test_are_what_the_template_asks_for(
        self, project: Project, text: str, asked: list[str]
    ) -> None:
        assert [*project.package(text).capabilities] == asked


def test_dates_are_texts(project: Project) -> None:
    packaged = project.package(
        "AWSTemplateFormatVersion: 2010-09-09\n"
        "Resources: {T: {Type: AWS::SNS::Topic, Metadata: {Version: 2012-10-17}}}"
    )
    body = json.loads(render(packaged.body))
    assert body["AWSTemplateFormatVersion"] == "2010-09-09"
    assert body["Resources"]["T"]["Metadata"]["Version"] == "2012-10-17"


class TestLoopsAndIncludes:
    """As ``aws cloudformation package`` takes them: CloudFormation can't read this machine."""

    def test_each_turn_of_a_loop_has_code_of_its_own(self, project: Project) -> None:
        (project.folder / "a").mkdir()
        (project.folder / "a" / "app.py").write_text("a = 1\n")
        packaged = project.package(
            "Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]\n"
            "Resources:\n"
            "  Fn::ForEach::Names:\n"
            "    - Name\n"
            "    - [a, src]\n"
            "    - ${Name}Fn:\n"
            "        Type: AWS::Serverless::Function\n"
            "        Properties: {CodeUri: '${Name}/'}\n"
            "  Fn::ForEach::Queues: [Q, [x, y], {'${Q}': {Type: AWS::SQS::Queue}}]\n"
        )
        for name in ("a", "src"):
            code = properties(packaged, f"{name}Fn")["CodeUri"]
            assert code.startswith(f"s3://bucket/p/{name}-")
        assert packaged.body["Resources"].keys() == {"aFn", "srcFn", "Fn::ForEach::Queues"}
        assert "CAPABILITY_IAM" in packaged.capabilities

    @pytest.mark.parametrize("code", ["'${Name}/'", "!Sub '${Name}/'", "!Ref Name"])
    @pytest.mark.parametrize("parameters", [{"Names": "src, a"}, {}])
    def test_a_loop_over_what_a_parameter_says(
        self, project: Project, code: str, parameters: dict[str, str]
    ) -> None:
        project.write("a = 1\n", "a/app.py")
        project.write("b = 1\n", "b/app.py")
        packaged = project.package(
            "Parameters: {Names: {Type: CommaDelimitedList, Default: 'a,b'}}\n"
            "Resources:\n"
            "  Fn::ForEach::Names:\n"
            "    - Name\n"
            "    - !Ref Names\n"
            f"    - ${{Name}}: {{Type: AWS::Lambda::Function, Properties: {{Code: {code}}}}}\n",
            parameters=parameters,
        )
        names = ("src", "a") if parameters else ("a", "b")
        assert tuple(packaged.body["Resources"]) == names
        for name in names:
            assert properties(packaged, name)["Code"]["S3Key"].startswith(f"p/{name}-")

    def test_a_loop_over_what_a_parameter_says_may_name_one_folder(self, project: Project) -> None:
        packaged = project.package(
            "Resources:\n"
            "  Fn::ForEach::Outer:\n"
            "    - A\n"
            "    - [x]\n"
            "    - Fn::ForEach::Inner:\n"
            "        - B\n"
            "        - !Ref Names\n"
            "        - ${A}${B}: {Type: AWS::Lambda::Function, Properties: {Code: src}}\n"
        )
        (_, _, outer) = packaged.body["Resources"]["Fn::ForEach::Outer"]
        (_, _, inner) = outer["Fn::ForEach::Inner"]
        assert inner["${A}${B}"]["Properties"]["Code"]["S3Bucket"] == "bucket"

    def test_what_is_included_is_put_in(self, project: Project) -> None:
        project.write("openapi: 3.0.1\npaths: {/x: {get: {a: !Sub '${Fn}'}}}\n", "api.yaml")
        project.write("Resources: {Q: {Type: AWS::SQS::Queue}}\n", "more.yaml")
        packaged = project.package(
            "Transform:\n"
            "  - AWS::Serverless-2016-10-31\n"
            "  - {Name: AWS::Include, Parameters: {Location: more.yaml}}\n"
            "Resources:\n"
            "  Api:\n"
            "    Type: AWS::Serverless::Api\n"
            "    Properties:\n"
            "      DefinitionBody:\n"
            "        Fn::Transform: {Name: AWS::Include, Parameters: {Location: ./api.yaml}}\n"
            "  There:\n"
            "    Type: AWS::Serverless::Api\n"
            "    Properties:\n"
            "      DefinitionBody:\n"
            "        Fn::Transform: {Name: AWS::Include, Parameters: {Location: s3://b/k}}\n"
        )
        body = properties(packaged, "Api")["DefinitionBody"]
        assert body == {"openapi": "3.0.1", "paths": {"/x": {"get": {"a": {"Fn::Sub": "${Fn}"}}}}}
        assert "Fn::Transform" in properties(packaged, "There")["DefinitionBody"]
        assert packaged.body["Resources"]["Q"] == {"Type": "AWS::SQS::Queue"}
        assert packaged.body["Transform"] == ["AWS::Serverless-2016-10-31"]
        # What is watched by plldb dev.
        assert {path.name for path in packaged.files} == {"template.yaml", "api.yaml", "more.yaml"}

    def test_an_included_file_that_is_not_there(self, project: Project) -> None:
        with pytest.raises(SourceError, match=r"Location names .*/gone\.yaml, which is not there"):
            project.package(
                "Resources: {Fn::Transform: "
                "{Name: AWS::Include, Parameters: {Location: gone.yaml}}}\n"
            )


def test_what_appsync_and_glue_name(project: Project) -> None:
    for name in ("a.js", "schema.graphql", "job.py"):
        project.write("x", name)
    packaged = project.package(
        "Resources:\n"
        "  R: {Type: AWS::AppSync::Resolver, Properties: {CodeS3Location: a.js}}\n"
        "  Job: {Type: AWS::Glue::Job, Properties: {Command: {ScriptLocation: job.py}}}\n"
        "  Api:\n"
        "    Type: AWS::Serverless::GraphQLApi\n"
        "    Properties: {SchemaUri: schema.graphql, Functions: {f: {CodeUri: a.js}}}\n"
    )
    found = (
        properties(packaged, "R")["CodeS3Location"],
        properties(packaged, "Job")["Command"]["ScriptLocation"],
        properties(packaged, "Api")["SchemaUri"],
        properties(packaged, "Api")["Functions"]["f"]["CodeUri"],
    )
    assert all(one.startswith("s3://bucket/p/") for one in found)


def test_files_are_those_whose_edits_are_to_be_deployed(project: Project) -> None:
    """Code is none of them: it is run here as it is edited."""
    names = ("schema.graphql", "job.py", "flow.asl.json", "api.json", "resolver.vtl")
    for name in names:
        project.write("{}", name)
    project.write("openapi: 3.0.1\n", "openapi.yaml")
    project.write("x = 1\n", "code.py")
    packaged = project.package("""
Resources:
  Fn: {Type: AWS::Serverless::Function, Properties: {CodeUri: code.py}}
  Http: {Type: AWS::Serverless::HttpApi, Properties: {DefinitionUri: openapi.yaml}}
  Rest: {Type: AWS::ApiGateway::RestApi, Properties: {BodyS3Location: api.json}}
  Flow: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: flow.asl.json}}
  Job: {Type: AWS::Glue::Job, Properties: {Command: {ScriptLocation: job.py}}}
  Schema:
    Type: AWS::AppSync::GraphQLSchema
    Properties: {DefinitionS3Location: schema.graphql}
  Resolver:
    Type: AWS::AppSync::Resolver
    Properties: {RequestMappingTemplateS3Location: resolver.vtl}
""")
    assert {path.name for path in packaged.files} == {"template.yaml", "openapi.yaml", *names}
