"""Where a template says that the code is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plldb.debugger.sources.choice import Sources, find_sources
from plldb.debugger.sources.code_options import parse_code_options
from plldb.debugger.sources.project import CodeSource
from plldb.errors import SourceError, UsageError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("src/one", "src/two", "shared"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def found(folder: Path, text: str, name: str = "template.yaml") -> Sources:
    (folder / name).write_text(text, encoding="utf-8")
    return find_sources(folder)


def source(at: Path, handler: str | None = None, runtime: str | None = None) -> CodeSource:
    return CodeSource(at, handler, runtime)


class TestSam:
    TEXT = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    CodeUri: shared/
    Handler: app.handler
    Runtime: python3.12
    Environment: { Variables: { TABLE: !Ref Table } }
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ./src/one
      Handler: one.main
      Events:
        Api: { Type: Api, Properties: { Path: !Sub "/${Stage}", Method: get } }
  Two:
    Type: AWS::Serverless::Function
  Node:
    Type: AWS::Serverless::Function
    Properties: { Runtime: nodejs20.x }
  Image:
    Type: AWS::Serverless::Function
    Properties: { PackageType: Image, ImageUri: !GetAtt Repository.RepositoryUri }
  Inline:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: "def handler(e, c): pass" }
  Uploaded:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: s3://bucket/key }
  Elsewhere:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: { Bucket: b, Key: k } }
  Computed:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: !Sub "src/${Name}", Handler: !Ref Handler }
  Missing:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: src/three }
  Archive:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: code.zip }
  Table:
    Type: AWS::Serverless::SimpleTable
"""

    def test_folders_and_globals(self, project: Path) -> None:
        assert found(project, self.TEXT).found == {
            "One": source(project / "src/one", "one.main", "python3.12"),
            "Two": source(project / "shared", "app.handler", "python3.12"),
        }

    def test_what_has_no_folder_has_a_reason(self, project: Path) -> None:
        (project / "code.zip").write_bytes(b"")
        assert found(project, self.TEXT).missing == {
            "Node": "its runtime is nodejs20.x",
            "Image": "it is a container image",
            "Inline": "its code stands in the template itself",
            "Uploaded": "its code is at s3://bucket/key",
            "Elsewhere": "its CodeUri is in S3",
            "Computed": "its CodeUri is computed by CloudFormation",
            "Missing": f"its folder {project / 'src/three'} does not exist",
            "Archive": f"its code, {project / 'code.zip'}, is a file and not a folder",
        }

    def test_a_handler_that_is_computed_is_not_known(self, project: Path) -> None:
        text = self.TEXT.replace('!Sub "src/${Name}"', "src/two")
        assert found(project, text).found["Computed"].handler is None


class TestCloudFormation:
    TEXT = """
AWSTemplateFormatVersion: 2010-09-09
Parameters: { Stage: { Type: String, Default: !Any [tag, { at: all }] } }
Resources:
  One:
    Type: AWS::Lambda::Function
    Properties: { Code: src/one, Handler: one.main, Role: !GetAtt Role.Arn }
  Inline:
    Type: AWS::Lambda::Function
    Properties: { Code: { ZipFile: !Sub "x = '${Stage}'" } }
  Uploaded:
    Type: AWS::Lambda::Function
    Properties: { Code: { S3Bucket: b, S3Key: k } }
  Computed:
    Type: AWS::Lambda::Function
    Properties: { Code: { "Fn::If": [a, b, c] } }
  Nothing:
    Type: AWS::Lambda::Function
  Version:
    Type: AWS::Lambda::Version
"""

    def test_it(self, project: Path) -> None:
        sources = found(project, self.TEXT)
        assert sources.found == {"One": source(project / "src/one", "one.main")}
        assert sources.missing == {
            "Inline": "its code stands in the template itself",
            "Uploaded": "its Code is in S3",
            "Computed": "its Code is computed by CloudFormation",
            "Nothing": "the template gives it no Code",
        }

    @pytest.mark.parametrize("indent", [None, 2, "\t"])
    def test_json(self, project: Path, indent: int | str | None) -> None:
        template = {
            "Resources": {
                "One": {"Type": "AWS::Lambda::Function", "Properties": {"Code": "src/one"}}
            }
        }
        sources = found(project, json.dumps(template, indent=indent), "template.json")
        assert sources.found == {"One": source(project / "src/one")}

    def test_a_named_template_and_its_folder(self, project: Path, tmp_path: Path) -> None:
        (project / "deploy").mkdir()
        text = self.TEXT.replace("src/one", "../src/one")
        (project / "deploy" / "stack.yml").write_text(text)
        sources = find_sources(project, Path("deploy/stack.yml"))
        assert sources.file == project / "deploy" / "stack.yml"
        assert sources.found["One"].code_dir == project / "src/one"


