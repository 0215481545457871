"""``plldb logs``: what a function has logged, and what it logs now."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from plldb.cli.command_base import Command
from plldb.cli.name_types import FUNCTION_NAME, STACK_NAME
from plldb.cli.options import global_options


@click.command(cls=Command)
@click.argument("function", type=FUNCTION_NAME)
@click.option(
    "--stack-name",
    type=STACK_NAME,
    help="The function's stack; that of this folder's project by default.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "--since",
    default="10m",
    show_default=True,
    metavar="SPAN|TIME",
    help="How far back: 30s, 10m, 2h, 1d, or a time as in 2026-01-31T10:15.",
)
@global_options
def logs(function: str, stack_name: str | None, follow: bool, since: str) -> None:
    """Show what a function has logged in CloudWatch Logs.

    \b
      plldb logs Greeter --follow
      plldb logs Child/Worker --since 2h

    FUNCTION is as for 'plldb invoke'. Records in JSON are shown as lines, with level, text and
    what else they have; --output json has them as they are. What a function says while it is
    debugged here is in the terminal of 'plldb attach'.
    """
    from plldb.cli.factory import make_factory
    from plldb.cli.terminal_text import make_line
    from plldb.dev.log_lines import format_event, parse_since
    from plldb.dev.log_reading import FunctionLog
    from plldb.dev.stack_functions import find_function

    start = int(parse_since(since, datetime.now(UTC)).timestamp() * 1000)
    factory = make_factory()
    console = factory.console
    with console.progress(f"Looking for {function}…"):
        found = find_function(factory.target, stack_name or factory.find_stack_name(), function)
        log = FunctionLog(factory.target, found.physical_name)
    is_empty = True
    try:
        for event in log.follow(start) if follow else log.read(start):
            is_empty = False
            console.answer(event.as_json(), make_line(format_event(event)))
    except KeyboardInterrupt:
        return
    if is_empty:
        console.note(f"{found.name} has logged nothing since {since} (in {log.group}).")
