"""The functions of a deployed stack, and which of them is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from plldb.aws import Target, aws_errors
from plldb.config import suggest
from plldb.debugger.sources.serverless import normalise_name
from plldb.deployed import FUNCTION_TYPE, NESTED_STACK_TYPE
from plldb.errors import StackError
from plldb.stacks import find_stack, list_resources, suggest_stacks

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient

# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestSyntax
_ARN = re.compile(r"arn:[\w-]+:lambda:[\w-]+:\d+:function:\S+")
# The CDK puts these behind the name that a construct has: Greeter → Greeter8B6AC5C2.
_HASH = r"[0-9A-F]{8}"
# What it calls the functions that it adds for its own purposes, such as LogRetention and 32 digits.
_OF_CDK = re.compile(rf"(?:.*/)?\w+(?:[0-9a-fA-F]{{32}}|CustomResourceProviderHandler)(?:{_HASH})?")


@dataclass(frozen=True)
class StackFunction:
    """``name`` is its path of logical ids from the stack, ``physical_name`` what Lambda calls it:
    a name or an ARN.
    """

    name: str
    physical_name: str

    @property
    def is_of_cdk(self) -> bool:
        """Whether the CDK has it for its own purposes: nobody else calls it."""
        return _OF_CDK.fullmatch(self.name) is not None


def find_function(target: Target, stack_name: str, wanted: str) -> StackFunction:
    """The function that is meant: by its ARN, its path in the stack, or its name at Lambda.

    Raises StackError if there is none.
    """
    if _ARN.fullmatch(wanted):
        return StackFunction(wanted, wanted)
    stack = find_stack(target, stack_name)
    functions = [] if stack is None else list_functions(target, stack.stack_id or stack_name)
    matching = match_function(functions, wanted)
    if len(matching) == 1:
        return matching[0]
    if not matching and _exists(target, wanted):
        return StackFunction(wanted, wanted)
    raise _explain(target, stack_name, stack is not None, functions, matching, wanted)


def list_functions(target: Target, stack_name: str) -> list[StackFunction]:
    """Those of a stack (its name or ARN) and of all that are nested in it, sorted by name."""
    with aws_errors(f"list the functions of stack {stack_name!r}"):
        return sorted(_walk(target.client("cloudformation"), stack_name, ""), key=lambda f: f.name)


def match_function(functions: Sequence[StackFunction], wanted: str) -> list[StackFunction]:
    """Those that a name may mean; the more exact way to mean one comes first, and none after it."""
    path = re.escape(wanted)
    # hello-world → HelloDashworldLambdaFunction is how Serverless calls them.
    names = (path, rf"(?:.*/)?{path}", rf"(?:.*/)?{path}{_HASH}")
    for pattern in (*names, re.escape(f"{normalise_name(wanted)}LambdaFunction")):
        named = [one for one in functions if re.fullmatch(pattern, one.name)]
        if named:
            return named
    return [one for one in functions if wanted == one.physical_name.rpartition(":")[2]]


def _walk(client: CloudFormationClient, stack: str, prefix: str) -> Iterator[StackFunction]:
    for resource in list_resources(client, stack):
        if resource.kind == FUNCTION_TYPE:
            yield StackFunction(prefix + resource.logical_id, resource.physical_id)
        elif resource.kind == NESTED_STACK_TYPE:
            yield from _walk(client, resource.physical_id, f"{prefix}{resource.logical_id}/")


def _exists(target: Target, name: str) -> bool:
    client: LambdaClient = target.client("lambda")
    try:
        client.get_function_configuration(FunctionName=name)
    except ClientError as error:
        # What is no name at all is none of a function, either; nor is what one may not look at.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
            return False
        with aws_errors(f"look up function {name!r}"):
            raise
    return True


def _explain(
    target: Target,
    stack_name: str,
    has_stack: bool,
    functions: Sequence[StackFunction],
    matching: Sequence[StackFunction],
    wanted: str,
) -> StackError:
    if len(matching) > 1:
        several = ", ".join(one.name for one in matching)
        return StackError(f"{wanted!r} may be one of several functions: {several}.", "Name one.")
    if not has_stack:
        return StackError(
            f"There is no function {wanted!r} and no stack {stack_name!r} at {target.description}.",
            _name_stacks(target, stack_name),
        )
    names = [one.name for one in functions]
    if not names:
        return StackError(
            f"Stack {stack_name!r} has no functions at {target.description}.",
            "Name another one with --stack-name, or a function by its name at Lambda.",
        )
    return StackError(f"Stack {stack_name!r} has no function {wanted!r}.", suggest(wanted, names))


def _name_stacks(target: Target, stack_name: str) -> str:
    near = suggest_stacks(target, stack_name)
    if near is None:
        return "Deploy it first, or name another one with --stack-name."
    return f"Name a stack with --stack-name. {near}"
