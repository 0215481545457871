"""Holding what a project says of functions against what is deployed.

Code is run only in the place of a function that has the same name, type, handler and runtime. Where
one of two does not say what these are, as with a parameter, they count as the same. A monitoring
product's handler, which a macro or a plugin may have put in the place of a function's own, says
nothing of that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from plldb.debugger.sources.project import CodeSource, Functions
from plldb.debugger.wrapped_handlers import is_wrapper
from plldb.deployed import (
    FUNCTION_TYPE,
    NESTED_STACK_TYPE,
    PLACEHOLDER_TYPE,
    DeployedFunction,
    DeployedStack,
)
from plldb.errors import SourceError
from plldb.templates import TEMPLATE_HINT

_SHOWN = 5


@dataclass(frozen=True)
class Comparison:
    """Each function of the stack is in one of ``found`` and ``missing``, with the reason.

    ``undeployed`` are functions that the project has and the stack has not, with what there is to
    say. ``differing`` are those of ``missing`` that are another function here than there.
    ``fitting`` is how many are the same.
    """

    found: Mapping[str, CodeSource]
    missing: Mapping[str, str]
    undeployed: Mapping[str, str]
    differing: Mapping[str, str]
    fitting: int

    def require_fit(self, file: Path, stack: DeployedStack) -> None:
        """Raises SourceError if the project in ``file`` is another stack's, as far as can be seen.

        A project without any function fits every stack.
        """
        if self.fitting or not (self.differing or self.undeployed):
            return
        if self.differing:
            name, reason = next(iter(sorted(self.differing.items())))
            detail = f"{name}: {reason}"
        else:
            detail = (
                f"it has {_enumerate(self.undeployed)}, "
                f"and the stack has {_enumerate(stack.functions) or 'no functions'}"
            )
        raise SourceError(
            f"{file} is not the template of stack {stack.name}: none of its functions is the "
            f"same there. {detail[:1].upper()}{detail[1:]}.",
            TEMPLATE_HINT,
        )


def compare(
    functions: Functions,
    stack: DeployedStack,
    file: Path | None,
    by_hand: Collection[str],
    renewal: str | None = None,
) -> Comparison:
    """``file`` is what the functions were read from, None if the developer alone names their code.

    Functions ``by_hand`` are those whose code the developer names: they are taken as they are.
    ``renewal`` is the command that writes the file, if it is a tool's.
    """
    found: dict[str, CodeSource] = {}
    missing: dict[str, str] = {}
    differing: dict[str, str] = {}
    for name, deployed in stack.functions.items():
        source = _find(functions, name)
        if source is None:
            missing[name] = _explain_absent(file, renewal)
        elif isinstance(source, str):
            missing[name] = source
        elif name not in by_hand and (difference := _find_difference(source, deployed, file)):
            missing[name] = differing[name] = difference
        else:
            found[name] = source
    undeployed = {
        name: _explain_undeployed(name, stack)
        for name in functions
        if name not in stack.functions and not name.endswith("/*")
    }
    fitting = sum(name in stack.functions and name not in differing for name in functions)
    return Comparison(found, missing, undeployed, differing, fitting)


def find_foreign_resource(resources: Mapping[str, str], stack: DeployedStack) -> str | None:
    """What shows that a template is another stack's, though its functions have the same names.

    That is a resource of another type than the one of its name in the stack; or, if the stack has
    none of the template's resources but for functions, one where the stack has others of its type.
    A template with edits that are not deployed yet is not another one.
    """
    kinds = {name: _DEPLOYED_AS.get(kind, kind) for name, kind in resources.items()}
    others = {name: kind for name, kind in sorted(kinds.items()) if not _is_unsteady(kind)}
    for name, kind in others.items():
        there = stack.resources.get(name)
        if there not in (None, PLACEHOLDER_TYPE, kind):
            return f"{name} is of the type {there} in the stack, and of {kind} in the template"
    if any(name in stack.resources for name in others):
        return None
    for name, kind in others.items():
        theirs = [one for one, other in stack.resources.items() if other == kind]
        if theirs:
            return f"of the type {kind}, the stack has {theirs[0]}, and the template has {name}"
    return None


# What SAM makes of its own types: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources.html
_DEPLOYED_AS = {
    "AWS::Serverless::SimpleTable": "AWS::DynamoDB::Table",
    "AWS::Serverless::Api": "AWS::ApiGateway::RestApi",
    "AWS::Serverless::HttpApi": "AWS::ApiGatewayV2::Api",
    "AWS::Serverless::Application": NESTED_STACK_TYPE,
    "AWS::Serverless::StateMachine": "AWS::StepFunctions::StateMachine",
}


_UNSTEADY = (
    FUNCTION_TYPE,
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
)


def _is_unsteady(kind: str) -> bool:
    """Functions are compared by themselves; SAM and macros give others names of their own."""
    is_known = kind.startswith("AWS::") and not kind.startswith("AWS::Serverless::")
    return not is_known or kind in _UNSTEADY


def _find(functions: Functions, name: str) -> CodeSource | str | None:
    """What is known of a function, or of the nested stack that it is in."""
    while name not in functions:
        stack, slash, _ = name.removesuffix("/*").rpartition("/")
        if not slash:
            return None
        name = f"{stack}/*"
    return functions[name]


def _find_difference(
    source: CodeSource, deployed: DeployedFunction, file: Path | None
) -> str | None:
    """What is another one here than there, in words that follow "because"."""
    for what, here, there in (
        ("name", source.physical_name, deployed.physical_name),
        ("handler", _find_own(source.handler), _find_own(deployed.handler)),
        ("runtime", source.runtime, deployed.runtime),
    ):
        if here is not None and there is not None and here != there:
            where = "here" if file is None else f"in {file.name}"
            return (
                f"its {what} is {there} in the stack, but {here} {where}; deploy that first, or "
                "name its code with --code"
            )
    return None


def _find_own(handler: str | None) -> str | None:
    return None if handler is None or is_wrapper(handler) else handler


def _explain_absent(file: Path | None, renewal: str | None) -> str:
    if file is None:
        return "no code is named for it"
    more = f"; if it should be, bring that up to date: {renewal}" if renewal else ""
    return f"it is not in {file}{more}"


def _explain_undeployed(name: str, stack: DeployedStack) -> str:
    kind = stack.resources.get(name)
    if kind == PLACEHOLDER_TYPE:
        return "it was left out when the stack was deployed: the emulator can't have it"
    if kind is not None:
        return f"in the stack it is of the type {kind}"
    return "the stack has no such function; deploy it first"


def _enumerate(names: Collection[str]) -> str:
    shown = sorted(names)[:_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more
