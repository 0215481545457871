"""Selection expressions: how API Gateway picks a route, a template, a model or a response.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-websocket-api-selection-expressions.html
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

DEFAULT = "$default"
VARIABLE = re.compile(
    r"\\\$|\$\{(?P<braced>[^}]*)\}|\$(?P<bare>[A-Za-z][\w.\-]*(\[\d+\][\w.\-]*)*)"
)
STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
PATTERN = re.compile(r"/(.*)/", re.DOTALL)
T = TypeVar("T")


@dataclass(frozen=True)
class Response:
    """What an integration answered. ``body`` is text, as it came; what is no text came as
    ``binary``."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    binary: bytes | None = None

    @property
    def payload(self) -> str | bytes:
        """As it came."""
        return self.body if self.binary is None else self.binary


@dataclass(frozen=True)
class Scope:
    """What the variables of an expression or mapping stand for.

    ``headers`` are found by names in lower case, and so are ``multi_headers``, which with
    ``multi_query`` have all values of a name. ``context`` is the event's ``requestContext``.
    """

    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    multi_headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    multi_query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    response: Response | None = None

    def after(self, response: Response) -> "Scope":
        return replace(self, response=response)

    def without_handshake(self) -> "Scope":
        return replace(self, headers={}, query={}, multi_headers={}, multi_query={})

    def find(self, path: str) -> Any:
        """The value at ``path``, like ``request.body.a.b``, ``request.header.X``,
        ``request.querystring.x``, ``context.connectionId``, ``stageVariables.x`` or
        ``integration.response.statuscode``; None if there is none.
        """
        origin, _, rest = path.removeprefix("route.").removeprefix("method.").partition(".")
        match origin:
            case "request":
                return self._of_request(rest)
            case "stageVariables":
                return self.stage_variables.get(rest)
            case "context":
                return dig(self.context, rest)
            case "integration" if self.response:
                return _of_response(self.response, rest.removeprefix("response."))
        return None

    def _of_request(self, path: str) -> Any:
        place, _, name = path.partition(".")
        match place:
            case "body":
                return dig(_decoded(self.body), name) if name else self.body
            case "header":
                return self.headers.get(name.lower())
            case "querystring":
                return self.query.get(name)
            case "multivalueheader":
                return self.multi_headers.get(name.lower())
            case "multivaluequerystring":
                return self.multi_query.get(name)
        return None


def _of_response(response: Response, path: str) -> Any:
    place, _, name = path.partition(".")
    match place:
        case "statuscode":
            return str(response.status)
        case "header":
            return response.headers.get(name.lower())
        case "body":
            return dig(_decoded(response.body), name) if name else response.body
    return None


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def dig(value: Any, path: str) -> Any:
    """``a.b[0]`` below ``value``."""
    for name, index in STEP.findall(path):
        if index:
            is_there = isinstance(value, list) and int(index) < len(value)
            value = value[int(index)] if is_there else None
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    return value


def evaluate(expression: str, scope: Scope) -> str | None:
    """The key that ``expression`` comes to, or None if one of its variables has no text.

    ``\\$`` is a dollar sign, and so is the one of ``$default``, which no variable is named after.
    """
    missing = False

    def text(match: re.Match[str]) -> str:
        nonlocal missing
        path = match["braced"] or match["bare"]
        if not path or match[0] == DEFAULT:
            return match[0].removeprefix("\\")
        value = scope.find(path)
        if not isinstance(value, str):
            missing = True
            return ""
        return value

    key = VARIABLE.sub(text, expression)
    return None if missing else key


def select_route_key(expression: str, scope: Scope) -> str | None:
    """The route that a message names, or None: it goes to ``$default`` then, as messages do that
    are no JSON. The three reserved routes can't be named.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    websocket-api-develop-routes.html
    """
    key = evaluate(expression, scope)
    return None if key is None or key.startswith("$") else key


def choose(expression: str | None, choices: Mapping[str, T], scope: Scope) -> T | None:
    """The entry that ``expression`` comes to, else that of ``$default``."""
    key = evaluate(expression, scope) if expression else None
    if key is not None and key in choices:
        return choices[key]
    return choices.get(DEFAULT)


def choose_by_pattern(
    key: str, records: Iterable[Mapping[str, Any]], key_field: str
) -> Mapping[str, Any] | None:
    """The record whose key is ``key``, or is a ``/regular expression/`` that matches it, or is
    ``$default``.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-api-integration-responses.html
    """
    default = None
    for record in records:
        wanted = record[key_field]
        if wanted == DEFAULT:
            default = record
        elif wanted == key or _is_matched(wanted, key):
            return record
    return default


def _is_matched(wanted: str, key: str) -> bool:
    """A pattern that Python can't read, as Java's may be, matches nothing."""
    pattern = PATTERN.fullmatch(wanted)
    try:
        return pattern is not None and re.fullmatch(pattern[1], key, re.DOTALL) is not None
    except re.error:
        return False


def missing_identity(sources: Sequence[str], scope: Scope) -> str | None:
    """The first of an authorizer's identity sources that has no value, or None.

    Sources are ``route.request.header.X``, ``route.request.querystring.x``, ``stageVariables.x``
    and ``context.x``. One that is none of these has no value.
    """
    for source in sources:
        if not scope.find(source.removeprefix("$")):
            return source
    return None
