"""``plldb``: the group of all commands, and what becomes of errors."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from plldb import __version__
from plldb.cli.options import global_options
from plldb.errors import PlldbError

# name → (module, attribute)
_COMMANDS = {
    "attach": ("plldb.cli.attach", "attach"),
    "bootstrap": ("plldb.cli.bootstrap", "bootstrap"),
    "demo": ("plldb.cli.demo", "demo"),
    "local": ("plldb.cli.local", "local"),
    "restore": ("plldb.cli.restore", "restore"),
}


class _Commands(click.Group):
    """Loads a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="plldb")
@global_options
def plldb() -> None:
    """Debug the Lambda functions of a deployed CloudFormation stack on your own machine.

    Calls go to AWS with --profile NAME, to an emulator with --endpoint-url URL, and otherwise to
    the emulator that 'plldb local up' started. Every global option can also be given after the
    command, or as an environment variable: PLLDB_PROFILE, PLLDB_REGION and so on.
    """


def main() -> None:
    """The console script. Exit codes: 0 done, 1 an expected error, 2 wrong usage."""
    try:
        plldb(prog_name="plldb")
    except PlldbError as error:
        from plldb.cli.console import show_error

        show_error(error, sys.argv)
        sys.exit(error.exit_code)
