"""Requests that HTTP APIs make: to an issuer of tokens, to the URL of an integration."""

from collections.abc import Sequence
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from ..http_client import request_url
from .answers import HttpAnswer, UnavailableError
from .http_request import joined
from .signing_keys import IssuerUnreachableError

JWKS_SECONDS = 20.0
# Headers of one connection: who sends on another writes its own.
OF_THE_CONNECTION = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
    *("transfer-encoding", "upgrade", "content-length"),
}


def read_json(url: str) -> dict[str, Any]:
    """For SigningKeys."""
    try:
        answer = request_url("GET", url, {}, b"", JWKS_SECONDS)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise IssuerUnreachableError(str(error)) from error
    return document


def send(
    method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes, seconds: float
) -> HttpAnswer:
    """The answer with its body as it came, whatever its encoding. Raises UnavailableError."""
    own = joined(pair for pair in headers if pair[0] not in OF_THE_CONNECTION)
    try:
        answer = request_url(method, url, own, body, seconds, stream=True)
        with answer:
            content = answer.raw.read(decode_content=False)
    except (requests.RequestException, HTTPError) as error:
        raise UnavailableError(str(error)) from error
    answered = tuple((name.lower(), value) for name, value in answer.raw.headers.items())
    return HttpAnswer(answer.status_code, answered, content)
