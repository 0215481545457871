"""What is deployed of a stack, as far as its own account tells: its functions, nested ones too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plldb.templates import TemplateError, as_dict, is_computed, parse_template

FUNCTION_TYPE = "AWS::Lambda::Function"
NESTED_STACK_TYPE = "AWS::CloudFormation::Stack"
# What 'plldb deploy' puts in the place of a resource that an emulator can't have. It is made at
# once, and does nothing.
PLACEHOLDER_TYPE = "AWS::CloudFormation::WaitConditionHandle"
_CUSTOM_RESOURCE_TYPES = ("AWS::CloudFormation::CustomResource", "Custom::")


def is_custom_resource(kind: Any) -> bool:
    """Whether a resource of that type is made by a function or a topic."""
    return isinstance(kind, str) and kind.startswith(_CUSTOM_RESOURCE_TYPES)


@dataclass(frozen=True)
class DeployedFunction:
    """``physical_name`` is what Lambda calls it. The others are its template's; None if that does
    not say, or is not known.
    """

    physical_name: str
    handler: str | None = None
    runtime: str | None = None


@dataclass(frozen=True)
class DeployedStack:
    """A stack as it is deployed.

    ``functions`` are by their names in a session: Greeter, Child/Greeter; and so are the types of
    all ``resources``. ``parameters`` are the values that the stack has, and CloudFormation's pseudo
    parameters. ``warnings`` say what could not be found out. ``members`` are names at Lambda by
    names in a session, if it is a mere list of functions that CloudFormation does not know.
    """

    name: str
    functions: Mapping[str, DeployedFunction]
    resources: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    members: Mapping[str, str] | None = None


@dataclass(frozen=True)
class DeployedResource:
    logical_id: str
    kind: str
    physical_id: str


def read_deployed_functions(
    prefix: str, resources: Iterable[DeployedResource], template: object
) -> Iterator[tuple[str, DeployedFunction]]:
    """The functions of one stack, by their names in a session.

    ``template`` is what GetTemplate gives: a table for JSON, a text for YAML. What it does not tell
    stays unknown.
    """
    if isinstance(template, str):
        try:
            template = parse_template(template)
        except TemplateError:
            template = {}
    # An emulator may give a SAM template as it was before it was transformed.
    defaults = as_dict(as_dict(as_dict(template).get("Globals")).get("Function"))
    bodies = as_dict(as_dict(template).get("Resources"))
    for resource in resources:
        if resource.kind == FUNCTION_TYPE:
            body = as_dict(bodies.get(resource.logical_id))
            properties = defaults | as_dict(body.get("Properties"))
            yield (
                prefix + resource.logical_id,
                DeployedFunction(
                    resource.physical_id,
                    _read_text(properties, "Handler"),
                    _read_text(properties, "Runtime"),
                ),
            )


def _read_text(properties: Mapping[str, Any], name: str) -> str | None:
    value = properties.get(name)
    return value if isinstance(value, str) and not is_computed(value) else None


def list_pseudo_parameters(stack_id: str) -> dict[str, str]:
    """Those that a stack's ARN tells: arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/UUID.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
    """
    parts = stack_id.split(":", 5)
    if len(parts) != 6:
        return {}
    name = parts[5].split("/")[1] if "/" in parts[5] else parts[5]
    return {
        "AWS::Partition": parts[1],
        "AWS::Region": parts[3],
        "AWS::AccountId": parts[4],
        "AWS::StackName": name,
        "AWS::StackId": stack_id,
    }
