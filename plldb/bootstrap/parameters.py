"""The template's parameters that users may set: which there are, and what they may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from plldb.config import BUILT_IN_ENVIRONMENTS, DEFAULT, ConfigFile, Setting, suggest
from plldb.errors import UsageError

# What plldb itself decides for each helper stack: see plldb.bootstrap.release.
INTERNAL = frozenset(
    {
        "ArtifactsBucket",
        "DebuggerTableName",
        "ExecuteApiBaseUrl",
        "FunctionsCodeKey",
        "LayerCodeKey",
        "PayloadsPrefix",
        "SessionsTableName",
    }
)
DELETION_PROTECTION = "DeletionProtection"
FLAG = "--parameter"

# The section alone: the whole template takes half a second to parse, and has tags of its own.
_SECTION = re.compile(r"^Parameters:\n(?:(?:[ #].*)?\n)+", re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """One parameter, with CloudFormation's rules for it:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
    """

    name: str
    default: str
    is_number: bool = False
    allowed: tuple[str, ...] = ()
    pattern: str | None = None
    minimum: int | None = None
    maximum: int | None = None

    @classmethod
    def from_template(cls, name: str, declared: Mapping[str, Any]) -> Parameter:
        is_number = declared["Type"] == "Number"
        bounds = ("MinValue", "MaxValue") if is_number else ("MinLength", "MaxLength")
        minimum, maximum = (declared.get(bound) for bound in bounds)
        return cls(
            name=name,
            default=_text(declared["Default"]),
            is_number=is_number,
            allowed=tuple(_text(value) for value in declared.get("AllowedValues", ())),
            pattern=declared.get("AllowedPattern"),
            minimum=None if minimum is None else int(minimum),
            maximum=None if maximum is None else int(maximum),
        )

    def complaint(self, value: str) -> str | None:
        """What it must be, if the value is not."""
        if self.allowed:
            return None if value in self.allowed else f"one of {', '.join(self.allowed)}"
        if self.is_number and not re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
            return "a whole number"
        size = int(value) if self.is_number else len(value)
        unit = "" if self.is_number else " characters"
        if self.minimum is not None and size < self.minimum:
            return f"at least {self.minimum}{unit}"
        if self.maximum is not None and size > self.maximum:
            return f"at most {self.maximum}{unit}"
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"of the form {self.pattern}"
        return None


def settable_parameters(template: str) -> dict[str, Parameter]:
    """By name, in the order of the template (its text)."""
    section = _SECTION.search(template)
    declared = yaml.safe_load(section.group())["Parameters"] if section else {}
    return {
        name: Parameter.from_template(name, declaration)
        for name, declaration in declared.items()
        if name not in INTERNAL
    }


def settle_parameters(
    template: str, environment: str, file: ConfigFile | None, given: Iterable[str] = ()
) -> dict[str, Setting[str]]:
    """Each parameter's value and source. ``given``: the ``Name=Value`` of the command line, which
    win over the file, which wins over the environment as it is built in.

    Raises UsageError for unknown names and for values that the template does not allow, of the
    environments that are not used as well.
    """
    known = settable_parameters(template)
    tables = {name: _of_file(file, name) for name in file.environments} if file else {}
    flags = _given(given)
    for source in (*tables.values(), flags):
        _check(known, source)
    defaults = {name: Setting(parameter.default, DEFAULT) for name, parameter in known.items()}
    return defaults | _built_in(environment) | tables.get(environment, {}) | flags


def _built_in(environment: str) -> dict[str, Setting[str]]:
    source = f"environment {environment} (built in)"
    values = BUILT_IN_ENVIRONMENTS.get(environment, {})
    return {name: Setting(value, source) for name, value in values.items()}


def _of_file(file: ConfigFile, environment: str) -> dict[str, Setting[str]]:
    source = file.table(f"{environment}.parameters")
    parameters = file.environments[environment].parameters
    return {name: Setting(value, source) for name, value in parameters.items()}


def _given(assignments: Iterable[str]) -> dict[str, Setting[str]]:
    given: dict[str, Setting[str]] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (name and equals):
            raise UsageError(
                f"{FLAG} {assignment} is not NAME=VALUE.", f"For example: {FLAG} LogRetentionDays=7"
            )
        if name in given:
            raise UsageError(f"{FLAG} names {name} twice.", "Leave one out.")
        given[name] = Setting(value, FLAG)
    return given


def _check(known: Mapping[str, Parameter], layer: Mapping[str, Setting[str]]) -> None:
    for name, setting in layer.items():
        if name in INTERNAL:
            raise UsageError(
                f"{setting.source}: the parameter {name} is plldb's own.",
                f"These can be set: {', '.join(known)}.",
            )
        if name not in known:
            raise UsageError(
                f"{setting.source}: there is no parameter {name!r}.", suggest(name, known)
            )
        if complaint := known[name].complaint(setting.value):
            raise UsageError(
                f"{setting.source}: {name} can't be {setting.value!r}.", f"It must be {complaint}."
            )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
