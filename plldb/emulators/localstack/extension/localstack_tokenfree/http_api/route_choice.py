"""Which route of an HTTP API serves a request.

The most specific one: a full match of path and method, then a greedy path variable, then
``$default``. Parts that are spelled out win over variables, a method over ``ANY``:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
A slash at the end of a path is no part of any other route than a greedy one, whose variable may be
empty: https://github.com/storacha/w3infra/pull/166
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ..apigatewayv2.kinds import DEFAULT_ROUTE

ANY = "ANY"
Record = Mapping[str, Any]
Rank = tuple[bool, tuple[int, ...], bool]


@dataclass(frozen=True)
class RouteMatch:
    route: Record
    path_parameters: Mapping[str, str] = field(default_factory=dict)


def choose_route(routes: Mapping[str, Record], method: str, path: str) -> RouteMatch | None:
    """``path`` is percent-encoded and without a stage; values of variables come decoded."""
    matches = sorted(_matches(routes, method, path), key=lambda ranked: ranked[0])
    if matches:
        return matches[0][1]
    default = routes.get(DEFAULT_ROUTE)
    return RouteMatch(default) if default is not None else None


def _matches(
    routes: Mapping[str, Record], method: str, path: str
) -> Iterable[tuple[Rank, RouteMatch]]:
    parts = _parts(path)
    for key, route in routes.items():
        wanted, _, pattern = key.partition(" ")
        if key == DEFAULT_ROUTE or wanted not in (method, ANY):
            continue
        pattern_parts = _parts(pattern)
        parameters = _match_parts(pattern_parts, parts)
        if parameters is not None:
            yield _rank(wanted, pattern_parts), RouteMatch(route, parameters)


def _parts(path: str) -> list[str]:
    return path.removeprefix("/").split("/")


def _match_parts(pattern: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for position, wanted in enumerate(pattern):
        if position >= len(parts):
            return None
        if _is_greedy(wanted):
            return {**parameters, wanted[1:-2]: unquote("/".join(parts[position:]))}
        if _is_variable(wanted):
            if not parts[position]:
                return None
            parameters[wanted[1:-1]] = unquote(parts[position])
        elif unquote(wanted) != unquote(parts[position]):
            return None
    return parameters if len(parts) == len(pattern) else None


def _rank(method: str, pattern: Sequence[str]) -> Rank:
    kinds = tuple(_is_variable(part) + _is_greedy(part) for part in pattern)
    return any(_is_greedy(part) for part in pattern), kinds, method == ANY


def _is_variable(part: str) -> bool:
    return part.startswith("{") and part.endswith("}")


def _is_greedy(part: str) -> bool:
    return part.startswith("{") and part.endswith("+}")
