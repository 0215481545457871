"""What CloudFormation's functions give, as far as it is known before CloudFormation computes it.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plldb.templates import as_dict, as_list, is_computed

# Of a Sub: ${Name}, ${Name.Attribute}, and ${!Literal}, which gives ${Literal}.
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
# Far deeper than anything that a template may nest.
_DEEPEST = 50


class UnknownValueError(Exception):
    """Only CloudFormation knows the value."""


@dataclass(frozen=True)
class Scope:
    """What a template's functions refer to.

    ``parameters`` are values that are known; a parameter that is not among them has its default.
    ``unknown`` are parameters of which it is only known that they have another value.
    """

    template: Mapping[str, Any]
    parameters: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """The value with all that is known put in. Raises UnknownValueError if anything is not."""
        if depth > _DEEPEST:
            raise UnknownValueError
        if isinstance(value, list):
            return [self.resolve(one, depth + 1) for one in value]
        if not is_computed(value):
            if isinstance(value, dict):
                return {key: self.resolve(one, depth + 1) for key, one in value.items()}
            return value
        if isinstance(value, str):
            raise UnknownValueError
        ((name, argument),) = value.items()
        compute = _FUNCTIONS.get(name)
        if compute is None:
            raise UnknownValueError
        try:
            found = compute(self, argument, depth + 1)
        except (TypeError, ValueError, LookupError, AttributeError):
            # It is written in another way than CloudFormation takes it.
            raise UnknownValueError from None
        if is_computed(found):
            raise UnknownValueError
        return found

    def find_text(self, value: Any) -> str | None:
        """The text that a value is; None if it is another, or not known."""
        try:
            found = self.resolve(value)
        except UnknownValueError:
            return None
        return found if isinstance(found, str) else None

    def choose(self, values: Any) -> Iterator[Any]:
        """The values of a list, with those of each ``Fn::If`` whose condition is known, and without
        ``AWS::NoValue``. They are left as they are otherwise.
        """
        for value in as_list(values):
            match value:
                case {"Fn::If": [str() as condition, one, other]}:
                    try:
                        chosen = one if self.test({"Condition": condition}) else other
                    except UnknownValueError:
                        yield value
                    else:
                        yield from self.choose(chosen)
                case {"Ref": "AWS::NoValue"}:
                    pass
                case _:
                    yield value

    def choose_one(self, value: Any) -> Any:
        """What is left of a value by the same rules; None if that is nothing."""
        return next(self.choose([value]), None)

    def is_excluded(self, resource: Mapping[str, Any]) -> bool:
        """Whether the resource's condition is known to be false."""
        condition = resource.get("Condition")
        if not isinstance(condition, str):
            return False
        try:
            return self.test({"Condition": condition}) is False
        except UnknownValueError:
            return False

    def test(self, value: Any, depth: int = 0) -> bool:
        """Whether a condition holds. Raises UnknownValueError if that is not known."""
        if depth > _DEEPEST or not isinstance(value, dict) or len(value) != 1:
            raise UnknownValueError
        ((name, argument),) = value.items()
        depth += 1
        match name, argument:
            case "Condition", str():
                return self.test(as_dict(self.template.get("Conditions")).get(argument), depth)
            case "Fn::Equals", [one, other]:
                return _to_text(self.resolve(one, depth)) == _to_text(self.resolve(other, depth))
            case "Fn::Not", [one]:
                return not self.test(one, depth)
            case "Fn::And", [*several]:
                return all(self.test(one, depth) for one in several)
            case "Fn::Or", [*several]:
                return any(self.test(one, depth) for one in several)
        raise UnknownValueError

    def pass_on(self, values: Any) -> tuple[dict[str, str], frozenset[str]]:
        """What a nested stack is given that has these parameters: the values that are known, and
        the names of the others.
        """
        known = {name: value for name, value in self.parameters.items() if name.startswith("AWS::")}
        unknown = {"AWS::StackName", "AWS::StackId"}
        for name, value in as_dict(values).items():
            try:
                found = self.resolve(value)
            except UnknownValueError:
                unknown.add(name)
            else:
                known[name] = ",".join(map(str, found)) if isinstance(found, list) else str(found)
        return known, frozenset(unknown)

    def find_parameter(self, name: str) -> Any:
        """The value of a parameter: a list for one of a list type."""
        declared = as_dict(as_dict(self.template.get("Parameters")).get(name))
        kind = str(declared.get("Type", "String"))
        # The value of the former is the name of what it gives, and that of the latter is hidden.
        is_hidden = kind.startswith("AWS::SSM::") or str(declared.get("NoEcho")).lower() == "true"
        if is_hidden or name in self.unknown:
            raise UnknownValueError
        value = self.parameters.get(name, declared.get("Default"))
        if value is None:
            raise UnknownValueError
        if kind == "CommaDelimitedList" or kind.startswith("List<"):
            parts = value if isinstance(value, list) else str(value).split(",")
            return [str(part).strip() for part in parts]
        return _to_text(value)


def _to_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ref(scope: Scope, name: str, _: int) -> Any:
    return scope.find_parameter(name)


def _sub(scope: Scope, argument: Any, depth: int) -> str:
    text, variables = argument if isinstance(argument, list) else (argument, {})

    def put_in(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        if name in variables:
            return _to_text(scope.resolve(variables[name], depth))
        return _to_text(scope.find_parameter(name))

    return _VARIABLE.sub(put_in, text)


def _join(scope: Scope, argument: Any, depth: int) -> str:
    separator, parts = argument
    texts = scope.resolve(parts, depth)
    if not isinstance(texts, list):
        raise UnknownValueError
    return str(separator).join(_to_text(text) for text in texts)


def _if(scope: Scope, argument: Any, depth: int) -> Any:
    condition, one, other = argument
    chosen = one if scope.test({"Condition": condition}, depth) else other
    return scope.resolve(chosen, depth)


def _find_in_map(scope: Scope, argument: Any, depth: int) -> Any:
    found: Any = scope.template["Mappings"]
    keys = [scope.resolve(one, depth) for one in argument[:3]]
    try:
        for key in keys:
            found = {_to_text(name): value for name, value in found.items()}[_to_text(key)]
    except LookupError:
        # AWS::LanguageExtensions lets a template say what is in place of that.
        if "DefaultValue" not in as_dict(argument[-1]):
            raise
        return scope.resolve(argument[-1]["DefaultValue"], depth)
    return found


def _select(scope: Scope, argument: Any, depth: int) -> Any:
    index, values = argument
    return as_list(scope.resolve(values, depth))[int(scope.resolve(index, depth))]


def _split(scope: Scope, argument: Any, depth: int) -> list[str]:
    separator, text = argument
    return str(scope.resolve(text, depth)).split(str(separator))


_FUNCTIONS: Mapping[str, Callable[[Scope, Any, int], Any]] = {
    "Ref": _ref,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::If": _if,
    "Fn::FindInMap": _find_in_map,
    "Fn::Select": _select,
    "Fn::Split": _split,
}
