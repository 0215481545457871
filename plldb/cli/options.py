"""The global options, which every command takes as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from plldb.cli.name_types import complete_profiles, is_unicode
from plldb.option_names import CONFIG_VARIABLE, KINDS, OUTPUTS, name_variable

if TYPE_CHECKING:
    from plldb.config import Options

_F = TypeVar("_F", bound=Callable[..., Any])


def global_options(command: _F) -> _F:
    """Adds the global options; ``collect_options`` tells what was given, wherever it was."""
    for declare in reversed(_DECLARATIONS):
        command = declare(command)
    return command


@cache
def name_global_options() -> dict[str, str]:
    """Their flags, by the names that click has for them."""

    @global_options
    def _nothing() -> None:
        pass

    declared: list[click.Option] = vars(_nothing)["__click_params__"]
    return {option.name or "": max(option.opts, key=len) for option in reversed(declared)}


def collect_options() -> Options:
    """The options on this command line; the one nearest to its end counts."""
    from plldb.config import Options

    return Options(**{name: value for name, value in _load_given().items() if name != _CONFIG})


def find_config_name() -> str | None:
    """What ``--config`` names on this command line."""
    name: str | None = _load_given().get(_CONFIG)
    return name


def list_given(leave_out: Iterable[str]) -> list[str]:
    """The command with its options, as they were given, each as one argument.

    ``leave_out`` are options by the names that click has for them.
    """
    context = click.get_current_context()
    given = {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    } | _load_given()
    arguments = [context.info_name or ""]
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in given and name not in leave_out:
            arguments += _render(parameter, given[name])
    return arguments


def parse_assignments(option: str, values: Iterable[str]) -> dict[str, str]:
    """``NAME=VALUE`` each; the last one of a name counts. Raises click.UsageError for others."""
    assigned: dict[str, str] = {}
    for given in values:
        name, equals, value = given.partition("=")
        if not name or not equals:
            raise click.UsageError(f"{option} {given} is not NAME=VALUE.")
        if not is_unicode(given):
            raise click.UsageError(f"{option} {given} is no text in this locale.")
        assigned[name] = value
    return assigned


def _render(parameter: click.Parameter, value: Any) -> list[str]:
    if isinstance(parameter, click.Argument):
        return [str(one) for one in (value if parameter.nargs != 1 else [value])]
    name = max(parameter.opts, key=len)
    if value is False and parameter.secondary_opts:
        return [max(parameter.secondary_opts, key=len)]
    if isinstance(parameter, click.Option) and (parameter.is_bool_flag or parameter.count):
        return [name] * int(value)
    values = value if parameter.multiple else [value]
    return [f"{name}={one}" for one in values]


def remember_output(output: str) -> None:
    """The output that the settings say, for whoever has to show an error."""
    click.get_current_context().find_root().meta[_OUTPUT] = output


def find_output() -> str | None:
    """The output that was asked for, as far as it is known when a command fails."""
    settled: str | None = click.get_current_context().find_root().meta.get(_OUTPUT)
    return settled or collect_options().output or os.environ.get(name_variable("output"))


# Where an empty one would mean another stack, or less protection, than the caller has in mind.
_NEVER_EMPTY = ("environment", "helper_stack", "cloudformation_role")
_META = "plldb.options"
_OUTPUT = "plldb.output"
_CONFIG = "config"


def _load_given() -> dict[str, Any]:
    given: dict[str, Any] = click.get_current_context().find_root().meta.get(_META, {})
    return given


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value == "" and param.name in _NEVER_EMPTY:
        raise click.BadParameter("it is empty.", ctx, param)
    if value is not None and param.name is not None:
        ctx.find_root().meta.setdefault(_META, {})[param.name] = value


def _remember_verbosity(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
    """More than twice is as twice."""
    _remember(ctx, param, min(value, 2) if value else None)


def _option(*names: str, variable: str | None = None, help: str, **more: Any) -> Callable[[_F], _F]:
    variable = variable or name_variable(names[0].removeprefix("--").replace("-", "_"))
    attributes: dict[str, Any] = {
        "expose_value": False,
        "callback": _remember,
        "default": None,
    }
    return click.option(*names, help=f"{help}  [env: {variable}]", **attributes | more)


def helper_stack_option(name: str = "--helper-stack") -> Callable[[_F], _F]:
    """For commands on one helper stack. It goes into the settings as the global options do."""
    return _option(
        name,
        "helper_stack",
        metavar="NAME",
        variable=name_variable("helper_stack"),
        help="Name of the helper stack.",
    )


def cloudformation_role_option() -> Callable[[_F], _F]:
    """For commands that deploy or remove the helper stack; into the settings, as the above."""
    return _option(
        "--cloudformation-role",
        metavar="ARN",
        help="Role as which CloudFormation deploys and removes the helper stack.",
    )


_DECLARATIONS = (
    _option(
        "--profile",
        metavar="NAME",
        shell_complete=complete_profiles,
        help="Use AWS, with this profile.",
    ),
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
    _option(
        "--verbose",
        "-v",
        count=True,
        callback=_remember_verbosity,
        help="Log what goes on to stderr; -vv logs every call.",
    ),
)
