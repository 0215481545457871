"""Where a template says that the code is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plldb.debugger.sources.functions import read_functions
from plldb.debugger.sources.project import CodeSource, DescribedLayer, Functions
from plldb.errors import SourceError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("src/one", "src/two", "shared"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def read(folder: Path, text: str, name: str = "template.yaml") -> Functions:
    (folder / name).write_text(text, encoding="utf-8")
    return read_functions(folder / name, {})


def found(folder: Path, text: str, name: str = "template.yaml") -> dict[str, CodeSource]:
    functions = read(folder, text, name).items()
    return {name: one for name, one in functions if isinstance(one, CodeSource)}


def missing(folder: Path, text: str, name: str = "template.yaml") -> dict[str, str]:
    functions = read(folder, text, name).items()
    return {name: one for name, one in functions if isinstance(one, str)}


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
        assert found(project, self.TEXT) == {
            "One": source(project / "src/one", "one.main", "python3.12"),
            "Two": source(project / "shared", "app.handler", "python3.12"),
        }

    def test_what_has_no_folder_has_a_reason(self, project: Path) -> None:
        (project / "code.zip").write_bytes(b"")
        assert missing(project, self.TEXT) == {
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
        assert found(project, text)["Computed"].handler is None


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
        assert found(project, self.TEXT) == {"One": source(project / "src/one", "one.main")}
        assert missing(project, self.TEXT) == {
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
        assert sources == {"One": source(project / "src/one")}

    def test_folders_are_the_templates(self, project: Path) -> None:
        (project / "deploy").mkdir()
        sources = found(project, self.TEXT.replace("src/one", "../src/one"), "deploy/stack.yml")
        assert sources["One"].code_dir == project / "src/one"


class TestTrouble:
    def test_a_named_one_is_missing(self, project: Path) -> None:
        with pytest.raises(SourceError, match=r"no template .*nowhere\.yaml"):
            read_functions(project / "nowhere.yaml", {})

    def test_it_is_a_folder(self, project: Path) -> None:
        with pytest.raises(SourceError, match="can't be read"):
            read_functions(project / "src", {})

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
            read_functions(project / "template.yaml", {})

    @pytest.mark.parametrize(
        "resource", ["null", "[]", "text", "{Type: AWS::Lambda::Function, Properties: []}"]
    )
    def test_a_strange_resource_harms_nothing(self, project: Path, resource: str) -> None:
        sources = found(project, f"Resources: {{Strange: {resource}}}")
        assert sources == {}


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
    Properties: { LayerName: uploads, Content: { S3Bucket: b, S3Key: k } }
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
        one, two = (found(project, self.SAM)[name] for name in ("One", "Two"))
        assert two.layers == (DescribedLayer("Common", (layers / "common",)),)
        assert [layer.folders for layer in one.layers] == [
            *((layers / "common",), (layers / "tools",)),
            *((), (), (), ()),
        ]

    def test_those_that_are_elsewhere_are_named_with_the_reason(
        self, project: Path, layers: Path
    ) -> None:
        one = found(project, self.SAM)["One"]
        assert one.layers[2:] == (
            DescribedLayer(
                "arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertools:5",
                reason="it is none of this template's",
            ),
            DescribedLayer("Uploaded", (), "its Content is in S3", "uploads"),
            DescribedLayer(
                '{"Fn::Sub": "arn:${AWS::Partition}:lambda:x"}',
                reason="it is none of this template's",
            ),
            DescribedLayer('{"Ref": "Nowhere"}', reason="it is none of this template's"),
        )

    def test_a_built_one_has_what_it_needs_beside_its_source(
        self, project: Path, layers: Path
    ) -> None:
        built = project / ".aws-sam" / "build" / "Tools"
        built.mkdir(parents=True)
        one = found(project, self.SAM)["One"]
        common, tools, *_ = one.layers
        assert common.folders == (layers / "common",)
        assert tools == DescribedLayer("Tools", (built, layers / "tools"))

    def test_one_whose_folder_is_gone(self, project: Path) -> None:
        (common,) = found(project, self.SAM)["Two"].layers
        assert (common.name, common.folders) == ("Common", ())
        assert "does not exist" in common.reason

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
        assert sources["One"].layers == (
            DescribedLayer("Plain", (layers / "common",)),
            DescribedLayer("Asset", (layers / "tools",)),
        )

    @pytest.mark.parametrize("value", ['"x"', "{ Fn::If: [a, b, c] }", "[1]", "[null]", "[[]]"])
    def test_what_only_cloudformation_can_compute_is_named(self, project: Path, value: str) -> None:
        text = f"""
Resources:
  One:
    Type: AWS::Lambda::Function
    Properties: {{ Code: src/one, Layers: {value} }}
"""
        (layer,) = found(project, text)["One"].layers
        assert layer.folders == ()
        assert layer.reason


def test_where_a_build_has_put_a_function(project: Path) -> None:
    text = """
Resources:
  One: { Type: AWS::Serverless::Function, Properties: { CodeUri: src/one } }
  Two: { Type: AWS::Serverless::Function, Properties: { CodeUri: src/two } }
"""
    built = project / ".aws-sam" / "build" / "One"
    built.mkdir(parents=True)
    sources = found(project, text)
    assert (sources["One"].build_dir, sources["Two"].build_dir) == (built, None)
