"""``plldb attach``: a stack's invocations run here until Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plldb.cli.attach_options import (
    DEBUGPY_ADDRESS,
    INSPECTOR_ADDRESS,
    AttachOptions,
    post_mortem_option,
)
from plldb.cli.command_base import Command
from plldb.cli.name_types import FUNCTION_NAME, STACK_NAME, PathName, complete_files
from plldb.cli.options import global_options, helper_stack_option

if TYPE_CHECKING:
    from plldb.background.presence import Presence
    from plldb.cli.factory import Factory


@click.command(cls=Command, has_settings=True)
@click.argument("stacks", nargs=-1, metavar="[STACK]...", type=STACK_NAME)
@click.option(
    "--stack-name",
    "stack_names",
    multiple=True,
    type=STACK_NAME,
    help="A stack to debug, as STACK. Repeatable.",
)
@helper_stack_option()
@click.option(
    "--function",
    "functions",
    multiple=True,
    type=FUNCTION_NAME,
    metavar="NAME",
    help="Only functions with this name, a logical id or Child/LogicalId; * and ? are wildcards. "
    "Repeatable.",
)
@click.option(
    "--template",
    type=PathName(path_type=Path),
    help="The stack's SAM or CloudFormation template; template.yaml here or cdk.out by default.",
)
@click.option(
    "--terraform",
    type=PathName(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="What 'terraform show -json' or 'tofu show -json' says, - for stdin: its functions are "
    "debugged, and the stack's name is one of your choice.",
)
@click.option(
    "--code",
    "codes",
    multiple=True,
    shell_complete=complete_files,
    metavar="[FUNCTION=]DIR",
    help="Where the code of a function is, or of all of them; * and ? are wildcards. Repeatable.",
)
@click.option(
    "--python",
    metavar="PATH",
    help="The interpreter that runs the code, or its environment. By default that of the active "
    "environment, else .venv, venv, .conda or env of the project or above it in its repository, "
    "else plldb's own.",
)
@click.option(
    "--handler",
    "handlers",
    multiple=True,
    metavar="FUNCTION=HANDLER",
    help="Run another handler of a function than was deployed. Repeatable.",
)
@click.option(
    "--env",
    multiple=True,
    metavar="[FUNCTION:]NAME=VALUE",
    help="A variable for the code, of all functions or of one; NAME alone has the value that it "
    "has here. Repeatable.",
)
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=PathName(path_type=Path),
    metavar="FILE",
    help="Variables for the code: a .env, or a JSON file as sam local takes it. Repeatable.",
)
@click.option(
    "--pdb/--no-pdb", help="breakpoint(), ipdb, pudb and their like talk to this terminal."
)
@post_mortem_option
@click.option(
    "--debugpy",
    is_flag=False,
    flag_value=DEBUGPY_ADDRESS,
    metavar="[HOST:PORT]",
    help=f"An IDE can attach, at {DEBUGPY_ADDRESS} by default, else at the next ports.",
)
@click.option("--wait-for-client", is_flag=True, help="With --debugpy: run nothing before that.")
@click.option(
    "--write-launch-config",
    is_flag=True,
    help="With --debugpy: VS Code's launch.json and tasks.json get what starts and attaches it.",
)
@click.option(
    "--when-absent",
    type=click.Choice(["original", "error", "wait"]),
    default="original",
    show_default=True,
    help="What an invocation gets that finds nobody attached, or nobody who begins within seconds; "
    "with wait, an error, too, but not before a minute is over.",
)
@click.option(
    "--as-function/--no-as-function",
    default=None,
    help="The code has the rights of its function's role, and none of yours. Not by default, or as "
    "plldb.toml says.",
)
@click.option(
    "--aliases",
    is_flag=True,
    help="Callers of aliases come here, too, even where others call a function without one.",
)
@click.option("--take-over", is_flag=True, help="Take functions that another session holds.")
@click.option(
    "--max-concurrency",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many invocations run at once, and processes are kept; the others wait.",
)
@click.option(
    "--record",
    type=PathName(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write each invocation to a file there, without its secrets: for 'plldb replay', and as a "
    "test for pytest.",
)
@click.option(
    "--inspect",
    is_flag=False,
    flag_value=INSPECTOR_ADDRESS,
    metavar="[HOST:]PORT",
    help="Serve a page that shows each invocation, replays it, and saves it as a test; on this "
    "machine alone, at any free port by default.",
)
@click.option(
    "--detach",
    is_flag=True,
    help="Return once it is ready, and go on in the background: see 'plldb status', 'plldb stop'.",
)
@click.option("--background", type=click.IntRange(min=3), hidden=True, help="For --detach.")
@global_options
def attach(**given: Any) -> None:
    """Run the invocations of deployed stacks here, until Ctrl-C.

    \b
      plldb attach my-stack
      plldb attach my-stack --pdb --function Greeter
      plldb attach orders billing --debugpy --write-launch-config
      plldb attach my-stack --code Greeter=src/greeter --env TABLE=local

    The code of their functions is found from their templates. While attached, whoever invokes them
    gets the answer that the code on this machine gives. Of several stacks, functions have names
    such as STACK/Greeter, also in options. Without any, it is those of plldb.toml: [attach] stacks;
    all other options may stand there, too.

    A lost connection is opened again by itself, and a long one is replaced before API Gateway ends
    it. For gateways with shorter limits than 10 minutes idle and 2 hours in all, set
    PLLDB_HEARTBEAT_SECONDS (60) and PLLDB_REFRESH_SECONDS (6300).
    """
    options = AttachOptions(**given)
    options.require_stack()
    options.check()

    from plldb.cli.factory import make_factory

    factory = make_factory()
    if options.detach:
        detach(factory, options, options.names)
        return
    factory.keep_log("attach")
    with present(factory, options, options.names):
        run_attach(factory, options, Path.cwd())


def detach(factory: Factory, options: AttachOptions, stacks: Sequence[str]) -> None:
    """Has another process do in the background what this command says; ``stacks`` are those that
    are known.
    """
    from plldb.cli.background import start
    from plldb.cli.console import read_stdin

    start(factory, stacks, read_stdin() if options.reads_stdin else b"")


def present(
    factory: Factory, options: AttachOptions, stacks: Sequence[str]
) -> AbstractContextManager[Presence | None]:
    """Of a process that was started in the background, keeps a record meanwhile; ``stacks`` are
    those that are known.
    """
    if options.background is None:
        return nullcontext()
    from plldb.cli.background import keep_record

    return keep_record(factory, options.record, stacks, options.background)


def run_attach(factory: Factory, options: AttachOptions, folder: Path) -> None:
    """Attaches to stacks, whose project is in ``folder``, and shows what happens until Ctrl-C."""
    from plldb.cli.attach_factory import make_for_each
    from plldb.debugger.attachment import attach_to_all

    stacks = make_for_each(factory, options, folder)
    for made in stacks:
        made.look_at_stack()
    first = stacks[0]
    with (
        first.view,
        first.open_recorder(stacks),
        first.open_journal(stacks),
        first.open_inspector(stacks),
    ):
        attach_to_all(
            first.target,
            [made.stack for made in stacks],
            lambda: first.make_invoker(stacks),
            first.report,
            first.timing,
            first.make_layer_supply().collect,
        )
