"""``plldb attach``: a stack's invocations run here until Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plldb.cli.options import global_options, helper_stack_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plldb.cli.console import Console
    from plldb.debugger.attach import Event
    from plldb.debugger.invoker import DebugMode, Invoker
    from plldb.debugger.sources import CodeSource

_DEBUGPY_ADDRESS = "127.0.0.1:5678"
_LAUNCH_CONFIG = Path(".vscode/launch.json")


@click.command()
@click.option("--stack-name", required=True, help="The stack to debug.")
@helper_stack_option()
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME",
    help="Only functions with this logical id; * and ? are wildcards. Repeatable.",
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
    metavar="LOGICAL_ID=DIR",
    help="Where the code of a function is. Repeatable.",
)
@click.option(
    "--python",
    metavar="PATH",
    help="The interpreter that runs the code, or its environment. By default that of VIRTUAL_ENV, "
    "else .venv or venv of the project, else plldb's own.",
)
@click.option("--pdb", is_flag=True, help="breakpoint() talks to this terminal.")
@click.option(
    "--debugpy",
    is_flag=False,
    flag_value=_DEBUGPY_ADDRESS,
    metavar="[HOST:PORT]",
    help=f"An IDE can attach, at {_DEBUGPY_ADDRESS} by default.",
)
@click.option("--wait-for-client", is_flag=True, help="With --debugpy: run nothing before that.")
@click.option(
    "--write-launch-config", is_flag=True, help=f"With --debugpy: add it to {_LAUNCH_CONFIG}."
)
@click.option(
    "--when-absent",
    type=click.Choice(["original", "error"]),
    default="original",
    show_default=True,
    help="What an invocation gets that finds nobody attached.",
)
@click.option("--take-over", is_flag=True, help="Take functions that another session holds.")
@click.option(
    "--max-concurrency",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many invocations run at once; the others wait.",
)
@global_options
def attach(
    stack_name: str,
    functions: tuple[str, ...],
    template: Path | None,
    codes: tuple[str, ...],
    python: str | None,
    pdb: bool,
    debugpy: str | None,
    wait_for_client: bool,
    write_launch_config: bool,
    when_absent: str,
    take_over: bool,
    max_concurrency: int,
) -> None:
    """Run a deployed stack's invocations here, until Ctrl-C.

    The code of its functions is found from its template. While attached, whoever invokes them
    gets the answer that the code on this machine gives.

    A lost connection is opened again by itself, and a long one is replaced before API Gateway ends
    it. For gateways with shorter limits than 10 minutes idle and 2 hours in all, set
    PLLDB_HEARTBEAT_SECONDS (300) and PLLDB_REFRESH_SECONDS (6300).
    """
    if pdb and debugpy:
        raise click.UsageError("Choose one of --pdb and --debugpy.")
    if (wait_for_client or write_launch_config) and not debugpy:
        raise click.UsageError("--wait-for-client and --write-launch-config go with --debugpy.")
    from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
    from plldb.cli.attach_view import AttachView
    from plldb.cli.factory import make_factory
    from plldb.debugger.attach import (
        CodeOptions,
        NothingToDebug,
        SessionOptions,
        choose_sources,
    )
    from plldb.debugger.attach import attach as attach_to
    from plldb.debugger.interpreter import find_interpreter
    from plldb.debugger.invoker import Debugpy
    from plldb.debugger.protocol import Connected, Skipped
    from plldb.debugger.sources import parse_code_options
    from plldb.debugger.timing import timing_from_environment

    factory = make_factory()
    factory.keep_log("attach")
    folder = Path.cwd()
    timing = timing_from_environment(os.environ)
    mode = _debug_mode(pdb, debugpy, wait_for_client)
    options = CodeOptions(folder, template, parse_code_options(codes, folder), functions)
    choice = choose_sources(options, stack_name)
    sources = choice.found
    interpreter = find_interpreter(python, _project_folders(folder, template, sources), os.environ)
    with AttachView(factory.console, is_live=not pdb) as view:
        has_connected = False

        def show(event: Event) -> None:
            nonlocal has_connected
            view.show(event)
            if isinstance(event, Connected) and not has_connected:
                has_connected = True
                for function, reason in sorted(choice.left_out.items()):
                    view.show(Skipped(function, reason))
                if not sources:
                    view.show(NothingToDebug(choice.why_none))

        def make_invoker() -> Invoker:
            from plldb.debugger.invoker import Invoker

            invoker = Invoker(
                python=interpreter,
                debug=mode,
                max_concurrency=max_concurrency,
                on_output=view.output,
                on_progress=view.progress,
                credentials=factory.target.child_environment(),
            )
            if isinstance(mode, Debugpy):
                _offer_launch_configs(factory.console, invoker, sources, write_launch_config)
            return invoker

        attach_to(
            factory.target,
            SessionOptions(
                stack_name, factory.settings.helper_stack, WhenAbsent(when_absent), take_over
            ),
            sources,
            make_invoker,
            show,
            timing,
        )


def _debug_mode(pdb: bool, debugpy: str | None, wait_for_client: bool) -> DebugMode:
    from plldb.debugger.invoker import NO_DEBUGGER, Debugpy, Pdb

    if debugpy is None:
        return Pdb() if pdb else NO_DEBUGGER
    host, _, port = debugpy.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.UsageError(f"--debugpy {debugpy}: give HOST:PORT, as in {_DEBUGPY_ADDRESS}.")
    # Brackets are only there to tell the colons of an IPv6 address from the port's.
    host = host.removeprefix("[").removesuffix("]")
    return Debugpy(host or "127.0.0.1", int(port), wait_for_client)


def _project_folders(
    folder: Path, template: Path | None, sources: Mapping[str, CodeSource]
) -> list[Path]:
    """Where the project's virtual environment may be."""
    of_template = [] if template is None else [(folder / template).parent]
    return [*of_template, folder, *(source.code_dir for source in sources.values())]


def _offer_launch_configs(
    console: Console, invoker: Invoker, sources: Mapping[str, CodeSource], write: bool
) -> None:
    """A VS Code configuration for each function: written, or shown to be copied."""
    import json

    from plldb.debugger.launch_config import launch_config, write_launch_config

    for logical_id, source in sorted(sources.items()):
        config = launch_config(
            logical_id, *invoker.debug_address(logical_id), code_dir=source.code_dir
        )
        if write:
            write_launch_config(_LAUNCH_CONFIG, config)
        console.answer(
            {"event": "launch.configuration", "function": logical_id, "configuration": config},
            f"{_LAUNCH_CONFIG}{' now has' if write else ' takes'}: {json.dumps(config, indent=2)}",
        )
