"""Stacks as the rest of plldb sees them: the helper stack's endpoints, and any stack's state."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from plldb import __version__
from plldb.aws import Target, aws_errors, error_code
from plldb.bootstrap.cloudformation.lambda_functions.instrumentation.request import restore_request
from plldb.bootstrap.cloudformation.lambda_functions.shared.constants import ALLOWED
from plldb.config import VERSION_TAG, suggest
from plldb.deployed import (
    NESTED_STACK_TYPE,
    DeployedFunction,
    DeployedResource,
    DeployedStack,
    list_pseudo_parameters,
    read_deployed_functions,
)
from plldb.errors import AwsError, StackError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_lambda import LambdaClient


logger = logging.getLogger(__name__)

_FUNCTION_CREDENTIALS = "FunctionCredentials"


@dataclass(frozen=True)
class StackState:
    """One CloudFormation stack; ``outputs``, ``tags`` and ``parameters`` are key → value."""

    name: str
    stack_id: str
    status: str
    reason: str
    outputs: dict[str, str]
    tags: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    has_termination_protection: bool = False

    @property
    def is_usable(self) -> bool:
        """Its resources are there: created or updated before, and not being deleted."""
        return self.status == "CREATE_COMPLETE" or self.status.startswith(("UPDATE_", "IMPORT_"))


@dataclass(frozen=True)
class HelperStack:
    """What ``plldb bootstrap`` deployed. URLs are as reached from here, without trailing slash."""

    name: str
    status: str
    management_api_id: str
    management_api_url: str
    websocket_api_id: str
    websocket_url: str
    sessions_table: str
    debugger_table: str
    instrumentation_function: str
    # The value of the parameter; empty if there is none of that name yet.
    function_credentials: str = ""
    # Of the plldb that deployed it.
    version: str = __version__

    def require_function_credentials(self) -> None:
        """Raises StackError if functions send debuggers no credentials of their roles."""
        if not self.function_credentials:
            raise StackError(
                f"The helper stack {self.name!r} is too old for --as-function.",
                "Run 'plldb bootstrap' to bring it up to date.",
            )
        if self.function_credentials != ALLOWED:
            raise StackError(
                f"The helper stack {self.name!r} hands out no credentials of functions: its "
                f"parameter {_FUNCTION_CREDENTIALS} is {self.function_credentials!r}.",
                "Attach without --as-function, or have whoever runs the helper stack allow it: "
                f"plldb bootstrap --parameter {_FUNCTION_CREDENTIALS}={ALLOWED}",
            )

    @classmethod
    def from_stack(cls, stack: StackState, target: Target) -> HelperStack:
        """Raises StackError where an output is missing: it is another stack, or an old one."""
        try:
            outputs = stack.outputs
            management_api_id = outputs["ManagementApiId"]
            websocket_api_id = outputs["WebSocketApiId"]
            return cls(
                name=stack.name,
                status=stack.status,
                management_api_id=management_api_id,
                management_api_url=target.execute_api_url(
                    management_api_id, outputs["ManagementApiUrl"]
                ),
                websocket_api_id=websocket_api_id,
                websocket_url=target.execute_api_url(websocket_api_id, outputs["WebSocketUrl"]),
                sessions_table=outputs["SessionsTableName"],
                debugger_table=outputs["DebuggerTableName"],
                instrumentation_function=outputs["InstrumentationFunctionName"],
                function_credentials=stack.parameters.get(_FUNCTION_CREDENTIALS, ""),
                version=stack.tags.get(VERSION_TAG, __version__),
            )
        except KeyError as missing:
            raise StackError(
                f"Stack {stack.name!r} is no plldb helper stack: it has no output {missing}.",
                "Run 'plldb bootstrap' to bring it up to date, or name the right one.",
            ) from None


def find_stack(target: Target, name: str) -> StackState | None:
    """The stack of that name (or ARN), or None; a deleted one counts as none."""
    cloudformation: CloudFormationClient = target.client("cloudformation")
    with aws_errors(f"look up stack {name!r} at {target.description}"):
        try:
            found = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            # CloudFormation has no code of its own for a missing stack.
            if error_code(error) != "ValidationError" or "does not exist" not in str(error):
                raise
            found = []
    states = [_read_stack(stack) for stack in found]
    state = next((state for state in states if state.status != "DELETE_COMPLETE"), None)
    logger.debug("stack %s: %s", name, state.status if state else "there is none")
    return state


def find_helper_stack(target: Target, name: str) -> HelperStack:
    """The deployed helper stack. Raises StackError if it is missing or not usable."""
    stack = find_stack(target, name)
    if stack is None:
        raise StackError(
            f"The helper stack {name!r} does not exist at {target.description}.",
            "Run 'plldb bootstrap' first, with the same --profile, --region or --endpoint-url.",
        )
    if not stack.is_usable:
        raise StackError(
            f"The helper stack {name!r} is in state {stack.status}.",
            "Run 'plldb bootstrap' to repair it.",
        )
    return HelperStack.from_stack(stack, target)


def require_debuggable_stack(target: Target, name: str) -> StackState:
    """The stack to debug. Raises StackError if it is missing or not usable."""
    return check_debuggable_stack(target, name, find_stack(target, name))


def check_debuggable_stack(target: Target, name: str, stack: StackState | None) -> StackState:
    """The same of what was found under the name."""
    if stack is None:
        near = suggest_stacks(target, name) or ""
        raise StackError(
            f"Stack {name!r}, the one to debug, does not exist at {target.description}.",
            f"{near} Check --stack-name and --region; deploy it first if it is new. Functions of "
            "no stack are listed in plldb.toml, under [stacks.NAME.functions.FUNCTION].".lstrip(),
        )
    if VERSION_TAG in stack.tags:
        raise StackError(
            f"Stack {name!r} is a helper stack of plldb itself, which it can't debug.",
            "Name the stack of your own functions with --stack-name.",
        )
    if not stack.is_usable:
        raise StackError(
            f"Stack {name!r}, the one to debug, is in state {stack.status}.",
            "Wait until it is deployed, or deploy it again.",
        )
    return stack


def list_stacks(target: Target) -> list[StackState]:
    """Those that are there, by their names, without helper stacks and those that are nested in
    others.
    """
    client: CloudFormationClient = target.client("cloudformation")
    with aws_errors("list the stacks"):
        pages = client.get_paginator("describe_stacks").paginate()
        found = [
            _read_stack(stack)
            for page in pages
            for stack in page["Stacks"]
            if not stack.get("ParentId") and stack["StackStatus"] != "DELETE_COMPLETE"
        ]
    return sorted((one for one in found if VERSION_TAG not in one.tags), key=lambda one: one.name)


def list_stack_names(target: Target) -> list[str]:
    return [one.name for one in list_stacks(target)]


def suggest_stacks(target: Target, name: str) -> str | None:
    """The stacks that there are, for one that is not; None if there are none, or nobody may see."""
    try:
        names = list_stack_names(target)
    except AwsError:
        return None
    return suggest(name, names) if names else None


def _read_stack(stack: StackTypeDef) -> StackState:
    return StackState(
        name=stack["StackName"],
        stack_id=stack.get("StackId", ""),
        status=stack["StackStatus"],
        reason=stack.get("StackStatusReason", ""),
        outputs={o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])},
        tags={t["Key"]: t["Value"] for t in stack.get("Tags", [])},
        parameters={p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])},
        has_termination_protection=stack.get("EnableTerminationProtection", False),
    )


# --- What is deployed -----------------------------------------------------------------------------

# Stacks are read side by side: each takes two calls of a fraction of a second.
_READ_AT_ONCE = 8


@dataclass(frozen=True)
class _StackContent:
    """One stack of a tree; ``prefix`` is the path to it, such as ``Child/``."""

    prefix: str
    resources: tuple[DeployedResource, ...] = ()
    template: object = None
    # What could not be read.
    unlisted: str | None = None
    unread: str | None = None


def read_deployed_stack(target: Target, stack: StackState) -> DeployedStack:
    """What is deployed of a stack and of those that are nested in it, to any depth.

    Raises AccessDeniedError if its resources may not be listed. What else may not be read is a
    warning: a template, without which handlers and runtimes are not known, or a nested stack.
    """
    cloudformation: CloudFormationClient = target.client("cloudformation")
    contents: list[_StackContent] = []
    level = [("", stack.stack_id or stack.name)]
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        while level:
            read = list(pool.map(lambda one: _read_content(cloudformation, *one), level))
            contents += read
            level = [
                (f"{content.prefix}{resource.logical_id}/", resource.physical_id)
                for content in read
                for resource in content.resources
                if resource.kind == NESTED_STACK_TYPE
            ]
    functions: dict[str, DeployedFunction] = {}
    kinds: dict[str, str] = {}
    for content in contents:
        functions |= read_deployed_functions(content.prefix, content.resources, content.template)
        kinds |= {content.prefix + one.logical_id: one.kind for one in content.resources}
    logger.info("stack %s: %d stacks, %d functions", stack.name, len(contents), len(functions))
    parameters = list_pseudo_parameters(stack.stack_id) | stack.parameters
    return DeployedStack(stack.name, functions, kinds, parameters, (*_list_warnings(contents),))


def _list_warnings(contents: list[_StackContent]) -> Iterator[str]:
    for content in contents:
        if content.unlisted is not None:
            yield f"The functions of {content.prefix[:-1]} are left out: {content.unlisted}"
    unread = [content.unread for content in contents if content.unread is not None]
    if unread:
        yield (
            f"Your template is compared with what is deployed by its functions' names only: "
            f"{unread[0]}"
        )


def _read_content(client: CloudFormationClient, prefix: str, name: str) -> _StackContent:
    which = f"stack {name.split('/')[1] if '/' in name else name}"
    try:
        with aws_errors(f"list the resources of {which}"):
            resources = tuple(list_resources(client, name))
    except AwsError as error:
        if not prefix:
            raise
        return _StackContent(prefix, unlisted=error.message)
    try:
        with aws_errors(f"read the template of {which}"):
            answer = client.get_template(StackName=name, TemplateStage="Processed")
    except AwsError as error:
        return _StackContent(prefix, resources, unread=error.message)
    return _StackContent(prefix, resources, answer.get("TemplateBody"))


def list_resources(client: CloudFormationClient, name: str) -> Iterator[DeployedResource]:
    """What there is of a stack (its name or ARN). Raises botocore's exceptions."""
    for page in client.get_paginator("list_stack_resources").paginate(StackName=name):
        for one in page["StackResourceSummaries"]:
            physical_id = one.get("PhysicalResourceId")
            if physical_id and one["ResourceStatus"] != "DELETE_COMPLETE":
                yield DeployedResource(one["LogicalResourceId"], one["ResourceType"], physical_id)


