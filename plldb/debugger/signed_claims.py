"""Claims that go straight to the helper stack's table, by requests that it has signed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Self

import requests

from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.debugger.http_session import NO_RETRY, open_session_for_signed

logger = logging.getLogger(__name__)

# Kept open at once, for as many invocations as may arrive at once.
_CONNECTIONS = 32
# To connect, and for an answer. The claim is made otherwise long before.
_TIMEOUT_SECONDS = (2, 2)


class SignedClaims:
    """Each is one conditional write, which the helper stack would do the same way if it were asked.

    ``reach`` turns a URL that the helper stack hands out into one that is reached from here;
    ``ca_bundle`` is a file with the certificates to trust.
    """

    def __init__(
        self, reach: Callable[[str], str] = lambda url: url, ca_bundle: Path | None = None
    ) -> None:
        self._reach = reach
        self._http = open_session_for_signed(ca_bundle, retry=NO_RETRY, connections=_CONNECTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def take(self, claim: SignedRequest) -> bool:
        """Blocks. Whether the invocation is taken for sure; if not, it may be all the same."""
        began = time.perf_counter()
        try:
            response = self._http.post(
                self._reach(claim["url"]),
                data=claim["body"],
                headers=claim["headers"],
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            logger.info("a claim was not answered: %s", type(error).__name__)
            return False
        milliseconds = (time.perf_counter() - began) * 1000
        logger.debug("a claim was answered with %d in %.1f ms", response.status_code, milliseconds)
        return response.status_code == HTTPStatus.OK
