"""What ``plldb.toml`` says of a stack's functions: where their code and their layers are.

A stack may be a mere list of functions there, which CloudFormation does not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plldb.config import ConfigFile, FileOverrides, FileStack, suggest
from plldb.debugger.deployed_layers.arrangement import parse_layer_arn
from plldb.debugger.sources.project import (
    CodeSource,
    DescribedLayer,
    Project,
    is_folder,
    make_absolute,
)
from plldb.deployed import DeployedFunction, DeployedStack
from plldb.errors import UsageError

_ARN = re.compile(
    r"arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9-_]+(:[A-Za-z0-9-_$]+)?"
)


@dataclass(frozen=True)
class StackSettings:
    """One ``[stacks.NAME]`` of the settings file."""

    file: Path
    name: str
    stack: FileStack

    @property
    def table(self) -> str:
        """How messages name it."""
        return f"{self.file} [stacks.{self.name}]"

    @property
    def template(self) -> Path | None:
        return None if self.stack.template is None else make_absolute(self.stack.template)

    @property
    def may_be_list(self) -> bool:
        """Whether it is a mere list of functions, if CloudFormation knows no such stack."""
        return bool(self.stack.functions) and self.stack.template is None

    @property
    def has_code(self) -> bool:
        functions = self.stack.functions.values()
        return self.stack.overrides.code is not None or any(one.code for one in functions)

    def name_function(self, function: str) -> str:
        """How messages name the table of a function."""
        return f"{self.file} [stacks.{self.name}.functions.{function}]"

    def with_names(self, deployed: DeployedStack | None) -> StackSettings:
        """The same with functions by their names in a session.

        Raises UsageError for one that is none of the stack's, or that is named twice.
        """
        if deployed is None:
            return self
        functions: dict[str, FileOverrides] = {}
        for function, settings in self.stack.functions.items():
            where = self.name_function(function)
            name = find_name(function, deployed)
            if name is None:
                raise UsageError(
                    f"{where}: stack {deployed.name} has no function {function!r}.",
                    suggest_function(function, deployed.functions),
                )
            if name in functions:
                raise UsageError(f"{where}: {name} is named twice.", "Leave one out.")
            functions[name] = settings
        return replace(self, stack=replace(self.stack, functions=functions))

    def find_code(self, name: str) -> Path | None:
        """The folder of a function's code, if the file says it. Raises UsageError if it is none."""
        own = self.stack.functions.get(name)
        if own is not None and own.code is not None:
            return _check_folder(own.code, self.name_function(name))
        code = self.stack.overrides.code
        return None if code is None else _check_folder(code, self.table)

    def describe_layers(self, name: str) -> tuple[DescribedLayer, ...] | None:
        """The function's layers, if the file says them. Raises UsageError for one that is none."""
        own = self.stack.functions.get(name)
        if own is None or own.layers is None:
            return None
        where = self.name_function(name)
        return tuple(_describe_layer(layer, where) for layer in own.layers)


def find_settings(file: ConfigFile | None, stack_name: str) -> StackSettings | None:
    """None if the settings file says nothing of the stack."""
    if file is None or stack_name not in file.stacks:
        return None
    return StackSettings(file.path, stack_name, file.stacks[stack_name])


def find_name(function: str, deployed: DeployedStack) -> str | None:
    """A function's name in a session by that, by its name or ARN at Lambda, or by the end of it
    where no other function has the same; None if it is none of them.
    """
    if function in deployed.functions:
        return function
    physical = take_name(function)
    for name, one in deployed.functions.items():
        if one.physical_name in (function, physical):
            return name
    ending = [name for name in deployed.functions if name.endswith(f"/{function}")]
    return ending[0] if len(ending) == 1 else None


def suggest_function(function: str, known: Collection[str]) -> str:
    """A hint for a name of a function that a stack has not."""
    return suggest(function, sorted(known)) if known else "It has no function at all."


def take_name(function: str) -> str:
    """The name at Lambda of a function that is given by that or by its ARN.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
    """
    return function.split(":")[6] if _ARN.fullmatch(function) else function


def list_functions(
    settings: StackSettings, region: str, find_account: Callable[[], str]
) -> DeployedStack:
    """A stack that is a mere list: each function by its name at Lambda.

    Raises UsageError for one of another region or account. ``find_account`` is asked for the
    latter only where an ARN names one.
    """
    names = [take_name(function) for function in settings.stack.functions]
    for function in settings.stack.functions:
        if _ARN.fullmatch(function):
            _, _, _, its_region, its_account, *_ = function.split(":")
            here = (region, find_account())
            if (its_region, its_account) != here:
                raise UsageError(
                    f"{settings.name_function(function)}: it is of {its_region} and account "
                    f"{its_account}, but calls go to {here[0]} and account {here[1]}.",
                    "Choose another --region or --profile, or name a function of this one.",
                )
    return _list(settings.name, names)


def list_project(name: str, project: Project, region: str) -> DeployedStack:
    """A stack that is a mere list: all functions of a project, by their names at Lambda."""
    parameters = {"AWS::Region": region}
    return replace(_list(name, project.read(parameters)), parameters=parameters)


def _list(stack_name: str, functions: Collection[str]) -> DeployedStack:
    return DeployedStack(
        stack_name,
        {name: DeployedFunction(name) for name in functions},
        members={name: name for name in functions},
    )


def apply_layers(
    sources: Iterable[tuple[str, CodeSource]], settings: StackSettings
) -> Mapping[str, CodeSource]:
    """The functions with the layers that the settings give them."""
    found: dict[str, CodeSource] = {}
    for name, source in sources:
        layers = settings.describe_layers(name)
        found[name] = source if layers is None else replace(source, layers=layers)
    return found


def _describe_layer(layer: str, where: str) -> DescribedLayer:
    if layer.startswith("arn:"):
        if parse_layer_arn(layer) is None:
            raise UsageError(
                f"{where}: layers: {layer} is not the ARN of a layer's version.",
                "For example: arn:aws:lambda:eu-west-1:123456789012:layer:common:3",
            )
        return DescribedLayer(layer, reason=f"{where} names it by its ARN", is_deployed=False)
    folder = make_absolute(Path(layer))
    if not is_folder(folder):
        raise UsageError(f"{where}: layers: there is no folder {folder}.", "Name one, or an ARN.")
    return DescribedLayer(str(folder), (folder,), layer_name=folder.name)


def _check_folder(path: Path, where: str) -> Path:
    folder = make_absolute(path)
    if not is_folder(folder):
        raise UsageError(
            f"{where}: code: there is no folder {folder}.",
            "Name the folder that holds the handler's module, relative to the settings file.",
        )
    return folder
