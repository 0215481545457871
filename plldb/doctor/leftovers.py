"""What crashed sessions left behind: instrumented functions, and sessions past their time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from plldb.aws import aws_errors
from plldb.doctor.facts import Facts
from plldb.doctor.findings import Result, ok, problem, warning
from plldb.errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient

# What an instrumented function looks like: see lambda_functions/configuration.py, to which a unit
# test holds these.
SHIM_HANDLER = "plldb_shim.handler"
SESSION = "PLLDB_SESSION"
HELD_BY = "PLLDB_HELD_BY"
BROKER_URL = "PLLDB_BROKER_URL"
# As CloudFormation tags what it makes.
_STACK_TAG = "aws:cloudformation:stack-name"
# BatchGetItem takes this many at once:
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_BATCH = 100
# With pauses that double, as the same page asks for: 6 s in all.
_BATCH_ATTEMPTS = 8
_FIRST_PAUSE = 0.05


@dataclass(frozen=True)
class Instrumented:
    """A function that runs plldb's shim. ``session`` is the beginning of its holder's id."""

    name: str
    arn: str
    session: str
    owner: str
    broker_url: str

    def is_held_through(self, api_id: str) -> bool:
        """Whether it was instrumented through the helper stack with that management API."""
        url = urlsplit(self.broker_url)
        return api_id in (url.hostname or "").split(".") or api_id in url.path.split("/")


def functions(facts: Facts) -> Result:
    """Functions whose holder is not attached any more, each with its stack."""
    api_id = facts.helper.management_api_id
    # The functions first: a session that begins in between is among those that are attached then.
    instrumented = list(_instrumented(facts))
    ours = [one for one in instrumented if one.is_held_through(api_id)]
    attached = {view.session for view in facts.attached} if ours else set()
    gone = [one for one in ours if one.session not in attached]
    members = _members(facts) if gone else set()
    left = [
        (one, stack)
        for one in gone
        for stack in [_stack_of(one, members, facts)]
        if facts.question.stack_name in (None, stack)
    ]
    others = len(instrumented) - len(ours)
    foreign = f"; {others} held through other helper stacks were not judged" if others else ""
    if not left:
        return ok(f"{len(ours)} instrumented, each by an attached session{foreign}")
    stacks = sorted({stack for _, stack in left if stack})
    return problem(
        "left instrumented by sessions that are over: "
        + "; ".join(_described(one, stack) for one, stack in left)
        + foreign,
        " and ".join(f"plldb restore --stack-name {stack}" for stack in stacks)
        or "plldb restore --stack-name S, where S is the stack that it belongs to",
        functions=[
            {"name": one.name, "stackName": stack, "session": one.session, "owner": one.owner}
            for one, stack in left
        ],
    )


def _described(one: Instrumented, stack: str | None) -> str:
    return f"{one.name} of {f'stack {stack}' if stack else 'an unknown stack'} (by {one.owner})"


def _instrumented(facts: Facts) -> Iterator[Instrumented]:
    client: LambdaClient = facts.target.client("lambda")
    with aws_errors("list the functions"):
        for page in client.get_paginator("list_functions").paginate():
            for found in page["Functions"]:
                if found.get("Handler") == SHIM_HANDLER:
                    variables = found.get("Environment", {}).get("Variables", {})
                    yield Instrumented(
                        name=found["FunctionName"],
                        arn=found["FunctionArn"],
                        session=variables.get(SESSION, ""),
                        owner=variables.get(HELD_BY, "unknown"),
                        broker_url=variables.get(BROKER_URL, ""),
                    )


def _stack_of(one: Instrumented, members: set[str], facts: Facts) -> str | None:
    """By its membership in the stack that was named; otherwise by its tags, if they tell."""
    if one.name in members:
        return facts.question.stack_name
    client: LambdaClient = facts.target.client("lambda")
    try:
        with aws_errors(f"read the tags of function {one.name}"):
            return client.list_tags(Resource=one.arn)["Tags"].get(_STACK_TAG)
    except AwsError:
        # Not allowed, or deleted a moment ago: the function is worth naming all the same.
        return None


def _members(facts: Facts) -> set[str]:
    """The physical ids of what is in the stack that was named; an emulator may not tag them."""
    if facts.question.stack_name is None:
        return set()
    client: CloudFormationClient = facts.target.client("cloudformation")
    pages = client.get_paginator("list_stack_resources")
    try:
        with aws_errors(f"list the resources of stack {facts.question.stack_name}"):
            return {
                resource.get("PhysicalResourceId", "")
                for page in pages.paginate(StackName=facts.question.stack_name)
                for resource in page["StackResourceSummaries"]
            }
    except AwsError:
        return set()


def sessions(facts: Facts, sleep: Callable[[float], None] = time.sleep) -> Result:
    """ACTIVE sessions past their TTL: the reaper closes those, unless it does not run."""
    now = facts.now
    late = sorted(
        item["StackName"]["S"]
        for item in _connected(facts, sleep)
        if item["Status"]["S"] == "ACTIVE" and int(item["TTL"]["N"]) <= now
        if facts.question.stack_name in (None, item["StackName"]["S"])
    )
    if not late:
        return ok("none is open past its time")
    return warning(
        f"{len(late)} open past their time, of stacks: {', '.join(sorted(set(late)))}",
        "The reaper closes them within minutes. If they stay, its log says why: "
        f"/plldb/{facts.helper.name}",
        stacks=late,
    )


def _connected(facts: Facts, sleep: Callable[[float], None]) -> Iterator[dict[str, Any]]:
    """The sessions that have a connection, through the index that holds only those."""
    client: DynamoDBClient = facts.target.client("dynamodb")
    table = facts.helper.sessions_table
    with aws_errors("read the sessions"):
        pages = client.get_paginator("scan").paginate(
            TableName=table, IndexName="GSI-ConnectionId", ProjectionExpression="SessionId"
        )
        ids = [item["SessionId"]["S"] for page in pages for item in page["Items"]]
        for start in range(0, len(ids), _BATCH):
            yield from _read(client, table, ids[start : start + _BATCH], sleep)


def _read(
    client: DynamoDBClient, table: str, ids: list[str], sleep: Callable[[float], None]
) -> Iterator[dict[str, Any]]:
    """Those that are there. Raises AwsError if a throttled table does not give all of them."""
    request: dict[str, Any] = {table: {"Keys": [{"SessionId": {"S": one}} for one in ids]}}
    for attempt in range(_BATCH_ATTEMPTS):
        if attempt:
            sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
        answer: Any = client.batch_get_item(RequestItems=request)
        yield from answer["Responses"].get(table, [])
        request = answer.get("UnprocessedKeys") or {}
        if not request:
            return
    raise AwsError(
        f"Could not read the sessions: table {table} is throttled.",
        "Wait a moment, then run 'plldb doctor' again.",
    )
