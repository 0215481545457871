"""``plldb attach``: open a session for a stack and stay in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from plldb.cli.options import global_options
from plldb.config import DEFAULT_HELPER_STACK

if TYPE_CHECKING:
    from plldb.cli.console import Console
    from plldb.debugger.attach import Event


@click.command()
@click.option("--stack-name", required=True, help="The stack to debug.")
@click.option(
    "--helper-stack",
    default=DEFAULT_HELPER_STACK,
    show_default=True,
    envvar="PLLDB_HELPER_STACK",
    help="The stack that 'plldb bootstrap' deployed.",
)
@global_options
def attach(stack_name: str, helper_stack: str) -> None:
    """Attach to a deployed stack until Ctrl-C."""
    from plldb.cli.factory import make_factory
    from plldb.debugger.attach import attach as attach_to

    factory = make_factory()
    console = factory.console
    attach_to(factory.target, stack_name, helper_stack, lambda event: show_event(console, event))


def show_event(console: Console, event: Event) -> None:
    from plldb.debugger.attach import SessionCreated
    from plldb.debugger.protocol import Connected, Ended, JunkArrived, MessageArrived

    match event:
        case SessionCreated(session, stack_name):
            console.answer(
                {"event": "session.created", "session": session, "stackName": stack_name},
                f"Session {session}… for stack {stack_name}",
            )
        case Connected():
            console.answer({"event": "connected"}, "Attached. Press Ctrl-C to detach.")
        case MessageArrived(message):
            console.answer({"event": "message", "message": message}, f"← {message}")
        case JunkArrived(preview):
            console.warn(f"something arrived that is no message: {preview}")
        case Ended(expected, confirmed, reason):
            console.answer(
                {"event": "closed", "expected": expected, "reason": reason},
                "Detached." if expected else f"Session ended: {reason}.",
            )
            if expected and not confirmed:
                console.warn("the server did not confirm; it closes the session by itself.")