# --- Restoring ------------------------------------------------------------------------------------

# As long as a function may run: it waits for updates of others, and repeats what is throttled.
_LAMBDA_SECONDS = 900


@dataclass(frozen=True)
class Restoration:
    """Logical ids; ``failed`` with the reason of each; ``error`` if the whole of it failed.

    ``left`` is what was left as it is, though it has to do with plldb.
    """

    restored: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    left: Mapping[str, Sequence[str]] = field(default_factory=dict)


def restore_functions(
    target: Target,
    instrumentation_function: str,
    stack_name: str,
    members: Mapping[str, str] | None = None,
) -> Restoration:
    """Has the helper stack restore a stack's functions, whoever instrumented them.

    ``members`` are functions of a mere list, besides those that the helper stack knows by itself.
    Failing calls raise botocore's exceptions: see ``plldb.aws.aws_errors``.
    """
    client: LambdaClient = target.patient_client("lambda", _LAMBDA_SECONDS)
    # A helper stack of 0.1.0 calls the session so, and ends in an error without it.
    request = restore_request(stack_name, members=members) | {"sessionRef": None}
    answer = client.invoke(FunctionName=instrumentation_function, Payload=json.dumps(request))
    payload = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        return Restoration(error=str(payload.get("errorMessage")))
    left = payload.get("left", {})
    return Restoration(tuple(payload["restored"]), dict(payload["failed"]), left=left)