class TestCdk:
    def synthesise(self, project: Path, name: str, asset: str = "asset.abc") -> None:
        (project / "cdk.out" / "asset.abc").mkdir(parents=True, exist_ok=True)
        template = {
            "Resources": {
                "GreeterAB12": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Code": {"S3Bucket": {"Fn::Sub": "cdk-${AWS::Region}"}, "S3Key": "abc.zip"},
                        "Handler": "index.handler",
                        "Runtime": "python3.13",
                    },
                    "Metadata": {"aws:cdk:path": "x", "aws:asset:path": asset},
                }
            }
        }
        (project / "cdk.out" / f"{name}.template.json").write_text(json.dumps(template))

    def test_an_asset(self, project: Path) -> None:
        self.synthesise(project, "Stack")
        at = project / "cdk.out" / "asset.abc"
        expected = {"GreeterAB12": source(at, "index.handler", "python3.13")}
        assert find_sources(project).found == expected

    def test_an_asset_that_is_no_copy(self, project: Path) -> None:
        self.synthesise(project, "Stack", str(project / "src/one"))
        assert find_sources(project).found["GreeterAB12"].code_dir == project / "src/one"

    def test_the_stacks_own_of_several(self, project: Path) -> None:
        self.synthesise(project, "A")
        self.synthesise(project, "B")
        assert find_sources(project, stack_name="B").file == project / "cdk.out/B.template.json"
        with pytest.raises(SourceError, match=r"no stack C, but A, B") as raised:
            find_sources(project, stack_name="C")
        assert "--template" in str(raised.value.hint)

    def test_a_nested_stack_is_not_the_stack(self, project: Path) -> None:
        self.synthesise(project, "A")
        self.synthesise(project, "ANested.nested")
        assert find_sources(project).file == project / "cdk.out/A.template.json"

    def test_the_developers_own_template_comes_first(self, project: Path) -> None:
        self.synthesise(project, "A")
        assert found(project, TestSam.TEXT).file == project / "template.yaml"


class TestCode:
    def test_it_wins_over_the_template(self, project: Path) -> None:
        (project / "template.yaml").write_text(TestSam.TEXT)
        code = parse_code_options(["One=src/two", f"Inline={project}/shared"], project)
        sources = find_sources(project, code=code)
        assert sources.found["One"] == source(project / "src/two", "one.main", "python3.12")
        assert sources.found["Inline"] == source(project / "shared")
        assert "Inline" not in sources.missing

    def test_it_needs_no_template(self, project: Path) -> None:
        sources = find_sources(project, code=parse_code_options(["One=src/one"], project))
        assert sources == Sources(None, {"One": source(project / "src/one")}, {})
        assert "--code" in sources.explain_missing("Two")

    @pytest.mark.parametrize("value", ["", "One", "One=", "=src/one", "O-ne=src/one", "Ö=src/one"])
    def test_malformed(self, project: Path, value: str) -> None:
        with pytest.raises(UsageError, match="LOGICAL_ID=DIR") as raised:
            parse_code_options([value], project)
        assert raised.value.hint

    def test_no_such_folder(self, project: Path) -> None:
        with pytest.raises(UsageError, match="there is no folder") as raised:
            parse_code_options(["One=src/three"], project)
        assert "One" in str(raised.value.hint)

    def test_twice(self, project: Path) -> None:
        with pytest.raises(UsageError, match="twice"):
            parse_code_options(["One=src/one", "One=src/two"], project)


