"""Where a template says that the code is."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.sources.functions import BuildFolders, read_functions
from plldb.debugger.sources.project import CodeSource, DescribedLayer, Functions
from plldb.errors import SourceError

PACKAGED = "name the template that this was packaged from with --template, or its code with --code"


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

    def test_code_that_a_condition_leaves_out(self, project: Path) -> None:
        text = """
Conditions: { IsBuilt: !Equals [a, b] }
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: !If [IsBuilt, build/, !Ref AWS::NoValue] }
"""
        assert found(project, text) == {"One": source(project)}

    def test_folders_and_globals(self, project: Path) -> None:
        assert found(project, self.TEXT) == {
            "One": source(project / "src/one", "one.main", "python3.12"),
            "Two": source(project / "shared", "app.handler", "python3.12"),
            "Inline": CodeSource(
                project,
                "app.handler",
                "python3.12",
                inline="def handler(e, c): pass",
            ),
        }

    def test_what_has_no_folder_has_a_reason(self, project: Path) -> None:
        (project / "code.zip").write_bytes(b"")
        assert missing(project, self.TEXT) == {
            "Node": "its runtime is nodejs20.x",
            "Image": "it is a container image, and the template does not say what it is made of; "
            "name its code with --code",
            "Uploaded": f"its code is at s3://bucket/key; {PACKAGED}",
            "Elsewhere": f"its CodeUri is in S3; {PACKAGED}",
            "Computed": "its CodeUri is computed by CloudFormation; name its code with --code",
            "Missing": f"its folder {project / 'src/three'} does not exist",
            "Archive": f"its code is in a file, {project / 'code.zip'}, and "
            f"there is no module for the handler app.handler in {project / 'code.zip'}; "
            "name the folder that this is made of with --code",
        }

    def test_an_image_is_made_of_a_folder(self, project: Path) -> None:
        """https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-using-build.html"""
        (project / "image" / "src").mkdir(parents=True)
        (project / "image" / "src" / "app.py").touch()
        (project / "image" / "Dockerfile.lambda").write_text(
            'FROM public.ecr.aws/lambda/python:3.12\nCOPY src .\nCMD ["app.handler"]'
        )
        text = """
Resources:
  One:
    Type: AWS::Serverless::Function
    Metadata: { DockerContext: ./image, Dockerfile: Dockerfile.lambda, DockerTag: v1 }
    Properties: { PackageType: Image }
  Two:
    Type: AWS::Serverless::Function
    Metadata: { DockerContext: ./image, Dockerfile: Dockerfile.lambda }
    Properties: { PackageType: Image, ImageConfig: { Command: [other.main] } }
  Gone:
    Type: AWS::Serverless::Function
    Metadata: { DockerContext: ./image }
    Properties: { PackageType: Image }
"""
        assert found(project, text) == {
            "One": source(project / "image/src", "app.handler"),
            "Two": replace(
                source(project / "image/src", "other.main"),
                note="what its Dockerfile copies has no module for the handler other.main where "
                "Lambda looks for it; name the folder that has it with --code",
            ),
        }
        assert "its Dockerfile can't be read" in missing(project, text)["Gone"]

    def test_what_an_image_has_beside_its_code_is_at_hand(self, project: Path) -> None:
        (project / "src/one/app.py").touch()
        (project / "Dockerfile").write_text(
            "FROM public.ecr.aws/lambda/python:3.12\nCOPY shared ./shared\nCOPY src/one .\n"
            'CMD ["app.handler"]'
        )
        text = """
Resources:
  One:
    Type: AWS::Serverless::Function
    Metadata: { DockerContext: . }
    Properties: { PackageType: Image }
