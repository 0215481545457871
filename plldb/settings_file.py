"""``plldb.toml``: where it lies, and whether it says anything that makes no sense.

Everything in it is checked when it is read, the environments that are not used included, except
for the names and values of parameters, which are the template's to judge, and what stacks say of
functions and their variables, which is judged where a stack is attached to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from plldb.config import (
    OPTIONS,
    ConfigFile,
    FileEnvironment,
    FileOverrides,
    FileRecord,
    FileStack,
    Setting,
    check_role_arn,
    check_url,
    is_helper_stack_name,
    select_kind,
    suggest,
)
from plldb.errors import UsageError
from plldb.option_names import CONFIG_VARIABLE, OUTPUTS, name_flag

NAME = "plldb.toml"
_ENVIRONMENT_NAME = re.compile(r"[a-z][a-z0-9-]*")
# An environment can't choose itself.
_OPTIONS = {
    name_flag(option).removeprefix("--"): option for option in OPTIONS if option != "environment"
}
_PARAMETERS = "parameters"
_TAG_KEY = re.compile(r"[\w\s.:/=+\-@]{1,128}")
_TAG_VALUE = re.compile(r"[\w\s.:/=+\-@]{0,256}")
_RESERVED_TAGS = ("aws:", "plldb:")
# CloudFormation adds three of its own to a resource, and plldb two.
_MOST_TAGS = 45
# Tables of options, which the commands themselves check.
_COMMANDS = ("attach", "dev")
_KNOWN = ("environment", "environments", "stacks", *_COMMANDS, "record", "tags")
# What a stack says for all of its functions, and for each.
_OF_ALL = ("env", "env-file", "code", "python")


def load(flag_value: str | None, environ: Mapping[str, str], folder: Path) -> ConfigFile | None:
    """The settings file of a run, None if there is none.

    It is the one that ``--config`` (``flag_value``) or else PLLDB_CONFIG names, where an empty name
    means none; otherwise the nearest plldb.toml in ``folder`` or above it. Raises UsageError if the
    one that was named is missing, and for whatever is wrong in it.
    """
    for name, named_by in (
        (flag_value, "--config"),
        (environ.get(CONFIG_VARIABLE), CONFIG_VARIABLE),
    ):
        if name is not None:
            return read(folder / Path(name).expanduser(), named_by) if name else None
    found = _find_nearest(folder)
    return read(found, "found in this folder or above it") if found else None


def read(path: Path, found_by: str) -> ConfigFile:
    """The settings file at ``path``. Raises UsageError if it can't be read or makes no sense.

    ``found_by`` says in the user's words what names it: ``--config``, PLLDB_CONFIG, …
    """
    document = _check_document(path, _parse(path, found_by))
    environment = document.get("environment")
    if environment is not None and not isinstance(environment, str):
        raise wrong_type(f"{path}: environment", environment, "a string")
    environments = _check_table(f"{path}: environments", document.get("environments", {}))
    stacks = _check_table(f"{path}: stacks", document.get("stacks", {}))
    return ConfigFile(
        path,
        found_by,
        environment or None,
        {name: _read_environment(path, name, table) for name, table in environments.items()},
        {name: _read_stack(path, name, table) for name, table in stacks.items()},
        _read_record(path, document.get("record", {})),
        {
            command: _check_table(f"{path} [{command}]", document[command])
            for command in _COMMANDS
            if command in document
        },
        _read_tags(f"{path} [tags]", document.get("tags", {})),
    )


def _check_document(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Raises UsageError for a key that is none, or has its place elsewhere."""
    for key in document:
        if key in _OPTIONS or key == _PARAMETERS:
            raise UsageError(
                f"{path}: {key!r} is a setting of an environment.",
                "Put it into [environments.NAME], such as [environments.development].",
            )
    if isinstance(document.get("environment"), dict):
        raise UsageError(
            f"{path}: environment says which one is in force.",
            "Tables of environments are called [environments.NAME].",
        )
    return _check_table(f"{path}", document, _KNOWN)


def _find_nearest(folder: Path) -> Path | None:
    candidates = (parent / NAME for parent in (folder, *folder.parents))
    # os.path's says no, where Path's raises, for a folder that is closed to us.
    return next((path for path in candidates if os.path.isfile(path)), None)  # noqa: PTH113


