"""The global options, which every command takes as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from plldb.config import (
    DEFAULT_HELPER_STACK,
    KINDS,
    OUTPUTS,
    Options,
    environment_variable,
)

helper_stack_option = click.option(
    "--helper-stack",
    default=DEFAULT_HELPER_STACK,
    show_default=True,
    envvar="PLLDB_HELPER_STACK",
    show_envvar=True,
    help="The stack that 'plldb bootstrap' deployed.",
)

_F = TypeVar("_F", bound=Callable[..., Any])


def global_options(command: _F) -> _F:
    """Adds the global options; ``given_options`` tells what was given, wherever it was."""
    for declare in reversed(_DECLARATIONS):
        command = declare(command)
    return command


def given_options() -> Options:
    """The global options on this command line; the one nearest to its end counts."""
    return Options(**click.get_current_context().find_root().meta.get(_META, {}))


_META = "plldb.options"


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and param.name is not None:
        ctx.find_root().meta.setdefault(_META, {})[param.name] = value


def _option(*names: str, help: str, **attributes: Any) -> Callable[[_F], _F]:
    variable = environment_variable(names[0].removeprefix("--").replace("-", "_"))
    return click.option(
        *names,
        help=f"{help}  [env: {variable}]",
        expose_value=False,
        callback=_remember,
        default=None,
        **attributes,
    )


_DECLARATIONS = (
    _option("--profile", metavar="NAME", help="Use AWS, with this profile."),
    _option("--target", type=click.Choice(KINDS), help="'aws' uses AWS with its own credentials."),
    _option("--region", metavar="REGION", help="AWS region."),
    _option("--endpoint-url", metavar="URL", help="Use the emulator at this URL."),
    _option("--output", type=click.Choice(OUTPUTS), help="How to answer; text by default."),
    _option("--verbose", "-v", is_flag=True, flag_value=True, help="Say where calls go."),
)
