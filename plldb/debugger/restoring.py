"""Taking instrumentation off a stack without a session, after whatever crash."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from plldb.aws import Target, aws_errors
from plldb.errors import StackError
from plldb.stacks import (
    Restoration,
    check_debuggable_stack,
    find_helper_stack,
    find_stack,
    restore_functions,
)

logger = logging.getLogger(__name__)


def restore(
    target: Target,
    stack_name: str,
    helper_stack: str,
    list_members: Callable[[], Mapping[str, str] | None] = lambda: None,
) -> Restoration:
    """Restores every function of the stack that is instrumented, whoever did it.

    Where there is no stack of that name, it may be that of a mere list of functions: what
    ``list_members`` gives, if there is one here, and what the helper stack knows of it. Raises
    StackError if neither is known, or if the restoring function itself failed.
    """
    stack = find_stack(target, stack_name)
    if stack is not None:
        check_debuggable_stack(target, stack_name, stack)
    helper = find_helper_stack(target, helper_stack)
    members = list_members() if stack is None else None
    name = helper.instrumentation_function
    logger.info("the functions of %s are restored by %s", stack_name, name)
    with aws_errors("invoke the helper stack's instrumentation function"):
        restoration = restore_functions(target, name, stack_name, members)
    if stack is None and members is None and restoration == Restoration():
        # Says so.
        check_debuggable_stack(target, stack_name, stack)
    if restoration.error is not None:
        raise StackError(
            f"Stack {stack_name!r} could not be restored: {restoration.error}",
            f"The log group /plldb/{helper.name} says more. Try again.",
        )
    return restoration