"""
        beside = DescribedLayer("COPY", (project,), is_deployed=False)
        expected = replace(source(project / "src/one", "app.handler"), layers=(beside,))
        assert found(project, text) == {"One": expected}

    def test_images_of_one_dockerfile_differ_in_their_build_arguments(self, project: Path) -> None:
        for name in ("orders", "billing"):
            (project / "functions" / name).mkdir(parents=True)
            (project / "functions" / name / "app.py").touch()
        (project / "Dockerfile").write_text(
            "FROM public.ecr.aws/lambda/python:3.12\nARG FUNC=orders\n"
            'COPY functions/${FUNC}/ ${LAMBDA_TASK_ROOT}/\nCMD ["app.handler"]'
        )
        text = """
Parameters:
  Name: { Type: String, Default: billing }
Resources:
  One:
    Type: AWS::Serverless::Function
    Metadata: { DockerContext: . }
    Properties: { PackageType: Image }
  Two:
    Type: AWS::Serverless::Function
    Metadata: { DockerContext: ., DockerBuildArgs: { FUNC: !Ref Name } }
    Properties: { PackageType: Image }
"""
        functions = project / "functions"
        folders = {name: one.code_dir for name, one in found(project, text).items()}
        assert folders == {
            "One": functions / "orders",
            "Two": functions / "billing",
        }
        text = text.replace("!Ref Name", "!GetAtt Other.Name")
        assert found(project, text)["Two"].code_dir not in folders.values()

    def test_a_handler_that_is_computed_is_not_known(self, project: Path) -> None:
        text = self.TEXT.replace('!Sub "src/${Name}"', "src/two")
        assert found(project, text)["Computed"].handler is None

    def test_nor_is_what_refers_to_a_parameter_store(self, project: Path) -> None:
        text = """
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/one
      Handler: app.handler
      Runtime: "{{resolve:ssm:/runtime}}"
      FunctionName: !Sub "{{resolve:ssm:/prefix}}-one"
      Layers: ["{{resolve:ssm:/layer}}"]
  Two:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: "{{resolve:ssm:/code}}" }
  Three:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: "KEY = '{{resolve:ssm:/key}}'" }
"""
        layer = DescribedLayer("{{resolve:ssm:/layer}}", reason="it is none of this template's")
        sources = found(project, text)
        assert sources["One"] == CodeSource(project / "src/one", "app.handler", layers=(layer,))
        assert missing(project, text) == {
            "Two": "its CodeUri is computed by CloudFormation; name its code with --code"
        }
        assert sources["Three"].inline == "KEY = '{{resolve:ssm:/key}}'"


class TestCloudFormation:
    TEXT = """
AWSTemplateFormatVersion: 2010-09-09
Parameters: { Stage: { Type: String }, Other: { Default: !Any [tag, { at: all }] } }
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
            "Inline": "its code stands in the template, and CloudFormation computes parts of it; "
            "name a folder with its code with --code",
            "Uploaded": f"its Code is in S3; {PACKAGED}",
            "Computed": "its Code is computed by CloudFormation; name its code with --code",
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

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("[!If [Always, !Ref Common, !Ref 'AWS::NoValue']]", ["Common"]),
            ("!If [Always, [!Ref Common, 'arn:x'], !Ref 'AWS::NoValue']", ["Common", "arn:x"]),
            ("[!If [Never, !Ref Common, !Ref 'AWS::NoValue'], 'arn:x']", ["arn:x"]),
            ("!If [Never, [!Ref Common], !Ref 'AWS::NoValue']", []),
            ("[!If [Never, x, !If [Always, !Ref Common, y]]]", ["Common"]),
            ("[!Sub '${Common}']", ["Common"]),
            ("[!GetAtt Common.LayerVersionArn]", ["Common"]),
            (
                "[!Sub 'arn:aws:lambda:${AWS::Region}:1:layer:x:1']",
                ["arn:aws:lambda:r:1:layer:x:1"],
            ),
        ],
    )
    def test_that_are_chosen_by_conditions_or_referred_to_in_other_ways(
        self, project: Path, value: str, expected: list[str]
    ) -> None:
        template = project / "template.yaml"
        (project / "layers" / "common").mkdir(parents=True, exist_ok=True)
        template.write_text(
            f"""
Conditions:
  Always: !Equals [a, a]
  Never: !Equals [a, b]
Resources:
  Common: {{ Type: AWS::Lambda::LayerVersion, Properties: {{ Content: layers/common }} }}
  One:
    Type: AWS::Lambda::Function
    Properties: {{ Code: src/one, Layers: {value} }}
""",
            encoding="utf-8",
        )
        source = read_functions(template, {"AWS::Region": "r"})["One"]
        assert isinstance(source, CodeSource)
        assert [layer.name for layer in source.layers] == expected
        folders = [layer.folders for layer in source.layers if layer.name == "Common"]
        assert folders in ([], [(project / "layers" / "common",)])


