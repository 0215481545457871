"""The steps of the demo. Nothing outlives it: emulator, stacks and files are its own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.aws import Target, aws_errors
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.operations import Operation
from plldb.config import DEFAULT_EMULATOR_REGION, DEFAULT_HELPER_STACK, TargetSettings
from plldb.debugger.attach import Event, SessionCreated, attach
from plldb.debugger.protocol import Connected
from plldb.emulators.lifecycle import Lifecycle
from plldb.emulators.process import MiniStack
from plldb.stacks import HelperStack, find_helper_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient

SAMPLE_STACK = "sample"
_SAMPLE_TEMPLATE = Path(__file__).with_name("sample_stack.yaml")

Tell = Callable[[str, str], None]


@contextmanager
def embedded_emulator(home: Path) -> Iterator[Target]:
    """An emulator of the demo's own, in a folder of its own, stopped at the end."""
    lifecycle = Lifecycle(home, lambda _: MiniStack(home))
    try:
        running = lifecycle.up(MiniStack.name, port=None).running
        yield Target(TargetSettings("emulator", DEFAULT_EMULATOR_REGION, emulator=running.address))
    finally:
        lifecycle.down()


def bootstrap(target: Target, tell: Tell) -> HelperStack:
    steps: list[str] = []
    resources: set[str] = set()
    operation = Operation.setup(target, DEFAULT_HELPER_STACK)
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


def deploy_sample(target: Target, tell: Tell) -> None:
    cloudformation: CloudFormationClient = target.client("cloudformation")
    with aws_errors("deploy the sample stack"):
        cloudformation.create_stack(
            StackName=SAMPLE_STACK,
            TemplateBody=_SAMPLE_TEMPLATE.read_text(encoding="utf-8"),
            Capabilities=["CAPABILITY_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=SAMPLE_STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        function = cloudformation.describe_stack_resource(
            StackName=SAMPLE_STACK, LogicalResourceId="Greeter"
        )["StackResourceDetail"]["PhysicalResourceId"]
    lambda_: LambdaClient = target.client("lambda")
    with aws_errors("invoke the sample function"):
        answer = lambda_.invoke(FunctionName=function, Payload=json.dumps({"name": "plldb"}))
    tell("answer", f"its function answers {answer['Payload'].read().decode()}")


def attach_and_detach(target: Target, helper: HelperStack, tell: Tell) -> None:
    """Shows what the sessions table holds at each turn of the session's life."""

    def report(event: Event) -> None:
        match event:
            case SessionCreated(session, _):
                tell("session", f"POST /sessions opened session {session}…")
            case Connected():
                tell("connected", "the WebSocket is connected")
        tell("status", f"the table says {session_status(target, helper)}")
        if isinstance(event, Connected):
            tell("ctrl-c", "now Ctrl-C, as you would press it")
            os.kill(os.getpid(), signal.SIGINT)

    attach(target, SAMPLE_STACK, helper.name, report)


def session_status(target: Target, helper: HelperStack) -> str:
    dynamodb: DynamoDBClient = target.client("dynamodb")
    with aws_errors("read the sessions table"):
        items = dynamodb.query(
            TableName=helper.sessions_table,
            IndexName="GSI-StackName",
            KeyConditionExpression="StackName = :stack",
            ExpressionAttributeValues={":stack": {"S": SAMPLE_STACK}},
        )["Items"]
    return ", ".join(item["Status"]["S"] for item in items)
