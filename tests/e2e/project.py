"""A developer's project: a deployed stack, and the code of its functions on this machine."""

from __future__ import annotations

import base64
import io
import json
import textwrap
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plldb.aws import Target

from .support import poll, random_name

# What is deployed answers differently from what lies here, so that a test can tell who ran.
DEPLOYED = """
def handler(event, context):
    print("deployed")
    return {"ran": "deployed", "event": event}
"""
LOCAL = """
import os

def handler(event, context):
    return {"ran": "here", "event": event, "pid": os.getpid(), "file": __file__}
"""
_VARIABLES = {"GREETING": "hello", "EMPTY": ""}
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """``text`` is the payload as it came, ``log`` the last 4 KB of the function's log."""

    text: str
    error: str | None
    log: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Project:
    def __init__(self, target: Target, stack_name: str, folder: Path, functions: list[str]) -> None:
        self.target = target
        self.stack_name = stack_name
        self.folder = folder
        self.functions = functions
        self._lambda = target.client("lambda")
        resources = target.client("cloudformation")
        self._names = {
            logical_id: resources.describe_stack_resource(
                StackName=stack_name, LogicalResourceId=logical_id
            )["StackResourceDetail"]["PhysicalResourceId"]
            for logical_id in functions
        }

    @property
    def template(self) -> str:
        return str(self.folder / "template.json")

    def code(self, logical_id: str) -> Path:
        return self.folder / logical_id / "app.py"

    def write(self, logical_id: str, source: str) -> None:
        self.code(logical_id).write_text(textwrap.dedent(source))

    def name(self, logical_id: str) -> str:
        return str(self._names[logical_id])

    def invoke(self, logical_id: str, event: Any = None) -> Answer:
        answer = self._lambda.invoke(
            FunctionName=self.name(logical_id),
            Payload=json.dumps(event).encode(),
            LogType="Tail",
        )
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        return Answer(answer["Payload"].read().decode(), answer.get("FunctionError"), log)

    def deploy(self, logical_id: str, source: str) -> None:
        """Other code for a function, as another deployment would bring."""
        name = self.name(logical_id)
        self._lambda.update_function_code(FunctionName=name, ZipFile=_zipped(source))
        self._lambda.get_waiter("function_updated_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1}
        )

    def configuration(self, logical_id: str) -> dict[str, Any]:
        """What a developer set: everything but what Lambda itself counts and stamps."""
        found = self._lambda.get_function_configuration(FunctionName=self.name(logical_id))
        ours = ("Handler", "Timeout", "Environment", "Layers", "Runtime", "Role", "MemorySize")
        return {key: found[key] for key in ours if key in found}

    def configurations(self) -> dict[str, dict[str, Any]]:
        return {logical_id: self.configuration(logical_id) for logical_id in self.functions}

    def role(self) -> dict[str, Any]:
        """The role that the functions run as, with all its policies."""
        iam = self.target.client("iam")
        arn = self.configuration(self.functions[0])["Role"]
        name = arn.rpartition("/")[2]
        role = iam.get_role(RoleName=name)["Role"]
        return {
            "trust": role["AssumeRolePolicyDocument"],
            "inline": iam.list_role_policies(RoleName=name)["PolicyNames"],
            "attached": iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"],
        }

    def update(self, logical_id: str, **changes: Any) -> None:
        self._lambda.update_function_configuration(FunctionName=self.name(logical_id), **changes)

    def wait_until_restored(self, before: Mapping[str, Any], seconds: float = 10) -> float:
        """How long it took until every configuration was as before."""
        started = time.monotonic()
        poll(lambda: self.configurations() == before, "restored", seconds)
        return time.monotonic() - started


@contextmanager
def deployed_project(
    target: Target, folder: Path, functions: list[str], variables: Mapping[str, str] = _VARIABLES
) -> Iterator[Project]:
    """A stack of zip functions that answer "deployed", and local code that answers "here"."""
    name = random_name("project")
    cloudformation, s3 = target.client("cloudformation"), target.client("s3")
    bucket = f"{name}-code"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="code.zip", Body=_zipped(DEPLOYED))
    for logical_id in functions:
        (folder / logical_id).mkdir(parents=True)
        (folder / logical_id / "app.py").write_text(LOCAL)
    here = {logical_id: logical_id for logical_id in functions}
    there = {name: {"S3Bucket": bucket, "S3Key": "code.zip"} for name in functions}
    (folder / "template.json").write_text(_template(here, variables))
    try:
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=_template(there, variables),
            Capabilities=["CAPABILITY_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
        yield Project(target, name, folder, functions)
    finally:
        cloudformation.delete_stack(StackName=name)
        s3.delete_object(Bucket=bucket, Key="code.zip")
        s3.delete_bucket(Bucket=bucket)


def _zipped(source: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("app.py", source)
    return archive.getvalue()


def _template(code: Mapping[str, Any], variables: Mapping[str, str]) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}
        },
    }
    functions = {
        logical_id: {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "app.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Timeout": _TIMEOUT_SECONDS,
                "Environment": {"Variables": dict(variables)},
                "Code": where,
            },
        }
        for logical_id, where in code.items()
    }
    return json.dumps({"Resources": {"Role": role} | functions})
