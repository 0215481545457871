"""The steps of the demo. Nothing outlives the demo: emulator, stacks and files are its own."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.aws import Target, aws_errors
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.operations import BootstrapOperation
from plldb.config import DEFAULT_EMULATOR_REGION, DEFAULT_HELPER_STACK, TargetSettings
from plldb.debugger.attachment import (
    AttachEvent,
    SessionCreated,
    SessionOptions,
    attach,
)
from plldb.debugger.children.credential_server import serving_target
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.local_function import NO_DEBUGGER
from plldb.debugger.protocol import Connected, Ended, Instrumented, Ready, Restored
from plldb.debugger.sources.choice import CodeOptions, choose_sources
from plldb.emulators.lifecycle import Lifecycle
from plldb.emulators.process import MiniStack
from plldb.stacks import HelperStack, find_helper_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

SAMPLE_STACK = "sample"
SAMPLE_EVENT = {"name": "plldb"}
_SAMPLE = Path(__file__).with_name("sample")
_FUNCTION = "Greeter"

# Takes what a line is about, as JSON output names it, and the line.
Tell = Callable[[str, str], None]


@contextmanager
def embedded_emulator(home: Path) -> Iterator[Target]:
    """An emulator of the demo's own, in a folder of its own, stopped at the end."""
    lifecycle = Lifecycle(home, lambda _: MiniStack(home))
    try:
        running = lifecycle.up(MiniStack.name, port=None).running
        settings = TargetSettings("emulator", DEFAULT_EMULATOR_REGION, emulator=running.address)
        with Target(settings) as target:
            yield target
    finally:
        lifecycle.down()


def deploy_helper_stack(target: Target, tell: Tell) -> HelperStack:
    """Does what ``plldb bootstrap`` does, and tells each step."""
    steps: list[str] = []
    resources: set[str] = set()
    operation = BootstrapOperation.for_setup(target, DEFAULT_HELPER_STACK)
    operation.run(
        lambda target: Executor(
            target,
            on_step=lambda step: steps.append(str(step)),
            on_resource=lambda event: resources.add(event.logical_id),
        )
    )
    for step in steps:
        tell("step", step)
    tell("resources", f"{len(resources) - 1} resources are deployed")
    helper = find_helper_stack(target, DEFAULT_HELPER_STACK)
    tell("managementApiUrl", helper.management_api_url)
    tell("webSocketUrl", helper.websocket_url)
    return helper


@dataclass(frozen=True)
class SampleProject:
    """A developer's project: a template, and the code of its function beside it."""

    folder: Path

    @classmethod
    def copy_to(cls, folder: Path) -> SampleProject:
        """Copies the sample to a new folder."""
        shutil.copytree(_SAMPLE, folder)
        return cls(folder)

    @property
    def template(self) -> Path:
        return self.folder / "template.yaml"

    @property
    def code(self) -> Path:
        return self.folder / "greeter" / "app.py"

    def edit(self, old: str, new: str) -> None:
        """Replaces a piece of the function's code, and saves the file, as a developer does."""
        self.code.write_text(self.code.read_text("utf-8").replace(old, new), "utf-8")


