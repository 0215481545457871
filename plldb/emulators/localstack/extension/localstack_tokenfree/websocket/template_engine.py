"""The engine for templates: that of LocalStack's REST APIs, where its values are Java's.

``$input.json`` writes JSON without blanks, and maps are written as Java does it, ``{a=b, c=d}``:
https://docs.aws.amazon.com/apigateway/latest/developerguide/
api-gateway-mapping-template-reference.html
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import airspeed
from airspeed.operators import (
    ForeachDirective,
    LocalNamespace,
    NameOrCall,
    TemplateExecutionError,
    UserDefinedDirective,
    _Element,
)
from jsonpath_ng import JSONPath
from jsonpath_ng.ext import parse
from localstack.services.apigateway.next_gen.execute_api.template_mapping import (
    ApiGatewayVtlTemplate,
    VelocityInput,
    VelocityUtilApiGateway,
    VTLJsonDict,
    VTLJsonList,
    VTLMap,
)
from localstack.utils.patch import patch

from .template_utilities import decoded_base64, is_of_many, with_single_quotes_escaped
from .template_values import Entry, JsonList, as_json, as_text, is_plain, method_of


class Utilities(VelocityUtilApiGateway):
    """``$util``."""

    def base64Decode(self, value: Any) -> str:  # noqa: N802  # Velocity's name
        return decoded_base64(str(value))

    def escapeJavaScript(self, value: Any) -> str:  # noqa: N802  # Velocity's name
        if value is not None and not isinstance(value, str):
            return as_text(value)
        escaped: str = super().escapeJavaScript(value)
        return with_single_quotes_escaped(escaped)

    def urlEncode(self, value: Any) -> str:  # noqa: N802  # Velocity's name
        encoded: str = super().urlEncode(as_text(value))
        return encoded


class Input(VelocityInput):
    """``$input``."""

    def path(self, path: str) -> Any:
        return _of_json(self._extract_json_path(path))

    def _extract_json_path(self, path: str) -> Any:
        try:
            body = json.loads(self.value)
        except (ValueError, TypeError):  # of another kind, or there is none
            return None
        try:
            found = [match.value for match in _parsed(path).find(body)]
        except LookupError:  # an index where there is no list
            return None
        return found if is_of_many(path) or len(found) > 1 else next(iter(found), None)

    def json(self, path: str) -> str:
        return as_json(json.loads(super().json(path)))


@lru_cache(maxsize=1024)
def _parsed(path: str) -> JSONPath:
    """Filters have ``&`` here for ``&&``."""
    return parse(path.replace("&&", "&"))


def _of_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _of_json(content) for name, content in value.items()}
    return JsonList(map(_of_json, value)) if isinstance(value, list) else value


class Engine(ApiGatewayVtlTemplate):
    def prepare_namespace(self, variables: dict[str, Any], *options: Any) -> dict[str, Any]:
        given = variables["input"]
        ours = {"util": Utilities(), "input": Input(given["body"], given["params"])}
        return {**super().prepare_namespace(variables, *options), **ours}


class AnyCase(VTLMap):
    """Headers: names in any case."""

    def get(self, name: str, default: Any = None) -> Any:
        return next((value for key, value in self.items() if key.lower() == name.lower()), default)


@patch(NameOrCall.calculate)
def _calculate(
    original: Callable[..., Any], part: NameOrCall, value: Any, loader: Any, names: Any
) -> Any:
    """The engine looks methods up by the exact class, and finds Python's beside Java's."""
    if isinstance(value, LocalNamespace) or not is_plain(value):
        return original(part, value, loader, names)
    if part.parameters is not None:
        method = method_of(value, part.name)
        if method is None:
            return original(part, value, loader, names)
        return method(value, *part.parameters.calculate(names, loader))
    if isinstance(value, Entry) or (isinstance(value, dict) and value.get(part.name) is not None):
        return original(part, value, loader, names)
    return None


@patch(ForeachDirective.parse)
def _parse_loop(original: Callable[[Any], None], loop: ForeachDirective) -> None:
    original(loop)
    loop.value = _Items(loop.value)


class _Items:
    """What a loop goes through: of a map, its values."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def calculate(self, *names: Any) -> Any:
        found = self._value.calculate(*names)
        return list(found.values()) if isinstance(found, dict) else found


class _BreakError(TemplateExecutionError):
    """By ``#break``: what runs the loop hears of it."""

    def __init__(self) -> None:
        Exception.__init__(self, "#break outside of a loop")
        self.msg = str(self.args[0])


class _Break(_Element):
    START = re.compile(r"#break\b(.*)", re.DOTALL | re.IGNORECASE)

    def parse(self) -> None:
        self.identity_match(self.START)

    def evaluate_raw(self, *_names: Any) -> None:
        raise _BreakError


UserDefinedDirective.DIRECTIVES.append(_Break)


@patch(ForeachDirective.evaluate_raw)
def _run_loop(original: Callable[..., None], loop: ForeachDirective, *names: Any) -> None:
    with suppress(_BreakError):
        original(loop, *names)


@patch(LocalNamespace.set_inherited)
def _set(original: Callable[..., None], names: LocalNamespace, name: str, value: Any) -> None:
    """A new variable is one of the whole template, also within a loop."""
    if names.find_outermost(name) is None:
        while isinstance(names.parent, LocalNamespace):
            names = names.parent
    original(names, name, value)


@patch(airspeed.operators.value_to_string)
def _value_to_string(original: Callable[[Any], str], value: Any) -> str:
    return original(value) if isinstance(value, (VTLJsonDict, VTLJsonList)) else as_text(value)
