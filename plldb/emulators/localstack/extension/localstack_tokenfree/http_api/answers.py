"""What a function's answer is as an HTTP response, by the integration's payload format.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
http-api-develop-integrations-lambda.html#http-api-develop-integrations-lambda.response
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..http_status import http_status

JSON_TYPE = "application/json"
PLAIN_TEXT = "text/plain;charset=UTF-8"


class IntegrationError(Exception):
    """What is behind a route gave no response; the client gets one that ``says`` little."""

    status = 500
    says = "Internal Server Error"


class MalformedAnswerError(IntegrationError):
    """API Gateway can't make a response of a function's answer."""


class UnavailableError(IntegrationError):
    """Nobody answers there, or not in time."""

    status = 503
    says = "Service Unavailable"


@dataclass(frozen=True)
class HttpAnswer:
    """Header names are in lower case; there may be several of one name."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


def message(status: int, text: str, *headers: tuple[str, str]) -> HttpAnswer:
    """What API Gateway itself answers."""
    body = json.dumps({"message": text}, separators=(",", ":")).encode()
    return HttpAnswer(status, (("content-type", JSON_TYPE), *headers), body)


def read_answer(answer: Any, version: str) -> HttpAnswer:
    """The response of a function's decoded ``answer``.

    In format 2.0 an answer without ``statusCode`` is the body of a 200, in JSON. Format 1.0 wants
    the whole shape. Raises MalformedAnswerError.
    """
    if not isinstance(answer, Mapping) or "statusCode" not in answer:
        if version != "2.0":
            raise MalformedAnswerError("format 1.0 needs an object with a statusCode")
        body = answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":"))
        return HttpAnswer(200, (("content-type", JSON_TYPE),), body.encode())
    headers = list(_headers(answer, version))
    if not any(name == "content-type" for name, _ in headers):
        headers.insert(0, ("content-type", PLAIN_TEXT))
    return HttpAnswer(_status(answer["statusCode"]), tuple(headers), _body(answer))


def _status(given: Any) -> int:
    status = http_status(given)
    if status is None:
        raise MalformedAnswerError(f"statusCode is {given!r}")
    return status


def _body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedAnswerError("body is no string")
    if not answer.get("isBase64Encoded"):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedAnswerError("body is no Base64") from error


# https://www.rfc-editor.org/rfc/rfc9110#name-field-names
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
BREAKING = re.compile(r"[\r\n\0]")


def _headers(answer: Mapping[str, Any], version: str) -> Iterator[tuple[str, str]]:
    many = _mapping(answer, "multiValueHeaders") if version != "2.0" else {}
    overridden = {str(name).lower() for name in many}
    for name, value in _mapping(answer, "headers").items():
        if str(name).lower() not in overridden:
            yield _name(name), _text(value)
    for name, values in many.items():
        for value in _listed(values):
            yield _name(name), _text(value)
    if version == "2.0":
        for cookie in _listed(answer.get("cookies") or []):
            yield "set-cookie", _text(cookie)


def _mapping(answer: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = answer.get(field) or {}
    if not isinstance(value, Mapping):
        raise MalformedAnswerError(f"{field} is no object")
    return value


def _listed(values: Any) -> Iterable[Any]:
    if not isinstance(values, list):
        raise MalformedAnswerError("a list of values is none")
    return values


def _name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise MalformedAnswerError(f"no header can be called {name!r}")
    return name.lower()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        text = str(value)
        if BREAKING.search(text):
            raise MalformedAnswerError("a header's value has a line break")
        return text
    raise MalformedAnswerError("a header's value is neither text, a number nor a boolean")
