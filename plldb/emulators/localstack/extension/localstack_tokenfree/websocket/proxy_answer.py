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


def read_answer(answer: object, is_connect: bool) -> Mapping[str, Any]:
    """``answer``, if it has the form of a proxy's. MalformedAnswerError for anything else, such as
    a field of its own: https://github.com/middyjs/middy/issues/1219

    The status says whether a client may connect, and so ``$connect`` must have one. Elsewhere it
    says nothing, and a function may answer with nothing at all.
    """
    if answer is None and not is_connect:
        return {}
    if not isinstance(answer, Mapping):
        raise MalformedAnswerError("it is no object")
    status = answer.get("statusCode")
    if (status is not None or is_connect) and http_status(status) is None:
        raise MalformedAnswerError(f"statusCode is {status!r}")
    unknown = [name for name, value in answer.items() if name not in FIELDS and value is not None]
    if unknown:
        raise MalformedAnswerError(f"nobody knows {', '.join(unknown)}")
    if not isinstance(answer.get("body"), str | None):
        raise MalformedAnswerError("body is no text")
    return answer