def deploy_sample(target: Target, project: SampleProject) -> str:
    """Deploys the project as ``aws cloudformation package`` and ``deploy`` would.

    Returns the name of its function.
    """
    cloudformation: CloudFormationClient = target.client("cloudformation")
    with aws_errors("deploy the sample stack"):
        cloudformation.create_stack(
            StackName=SAMPLE_STACK,
            TemplateBody=_package(target, project),
            Capabilities=["CAPABILITY_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=SAMPLE_STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        resource = cloudformation.describe_stack_resource(
            StackName=SAMPLE_STACK, LogicalResourceId=_FUNCTION
        )
    function = resource["StackResourceDetail"]["PhysicalResourceId"]
    logger.info("stack %s is deployed, its function is %s", SAMPLE_STACK, function)
    return function


def _package(target: Target, project: SampleProject) -> str:
    """Uploads the function's code, and returns the template that refers to it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(project.code, project.code.name)
    s3: S3Client = target.client("s3")
    bucket = "sample-artifacts"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="greeter.zip", Body=archive.getvalue())
    uploaded = f"Code: {{ S3Bucket: {bucket}, S3Key: greeter.zip }}"
    return project.template.read_text("utf-8").replace("Code: greeter", uploaded)


@dataclass(frozen=True)
class InvokeResult:
    """What a caller gets: ``payload`` is JSON text, ``log`` the end of the invocation's log."""

    payload: str
    log: str


class Caller:
    """Somebody who invokes the function through the Lambda API, and knows nothing of plldb."""

    def __init__(self, target: Target, function: str) -> None:
        self._client: LambdaClient = target.client("lambda")
        self._function = function

    def invoke(self, event: dict[str, str]) -> InvokeResult:
        """Invokes the function and waits for its answer. Raises AwsError."""
        with aws_errors("invoke the sample function"):
            answer = self._client.invoke(
                FunctionName=self._function, Payload=json.dumps(event), LogType="Tail"
            )
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        return InvokeResult(answer["Payload"].read().decode(), log)


def attach_and_debug(
    target: Target, helper: HelperStack, project: SampleProject, caller: Caller, tell: Tell
) -> None:
    """Attaches, has the function called while it is edited, and detaches with Ctrl-C."""
    narrator = _Narrator(target, helper, project, caller, tell)
    sources = choose_sources(CodeOptions(project.folder), SAMPLE_STACK)
    with serving_target(target) as credentials:
        attach(
            target,
            SessionOptions(SAMPLE_STACK, helper.name),
            sources,
            lambda: Invoker(
                python=Path(sys.executable),
                debug=NO_DEBUGGER,
                max_concurrency=2,
                on_output=lambda line: tell("output", f"{line.function} │ {line.text}"),
                credentials=credentials,
            ),
            narrator.show,
        )
    if narrator.calls is not None:
        narrator.calls.result()


class _Narrator:
    """Tells what happens in the session, and has the function called once it is ready."""

    def __init__(
        self,
        target: Target,
        helper: HelperStack,
        project: SampleProject,
        caller: Caller,
        tell: Tell,
    ) -> None:
        self._target = target
        self._helper = helper
        self._project = project
        self._caller = caller
        self._tell = tell
        self._thread = ThreadPoolExecutor(1)
        self.calls: Future[None] | None = None

    def show(self, event: AttachEvent) -> None:
        match event:
            case SessionCreated(session, _):
                self._tell_status(f"POST /sessions opened session {session}…")
            case Connected():
                self._tell_status("the WebSocket is connected")
            case Instrumented(function):
                self._tell("instrumented", f"{function} runs here now")
            case Ready():
                # In another thread, since this one answers the calls.
                self.calls = self._thread.submit(self._call_and_detach)
            case Restored(function):
                self._tell("restored", f"{function} is restored")
            case Ended():
                self._tell_status("the session has ended")

    def _tell_status(self, text: str) -> None:
        status = read_session_status(self._target, self._helper)
        self._tell("status", f"{text}; the table says {status}")

    def _call_and_detach(self) -> None:
        try:
            self._call()
        finally:
            self._tell("ctrl-c", "now Ctrl-C, as you would press it")
            os.kill(os.getpid(), signal.SIGINT)

    def _call(self) -> None:
        tell, invoke = self._tell, self._caller.invoke
        tell("answer", f"the same call: {invoke(SAMPLE_EVENT).payload}")
        self._project.edit("}!", "}, from your editor!")
        tell("edited", "app.py is edited and saved; nothing is deployed")
        tell("answer", f"the same call: {invoke(SAMPLE_EVENT).payload}")
        failed = invoke({})
        tell("failed", f"a call without a name: {failed.payload}")
        tell("trace", "and the function's log in the emulator has the trace of the code here:")
        for line in _extract_traceback(failed.log):
            tell("trace", f"  {line}")


def _extract_traceback(log: str) -> list[str]:
    lines = log.splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("Traceback")), len(lines))
    return [line for line in lines[start:] if not line.startswith(("END ", "REPORT "))]


def read_session_status(target: Target, helper: HelperStack) -> str:
    """The status of the sample stack's session, as the sessions table has it."""
    dynamodb: DynamoDBClient = target.client("dynamodb")
    with aws_errors("read the sessions table"):
        items = dynamodb.query(
            TableName=helper.sessions_table,
            IndexName="GSI-StackName",
            KeyConditionExpression="StackName = :stack",
            ExpressionAttributeValues={":stack": {"S": SAMPLE_STACK}},
        )["Items"]
    return ", ".join(item["Status"]["S"] for item in items)
