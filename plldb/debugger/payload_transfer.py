"""Events and results that are too large for a message pass through the artifacts bucket."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from plldb import __version__
from plldb.errors import EndpointError, SessionError

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = (5, 30)
# Kept open at once, for as many invocations as may run at once.
_CONNECTIONS = 32
_RETRY = Retry(
    total=3,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
    # It may be an hour, which nobody is to wait for without a word.
    respect_retry_after_header=False,
)


class PayloadTransfer:
    """Uses presigned URLs: whoever has one may read, or write, one object for some minutes.

    ``reach`` turns a URL that the helper stack hands out into one that is reached from here.
    """

    def __init__(self, reach: Callable[[str], str] = lambda url: url) -> None:
        self._reach = reach
        self._http = requests.Session()
        self._http.headers["User-Agent"] = f"plldb/{__version__}"
        # With a second authentication, as of ~/.netrc, S3 refuses what is signed in its URL.
        self._http.auth = _keep_unsigned
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(max_retries=_RETRY, pool_maxsize=_CONNECTIONS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def download(self, url: str) -> str:
        """The text behind a URL. Raises EndpointError for what may be over soon, SessionError."""
        try:
            return self._exchange("GET", url).content.decode()
        except UnicodeDecodeError:
            raise SessionError("What is in the artifacts bucket is no text.") from None

    def upload(self, url: str, text: str) -> None:
        """Raises EndpointError for what may be over soon, SessionError."""
        self._exchange("PUT", url, text.encode())

    def _exchange(self, method: str, url: str, data: bytes | None = None) -> requests.Response:
        arguments: dict[str, Any] = {"data": data, "timeout": _TIMEOUT_SECONDS}
        began = time.perf_counter()
        try:
            response = self._http.request(method, self._reach(url), **arguments)
        except requests.RequestException as error:
            # Without the URL, nor the cause, which quotes it: whoever has it can read the payload.
            raise EndpointError(
                f"The artifacts bucket does not answer: {type(error).__name__}.",
                "Check the network and --region, or the emulator: plldb local status",
            ) from None
        seconds = time.perf_counter() - began
        logger.debug("%s payload: %d in %.0f ms", method, response.status_code, seconds * 1000)
        if not response.ok:
            raise SessionError(
                f"The artifacts bucket refused a payload with {response.status_code}.",
                "Run 'plldb bootstrap' to bring the helper stack up to date.",
            )
        return response


def _keep_unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