def test_what_can_be_no_path_does_not_exist(project: Path) -> None:
    text = f"""
Resources:
  One: {{ Type: AWS::Serverless::Function, Properties: {{ CodeUri: "{"x" * 5000}" }} }}
  Two: {{ Type: AWS::Serverless::Function, Properties: {{ CodeUri: "a\\0b" }} }}
  Three: {{ Type: AWS::CloudFormation::Stack, Properties: {{ TemplateURL: "{"x" * 5000}" }} }}
  {"x" * 300}: {{ Type: AWS::Serverless::Function, Properties: {{ CodeUri: nowhere }} }}
"""
    template = project / "template.yaml"
    template.write_text(text, encoding="utf-8")
    functions = read_functions(template, {})
    assert functions.keys() == {"One", "Two", "Three/*", "x" * 300}
    assert all("does not exist" in str(reason) for reason in functions.values())


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


class TestATemplateThatIsALink:
    @pytest.fixture
    def shared(self, tmp_path: Path) -> Path:
        """A template elsewhere, and ``project``, which has a link to it."""
        for name in ("shared/src", "project/src", "project/only_here", "project/layer"):
            (tmp_path / name).mkdir(parents=True)
        for name in ("shared/src/app.py", "project/src/app.py", "project/top.py"):
            (tmp_path / name).touch()
        path = tmp_path / "shared" / "template.yaml"
        path.write_text("""
Transform: AWS::Serverless-2016-10-31
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: src, Handler: app.handler, Layers: [!Ref Layer] }
  Here:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: only_here, Handler: app.handler }
  Top: { Type: AWS::Serverless::Function, Properties: { Handler: top.handler } }
  Layer: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: layer } }
""")
        (tmp_path / "project" / "template.yaml").symlink_to("../shared/template.yaml")
        return path

    def read(self, template: Path) -> dict[str, CodeSource]:
        functions = read_functions(template, {})
        return {name: one for name, one in functions.items() if isinstance(one, CodeSource)}

    def test_is_followed_as_sam_does(self, shared: Path, tmp_path: Path) -> None:
        functions = self.read(tmp_path / "project" / "template.yaml")
        assert functions["Fn"].code_dir == tmp_path / "shared" / "src"

    def test_unless_code_is_beside_the_link_only(self, shared: Path, tmp_path: Path) -> None:
        project = tmp_path / "project"
        functions = self.read(project / "template.yaml")
        assert functions["Here"].code_dir == project / "only_here"
        assert functions["Top"].code_dir == project
        assert [one.folders for one in functions["Fn"].layers] == [(project / "layer",)]

    def test_the_build_is_beside_the_link(self, shared: Path, tmp_path: Path) -> None:
        built = tmp_path / "project" / ".aws-sam" / "build" / "Fn"
        built.mkdir(parents=True)
        assert self.read(tmp_path / "project" / "template.yaml")["Fn"].build_dir == built

    def test_a_folder_that_is_one_keeps_its_name(self, shared: Path, tmp_path: Path) -> None:
        """An editor knows the code by that."""
        link = tmp_path / "link"
        link.symlink_to("shared")
        assert self.read(link / "template.yaml")["Fn"].code_dir == link / "src"

    def test_cloudformation_does_not_follow_it(self, shared: Path, tmp_path: Path) -> None:
        shared.write_text("""
Resources:
  Fn: { Type: AWS::Lambda::Function, Properties: { Code: src, Handler: app.handler } }
""")
        functions = self.read(tmp_path / "project" / "template.yaml")
        assert functions["Fn"].code_dir == tmp_path / "project" / "src"


