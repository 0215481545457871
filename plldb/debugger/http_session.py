"""HTTP as its users have it: the management API, and what is behind presigned URLs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from plldb import __version__
from plldb.certificates import make_tls_context

USER_AGENT = f"plldb/{__version__}"
TIMEOUT_SECONDS = (5, 30)
# What is asked for here may be asked for twice.
RETRY = Retry(
    total=3,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
    # It may be an hour, which nobody is to wait for without a word.
    respect_retry_after_header=False,
)
NO_RETRY = Retry(total=0, raise_on_status=False)


class _TrustingAdapter(HTTPAdapter):
    """Trusts what it is told to, whatever variables of requests say."""

    def __init__(self, ca_bundle: Path | None, **options: Any) -> None:
        self._ca_bundle = ca_bundle
        self._options: dict[str, Any] = (
            {} if ca_bundle is None else {"ssl_context": make_tls_context(ca_bundle)}
        )
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **{**options, **self._options})

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **{**options, **self._options})

    def send(
        self, request: requests.PreparedRequest, *arguments: Any, **options: Any
    ) -> requests.Response:
        if self._ca_bundle is not None:
            options["verify"] = str(self._ca_bundle)
        return super().send(request, *arguments, **options)


def open_http_session(
    ca_bundle: Path | None = None, *, retry: Retry = RETRY, connections: int = 8
) -> requests.Session:
    """A session that keeps so many connections open, and trusts the certificates in a file."""
    http = requests.Session()
    http.headers["User-Agent"] = USER_AGENT
    adapter = _TrustingAdapter(ca_bundle, max_retries=retry, pool_maxsize=connections)
    for scheme in ("http://", "https://"):
        http.mount(scheme, adapter)
    return http


def open_session_for_signed(
    ca_bundle: Path | None = None, *, connections: int = 8
) -> requests.Session:
    """The same for requests that somebody else has signed, in their URL or their headers.

    AWS refuses them with a second authentication, as of ~/.netrc.
    """
    http = open_http_session(ca_bundle, connections=connections)
    http.auth = _keep_as_it_is
    return http


def _keep_as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