class TestTrouble:
    def test_no_template(self, project: Path) -> None:
        with pytest.raises(SourceError, match="no template in") as raised:
            find_sources(project)
        assert "--template" in str(raised.value.hint)

    def test_a_named_one_is_missing(self, project: Path) -> None:
        with pytest.raises(SourceError, match=r"no template .*nowhere\.yaml"):
            find_sources(project, Path("nowhere.yaml"))

    def test_it_is_a_folder(self, project: Path) -> None:
        with pytest.raises(SourceError, match="can't be read"):
            find_sources(project, Path("src"))

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("a: [", "not YAML: .*at line 2"),
            ("\tx: 1", "not YAML"),
            ("a: *nowhere", "not YAML"),
            ("x: \x00", "not YAML"),
            ("a: &a [*a]\n? [b]\n: c", "not YAML"),
            ("", "no Resources"),
            ("[]", "no Resources"),
            ("just text", "no Resources"),
            ("Resources: []", "no Resources"),
            ("a: " + "[" * 5000, "not YAML"),
        ],
    )
    def test_no_template_at_all(self, project: Path, text: str, reason: str) -> None:
        with pytest.raises(SourceError, match=reason) as raised:
            found(project, text)
        assert str(project / "template.yaml") in raised.value.message

    def test_not_json(self, project: Path) -> None:
        with pytest.raises(SourceError, match=r"not JSON: .*line 1"):
            found(project, "{'a': 1}", "template.json")

    def test_not_utf_8(self, project: Path) -> None:
        (project / "template.yaml").write_bytes(b"\xff\xff")
        with pytest.raises(SourceError, match="can't be read"):
            find_sources(project)

    @pytest.mark.parametrize(
        "resource", ["null", "[]", "text", "{Type: AWS::Lambda::Function, Properties: []}"]
    )
    def test_a_strange_resource_harms_nothing(self, project: Path, resource: str) -> None:
        sources = found(project, f"Resources: {{Strange: {resource}}}")
        assert sources.found == {}

    def test_a_function_that_the_template_does_not_have(self, project: Path) -> None:
        sources = found(project, TestSam.TEXT)
        assert sources.require("One").handler == "one.main"
        with pytest.raises(
            SourceError, match=r"Three here: it is not in .*template\.yaml"
        ) as raised:
            sources.require("Three")
        assert raised.value.hint == "Say where its code is: --code Three=DIR"
        with pytest.raises(SourceError, match="nodejs20"):
            sources.require("Node")


