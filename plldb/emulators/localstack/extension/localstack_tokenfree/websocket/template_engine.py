"""The engine for templates: that of LocalStack's REST APIs, where its values are Java's.

``$input.json`` writes JSON without blanks, and maps are written as Java does it, ``{a=b, c=d}``:
https://docs.aws.amazon.com/apigateway/latest/developerguide/
api-gateway-mapping-template-reference.html
"""

import json
from collections.abc import Callable
from typing import Any

import airspeed
from airspeed.operators import ForeachDirective, LocalNamespace, NameOrCall
from localstack.services.apigateway.next_gen.execute_api.template_mapping import (
    ApiGatewayVtlTemplate,
    VelocityInput,
    VelocityUtilApiGateway,
    VTLJsonDict,
    VTLJsonList,
    VTLMap,
)
from localstack.utils.patch import patch

from .template_utilities import decoded_base64, with_single_quotes_escaped
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

    def json(self, path: str) -> str:
        return as_json(json.loads(super().json(path)))


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


@patch(airspeed.operators.value_to_string)
def _value_to_string(original: Callable[[Any], str], value: Any) -> str:
    return original(value) if isinstance(value, (VTLJsonDict, VTLJsonList)) else as_text(value)
