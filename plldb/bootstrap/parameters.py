"""The template's parameters that users may set: which there are, and what they may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without libyaml takes half a second for the template
    from yaml import SafeLoader  # type: ignore[assignment]

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


@dataclass(frozen=True)
class Parameter:
    """One parameter with the rules that CloudFormation has for its value.

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
        """``declared`` is what stands below the name in the template."""
        is_number = declared["Type"] == "Number"
        bounds = ("MinValue", "MaxValue") if is_number else ("MinLength", "MaxLength")
        minimum, maximum = (declared.get(bound) for bound in bounds)
        return cls(
            name=name,
            default=_to_text(declared["Default"]),
            is_number=is_number,
            allowed=tuple(_to_text(value) for value in declared.get("AllowedValues", ())),
            pattern=declared.get("AllowedPattern"),
            minimum=None if minimum is None else int(minimum),
            maximum=None if maximum is None else int(maximum),
        )

    def describe_violation(self, value: str) -> str | None:
        """Words for what the value would have to be, after "it must be"; None if it is right."""
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


class _TemplateLoader(SafeLoader):
    """YAML in which the short forms of CloudFormation's functions count as nothing."""


_TemplateLoader.add_multi_constructor("!", lambda *_: None)


def read_settable_parameters(template: str) -> dict[str, Parameter]:
    """Reads from a template's text what users may set: name → parameter, in its order."""
    declared = yaml.load(template, _TemplateLoader).get("Parameters", {})  # nosec B506  # noqa: S506
    return {
        name: Parameter.from_template(name, declaration)
        for name, declaration in declared.items()
        if name not in INTERNAL
    }


def settle_parameters(
    template: str, environment: str, file: ConfigFile | None, assignments: Iterable[str] = ()
) -> dict[str, Setting[str]]:
    """Settles the value of each parameter, and says where it comes from.

    ``assignments`` are the ``NAME=VALUE`` of the command line. They win over the environment in the
    file, which wins over the environment as it is built in, which wins over the template's default.
    Raises UsageError for unknown names and for values that the template does not allow, also in
    environments of the file that are not used.
    """
    known = read_settable_parameters(template)
    tables = {name: _read_table(file, name) for name in file.environments} if file else {}
    flags = _parse_assignments(assignments)
    for settings in (*tables.values(), flags):
        _check(settings, known)
    defaults = {name: Setting(parameter.default, DEFAULT) for name, parameter in known.items()}
    return defaults | _get_built_in(environment) | tables.get(environment, {}) | flags


def _get_built_in(environment: str) -> dict[str, Setting[str]]:
    source = f"environment {environment} (built in)"
    values = BUILT_IN_ENVIRONMENTS.get(environment, {})
    return {name: Setting(value, source) for name, value in values.items()}


def _read_table(file: ConfigFile, environment: str) -> dict[str, Setting[str]]:
    source = file.table(f"{environment}.parameters")
    parameters = file.environments[environment].parameters
    return {name: Setting(value, source) for name, value in parameters.items()}


def _parse_assignments(assignments: Iterable[str]) -> dict[str, Setting[str]]:
    settings: dict[str, Setting[str]] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (name and equals):
            raise UsageError(
                f"{FLAG} {assignment} is not NAME=VALUE.", f"For example: {FLAG} LogRetentionDays=7"
            )
        if name in settings:
            raise UsageError(f"{FLAG} names {name} twice.", "Leave one out.")
        settings[name] = Setting(value, FLAG)
    return settings


def _check(settings: Mapping[str, Setting[str]], known: Mapping[str, Parameter]) -> None:
    for name, setting in settings.items():
        if name in INTERNAL:
            raise UsageError(
                f"{setting.source}: the parameter {name} is plldb's own.",
                f"These can be set: {', '.join(known)}.",
            )
        if name not in known:
            raise UsageError(
                f"{setting.source}: there is no parameter {name!r}.", suggest(name, known)
            )
        if needed := known[name].describe_violation(setting.value):
            raise UsageError(
                f"{setting.source}: {name} can't be {setting.value!r}.", f"It must be {needed}."
            )


def _to_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
