"""Taking instrumentation off a stack without a session, after whatever crash."""

from __future__ import annotations

import logging

from plldb.aws import Target, aws_errors
from plldb.errors import StackError
from plldb.stacks import (
    Restoration,
    find_helper_stack,
    require_debuggable_stack,
    restore_functions,
)

logger = logging.getLogger(__name__)


def restore(target: Target, stack_name: str, helper_stack: str) -> Restoration:
    """Restores every function of the stack that is instrumented, whoever did it.

    Raises StackError if a stack is missing, or if the restoring function itself failed.
    """
    stack = require_debuggable_stack(target, stack_name)
    helper = find_helper_stack(target, helper_stack)
    logger.info(
        "the functions of %s are restored by %s", stack.name, helper.instrumentation_function
    )
    with aws_errors("invoke the helper stack's instrumentation function"):
        restoration = restore_functions(target, helper.instrumentation_function, stack.name)
    if restoration.error is not None:
        raise StackError(
            f"Stack {stack_name!r} could not be restored: {restoration.error}",
            f"The log group /plldb/{helper.name} says more. Try again.",
        )
    return restoration
