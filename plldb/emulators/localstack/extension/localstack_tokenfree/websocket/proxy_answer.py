"""What the function of a proxy integration may answer. No LocalStack, no I/O.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format
"""

from collections.abc import Mapping
from typing import Any

from ..http_status import http_status

FIELDS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})


class MalformedAnswerError(Exception):
    """API Gateway tells the client of an internal error instead."""


def read_answer(answer: object) -> Mapping[str, Any]:
    """``answer``, if it has the form that it must have, on every route. MalformedAnswerError for
    anything else, such as a field of its own: https://github.com/middyjs/middy/issues/1219
    """
    if not isinstance(answer, Mapping):
        raise MalformedAnswerError("it is no object")
    if http_status(answer.get("statusCode")) is None:
        raise MalformedAnswerError(f"statusCode is {answer.get('statusCode')!r}")
    unknown = [name for name, value in answer.items() if name not in FIELDS and value is not None]
    if unknown:
        raise MalformedAnswerError(f"nobody knows {', '.join(unknown)}")
    if not isinstance(answer.get("body"), str | None):
        raise MalformedAnswerError("body is no text")
    return answer
