"""``plldb exec``: any tool, against the target."""

from __future__ import annotations

import sys

import click

from plldb.cli.command_base import Command
from plldb.cli.options import global_options


@click.command(
    "exec",
    cls=Command,
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@global_options
def exec_(command: tuple[str, ...]) -> None:
    """Run any tool against the emulator, or against AWS with --profile.

    \b
      plldb exec -- sam deploy --guided
      plldb exec -- aws s3 ls
      plldb exec -- pytest tests

    What stands before the tool's name is for plldb, what follows is the tool's. It finds endpoint,
    region and credentials in its environment, the same ones that plldb uses; profiles, keys and
    endpoints that are set here are not passed on. Terminal, signals and exit code are the tool's
    own; it is 127 if there is no such command, and 126 if it can't be run.
    """
    from plldb.cli.factory import make_factory

    sys.exit(make_factory().run_tool(command))
