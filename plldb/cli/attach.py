"""``plldb attach``: a stack's invocations run here until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plldb.cli.attach_options import DEBUGPY_ADDRESS, AttachOptions
from plldb.cli.options import global_options, helper_stack_option

if TYPE_CHECKING:
    from plldb.cli.factory import Factory


@click.command()
@click.option("--stack-name", required=True, help="The stack to debug.")
@helper_stack_option()
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME",
    help="Only functions with this name, a logical id or Child/LogicalId; * and ? are wildcards. "
    "Repeatable.",
)
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    help="The stack's SAM or CloudFormation template; template.yaml here or cdk.out by default.",
)
@click.option(
    "--code",
    "codes",
    multiple=True,
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
    metavar="LOGICAL_ID=MODULE.FUNCTION",
    help="Run another handler of a function than was deployed. Repeatable.",
)
@click.option(
    "--env",
    multiple=True,
    metavar="[LOGICAL_ID:]NAME=VALUE",
    help="A variable for the code, of all functions or of one; NAME alone has the value that it "
    "has here. Repeatable.",
)
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Variables for the code: a .env, or a JSON file as sam local takes it. Repeatable.",
)
@click.option(
    "--pdb", is_flag=True, help="breakpoint(), ipdb, pudb and their like talk to this terminal."
)
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
    type=click.Choice(["original", "error"]),
    default="original",
    show_default=True,
    help="What an invocation gets that finds nobody attached.",
)
@click.option(
    "--as-function/--no-as-function",
    default=None,
    help="The code has the rights of its function's role, and none of yours. Not by default, or as "
    "plldb.toml says.",
)
@click.option("--take-over", is_flag=True, help="Take functions that another session holds.")
@click.option(
    "--max-concurrency",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many invocations run at once, and processes are kept; the others wait.",
)
@global_options
def attach(**given: Any) -> None:
    """Run a deployed stack's invocations here, until Ctrl-C.

    The code of its functions is found from its template. While attached, whoever invokes them
    gets the answer that the code on this machine gives.

    A lost connection is opened again by itself, and a long one is replaced before API Gateway ends
    it. For gateways with shorter limits than 10 minutes idle and 2 hours in all, set
    PLLDB_HEARTBEAT_SECONDS (60) and PLLDB_REFRESH_SECONDS (6300).
    """
    options = AttachOptions(**given)
    options.check()

    from plldb.cli.factory import make_factory

    factory = make_factory()
    factory.keep_log("attach")
    run_attach(factory, options, Path.cwd())


def run_attach(factory: Factory, options: AttachOptions, folder: Path) -> None:
    """Attaches to a stack, whose project is in ``folder``, and shows what happens until Ctrl-C."""
    from plldb.cli.attach_factory import AttachFactory
    from plldb.debugger.attachment import attach as attach_to

    made = AttachFactory(factory, options, folder)
    made.look_at_stack()
    with made.view as view:
        attach_to(
            made.target,
            made.session,
            made.sources,
            made.make_invoker,
            view.show,
            made.timing,
            made.overrides,
            made.choose_again,
            made.make_layer_supply().collect,
        )
