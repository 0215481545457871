"""Deploys what a tool has made of a project of tests/projects, as that tool does it.

With plain boto3: the packages go to the bucket that the template names, and the template is
deployed as it is. ``packaged`` makes a package of what the tool would put there.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plldb.aws import Target
from plldb.templates import read_template

from .debugging import Debuggee
from .support import delete_stack, poll, random_name

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
# What `cdk bootstrap` says of itself, and templates ask for.
_BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"


def packaged(*paths: Path, below: Path | None = None, prefix: str = "") -> bytes:
    """A zip file of files and folders, with paths from ``below``, or from each folder itself."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for at in paths:
            for path in sorted([at] if at.is_file() else at.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    zipped.write(path, Path(prefix, path.relative_to(below or at)))
    return archive.getvalue()


@dataclass
class Deployment:
    """A stack that is to be deployed of a project; ``cleaning`` removes it with all it needed."""

    target: Target
    project: Path
    name: str
    cleaning: ExitStack

    def create_bucket(self, name: str) -> None:
        s3 = self.target.client("s3")
        s3.create_bucket(Bucket=name)
        self.cleaning.callback(self._remove_bucket, name)

    def upload(self, bucket: str, key: str, content: bytes) -> None:
        self.target.client("s3").put_object(Bucket=bucket, Key=key, Body=content)

    def deploy(self, template: Mapping[str, Any], is_update: bool = False) -> None:
        cloudformation = self.target.client("cloudformation")
        change_set = random_name("change-set")
        kind = "UPDATE" if is_update else "CREATE"
        cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=change_set,
            ChangeSetType=kind,
            TemplateBody=json.dumps(template),
            Capabilities=_CAPABILITIES,  # type: ignore[arg-type]
        )
        if not is_update:
            self.cleaning.callback(delete_stack, self.target, self.name)

        def describe() -> str:
            return cloudformation.describe_change_set(
                StackName=self.name, ChangeSetName=change_set
            )["Status"]

        poll(lambda: describe() not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"), "change set")
        assert describe() == "CREATE_COMPLETE"
        cloudformation.execute_change_set(StackName=self.name, ChangeSetName=change_set)
        status = poll(self._find_status, "deployed")
        assert status == f"{kind}_COMPLETE", cloudformation.describe_stack_events(
            StackName=self.name
        )["StackEvents"]

    def _find_status(self) -> str | None:
        cloudformation = self.target.client("cloudformation")
        status = str(
            cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
        )
        return None if status.endswith("_IN_PROGRESS") else status

    def _remove_bucket(self, name: str) -> None:
        self._empty_bucket(name)
        self.target.client("s3").delete_bucket(Bucket=name)

    def _empty_bucket(self, name: str) -> None:
        s3 = self.target.client("s3")
        for one in s3.list_objects_v2(Bucket=name).get("Contents", []):
            s3.delete_object(Bucket=name, Key=one["Key"])

    def empty_at_end(self, bucket: str) -> None:
        """A bucket of the stack's own."""
        self.cleaning.callback(self._empty_bucket, bucket)


# --- Each tool ------------------------------------------------------------------------------------


def deploy_local_folders(deployment: Deployment) -> None:
    """As ``aws cloudformation package`` and ``sam deploy`` do it."""
    folder = deployment.project
    template = read_template(folder / "template.yaml")
    bucket = random_name("artifacts")
    deployment.create_bucket(bucket)
    for logical_id, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for name in ("Code", "Content", "CodeUri", "ContentUri"):
            if not isinstance(properties.get(name), str):
                continue
            at = folder / properties[name]
            # `sam build` makes that of a layer of Python.
            prefix = "python" if "BuildMethod" in resource.get("Metadata", {}) else ""
            key = f"{logical_id}.zip"
            deployment.upload(bucket, key, packaged(at, prefix=prefix))
            is_sam = name.endswith("Uri")
            uploaded = {"S3Bucket": bucket, "S3Key": key}
            properties[name] = f"s3://{bucket}/{key}" if is_sam else uploaded
    deployment.deploy(template)


def deploy_assembly(deployment: Deployment, stack: str) -> None:
    """As ``cdk deploy`` does it, in an account that was bootstrapped."""
    output = deployment.project / "cdk.out"
    account = deployment.target.client("sts").get_caller_identity()["Account"]
    bucket = f"cdk-hnb659fds-assets-{account}-{deployment.target.region}"
    deployment.create_bucket(bucket)
    deployment.target.client("ssm").put_parameter(
        Name=_BOOTSTRAP_VERSION, Value="30", Type="String", Overwrite=True
    )
    template = _find_template(output, stack)
    assets = template.with_name(template.name.replace(".template.json", ".assets.json"))
    for asset in json.loads(assets.read_text())["files"].values():
        path = assets.parent / asset["source"]["path"]
        content = packaged(path) if asset["source"]["packaging"] == "zip" else path.read_bytes()
        for destination in asset["destinations"].values():
            deployment.upload(bucket, destination["objectKey"], content)
    deployment.deploy(json.loads(template.read_text()))


def _find_template(output: Path, stack: str) -> Path:
    for manifest in (output / "manifest.json", *output.glob("assembly-*/manifest.json")):
        for artifact_id, artifact in json.loads(manifest.read_text())["artifacts"].items():
            properties = artifact.get("properties", {})
            if "templateFile" in properties and properties.get("stackName", artifact_id) == stack:
                return manifest.parent / str(properties["templateFile"])
    raise AssertionError(f"no stack {stack} in {output}")


def deploy_service(deployment: Deployment) -> None:
    """As ``osls deploy`` does it: its bucket first, and then all of it."""
    project, output = deployment.project, deployment.project / ".serverless"
    deployment.deploy(
        json.loads((output / "cloudformation-template-create-stack.json").read_text())
    )
    debuggee = Debuggee(deployment.target, deployment.name)
    bucket = debuggee.physical["ServerlessDeploymentBucket"]
    deployment.empty_at_end(bucket)
    template = json.loads((output / "cloudformation-template-update-stack.json").read_text())
    service = packaged(project / "src", project / "shared", below=project)
    layer = packaged(project / "layers" / "common")
    for resource in template["Resources"].values():
        for name, content in (("Code", service), ("Content", layer)):
            if name in resource.get("Properties", {}) and resource["Type"].startswith(
                "AWS::Lambda"
            ):
                deployment.upload(bucket, resource["Properties"][name]["S3Key"], content)
    deployment.deploy(template, is_update=True)


def deploy_app(deployment: Deployment, chalice: Path) -> None:
    """As ``chalice package`` and ``aws cloudformation deploy`` do it. ``chalice`` is a folder with
    the part of Chalice that is put into every package.
    """
    project = deployment.project
    template = json.loads((project / "out" / "sam.json").read_text())
    bucket = random_name("artifacts")
    deployment.create_bucket(bucket)
    archive = io.BytesIO(packaged(project / "app.py", project / "chalicelib", below=project))
    with zipfile.ZipFile(archive, "a") as zipped:
        for folder in (project / "vendor", chalice):
            for path in folder.rglob("*.py"):
                zipped.write(path, path.relative_to(folder))
    deployment.upload(bucket, "deployment.zip", archive.getvalue())
    for resource in template["Resources"].values():
        if "CodeUri" in resource["Properties"]:
            resource["Properties"]["CodeUri"] = f"s3://{bucket}/deployment.zip"
    deployment.deploy(template)


def deploy_configuration(deployment: Deployment) -> Debuggee:
    """As ``terraform apply`` does it, of what ``show.json`` says is there."""
    project, lambda_, iam = (
        deployment.project,
        deployment.target.client("lambda"),
        deployment.target.client("iam"),
    )
    role = random_name("terraform")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    deployment.cleaning.callback(iam.delete_role, RoleName=role)
    root = json.loads((project / "show.json").read_text())["values"]["root_module"]
    modules = [root, *root["child_modules"]]
    resources = [resource for module in modules for resource in module["resources"]]
    archives = {
        archive["output_path"]: packaged(_find_source(project, archive))
        for archive in _list_values(resources, "archive_file")
    }
    uploads = {one["key"]: one["source"] for one in _list_values(resources, "aws_s3_object")}
    for layer in _list_values(resources, "aws_lambda_layer_version"):
        content = {"ZipFile": archives[layer["filename"]]}
        lambda_.publish_layer_version(LayerName=layer["layer_name"], Content=content)
        deployment.cleaning.callback(
            lambda_.delete_layer_version, LayerName=layer["layer_name"], VersionNumber=1
        )
    functions = list(_list_values(resources, "aws_lambda_function"))
    for function in functions:
        lambda_.create_function(
            FunctionName=function["function_name"],
            Runtime=function["runtime"],
            Handler=function["handler"],
            Timeout=function["timeout"],
            Layers=function["layers"] or [],
            Role=arn,
            Code={"ZipFile": archives[function["filename"] or uploads[function["s3_key"]]]},
        )
        deployment.cleaning.callback(
            lambda_.delete_function, FunctionName=function["function_name"]
        )
    names = [function["function_name"] for function in functions]
    return Debuggee(deployment.target, deployment.name, names)


def _list_values(resources: list[Any], kind: str) -> Iterator[dict[str, Any]]:
    return (resource["values"] for resource in resources if resource["type"] == kind)


def _find_source(project: Path, archive: Mapping[str, Any]) -> Path:
    return project / (archive["source_dir"] or Path(archive["source_file"]).parent)