class TestSamBuild:
    """Code as ``sam build`` takes it."""

    def test_without_a_folder_it_is_the_templates(self, project: Path) -> None:
        text = """
Resources:
  One: { Type: AWS::Serverless::Function, Properties: { Handler: app.handler } }
  Two: { Type: AWS::Lambda::Function, Properties: { Handler: app.handler } }
"""
        sources = found(project, text)
        assert {one.code_dir for one in sources.values()} == {project}
        assert sources.keys() == {"One", "Two"}

    def test_a_single_file(self, project: Path) -> None:
        (project / "src" / "app.py").touch()
        text = """
Resources:
  One: { Type: AWS::Serverless::Function, Properties: { CodeUri: src/app.py } }
  Two: { Type: AWS::Lambda::Function, Properties: { Code: ./src/app.py } }
"""
        assert {one.code_dir for one in found(project, text).values()} == {project / "src"}

    def test_a_zip_file_that_something_else_makes_of_a_folder(self, project: Path) -> None:
        (project / "src/one/app.py").write_text("def handler(event, context): ...")
        with zipfile.ZipFile(project / "one.zip", "w") as archive:
            archive.write(project / "src/one/app.py", "app.py")
            archive.writestr("package/__init__.py", "")
        text = """
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties: { Code: one.zip, Handler: app.handler }
"""
        assert found(project, text)["Fn"].code_dir == project / "src/one"

    def test_globals_are_merged_as_sam_merges_them(self, project: Path) -> None:
        text = """
Globals: { Function: { CodeUri: { Bucket: b, Key: k }, Runtime: python3.12, PackageType: Zip } }
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: src/one, Runtime: python3.13 }
  Plain: { Type: AWS::Lambda::Function, Properties: { Code: src/one } }
"""
        assert found(project, text) == {
            "One": source(project / "src/one", None, "python3.13"),
            "Plain": source(project / "src/one"),
        }

    @pytest.mark.parametrize(
        "build", ["ParentPackageMode: auto", "ParentPackageMode: explicit, ParentPackages: src.one"]
    )
    def test_a_package_that_the_build_puts_the_code_into(self, project: Path, build: str) -> None:
        (project / "src/one/app.py").touch()
        text = f"""
Resources:
  One:
    Type: AWS::Serverless::Function
    Metadata: {{ BuildProperties: {{ {build} }} }}
    Properties: {{ CodeUri: src/one, Handler: src.one.app.handler }}
"""
        assert found(project, text)["One"].code_dir == project

    def test_a_makefile_that_takes_the_code_from_below(self, project: Path) -> None:
        built = project / ".aws-sam" / "build" / "One"
        for folder in (project / "src/one", built):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "app.py").write_text("def handler(event, context): ...")
        (built / "vendored.py").touch()
        text = """
Resources:
  One:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: makefile }
    Properties: { CodeUri: ./, Handler: app.handler }
"""
        one = found(project, text)["One"]
        assert (one.code_dir, one.build_dir) == (project / "src/one", built)
        # What it has copied from beside that.
        (beside,) = one.layers
        assert (beside.folders, beside.is_deployed) == ((project,), False)
        # An edit since the build is no other code, if the makefile names the folder.
        (project / "src/one/app.py").write_text("def handler(event, context): ...\n# more")
        assert found(project, text)["One"].code_dir == project
        (project / "Makefile").write_text("build-One:\n\tcp -R src/one/*.py $(ARTIFACTS_DIR)/\n")
        assert found(project, text)["One"].code_dir == project / "src/one"
        shutil.rmtree(built)
        one = found(project, text)["One"]
        assert (one.code_dir, one.layers) == (project, ())
        assert "it was not built here; run 'sam build'" in one.note
        (project / "app.py").touch()
        assert found(project, text)["One"].note == ""

    def test_a_project_that_is_installed_from_src(self, project: Path) -> None:
        """As its own requirement: sam build has pip put the package to the top."""
        text = """
Resources:
  One: { Type: AWS::Serverless::Function, Properties: { CodeUri: ., Handler: shop.main.handler } }
"""
        (project / "pyproject.toml").touch()
        built = project / ".aws-sam/build/One"
        for folder in (project / "src/shop", built / "shop", built / "src/shop"):
            folder.mkdir(parents=True)
            (folder / "main.py").write_text("def handler(event, context): ...")
        for content in ("def handler(event, context): ...", "edited"):
            (project / "src/shop/main.py").write_text(content)
            one = found(project, text)["One"]
            assert (one.code_dir, one.build_dir, one.note) == (project / "src", built, "")
        (project / "src/shop").rename(project / "shared/shop")
        one = found(project, text)["One"]
        assert one.code_dir == project
        assert f"only in {built}, where sam build has put it" in one.note
        (project / "shared/shop").rename(project / "src/shop")
        shutil.rmtree(built)
        assert found(project, text)["One"].code_dir == project / "src"


