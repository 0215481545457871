"""Requests that the emulator itself makes: to an issuer of tokens, to the URL of an integration.

AWS's names of APIs lead back to this emulator (emulator_requests), as they do inside functions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from .answers import HttpAnswer, UnavailableError
from .signing_keys import IssuerUnreachableError

JWKS_SECONDS = 20.0
HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
}
STALE = {*HOP_BY_HOP, "content-length"}


def read_json(url: str) -> dict[str, Any]:
    """For SigningKeys."""
    try:
        answer = _send("GET", url, {}, b"", JWKS_SECONDS)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise IssuerUnreachableError(str(error)) from error
    return document


def send(
    method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes, seconds: float
) -> HttpAnswer:
    """The answer with its body as it came, whatever its encoding. Raises UnavailableError."""
    joined: dict[str, str] = {}
    for name, value in headers:
        if name not in HOP_BY_HOP and name not in ("host", "content-length"):
            joined[name] = f"{joined[name]},{value}" if name in joined else value
    try:
        answer = _send(method, url, joined, body, seconds, stream=True)
        with answer:
            content = answer.raw.read(decode_content=False)
    except (requests.RequestException, HTTPError) as error:
        raise UnavailableError(str(error)) from error
    answered = [(n.lower(), v) for n, v in answer.raw.headers.items() if n.lower() not in STALE]
    return HttpAnswer(answer.status_code, tuple(answered), content)


def _send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    seconds: float,
    stream: bool = False,
) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # no credentials from a .netrc
        session.headers.clear()
        return session.request(
            method,
            url,
            headers={name: _bytes(value) for name, value in headers.items()},
            data=body,
            timeout=seconds,
            allow_redirects=False,
            stream=stream,
        )


def _bytes(value: str) -> bytes:
    """Header values came as Latin-1, whatever the client meant; mapped ones may be any text."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()
