"""Cross-origin requests at an HTTP API that has a CORS configuration.

Preflight requests are answered without any route, and what the backend says of CORS is dropped:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .answers import HttpAnswer
from .http_request import HttpRequest

PREFIX = "access-control-"
Record = Mapping[str, Any]


def is_preflight(request: HttpRequest) -> bool:
    return (
        request.method == "OPTIONS"
        and request.header("origin") is not None
        and request.header("access-control-request-method") is not None
    )


def preflight_answer(configuration: Record, request: HttpRequest) -> HttpAnswer:
    """204 with everything that is configured, or with nothing for a foreign origin."""
    headers = list(_headers(configuration, request))
    if headers:
        headers += _preflight_headers(configuration)
    return HttpAnswer(204, tuple(headers))


def with_cors_headers(
    configuration: Record | None, request: HttpRequest, answer: HttpAnswer
) -> HttpAnswer:
    """``answer`` as it leaves an API; one without a configuration leaves CORS to the backend."""
    if not configuration:
        return answer
    kept = [(name, value) for name, value in answer.headers if not name.startswith(PREFIX)]
    return replace(answer, headers=(*kept, *_headers(configuration, request)))


def _headers(configuration: Record, request: HttpRequest) -> Iterator[tuple[str, str]]:
    origin = request.header("origin")
    allowed = _allowed_origin(configuration.get("AllowOrigins") or [], origin)
    if allowed is None:
        return
    yield f"{PREFIX}allow-origin", allowed
    if configuration.get("AllowCredentials"):
        yield f"{PREFIX}allow-credentials", "true"
    if exposed := configuration.get("ExposeHeaders"):
        yield f"{PREFIX}expose-headers", ",".join(exposed)
    if allowed != "*":
        yield "vary", "Origin"


def _preflight_headers(configuration: Record) -> Iterator[tuple[str, str]]:
    if methods := configuration.get("AllowMethods"):
        yield f"{PREFIX}allow-methods", ",".join(methods)
    if names := configuration.get("AllowHeaders"):
        yield f"{PREFIX}allow-headers", ",".join(names)
    if (seconds := configuration.get("MaxAge")) is not None:
        yield f"{PREFIX}max-age", str(seconds)


def _allowed_origin(patterns: list[str], origin: str | None) -> str | None:
    """``*`` allows all, ``https://*`` every origin of that scheme."""
    if origin is None:
        return None
    if "*" in patterns:
        return "*"
    lowered = origin.lower()
    for pattern in patterns:
        if lowered == pattern.lower():
            return origin
        if pattern in ("https://*", "http://*") and lowered.startswith(pattern[:-1]):
            return origin
    return None