class TestComputed:
    """Parameters, conditions, loops and included files decide where code is."""

    TEXT = """
Parameters: { Stage: { Type: String, Default: one } }
Conditions: { IsTwo: !Equals [!Ref Stage, two] }
Resources:
  One: { Type: AWS::Lambda::Function, Properties: { Code: !Sub "src/${Stage}", Handler: a.b } }
  Two: { Type: AWS::Lambda::Function, Condition: IsTwo, Properties: { Code: src/two } }
  Three:
    Type: AWS::Lambda::Function
    Properties: { Code: !If [IsTwo, src/two, src/one], Handler: !Sub "${Stage}.b" }
"""

    @pytest.mark.parametrize(
        ("parameters", "folders"),
        [
            ({}, {"One": "one", "Three": "one"}),
            ({"Stage": "two"}, {"One": "two", "Two": "two", "Three": "two"}),
        ],
    )
    def test_what_is_deployed_counts(
        self, project: Path, parameters: dict[str, str], folders: dict[str, str]
    ) -> None:
        (project / "template.yaml").write_text(self.TEXT)
        functions = read_functions(project / "template.yaml", parameters)
        sources = {k: v for k, v in functions.items() if isinstance(v, CodeSource)}
        assert {k: v.code_dir.name for k, v in sources.items()} == folders
        assert sources["Three"].handler == f"{folders['Three']}.b"

    def test_loops_make_functions(self, project: Path) -> None:
        text = """
Transform: AWS::LanguageExtensions
Resources:
  Fn::ForEach::Each:
    - Name
    - [one, two]
    - Get${Name}: { Type: AWS::Serverless::Function, Properties: { CodeUri: "./src/${Name}" } }
"""
        assert {k: v.code_dir for k, v in found(project, text).items()} == {
            "Getone": project / "src/one",
            "Gettwo": project / "src/two",
        }


