"""What SAM's configuration says of deploying: the stack's name, its parameters, its tags.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plldb.debugger.sources.project import make_absolute
from plldb.debugger.sources.sam import (
    DEFAULT_ENVIRONMENT,
    find_configuration,
    list_parameters,
    read_configuration,
)
from plldb.errors import SourceError
from plldb.templates import as_dict, read_values

# ParameterKey=Name,ParameterValue=Value is the older form of Name=Value.
_LONG_FORM = re.compile(r"ParameterKey=([^,\s]+),ParameterValue=(.*)", re.DOTALL)


# Name=Value, where the next one begins after a space at the earliest.
_WORD = re.compile(
    r"""[^=\s]+=(?:[^,=\s]+,ParameterValue=)?
    (?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|.*?)
    (?=\s+[A-Za-z0-9]+=|\s*\Z)""",
    re.DOTALL | re.VERBOSE,
)
_FILE = "file://"
_INCLUDE = "$include"


@dataclass(frozen=True)
class SamSettings:
    """``files`` are those in which they stand."""

    stack_name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def read_sam_settings(folder: Path) -> SamSettings:
    """Those of the environment ``default``; nothing if there is no such file.

    Raises SourceError for one that makes no sense.
    """
    path = find_configuration(folder)
    if path is None:
        return SamSettings()
    commands = as_dict(read_configuration(path).get(DEFAULT_ENVIRONMENT))
    settings: dict[str, Any] = {}
    for command in ("global", "deploy"):
        settings |= dict(list_parameters(commands, command))
    name = settings.get("stack_name")
    files = [path]
    parameters, tags = (
        _read_pairs(path, key, settings.get(key), files) for key in ("parameter_overrides", "tags")
    )
    is_named = isinstance(name, str) and name
    return SamSettings(name if is_named else None, parameters, tags, tuple(files))


def _read_pairs(path: Path, name: str, value: Any, files: list[Path]) -> dict[str, str]:
    """``"A=1 B='2 3'"``, ``["A=1"]``, ``"file://parameters.yaml"`` or a table.

    Adds to ``files`` what it reads.
    https://github.com/aws/aws-sam-cli/blob/develop/samcli/cli/types.py
    """
    try:
        return _read_value(value, path.parent, files)
    except (TypeError, ValueError):
        raise SourceError(
            f"{path}: {name} is not made of NAME=VALUE: {value!r}.", "Mend it."
        ) from None


def _read_value(
    value: Any, folder: Path, files: list[Path], above: tuple[Path, ...] = ()
) -> dict[str, str]:
    """``folder`` is what files are named from, ``above`` are those that this one is included by.

    Raises TypeError or ValueError for one that makes no sense, SourceError for a file.
    """
    match value:
        case None:
            return {}
        case dict():
            pairs = {str(key): _join(one) for key, one in value.items() if key != _INCLUDE}
            return _read_value(value.get(_INCLUDE), folder, files, above) | pairs
        case str() if value.startswith(_FILE):
            return _read_file(make_absolute(folder / value.removeprefix(_FILE)), files, above)
        case str():
            return _split(shlex.split(value))
        case list():
            pairs = {}
            for one in value:
                is_text = isinstance(one, str) and not one.startswith(_FILE)
                pairs |= (
                    _split(_list_words(one)) if is_text else _read_value(one, folder, files, above)
                )
            return pairs
    raise TypeError(value)


def _read_file(path: Path, files: list[Path], above: tuple[Path, ...]) -> dict[str, str]:
    if not path.is_file() or path in above:
        what = "is included by itself" if path in above else "is not there"
        raise SourceError(f"The file of parameters {path} {what}.", "Mend its path.")
    files.append(path)
    read = read_configuration if path.suffix == ".toml" else read_values
    return _read_value(read(path), path.parent, files, (*above, path))


def _split(words: Iterable[str]) -> dict[str, str]:
    pairs = (_LONG_FORM.sub(r"\1=\2", word).split("=", 1) for word in words)
    return {key: one.strip("\"'") for key, one in pairs}


def _list_words(text: str) -> Iterator[str]:
    """The pairs in an item of a list, of whose values quotes are not asked for."""
    rest = text.strip()
    while rest:
        found = _WORD.match(rest)
        if found is None:
            raise ValueError(text)
        yield found[0]
        rest = rest[found.end() :].lstrip()


def _join(value: Any) -> str:
    """As CloudFormation takes it for one parameter."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
