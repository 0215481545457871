"""Requests that the emulator itself makes, for integrations and to issuers of tokens.

AWS's names of APIs and custom domains lead back to the emulator (emulator_requests), as they do
inside functions.
"""

from collections.abc import Mapping
from typing import Any

import requests


def request_url(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    seconds: float,
    query: Mapping[str, Any] | None = None,
    stream: bool = False,
) -> requests.Response:
    """The answer, which may be a redirection. Only ``headers`` are sent, with ``query`` beside that
    of the URL. Raises ``requests.RequestException``."""
    with requests.Session() as session:
        session.trust_env = False  # no credentials from a .netrc
        session.headers.clear()
        return session.request(
            method,
            url,
            headers={name: _bytes(value) for name, value in headers.items()},
            params=query,
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