class TestNested:
    """A stack in a stack in a stack, each in a folder of its own."""

    FUNCTION = """
  Greeter: { Type: AWS::Serverless::Function, Properties: { CodeUri: code, Handler: a.b } }
"""

    @pytest.fixture
    def stacks(self, tmp_path: Path) -> Path:
        for at in (tmp_path, tmp_path / "child", tmp_path / "child" / "deep"):
            (at / "code").mkdir(parents=True)
        (tmp_path / "template.yaml").write_text(
            "Resources:"
            + self.FUNCTION
            + """
  Child:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: child/stack.yaml, Parameters: { Where: code, Unknown: !GetAtt a.b } }
  Uploaded:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: "https://s3.amazonaws.com/b/k" }
  Gone: { Type: AWS::Serverless::Application, Properties: { Location: gone.yaml } }
  Shared: { Type: AWS::Serverless::Application, Properties: { Location: { ApplicationId: x } } }
  Computed: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: !Ref Url } }
"""
        )
        (tmp_path / "child" / "stack.yaml").write_text(
            "Parameters: { Where: { Type: String, Default: no }, Unknown: { Default: code } }\n"
            "Resources:"
            + self.FUNCTION.replace("code", "!Ref Where")
            + """
  Other: { Type: AWS::Lambda::Function, Properties: { Code: !Ref Unknown } }
  Grandchild: { Type: AWS::Serverless::Application, Properties: { Location: deep/stack.json } }
"""
        )
        deep = {
            "Resources": {
                "Greeter": {"Type": "AWS::Lambda::Function", "Properties": {"Code": "code"}}
            }
        }
        (tmp_path / "child" / "deep" / "stack.json").write_text(json.dumps(deep))
        return tmp_path

    def test_functions_are_named_by_their_path(self, stacks: Path) -> None:
        functions = read_functions(stacks / "template.yaml", {})
        folders = {k: v.code_dir for k, v in functions.items() if isinstance(v, CodeSource)}
        assert folders == {
            "Greeter": stacks / "code",
            "Child/Greeter": stacks / "child" / "code",
            "Child/Grandchild/Greeter": stacks / "child" / "deep" / "code",
        }

    def test_what_is_not_here_has_a_reason(self, stacks: Path) -> None:
        functions = read_functions(stacks / "template.yaml", {})
        assert "computed" in str(functions["Child/Other"])
        assert "https://s3.amazonaws.com/b/k" in str(functions["Uploaded/*"])
        assert f"{stacks / 'gone.yaml'}, does not exist" in str(functions["Gone/*"])
        assert "Repository" in str(functions["Shared/*"])
        assert "computed" in str(functions["Computed/*"])

    @pytest.mark.parametrize("named", [None, ".aws-sam/build", "out"])
    def test_where_a_build_has_put_them(self, stacks: Path, named: str | None) -> None:
        built = stacks / (named or ".aws-sam/build") / "Child" / "Greeter"
        built.mkdir(parents=True)
        folders = BuildFolders(build=stacks / named if named else None)
        source = read_functions(stacks / "template.yaml", {}, folders=folders)["Child/Greeter"]
        assert isinstance(source, CodeSource)
        assert source.build_dir == built

    @pytest.mark.parametrize("link", ["template.yaml", "other.yaml"])
    def test_one_that_is_nested_in_itself_is_refused(self, tmp_path: Path, link: str) -> None:
        text = (
            "Resources: {{X: {{Type: AWS::CloudFormation::Stack, "
            "Properties: {{TemplateURL: {}}}}}}}"
        )
        (tmp_path / "template.yaml").write_text(text.format(link))
        (tmp_path / "other.yaml").write_text(text.format("template.yaml"))
        with pytest.raises(SourceError, match="nested in itself"):
            read_functions(tmp_path / "template.yaml", {})


_WORDS = [
    *("Resources", "Type", "Properties", "Metadata", "Globals", "Function", "Parameters"),
    *("Conditions", "Mappings", "Condition", "Default", "Transform", "Fn::Transform", "Name"),
    *("Code", "CodeUri", "InlineCode", "ZipFile", "Handler", "Runtime", "Layers", "Content"),
    *("TemplateURL", "Location", "ApplicationId", "BuildProperties", "ParentPackageMode", "Ref"),
    *("Fn::If", "Fn::Sub", "Fn::Join", "Fn::ForEach::A", "Fn::Equals", "aws:asset:path", "A"),
]
_TYPES = [
    *("AWS::Lambda::Function", "AWS::Serverless::Function", "AWS::CloudFormation::Stack"),
    *("AWS::Serverless::Application", "AWS::Lambda::LayerVersion", "AWS::Include"),
]
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", ".", "a.b", "x/y.z", "src/app.py", "template.json", "s3://b", "\0"])
    | st.sampled_from(_TYPES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4)
    ),
    max_leaves=20,
)
_RESOURCES = st.dictionaries(
    st.sampled_from(["A", "B", "Fn::ForEach::A", "Fn::Transform"]),
    _VALUES
    | st.fixed_dictionaries(
        {"Type": st.sampled_from(_TYPES)}, optional={"Properties": _VALUES, "Metadata": _VALUES}
    ),
    max_size=3,
)


