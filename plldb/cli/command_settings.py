"""What plldb.toml says of a command's options: ``[attach]`` and ``[dev]``.

Keys are called as the options are, and what the command line says wins. Which there are is known
from the commands themselves, so that an option that is new can be set at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from plldb.cli.options import name_global_options

if TYPE_CHECKING:
    from plldb.config import ConfigFile

_NAMED = re.compile("[^=]+=")
# What the command line says of one of these puts the others out of force.
_GIVES_WAY: Mapping[str, tuple[str, ...]] = {
    "pdb": ("debugpy", "wait_for_client", "write_launch_config"),
    "debugpy": ("pdb",),
    "template": ("terraform",),
    "terraform": ("template",),
    "stack_names": ("stacks",),
    # It has no terminal.
    "detach": ("pdb",),
    "background": ("pdb",),
    "inspect": ("no_inspect",),
    "no_inspect": ("inspect",),
}


def take_settings(ctx: click.Context) -> None:
    """Puts what the settings file says in the place of what was not given.

    Raises UsageError for what makes no sense.
    """
    from plldb.cli.factory import make_factory

    # It checks the file.
    file = make_factory().resolver.file
    if file is None:
        return
    given = {
        name
        for name in ctx.params
        if ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)
    }
    kept = {name for one in given for name in _GIVES_WAY.get(one, ())} | given
    values = read_settings(file, ctx.command, ctx)
    ctx.params.update({name: value for name, value in values.items() if name not in kept})


def check_settings(file: ConfigFile) -> None:
    """Raises UsageError for whatever is wrong in the tables of commands."""
    if not file.commands:
        return
    from plldb.cli.attach import attach
    from plldb.cli.dev import dev

    for command in (attach, dev):
        read_settings(file, command, click.Context(command, info_name=command.name))


def read_settings(
    file: ConfigFile, command: click.Command, ctx: click.Context
) -> dict[str, object]:
    """The values by the names that click has for them. Raises UsageError."""
    from plldb.config import OPTIONS, suggest
    from plldb.errors import UsageError

    where = f"{file.path} [{command.name}]"
    parameters = {name_key(one): one for one in list_parameters(command)}
    values = {}
    for key, value in file.commands.get(command.name or "", {}).items():
        if key in parameters:
            values[parameters[key].name or ""] = _read(
                where, file.path, parameters[key], value, ctx
            )
        elif key.replace("-", "_") in OPTIONS:
            raise UsageError(
                f"{where}: {key!r} is a setting of an environment.",
                "Put it into [environments.NAME], such as [environments.development].",
            )
        else:
            raise UsageError(f"{where}: there is no setting {key!r}.", suggest(key, parameters))
    return values


# A stack is named by ``stacks`` or by ``stack-name``; what starts a process in the background is no
# habit, and would start the next one from there.
_LEFT_OUT = ("stack_names", "detach")


def list_parameters(command: click.Command) -> Iterator[click.Parameter]:
    """Those that a table may have."""
    left_out = {*_LEFT_OUT, *name_global_options()}
    for parameter in command.params:
        is_hidden = isinstance(parameter, click.Option) and parameter.hidden
        if parameter.expose_value and not is_hidden and parameter.name not in left_out:
            yield parameter


def name_key(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len).removeprefix("--")


def _read(
    where: str, path: Path, parameter: click.Parameter, value: object, ctx: click.Context
) -> object:
    from plldb.errors import UsageError
    from plldb.settings_file import wrong_type

    key = name_key(parameter)
    wanted = _name_wanted(parameter)
    values = value if isinstance(value, list) else [value]
    if isinstance(value, dict) and _is_assignment(parameter):
        values = [_assign(where, parameter, name, one) for name, one in value.items()]
    elif isinstance(value, list) != (parameter.multiple or parameter.nargs == -1):
        raise wrong_type(f"{where}: {key}", value, wanted)
    for one in values:
        if not _fits(parameter, one):
            raise wrong_type(f"{where}: {key}", one, wanted)
        if one == "":
            raise UsageError(f"{where}: {key} is empty.", "Leave it out, or give it a value.")
        if _is_assignment(parameter, always=True) and not _NAMED.match(str(one)):
            raise UsageError(f"{where}: {key}: {one!r} is not {parameter.metavar}.")
    placed = [_place(path.absolute().parent, parameter, one) for one in values]
    try:
        return parameter.process_value(ctx, placed if isinstance(value, list | dict) else placed[0])
    except click.BadParameter as error:
        raise UsageError(f"{where}: {key}: {error.message}") from None


def _name_wanted(parameter: click.Parameter) -> str:
    if _is_flag(parameter):
        return "true or false"
    if isinstance(parameter.type, click.types.IntParamType):
        return "an integer"
    if parameter.multiple or parameter.nargs == -1:
        example = 'an array of strings, as in ["one", "another"]'
        return f"{example}, or a table" if _is_assignment(parameter) else example
    return "true or a string" if _find_flag_value(parameter) else "a string"


def _fits(parameter: click.Parameter, value: object) -> bool:
    if isinstance(value, bool):
        return _is_flag(parameter) or (value and _find_flag_value(parameter) is not None)
    if isinstance(parameter.type, click.types.IntParamType):
        return isinstance(value, int)
    return isinstance(value, str) and not _is_flag(parameter)


def _is_flag(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.is_bool_flag


def _is_assignment(parameter: click.Parameter, *, always: bool = False) -> bool:
    """Whether it may be one, or with ``always``, has to be."""
    metavar = str(parameter.metavar)
    return "=" in metavar and not (always and metavar.startswith("["))


def _find_flag_value(parameter: click.Parameter) -> str | None:
    """What an option means that is given without a value."""
    value = getattr(parameter, "flag_value", None)
    return value if isinstance(value, str) else None


def _assign(where: str, parameter: click.Parameter, name: str, value: object) -> str:
    """A row of a table as the command line has it. Raises UsageError."""
    from plldb.errors import UsageError
    from plldb.settings_file import read_text_value, wrong_type

    where = f"{where}: {name_key(parameter)}"
    if not name or "=" in name:
        raise UsageError(f"{where}: {name!r} is no name.", "Give one, without =.")
    if str(parameter.metavar).endswith("VALUE"):
        return f"{name}={read_text_value(where, name, value)}"
    # A folder, or a handler.
    if not isinstance(value, str):
        raise wrong_type(f"{where}: {name!r}", value, "a string")
    if not value:
        raise UsageError(f"{where}: {name!r} is empty.", "Leave it out, or give it a value.")
    return f"{name}={value}"


def _place(folder: Path, parameter: click.Parameter, value: object) -> object:
    """As the command line would have it; paths are beside the file."""
    if value is True and not _is_flag(parameter):
        return _find_flag_value(parameter)
    if not isinstance(value, str) or value == "-":
        return value
    if str(parameter.metavar).endswith("=]DIR"):
        function, equals, path = value.rpartition("=")
        return f"{function}{equals}{folder / Path(path).expanduser()}"
    beside = folder / Path(value).expanduser()
    if isinstance(parameter.type, click.Path):
        return str(beside)
    # An interpreter may also be a command.
    if parameter.metavar == "PATH":
        return str(beside) if os.sep in value or beside.exists() else value
    return value
