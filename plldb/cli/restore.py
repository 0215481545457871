"""``plldb restore``: take instrumentation off a stack, whatever state a crash left."""

from __future__ import annotations

from collections.abc import Mapping

import click

from plldb.cli.command_base import Command
from plldb.cli.name_types import STACK_NAME
from plldb.cli.options import global_options, helper_stack_option


@click.command(cls=Command)
@click.option("--stack-name", required=True, type=STACK_NAME, help="The stack to restore.")
@helper_stack_option()
@global_options
def restore(stack_name: str) -> None:
    """Give a stack's functions back their own handlers.

    \b
      plldb restore --stack-name my-stack

    It needs no session, and ends the debugging of whoever is attached to that stack. The stack may
    be a mere list of functions that plldb.toml names, or named when they were instrumented.
    """
    from plldb.cli.factory import make_factory
    from plldb.debugger.restoring import restore as restore_stack
    from plldb.debugger.sources.stack_settings import find_settings, list_functions
    from plldb.errors import StackError

    factory = make_factory()
    console = factory.console
    target, helper_stack = factory.target, factory.settings.helper_stack

    def list_members() -> Mapping[str, str] | None:
        """The functions that the settings file lists, where CloudFormation knows no stack."""
        settings = find_settings(factory.resolver.file, stack_name)
        if settings is None or not settings.may_be_list:
            return None
        return list_functions(settings, target.region, lambda: target.account_id).members

    with console.progress(f"Restoring stack {stack_name}…"):
        restoration = restore_stack(target, stack_name, helper_stack, list_members)
    for function, texts in restoration.left.items():
        for text in texts:
            console.warn(f"{function}: {text}")
    names = ", ".join(restoration.restored) or "nothing: no function is instrumented"
    console.answer(
        {
            "stackName": stack_name,
            "restored": list(restoration.restored),
            "failed": restoration.failed,
        },
        f"Restored {names}.",
    )
    if restoration.failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in restoration.failed.items())
        raise StackError(f"Could not restore {reasons}.", "Mend that, then try again.")
