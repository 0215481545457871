"""Taking instrumentation off a stack without a session, after whatever crash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plldb.aws import Target, aws_errors
from plldb.errors import StackError
from plldb.stacks import find_helper_stack, require_debuggable_stack

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


# As long as a function may run: it waits for updates of others, and repeats what is throttled.
_LAMBDA_SECONDS = 900


@dataclass(frozen=True)
class Restoration:
    """Logical ids; ``failed`` with the reason of each."""

    restored: tuple[str, ...]
    failed: dict[str, str]


def restore(target: Target, stack_name: str, helper_stack: str) -> Restoration:
    """Restores every function of the stack that is instrumented, whoever did it.

    Raises StackError if a stack is missing, or if the restoring function itself failed.
    """
    stack = require_debuggable_stack(target, stack_name)
    helper = find_helper_stack(target, helper_stack)
    functions: LambdaClient = target.patient_client("lambda", _LAMBDA_SECONDS)
    request = {
        "operation": "restore",
        "stackName": stack.name,
        "sessionRef": None,
        "connectionId": None,
    }
    with aws_errors("invoke the helper stack's instrumentation function"):
        answer = functions.invoke(
            FunctionName=helper.instrumentation_function, Payload=json.dumps(request)
        )
        payload = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise StackError(
            f"Stack {stack_name!r} could not be restored: {payload.get('errorMessage')}",
            f"The log group /plldb/{helper.name} says more. Try again.",
        )
    return Restoration(tuple(payload["restored"]), dict(payload["failed"]))
