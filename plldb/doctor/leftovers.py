"""What crashed sessions left behind: instrumented functions, and sessions past their time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from plldb.aws import aws_errors
from plldb.bootstrap.cloudformation.lambda_functions.shared import constants
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckResult
from plldb.errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient

logger = logging.getLogger(__name__)

# What is no version, but the function as it is.
LATEST = "$LATEST"
# Between two calls to Lambda's control plane, whose 15 a second are for all callers of an account.
_PAUSE_SECONDS = 0.2
# CloudFormation tags with this what it makes.
_STACK_TAG = "aws:cloudformation:stack-name"


@dataclass(frozen=True)
class InstrumentedFunction:
    """A function that runs plldb's shim, or a version of it, whose number follows its name.

    ``hold`` is the name under which it is held.

    ``title`` is what it is called in a session, for example Child/Greeter, and ``stack`` whose
    session that was; empty where it was instrumented by plldb 0.1.0.
    """

    name: str
    arn: str
    title: str
    stack: str
    hold: str
    owner: str
    websocket_url: str

    def is_held_through(self, api_id: str) -> bool:
        """Whether it was instrumented through the helper stack with that WebSocket API."""
        url = urlsplit(self.websocket_url)
        return api_id in (url.hostname or "").split(".") or api_id in url.path.split("/")


def check_functions(facts: Facts) -> CheckResult:
    """Names the functions whose holder is not attached any more, each with its stack."""
    api_id = facts.helper_stack.websocket_api_id
    # The functions are listed first: a session that begins meanwhile is then among the attached.
    instrumented = list(_list_instrumented(facts))
    ours = [function for function in instrumented if function.is_held_through(api_id)]
    attached = {hold for view in facts.attached_sessions for hold in view.holds} if ours else set()
    abandoned = [function for function in ours if function.hold not in attached]
    logger.debug("%d instrumented, %d ours, %d left", len(instrumented), len(ours), len(abandoned))
    members = _list_members(facts) if abandoned else set()
    left = [
        (function, stack)
        for function in abandoned
        for stack in [_find_stack_name(function, members, facts)]
        if facts.context.stack_name in (None, stack)
    ]
    others = len(instrumented) - len(ours)
    foreign = f"; {others} held through other helper stacks were not judged" if others else ""
    if not left:
        return CheckResult.ok(f"{len(ours)} instrumented, each by an attached session{foreign}")
    stacks = sorted({stack for _, stack in left if stack})
    return CheckResult.problem(
        "left instrumented by sessions that are over: "
        + "; ".join(_describe(function, stack) for function, stack in left)
        + foreign,
        " and ".join(f"plldb restore --stack-name {stack}" for stack in stacks)
        or "plldb restore --stack-name S, where S is the stack that it belongs to",
        functions=[
            {
                "name": function.name,
                "function": function.title,
                "stackName": stack,
                "session": function.hold,
                "owner": function.owner,
            }
            for function, stack in left
        ],
    )


def _describe(function: InstrumentedFunction, stack: str | None) -> str:
    of = f"stack {stack}" if stack else "an unknown stack"
    return f"{function.title or function.name} of {of} (by {function.owner})"


def _list_instrumented(facts: Facts) -> Iterator[InstrumentedFunction]:
    client: LambdaClient = facts.target.client("lambda")
    with aws_errors("list the functions"):
        # With their versions, since callers of aliases may get one of plldb's.
        for page in client.get_paginator("list_functions").paginate(FunctionVersion="ALL"):
            if "NextMarker" in page:
                _leave_room_for_others(facts)
            for found in page["Functions"]:
                variables = found.get("Environment", {}).get("Variables", {})
                version = found.get("Version", LATEST)
                # A version that somebody else has published meanwhile runs its own handler.
                is_meant = version == LATEST or constants.ALIASES in variables
                if is_meant and _runs_shim(found):
                    name = found["FunctionName"]
                    yield InstrumentedFunction(
                        name=name if version == LATEST else f"{name}:{version}",
                        arn=found["FunctionArn"].removesuffix(f":{version}"),
                        title=variables.get(constants.FUNCTION, ""),
                        stack=variables.get(constants.STACK, ""),
                        hold=variables.get(constants.SESSION, ""),
                        owner=variables.get(constants.HELD_BY, "unknown"),
                        websocket_url=variables.get(constants.WEBSOCKET_URL, ""),
                    )


def _leave_room_for_others(facts: Facts) -> None:
    """An emulator has no others."""
    if facts.target.is_aws:
        facts.context.sleep(_PAUSE_SECONDS)


def _runs_shim(found: Mapping[str, Any]) -> bool:
    """As its handler, or at the end of a container image's command."""
    config = (found.get("ImageConfigResponse") or {}).get("ImageConfig") or {}
    handlers = (found.get("Handler"), *config.get("Command", ())[-1:])
    return constants.SHIM_HANDLER in handlers


def _find_stack_name(function: InstrumentedFunction, members: set[str], facts: Facts) -> str | None:
    """The stack that it says itself, or else the one that was named, or that of its tags.

    Nested stacks are restored with the one above them, which no tag tells.
    """
    if function.stack:
        return function.stack
    if function.name.partition(":")[0] in members:
        return facts.context.stack_name
    client: LambdaClient = facts.target.client("lambda")
    _leave_room_for_others(facts)
    try:
        with aws_errors(f"read the tags of function {function.name}"):
            return client.list_tags(Resource=function.arn)["Tags"].get(_STACK_TAG)
    except AwsError:
        # Nobody may read them, or the function is just deleted: it is worth naming all the same.
        return None


def _list_members(facts: Facts) -> set[str]:
    """The physical ids of what is in the stack that was named; an emulator may not tag them."""
    if facts.context.stack_name is None:
        return set()
    client: CloudFormationClient = facts.target.client("cloudformation")
    pages = client.get_paginator("list_stack_resources")
    try:
        with aws_errors(f"list the resources of stack {facts.context.stack_name}"):
            return {
                resource.get("PhysicalResourceId", "")
                for page in pages.paginate(StackName=facts.context.stack_name)
                for resource in page["StackResourceSummaries"]
            }
    except AwsError:
        return set()


def check_sessions(facts: Facts) -> CheckResult:
    """Finds ACTIVE sessions past their TTL: the reaper closes those, unless it does not run."""
    now = facts.now
    late = sorted(
        item["StackName"]["S"]
        for item in _read_connected_sessions(facts)
        if item["Status"]["S"] == "ACTIVE" and int(item["TTL"]["N"]) <= now
        if facts.context.stack_name in (None, item["StackName"]["S"])
    )
    if not late:
        return CheckResult.ok("none is open past its time")
    return CheckResult.warning(
        f"{len(late)} open past their time, of stacks: {', '.join(sorted(set(late)))}",
        "The reaper closes them within minutes. If they stay, its log says why: "
        f"/plldb/{facts.helper_stack.name}",
        stacks=late,
    )


def _read_connected_sessions(facts: Facts) -> Iterator[dict[str, Any]]:
    """Reads the sessions that have a connection, through the index that holds only those."""
    client: DynamoDBClient = facts.target.client("dynamodb")
    table = facts.helper_stack.sessions_table
    with aws_errors("read the sessions"):
        pages = client.get_paginator("scan").paginate(
            TableName=table, IndexName="GSI-ConnectionId", ProjectionExpression="SessionId"
        )
        for page in pages:
            for found in page["Items"]:
                # The index has nothing but keys. A session may be deleted meanwhile.
                key = {"SessionId": found["SessionId"]}
                if item := client.get_item(TableName=table, Key=key).get("Item"):
                    yield item