class TestLayers:
    SAM = """
Globals:
  Function:
    Handler: app.handler
    CodeUri: src/one
    Layers: [!Ref Common]
Resources:
  Common:
    Type: AWS::Serverless::LayerVersion
    Properties: { ContentUri: layers/common }
  Tools:
    Type: AWS::Serverless::LayerVersion
    Metadata: { BuildMethod: python3.13 }
    Properties: { ContentUri: layers/tools }
  Uploaded:
    Type: AWS::Lambda::LayerVersion
    Properties: { Content: { S3Bucket: b, S3Key: k } }
  One:
    Type: AWS::Serverless::Function
    Properties:
      Layers:
        - !Ref Tools
        - arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertools:5
        - !Ref Uploaded
        - !Sub "arn:${AWS::Partition}:lambda:x"
        - Ref: Nowhere
  Two:
    Type: AWS::Serverless::Function
"""

    @pytest.fixture
    def layers(self, project: Path) -> Path:
        for name in ("common", "tools"):
            (project / "layers" / name).mkdir(parents=True)
        return project / "layers"

    def test_those_of_the_template_in_their_order(self, project: Path, layers: Path) -> None:
        sources = found(project, self.SAM)
        assert sources.found["Two"].layers == (layers / "common",)
        assert sources.found["One"].layers == (layers / "common", layers / "tools")

    def test_those_that_are_elsewhere_are_named_with_the_reason(
        self, project: Path, layers: Path
    ) -> None:
        one, two = (found(project, self.SAM).found[name] for name in ("One", "Two"))
        assert two.missing_layers == ()
        assert one.missing_layers == (
            (
                "arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertools:5",
                "it is none of this template's",
            ),
            ("Uploaded", "its Content is in S3"),
            ('{"Fn::Sub": "arn:${AWS::Partition}:lambda:x"}', "it is none of this template's"),
            ('{"Ref": "Nowhere"}', "it is none of this template's"),
        )

    def test_a_built_one_has_what_it_needs_beside_its_source(
        self, project: Path, layers: Path
    ) -> None:
        built = project / ".aws-sam" / "build" / "Tools"
        built.mkdir(parents=True)
        one = found(project, self.SAM).found["One"]
        assert one.layers == (layers / "common", built, layers / "tools")

    def test_one_whose_folder_is_gone(self, project: Path) -> None:
        two = found(project, self.SAM).found["Two"]
        assert two.layers == ()
        ((name, reason),) = two.missing_layers
        assert name == "Common"
        assert "does not exist" in reason

    def test_cloudformations_and_the_cdks(self, project: Path, layers: Path) -> None:
        template = {
            "Resources": {
                "Plain": {
                    "Type": "AWS::Lambda::LayerVersion",
                    "Properties": {"Content": "layers/common"},
                },
                "Asset": {
                    "Type": "AWS::Lambda::LayerVersion",
                    "Metadata": {"aws:asset:path": "layers/tools"},
                    "Properties": {"Content": {"S3Bucket": {"Fn::Sub": "x"}, "S3Key": "y"}},
                },
                "One": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Code": "src/one",
                        "Handler": "app.handler",
                        "Layers": [{"Ref": "Plain"}, {"Ref": "Asset"}],
                    },
                },
            }
        }
        sources = found(project, json.dumps(template), "template.json")
        assert sources.found["One"].layers == (layers / "common", layers / "tools")

    @pytest.mark.parametrize("value", ['"x"', "{ Fn::If: [a, b, c] }", "[1]", "[null]", "[[]]"])
    def test_what_only_cloudformation_can_compute_is_named(self, project: Path, value: str) -> None:
        text = f"""
Resources:
  One:
    Type: AWS::Lambda::Function
    Properties: {{ Code: src/one, Layers: {value} }}
"""
        one = found(project, text).found["One"]
        assert one.layers == ()
        assert len(one.missing_layers) == 1

    def test_another_folder_of_its_code_changes_nothing_about_them(
        self, project: Path, layers: Path
    ) -> None:
        (project / "template.yaml").write_text(self.SAM)
        code = {"Two": project / "src" / "two"}
        two = find_sources(project, code=code).found["Two"]
        assert (two.code_dir, two.layers) == (project / "src" / "two", (layers / "common",))


def test_where_a_build_has_put_a_function(project: Path) -> None:
    text = """
Resources:
  One: { Type: AWS::Serverless::Function, Properties: { CodeUri: src/one } }
  Two: { Type: AWS::Serverless::Function, Properties: { CodeUri: src/two } }
"""
    built = project / ".aws-sam" / "build" / "One"
    built.mkdir(parents=True)
    sources = found(project, text).found
    assert (sources["One"].build_dir, sources["Two"].build_dir) == (built, None)
