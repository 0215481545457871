"""``plldb completion``: what a shell needs to complete commands, options and what is deployed."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from plldb.cli.command_base import Command
from plldb.cli.options import global_options

# By this, shells ask plldb what may come next; click knows it by the program's name.
_VARIABLE = "_PLLDB_COMPLETE"


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@global_options
def completion(shell: str) -> None:
    """Show the script by which a shell completes plldb's command line.

    \b
      eval "$(plldb completion bash)"       # in ~/.bashrc
      eval "$(plldb completion zsh)"        # in ~/.zshrc, after compinit
      plldb completion fish | source        # in ~/.config/fish/config.fish

    Commands, options and their values are completed, and so are stacks, functions and profiles, as
    they are at that moment.
    """
    from plldb.cli.factory import make_factory
    from plldb.cli.main import plldb

    found = get_completion_class(shell)
    assert found is not None
    script = found(plldb, {}, "plldb", _VARIABLE).source()
    console = make_factory().console
    if console.is_json:
        console.answer({"shell": shell, "script": script}, "")
    else:
        console.pass_on(script.encode())
