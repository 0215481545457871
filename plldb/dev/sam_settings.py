"""What SAM's configuration says of deploying: the stack's name, its parameters, its tags.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plldb.debugger.sources.sam import (
    DEFAULT_ENVIRONMENT,
    find_configuration,
    list_parameters,
    read_configuration,
)
from plldb.errors import SourceError
from plldb.templates import as_dict

# ParameterKey=Name,ParameterValue=Value is the older form of Name=Value.
_LONG_FORM = re.compile(r"ParameterKey=([^,\s]+),ParameterValue=(.*)", re.DOTALL)


@dataclass(frozen=True)
class SamSettings:
    stack_name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


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
    return SamSettings(
        name if isinstance(name, str) and name else None,
        _read_pairs(path, "parameter_overrides", settings.get("parameter_overrides")),
        _read_pairs(path, "tags", settings.get("tags")),
    )


def _read_pairs(path: Path, name: str, value: Any) -> dict[str, str]:
    """``"A=1 B='2 3'"``, ``["A=1"]`` or a table."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {str(key): _join(one) for key, one in value.items()}
    try:
        words = shlex.split(value) if isinstance(value, str) else [str(one) for one in value]
        pairs = [_LONG_FORM.sub(r"\1=\2", word).split("=", 1) for word in words]
        return {key: one.strip("\"'") for key, one in pairs}
    except (TypeError, ValueError):
        raise SourceError(
            f"{path}: {name} is not made of NAME=VALUE: {value!r}.", "Mend it."
        ) from None


def _join(value: Any) -> str:
    """A list as CloudFormation takes it for one parameter."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
