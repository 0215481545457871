"""Claims that go straight to the helper stack's table, by requests that it has signed.

The invocation waits for its claim. So what ``requests`` has a session find out anew for each
request, which takes as long as sending it, is found out once: which proxy to go through. Nor has
such a request any use for cookies, or for what stands in ~/.netrc.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Self

import requests
from requests.utils import get_environ_proxies

from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.debugger.http_session import NO_RETRY, USER_AGENT, make_adapter

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
        self._adapter = make_adapter(ca_bundle, NO_RETRY, _CONNECTIONS)
        self._proxies: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._adapter.close()

    def take(self, claim: SignedRequest) -> bool:
        """Blocks. Whether the invocation is taken for sure; if not, it may be all the same."""
        began = time.perf_counter()
        try:
            status = self._send(self._reach(claim["url"]), claim)
        except requests.RequestException as error:
            logger.info("a claim was not answered: %s", type(error).__name__)
            return False
        milliseconds = (time.perf_counter() - began) * 1000
        logger.debug("a claim was answered with %d in %.1f ms", status, milliseconds)
        return status == HTTPStatus.OK

    def _send(self, url: str, claim: SignedRequest) -> int:
        """The status of the answer, also if that leads elsewhere. Raises RequestException."""
        headers = {"User-Agent": USER_AGENT, **claim["headers"]}
        request = requests.Request("POST", url, headers, data=claim["body"]).prepare()
        if url not in self._proxies:
            self._proxies[url] = get_environ_proxies(url)
        response = self._adapter.send(request, timeout=_TIMEOUT_SECONDS, proxies=self._proxies[url])
        # Read to its end, so that the connection is free for the next one.
        _ = response.content
        return response.status_code