@given(st.dictionaries(st.sampled_from(_WORDS), _VALUES, max_size=4), _RESOURCES)
def test_whatever_a_template_says_harms_nothing(
    tmp_path_factory: pytest.TempPathFactory, template: dict[str, object], resources: object
) -> None:
    """Each function has code or a reason; or else the template is refused."""
    path = tmp_path_factory.mktemp("any") / "template.json"
    path.write_text(json.dumps(template | {"Resources": resources}))
    try:
        functions = read_functions(path, {})
    except SourceError:
        return
    for name, one in functions.items():
        assert isinstance(one, CodeSource) or one, name


class TestCustomResources:
    """What CloudFormation calls, and then waits for: only the template tells."""

    TEXT = """
Resources:
  Seed:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: src/one, Handler: one.main, Runtime: python3.12 }
  Other:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: src/two, Handler: two.main, Runtime: python3.12 }
  Data: { Type: "Custom::Seed", Properties: { ServiceToken: %s, Rows: 3 } }
  Bare: { Type: AWS::CloudFormation::CustomResource, Properties: { ServiceToken: %s } }
  Broken: { Type: "Custom::Broken" }
  Topic: { Type: AWS::SNS::Topic, Properties: { ServiceToken: !GetAtt Other.Arn } }
"""

    @pytest.mark.parametrize("token", ["!GetAtt Seed.Arn", '!Sub "${Seed.Arn}"'])
    def test_the_function_that_serves_them_is_noted(self, project: Path, token: str) -> None:
        functions = found(project, self.TEXT % (token, token))
        assert functions["Seed"].use.startswith("it serves the custom resource Bare, Data: ")
        assert functions["Other"].use == ""

    def test_not_where_that_is_computed(self, project: Path) -> None:
        token = "!ImportValue seeder"
        assert found(project, self.TEXT % (token, token))["Seed"].use == ""


