"""``plldb restore``: take instrumentation off a stack, whatever state a crash left."""

from __future__ import annotations

import click

from plldb.cli.options import global_options, helper_stack_option


@click.command()
@click.option(
    "--stack-name",
    required=True,
    help="The stack to restore, or a list of functions in plldb.toml.",
)
@helper_stack_option()
@global_options
def restore(stack_name: str) -> None:
    """Give a stack's functions back their own handlers.

    It needs no session, and ends the debugging of whoever is attached to that stack.
    """
    from plldb.cli.factory import make_factory
    from plldb.debugger.restoring import restore as restore_stack
    from plldb.debugger.sources.stack_settings import find_settings
    from plldb.errors import StackError

    factory = make_factory()
    console = factory.console
    with console.progress(f"Restoring stack {stack_name}…"):
        settings = find_settings(factory.resolver.file, stack_name)
        restoration = restore_stack(
            factory.target,
            stack_name,
            factory.settings.helper_stack,
            may_be_list=settings is not None and settings.may_be_list,
        )
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
