"""What an integration changes of a request and of a response.

Keys are ``append|overwrite|remove:header.NAME`` or ``:querystring.NAME``, ``overwrite:path`` and,
in responses, ``overwrite:statuscode``:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl, quote, urlencode

from .answers import BREAKING, HttpAnswer
from .http_expressions import evaluate
from .http_request import HttpRequest
from .payloads import Call

Pairs = Sequence[tuple[str, str]]
OVERWRITE_HOST = "overwrite:header.host"
OVERWRITE_PATH = "overwrite:path"
SAFE_IN_PATH = "/:@!$&'()*+,;=~"
STATUS = re.compile(r"[2-5]\d\d")


def map_request(mapping: Mapping[str, str], call: Call) -> HttpRequest:
    """The request as it goes to the integration. All values are read from the request as it came.

    ``overwrite:path`` replaces the whole path, which begins with a slash in any case.
    """
    request = call.request
    headers: Pairs = request.headers
    query: Pairs = parse_qsl(request.query, keep_blank_values=True)
    path = request.path
    for key, expression in mapping.items():
        action, _, target = key.partition(":")
        value = evaluate(expression, call)
        place, _, name = target.partition(".")
        if place == "header":
            headers = _changed(headers, action, name.lower(), value)
        elif place == "querystring":
            query = _changed(query, action, name, value)
        elif place == "path" and value is not None:
            path = "/" + quote(value.removeprefix("/"), safe=f"{SAFE_IN_PATH}%")
    changes_query = any(":querystring." in key for key in mapping)
    return replace(
        request,
        headers=headers,
        query=urlencode(query) if changes_query else request.query,
        path=path,
    )


def map_answer(
    mappings: Mapping[str, Mapping[str, str]], call: Call, answer: HttpAnswer
) -> HttpAnswer:
    """The response as it goes to the client. ``mappings`` are by the integration's status."""
    headers: Pairs = answer.headers
    status = answer.status
    for key, expression in mappings.get(str(answer.status), {}).items():
        action, _, target = key.partition(":")
        value = evaluate(expression, call, answer)
        place, _, name = target.partition(".")
        if place == "header":
            headers = _changed(headers, action, name.lower(), value)
        elif place == "statuscode" and value is not None and STATUS.fullmatch(value):
            status = int(value)
    return replace(answer, status=status, headers=tuple(headers))


def _changed(pairs: Pairs, action: str, name: str, value: str | None) -> Pairs:
    if action == "remove":
        return [pair for pair in pairs if pair[0] != name]
    if value is None:
        return pairs
    value = BREAKING.sub(" ", value)
    if action == "overwrite":
        return [*(pair for pair in pairs if pair[0] != name), (name, value)]
    return [*pairs, (name, value)]