def _parse(path: Path, found_by: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(_read_text(path, found_by))
    except RecursionError:
        raise _invalid_toml(path, "it is nested too deeply") from None
    except ValueError as error:
        # tomllib's own end with "(at line 3, column 5)", or this.
        reason = str(error).replace("at end of document", "at its last line")
        raise _invalid_toml(path, reason) from None


def _read_text(path: Path, found_by: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(
            f"There is no file {path}, which {found_by} names.",
            f"Name one that is there, or switch it off with an empty {CONFIG_VARIABLE}.",
        ) from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}.", "Name another file.") from None


def _invalid_toml(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{path} is no valid TOML: {reason}.", "Mend it; see https://toml.io for the format."
    )


def _read_environment(path: Path, name: str, table: object) -> FileEnvironment:
    if not _ENVIRONMENT_NAME.fullmatch(name):
        raise UsageError(
            f"{path} [environments]: {name!r} is no name for an environment.",
            "Use lower-case letters, digits and hyphens.",
        )
    where = f"{path} [environments.{name}]"
    table = _check_table(where, table, (*_OPTIONS, _PARAMETERS))
    options = {
        _OPTIONS[key]: _read_option(where, key, value)
        for key, value in table.items()
        if key in _OPTIONS
    }
    # It must not contradict itself, whether or not something above the file wins.
    select_kind({option: Setting(value, where) for option, value in options.items()})
    where = f"{path} [environments.{name}.{_PARAMETERS}]"
    parameters = _check_table(where, table.get(_PARAMETERS, {}))
    return FileEnvironment(
        options, {key: read_text_value(where, key, value) for key, value in parameters.items()}
    )


def _read_option(where: str, key: str, value: object) -> str:
    if key == "verbose":
        return _read_verbosity(where, value)
    if not isinstance(value, str):
        raise wrong_type(f"{where}: {key}", value, "a string")
    if not value:
        raise UsageError(f"{where}: {key} is empty.", "Leave it out, or give it a value.")
    if key == "output" and value not in OUTPUTS:
        raise UsageError(f"{where}: {value!r} is no output format.", suggest(value, OUTPUTS))
    if key == "endpoint-url":
        return check_url(Setting(value, f"{where}: {key}"))
    if key == "cloudformation-role":
        return check_role_arn(Setting(value, f"{where}: {key}"))
    if key == "helper-stack" and not is_helper_stack_name(value):
        raise UsageError(
            f"{where}: {value!r} is no name for a helper stack.",
            "Use a letter, then letters, digits and hyphens, 100 at most.",
        )
    return value


def _read_verbosity(where: str, value: object) -> str:
    """As text, a digit: ``true`` is 1."""
    if not isinstance(value, int):
        raise wrong_type(f"{where}: verbose", value, "true, false, 0, 1 or 2")
    if value not in (0, 1, 2):
        raise UsageError(f"{where}: verbose is {value}.", "Give true, false, 0, 1 or 2.")
    return str(int(value))


def read_text_value(where: str, key: str, value: object) -> str:
    """As CloudFormation and variables take it: text. Raises UsageError for what is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 2**63):
        return str(value)
    raise wrong_type(f"{where}: {key!r}", value, "a string, a number, true or false")


def _read_tags(where: str, table: object) -> dict[str, str]:
    """By CloudFormation's rules, which are those of most services:

    https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    """
    tags = {
        key: read_text_value(where, key, value) for key, value in _check_table(where, table).items()
    }
    for key, value in tags.items():
        if key.lower().startswith(_RESERVED_TAGS):
            raise UsageError(
                f"{where}: {key!r} is not yours to set.",
                "Keys that begin with aws: are AWS's, and those with plldb: are plldb's own.",
            )
        if not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value):
            raise UsageError(
                f"{where}: {key} = {value!r} can't be a tag.",
                "A key has 1 to 128 characters and a value 256 at most: letters, digits, spaces "
                "and _ . : / = + - @",
            )
    if len(tags) > _MOST_TAGS:
        raise UsageError(
            f"{where}: there are {len(tags)} of them.", f"AWS takes 50; give {_MOST_TAGS} at most."
        )
    return tags


# --- Recordings -----------------------------------------------------------------------------------


def _read_record(path: Path, table: object) -> FileRecord:
    where = f"{path} [record]"
    table = _check_table(where, table, ("mask", "ignore", "invocations"))
    mask = _read_texts(where, "mask", table)
    for entry in mask:
        if entry.startswith("/"):
            _check_pattern(f"{where}: mask", entry)
    are_kept = table.get("invocations")
    if not isinstance(are_kept, bool | None):
        raise wrong_type(f"{where}: invocations", are_kept, "true or false")
    return FileRecord(mask, _read_texts(where, "ignore", table), are_kept)


def _read_texts(where: str, key: str, table: Mapping[str, object]) -> tuple[str, ...]:
    values = table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(one, str) and one for one in values):
        raise wrong_type(f"{where}: {key}", values, "a list of strings")
    return tuple(values)


def _check_pattern(where: str, entry: str) -> None:
    try:
        if len(entry) > 2 and entry.endswith("/"):
            re.compile(entry[1:-1])
            return
        reason = "it does not end with /"
    except re.error as error:
        reason = str(error)
    raise UsageError(
        f"{where}: {entry!r} is no pattern: {reason}.",
        "Put a regular expression of Python's between slashes: '/[0-9]{16}/'.",
    )


# --- Stacks ---------------------------------------------------------------------------------------


def _read_stack(path: Path, name: str, table: object) -> FileStack:
    where = f"{path} [stacks.{name}]"
    table = _check_table(where, table, (*_OF_ALL, "template", "as-function", "functions"))
    functions = _check_table(f"{path} [stacks.{name}.functions]", table.get("functions", {}))
    return FileStack(
        _read_overrides(path, where, table),
        {
            function: _read_function(path, f"{path} [stacks.{name}.functions.{function}]", one)
            for function, one in functions.items()
        },
        _read_path(path, where, "template", table),
        _read_flag(where, "as-function", table),
    )


def _read_flag(where: str, key: str, table: Mapping[str, object]) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise wrong_type(f"{where}: {key}", value, "true or false")
    return value


def _read_python(path: Path, where: str, table: Mapping[str, object]) -> str | None:
    """A command stays what it is; a path is beside the file."""
    if "python" not in table:
        return None
    python = _read_option(where, "python", table["python"])
    beside = path.absolute().parent / Path(python).expanduser()
    return str(beside) if os.sep in python or beside.exists() else python


def _read_function(path: Path, where: str, table: object) -> FileOverrides:
    table = _check_table(where, table, (*_OF_ALL, "handler", "layers"))
    return _read_overrides(path, where, table)


def _read_overrides(path: Path, where: str, table: Mapping[str, object]) -> FileOverrides:
    env = table.get("env", {})
    if not isinstance(env, dict):
        raise wrong_type(f"{where}: env", env, 'a table, as in env = { TABLE = "greetings" }')
    handler = _read_option(where, "handler", table["handler"]) if "handler" in table else None
    return FileOverrides(
        {key: read_text_value(f"{where}: env", key, value) for key, value in env.items()},
        _read_path(path, where, "env-file", table),
        handler,
        _read_path(path, where, "code", table),
        _read_layers(path, where, table),
        _read_python(path, where, table),
    )


def _read_path(path: Path, where: str, key: str, table: Mapping[str, object]) -> Path | None:
    """It is beside the file."""
    if key not in table:
        return None
    return path.absolute().parent / Path(_read_option(where, key, table[key])).expanduser()


def _read_layers(path: Path, where: str, table: Mapping[str, object]) -> tuple[str, ...] | None:
    """An ARN stays what it is; a path is beside the file."""
    if "layers" not in table:
        return None
    layers = table["layers"]
    if not isinstance(layers, list):
        raise wrong_type(f"{where}: layers", layers, 'an array, as in layers = ["layers/common"]')
    read = [_read_option(where, "layers", one) for one in layers]
    beside = path.absolute().parent
    return tuple(
        one if one.startswith("arn:") else str(beside / Path(one).expanduser()) for one in read
    )


# --- Checks ---------------------------------------------------------------------------------------


def _check_table(where: str, table: object, known: Collection[str] | None = None) -> dict[str, Any]:
    """The table. Raises UsageError if it is none, or for a key that is none of those ``known``."""
    if not isinstance(table, dict):
        raise wrong_type(where, table, "a table")
    for key in table:
        if known is not None and key not in known:
            raise UsageError(f"{where}: there is no setting {key!r}.", suggest(key, known))
    return table


# As TOML calls them: https://toml.io/en/v1.0.0
_TYPES = {
    bool: "a boolean",
    dict: "a table",
    float: "a float",
    int: "an integer",
    list: "an array",
    str: "a string",
}


def wrong_type(where: str, value: object, wanted: str) -> UsageError:
    """For a value that is ``wanted`` to be another one, such as "a string"."""
    found = _TYPES.get(type(value), "a date or time")
    return UsageError(f"{where} is {found}.", f"Give {wanted}.")
