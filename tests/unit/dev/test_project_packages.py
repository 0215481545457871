"""The stacks of a project, whatever tool made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plldb.dev.project_packages import StackSource, choose_stacks, find_stack_sources
from plldb.dev.template_package import AS_ON_AWS, PackagedTemplate, Storage
from plldb.errors import SourceError, UsageError

STORAGE = Storage("bucket", "p/", lambda key: f"https://s3/bucket/{key}")
HASH = "0123456789abcdef" * 4
CDK_BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"


def package(source: StackSource) -> PackagedTemplate:
    return source.package(STORAGE, AS_ON_AWS, {})


class App:
    """A synthesised CDK app."""

    def __init__(self, folder: Path, bucket: str = CDK_BUCKET, prefix: str = "") -> None:
        self.destination = {"bucketName": bucket, "objectKey": f"{prefix}{HASH}.zip"}
        self.out = folder / "cdk.out"
        (self.out / f"asset.{HASH}").mkdir(parents=True)
        (self.out / f"asset.{HASH}" / "app.py").write_text("x = 1")
        self.artifacts: dict[str, Any] = {}

    def add(self, name: str, resources: dict[str, Any], *dependencies: str, **more: Any) -> None:
        file = f"{name}.template.json"
        (self.out / file).write_text(json.dumps({"Resources": resources} | more))
        self.artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": file},
            "dependencies": [*dependencies, f"{name}.assets"],
        }
        files = {
            HASH: {
                "source": {"path": f"asset.{HASH}", "packaging": "zip"},
                "destinations": {"current": self.destination},
            }
        }
        (self.out / f"{name}.assets.json").write_text(json.dumps({"files": files}))
        self.artifacts[f"{name}.assets"] = {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json"},
        }

    def write(self) -> None:
        manifest = {"version": "36.0.0", "artifacts": self.artifacts}
        (self.out / "manifest.json").write_text(json.dumps(manifest))


FUNCTION = {
    "Type": "AWS::Lambda::Function",
    "Properties": {"Code": {"S3Bucket": {"Fn::Sub": CDK_BUCKET}, "S3Key": f"{HASH}.zip"}},
}


class TestCdk:
    def test_assets_go_into_plldbs_bucket_and_no_bootstrap_is_asked_for(
        self, tmp_path: Path
    ) -> None:
        app = App(tmp_path)
        app.add(
            "Shop",
            {"Fn": FUNCTION},
            Parameters={"BootstrapVersion": {"Type": "String"}, "Own": {"Type": "String"}},
            Rules={"CheckBootstrapVersion": {}},
        )
        app.write()
        (source,) = find_stack_sources(tmp_path, None)
        packaged = package(source)
        assert source.name == "Shop"
        assert packaged.body["Resources"]["Fn"]["Properties"]["Code"] == {
            "S3Bucket": {"Fn::Sub": "bucket"},
            "S3Key": f"p/{HASH}.zip",
        }
        assert packaged.body["Parameters"] == {"Own": {"Type": "String"}}
        assert "Rules" not in packaged.body
        (upload,) = packaged.uploads
        assert upload.key == f"p/{HASH}.zip"
        assert upload.make().body.startswith(b"PK")

    @pytest.mark.parametrize("account", ["123456789012", "${AWS::AccountId}"])
    def test_whatever_place_the_bucket_is_named_in(self, tmp_path: Path, account: str) -> None:
        app = App(tmp_path)
        url = f"https://s3.us-east-1.amazonaws.com/cdk-x1-assets-{account}-us-east-1/{HASH}.zip"
        app.add("Shop", {"Custom": {"Type": "Custom::It", "Properties": {"Urls": [url]}}})
        app.write()
        packaged = package(find_stack_sources(tmp_path, None)[0])
        assert packaged.body["Resources"]["Custom"]["Properties"]["Urls"] == [
            f"https://s3.us-east-1.amazonaws.com/bucket/p/{HASH}.zip"
        ]
        assert len(packaged.uploads) == 1

    @pytest.mark.parametrize("bucket", [CDK_BUCKET, "my-assets", "my-assets-${AWS::Region}"])
    @pytest.mark.parametrize("prefix", ["", "myapp/", "my/app/"])
    def test_a_synthesizer_may_have_a_bucket_and_a_prefix_of_its_own(
        self, tmp_path: Path, bucket: str, prefix: str
    ) -> None:
        app = App(tmp_path, bucket, prefix)
        key = f"{prefix}{HASH}.zip"
        properties = {
            "Code": {"S3Bucket": {"Fn::Sub": bucket}, "S3Key": key},
            "Url": f"https://s3.amazonaws.com/{bucket}/{key}",
            "Readable": f"arn:aws:s3:::{bucket}/*",
            "Own": [f"{bucket}-of-mine", f"x/{bucket}x/{key}x"],
        }
        app.add("Shop", {"Fn": {"Type": "Custom::It", "Properties": properties}})
        app.write()
        packaged = package(find_stack_sources(tmp_path, None)[0])
        found = dict(packaged.body["Resources"]["Fn"]["Properties"])
        own = found.pop("Own")
        assert found == {
            "Code": {"S3Bucket": {"Fn::Sub": "bucket"}, "S3Key": f"p/{key}"},
            "Url": f"https://s3.amazonaws.com/bucket/p/{key}",
            "Readable": "arn:aws:s3:::bucket/*",
        }
        if bucket != CDK_BUCKET:
            assert own == properties["Own"]
        assert [one.key for one in packaged.uploads] == [f"p/{key}"]

    def test_nested_stacks_are_uploaded(self, tmp_path: Path) -> None:
        app = App(tmp_path)
        nested = {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {"TemplateURL": {"Fn::Sub": f"https://x/{CDK_BUCKET}/other.json"}},
            "Metadata": {"aws:asset:path": "Child.nested.template.json"},
        }
        app.add("Shop", {"Child": nested})
        (app.out / "Child.nested.template.json").write_text(
            json.dumps({"Resources": {"Fn": FUNCTION}})
        )
        app.write()
        packaged = package(find_stack_sources(tmp_path, None)[0])
        code, template = packaged.uploads
        assert code.key == f"p/{HASH}.zip"
        url = packaged.body["Resources"]["Child"]["Properties"]["TemplateURL"]
        assert url == f"https://s3/bucket/{template.key}"
        inner = json.loads(template.make().body)["Resources"]["Fn"]
        assert inner["Properties"]["Code"]["S3Key"] == code.key

    def test_stacks_come_after_those_that_they_depend_on(self, tmp_path: Path) -> None:
        app = App(tmp_path)
        app.add("Api", {}, "Data", "Auth")
        app.add("Auth", {}, "Data")
        app.add("Data", {})
        app.write()
        sources = find_stack_sources(tmp_path, None)
        assert [one.name for one in sources] == ["Data", "Auth", "Api"]
        assert [one.name for one in choose_stacks(sources, "Auth")] == ["Auth"]
        with pytest.raises(UsageError, match="no stack 'Auht'") as raised:
            choose_stacks(sources, "Auht")
        assert "Did you mean 'Auth'?" in (raised.value.hint or "")

    def test_an_asset_may_be_json(self, tmp_path: Path) -> None:
        app = App(tmp_path)
        definition = {"Bucket": {"Fn::Sub": CDK_BUCKET}, "Key": f"{HASH}.json"}
        machine = {"Type": "AWS::StepFunctions::StateMachine"}
        app.add("Shop", {"M": machine | {"Properties": {"DefinitionS3Location": definition}}})
        app.write()
        manifest = app.out / "Shop.assets.json"
        text = manifest.read_text().replace(f"asset.{HASH}", f"asset.{HASH}.json")
        manifest.write_text(text.replace(f"{HASH}.zip", f"{HASH}.json"))
        (app.out / f"asset.{HASH}.json").write_text('{"StartAt": "x"}')
        (upload,) = package(find_stack_sources(tmp_path, None)[0]).uploads
        assert upload.key == f"p/{HASH}.json"
        assert upload.make().body == b'{"StartAt": "x"}'

    def test_it_may_be_synthesised_to_another_folder(self, tmp_path: Path) -> None:
        app = App(tmp_path)
        app.add("Shop", {"Fn": FUNCTION})
        app.write()
        (tmp_path / "build").mkdir()
        app.out.rename(tmp_path / "build" / "synth")
        (tmp_path / "cdk.json").write_text('\ufeff{"app": "x", "output": "build/synth"}')
        assert [one.name for one in find_stack_sources(tmp_path, None)] == ["Shop"]

    def test_one_that_is_in_the_folder_by_name(self, tmp_path: Path) -> None:
        app = App(tmp_path)
        app.add("Shop", {"Fn": FUNCTION})
        app.add("Other", {})
        app.write()
        for named in ("cdk.out", "cdk.out/manifest.json"):
            assert len(find_stack_sources(tmp_path, Path(named))) == 2
        (source,) = find_stack_sources(tmp_path, Path("cdk.out/Shop.template.json"))
        assert source.name == "Shop"


def test_serverless_has_its_zips_beside_the_template(tmp_path: Path) -> None:
    (out := tmp_path / ".serverless").mkdir()
    (out / "users.zip").write_bytes(b"PK")
    bucket = {"Ref": "ServerlessDeploymentBucket"}
    code = {"S3Bucket": bucket, "S3Key": "serverless/users/dev/1-2/users.zip"}
    body = {
        "Resources": {
            "GetLambdaFunction": {"Type": "AWS::Lambda::Function", "Properties": {"Code": code}},
            "ServerlessDeploymentBucket": {"Type": "AWS::S3::Bucket"},
        }
    }
    (out / "cloudformation-template-update-stack.json").write_text(json.dumps(body))
    state = {"service": {"service": "users", "provider": {"stage": "dev"}}}
    (out / "serverless-state.json").write_text(json.dumps(state))
    (source,) = find_stack_sources(tmp_path, None)
    packaged = package(source)
    (upload,) = packaged.uploads
    assert source.name == "users-dev"
    assert packaged.body["Resources"]["GetLambdaFunction"]["Properties"]["Code"] == {
        "S3Bucket": "bucket",
        "S3Key": upload.key,
    }
    assert upload.make().body == b"PK"


def test_stacks_that_a_plugin_of_serverless_has_split(tmp_path: Path) -> None:
    (out := tmp_path / ".serverless").mkdir()
    (out / "users.zip").write_bytes(b"PK")
    code = {"S3Bucket": {"Ref": "BucketParameter"}, "S3Key": "serverless/users/dev/1-2/users.zip"}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"Code": code}}
    name = "cloudformation-template-Get-nested-stack.json"
    (out / name).write_text(json.dumps({"Resources": {"Get": function}}))
    url = {"Fn::Join": ["/", ["https://s3.eu-west-1.amazonaws.com", {"Ref": "Bucket"}, name]]}
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
    body = {"Resources": {"GetNestedStack": nested}}
    (out / "cloudformation-template-update-stack.json").write_text(json.dumps(body))
    (source,) = find_stack_sources(tmp_path, None)
    packaged = package(source)
    (inner,) = packaged.nested
    assert inner["Resources"]["Get"]["Properties"]["Code"]["S3Bucket"] == "bucket"
    assert isinstance(
        packaged.body["Resources"]["GetNestedStack"]["Properties"]["TemplateURL"], str
    )


def test_a_template_has_no_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {T: {Type: AWS::SNS::Topic}}")
    (source,) = find_stack_sources(tmp_path, None)
    assert source.name is None
    assert package(source).uploads == ()


@pytest.mark.parametrize("name", ["template_file", "template-file"])
def test_the_template_may_be_named_by_sams_configuration(tmp_path: Path, name: str) -> None:
    for path in ("template.yaml", "infra/app.yaml"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("Resources: {}")
    (tmp_path / "samconfig.toml").write_text(
        f'[default.global.parameters]\n{name} = "infra/app.yaml"\n'
        '[prod.global.parameters]\ntemplate_file = "prod.yaml"\n'
    )
    (source,) = find_stack_sources(tmp_path, None)
    assert source.template == tmp_path / "infra" / "app.yaml"


def test_nothing_to_deploy(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no template to deploy") as raised:
        find_stack_sources(tmp_path, None)
    assert "cdk synth" in (raised.value.hint or "")
