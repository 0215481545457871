"""The global options, which every command takes as well."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from plldb.config import CONFIG_VARIABLE, KINDS, OUTPUTS, Options, environment_variable

_F = TypeVar("_F", bound=Callable[..., Any])


def global_options(command: _F) -> _F:
    """Adds the global options; ``given_options`` tells what was given, wherever it was."""
    for declare in reversed(_DECLARATIONS):
        command = declare(command)
    return command


def given_options() -> Options:
    """The options on this command line; the one nearest to its end counts."""
    return Options(**{name: value for name, value in _given().items() if name != _CONFIG})


def given_config() -> str | None:
    """What ``--config`` names on this command line."""
    name: str | None = _given().get(_CONFIG)
    return name


def remember_output(output: str) -> None:
    """The output that the settings say, for whoever has to show an error."""
    click.get_current_context().find_root().meta[_OUTPUT] = output


def asked_output() -> str | None:
    """The output that was asked for, as far as it is known when a command fails."""
    settled: str | None = click.get_current_context().find_root().meta.get(_OUTPUT)
    return settled or given_options().output or os.environ.get(environment_variable("output"))


# Where an empty one would mean another stack, or less protection, than the caller has in mind.
_NEVER_EMPTY = ("environment", "helper_stack")
_META = "plldb.options"
_OUTPUT = "plldb.output"
_CONFIG = "config"


def _given() -> dict[str, Any]:
    given: dict[str, Any] = click.get_current_context().find_root().meta.get(_META, {})
    return given


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value == "" and param.name in _NEVER_EMPTY:
        raise click.BadParameter("it is empty.", ctx, param)
    if value is not None and param.name is not None:
        ctx.find_root().meta.setdefault(_META, {})[param.name] = value


def _settle(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """The name, from the settings if need be: click hands options that were given in first."""
    _remember(ctx, param, value)
    if value or ctx.resilient_parsing:
        return value or ""
    from plldb.cli.factory import make_factory

    return make_factory().settings.helper_stack


def _option(*names: str, variable: str | None = None, help: str, **more: Any) -> Callable[[_F], _F]:
    variable = variable or environment_variable(names[0].removeprefix("--").replace("-", "_"))
    attributes: dict[str, Any] = {
        "expose_value": False,
        "callback": _remember,
        "default": None,
    }
    return click.option(*names, help=f"{help}  [env: {variable}]", **attributes | more)


# For commands on one helper stack: they get its name as `helper_stack`.
helper_stack_option = _option(
    "--helper-stack",
    metavar="NAME",
    callback=_settle,
    expose_value=True,
    help="The stack that 'plldb bootstrap' deployed.",
)


def remembered_helper_stack(name: str) -> Callable[[_F], _F]:
    """An option that goes into the settings as the global ones do."""
    return _option(
        name,
        "helper_stack",
        metavar="NAME",
        variable=environment_variable("helper_stack"),
        help="Name of the helper stack.",
    )


_DECLARATIONS = (
    _option("--profile", metavar="NAME", help="Use AWS, with this profile."),
    _option("--target", type=click.Choice(KINDS), help="'aws' uses AWS with its own credentials."),
    _option("--region", metavar="REGION", help="AWS region."),
    _option("--endpoint-url", metavar="URL", help="Use the emulator at this URL."),
    _option(
        "--environment",
        metavar="NAME",
        help="Which settings: development, production, or one of plldb.toml.",
    ),
    _option(
        "--config",
        metavar="PATH",
        variable=CONFIG_VARIABLE,
        help="Another settings file than the nearest plldb.toml.",
    ),
    _option("--output", type=click.Choice(OUTPUTS), help="How to answer; text by default."),
    _option("--verbose", "-v", is_flag=True, flag_value=True, help="Say where calls go."),
)
