"""Events and results that are too large for a message pass through the artifacts bucket."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import requests

from plldb.debugger.http_session import TIMEOUT_SECONDS, open_session_for_signed
from plldb.errors import EndpointError, SessionError
from plldb.network_refusals import find_refusal

logger = logging.getLogger(__name__)

# Kept open at once, for as many invocations as may run at once.
_CONNECTIONS = 32


class PayloadTransfer:
    """Uses presigned URLs: whoever has one may read, or write, one object for some minutes.

    ``reach`` turns a URL that the helper stack hands out into one that is reached from here;
    ``ca_bundle`` is a file with the certificates to trust.
    """

    def __init__(
        self, reach: Callable[[str], str] = lambda url: url, ca_bundle: Path | None = None
    ) -> None:
        self._reach = reach
        self._http = open_session_for_signed(ca_bundle, connections=_CONNECTIONS)

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
        arguments: dict[str, Any] = {"data": data, "timeout": TIMEOUT_SECONDS}
        began = time.perf_counter()
        try:
            response = self._http.request(method, self._reach(url), **arguments)
        except requests.RequestException as error:
            if refusal := find_refusal("the artifacts bucket", error):
                raise refusal from None
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
