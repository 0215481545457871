"""Selecting a route from a message, and reading an authorizer's identity sources."""

import json
from collections.abc import Mapping, Sequence


def select_route_key(expression: str, message: str | bytes) -> str | None:
    """The value that ``$request.body.a.b`` picks from a JSON message, or None.

    Messages without it, or that aren't JSON, go to ``$default``:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    websocket-api-develop-routes.html
    """
    path = expression.strip("${}").removeprefix("request.body.")
    if isinstance(message, bytes):
        return None
    try:
        value = json.loads(message)
    except ValueError:
        return None
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value if isinstance(value, str) and not value.startswith("$") else None


def has_identity(
    sources: Sequence[str],
    headers: Mapping[str, str],
    query: Mapping[str, str],
    stage_variables: Mapping[str, str],
) -> bool:
    """Whether each source (``route.request.header.X``, ``route.request.querystring.x``,
    ``stageVariables.x``) has a value. If one hasn't, AWS answers 401 without asking the function.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    for source in sources:
        kind, _, name = source.removeprefix("route.request.").partition(".")
        values = {"header": lowered, "querystring": query, "stageVariables": stage_variables}
        key = name.lower() if kind == "header" else name
        if kind in values and not values[kind].get(key):
            return False
    return True