class TestLayersOfOtherStacks:
    """A layer that another stack of the project makes is edited like the function's own code."""

    LAYERS = """
Resources:
  Common: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: layers/common } }
  More: { Type: AWS::Lambda::LayerVersion, Properties: { Content: layers/more } }
"""
    CHILD = """
Parameters: {{ Layer: {{ Type: {type} }} }}
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties: {{ CodeUri: src/one, Layers: {layers} }}
"""

    @pytest.fixture
    def folders(self, project: Path) -> Path:
        for name in ("layers/common", "layers/more"):
            (project / name).mkdir(parents=True)
        return project

    def folders_of(self, project: Path, text: str) -> list[str]:
        functions = found(project, text)
        (one,) = functions.values()
        return [str(at.relative_to(project)) for layer in one.layers for at in layer.folders]

    @pytest.mark.parametrize(
        ("kind", "layers", "passed", "names"),
        [
            ("String", "[!Ref Layer]", "!Ref Common", ["common"]),
            ("String", "[!Ref Layer]", "!If [IsOld, !Ref More, !Ref Common]", ["common"]),
            ("CommaDelimitedList", "!Ref Layer", "!Join [',', [!Ref Common, !Ref More]]", "both"),
            ("String", "!Split [',', !Ref Layer]", "!Join [',', [!Ref More, arn:x]]", ["more"]),
            ("String", "[!Ref Layer]", "!GetAtt Gone.Outputs.Layer", []),
            ("String", "[!Ref Layer]", "!Ref Nowhere", []),
        ],
    )
    def test_that_the_stack_above_passes(
        self, folders: Path, kind: str, layers: str, passed: str, names: list[str] | str
    ) -> None:
        (folders / "child.yaml").write_text(self.CHILD.format(type=kind, layers=layers))
        text = (
            f"{self.LAYERS}"
            "  Child:\n"
            "    Type: AWS::Serverless::Application\n"
            f"    Properties: {{ Location: child.yaml, Parameters: {{ Layer: {passed} }} }}\n"
            "Conditions: { IsOld: !Equals [a, b] }\n"
        )
        expected = ["common", "more"] if names == "both" else names
        assert self.folders_of(folders, text) == [f"layers/{name}" for name in expected]

    def test_that_a_nested_stack_gives_out_to_another_one(self, folders: Path) -> None:
        outputs = "Outputs: { Arn: { Value: !Ref Common } }\n"
        (folders / "layers.yaml").write_text(self.LAYERS + outputs)
        child = self.CHILD.format(type="String", layers="[!Ref Layer]")
        (folders / "child.yaml").write_text(child)
        text = """
Resources:
  Layers: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: layers.yaml } }
  Child:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: child.yaml
      Parameters: { Layer: !GetAtt Layers.Outputs.Arn }
"""
        assert self.folders_of(folders, text) == ["layers/common"]

    def test_that_many_stacks_hand_on_beside_other_things(self, folders: Path) -> None:
        """Whatever is passed with it: each of them is looked at once."""
        names = ["Layer", *(f"P{number}" for number in range(8))]
        parameters = "".join(f"  {name}: {{ Type: String }}\n" for name in names)
        outputs = "".join(f"  {name}: {{ Value: !Ref {name} }}\n" for name in names)
        (folders / "child.yaml").write_text(
            f"Parameters:\n{parameters}Resources: {{}}\nOutputs:\n{outputs}"
        )
        last = self.CHILD.format(type="String", layers="[!Ref Layer]")
        (folders / "last.yaml").write_text(last)
        text = f"{self.LAYERS}  S0: {self.stack('child', dict.fromkeys(names, '!Ref Common'))}\n"
        for number in range(1, 13):
            passed = {name: f"!GetAtt S{number - 1}.Outputs.{name}" for name in names}
            text += f"  S{number}: {self.stack('child', passed)}\n"
        text += f"  Last: {self.stack('last', {'Layer': '!GetAtt S12.Outputs.Layer'})}\n"
        assert self.folders_of(folders, text) == ["layers/common"]

    def stack(self, template: str, passed: dict[str, str]) -> str:
        parameters = ", ".join(f"{name}: {value}" for name, value in passed.items())
        return (
            "{ Type: AWS::CloudFormation::Stack, "
            f"Properties: {{ TemplateURL: {template}.yaml, Parameters: {{ {parameters} }} }} }}"
        )

    def test_stacks_that_ask_each_other_get_no_answer(self, folders: Path) -> None:
        child = self.CHILD.format(type="String", layers="[!Ref Layer]")
        (folders / "child.yaml").write_text(child + "Outputs: { Arn: { Value: !Ref Layer } }\n")
        child = "{ TemplateURL: child.yaml, Parameters: { Layer: !GetAtt %s.Outputs.Arn } }"
        text = (
            "Resources:\n"
            f"  A: {{ Type: AWS::CloudFormation::Stack, Properties: {child % 'B'} }}\n"
            f"  B: {{ Type: AWS::CloudFormation::Stack, Properties: {child % 'A'} }}\n"
        )
        assert {name: one.layers[0].folders for name, one in found(folders, text).items()} == {
            "A/Fn": (),
            "B/Fn": (),
        }

    def test_a_zip_file_is_fetched_as_it_is_deployed(self, folders: Path) -> None:
        (folders / "layers.zip").write_bytes(b"")
        text = """
Resources:
  Zip: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: layers.zip } }
  Fn: { Type: AWS::Serverless::Function, Properties: { CodeUri: shared, Layers: [!Ref Zip] } }
"""
        (layer,) = found(folders, text)["Fn"].layers
        assert layer.folders == ()
        assert "is a file and not a folder" in layer.reason
