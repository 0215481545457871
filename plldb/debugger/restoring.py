"""Taking instrumentation off a stack without a session, after whatever crash."""

from __future__ import annotations

import logging

from plldb.aws import Target, aws_errors
from plldb.errors import StackError
from plldb.stacks import (
    Restoration,
    find_helper_stack,
    find_stack,
    require_debuggable_stack,
    restore_functions,
)

logger = logging.getLogger(__name__)


def restore(
    target: Target, stack_name: str, helper_stack: str, may_be_list: bool = False
) -> Restoration:
    """Restores every function of the stack that is instrumented, whoever did it.

    ``may_be_list``: if there is no such stack, it is a mere list of functions, which the helper
    stack knows as long as one of them is instrumented. Raises StackError if a stack is missing, or
    if the restoring function itself failed.
    """
    if not (may_be_list and find_stack(target, stack_name) is None):
        stack_name = require_debuggable_stack(target, stack_name).name
    helper = find_helper_stack(target, helper_stack)
    logger.info(
        "the functions of %s are restored by %s", stack_name, helper.instrumentation_function
    )
    with aws_errors("invoke the helper stack's instrumentation function"):
        restoration = restore_functions(target, helper.instrumentation_function, stack_name)
    if restoration.error is not None:
        raise StackError(
            f"Stack {stack_name!r} could not be restored: {restoration.error}",
            f"The log group /plldb/{helper.name} says more. Try again.",
        )
    return restoration
