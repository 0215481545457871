"""Client of the management API. Every request is signed (SigV4, service ``execute-api``)."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from plldb import __version__
from plldb.errors import AccessDeniedError, EndpointError, SessionError

_TIMEOUT_SECONDS = (5, 30)
# A repeated POST /sessions leaves at worst a session that nobody uses and that expires.
_RETRY = Retry(
    total=3,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)


class ManagementClient:
    """``url`` is the API's stage, without a slash at the end."""

    def __init__(self, url: str, auth: AuthBase) -> None:
        self._url = url
        self._http = requests.Session()
        self._http.auth = auth
        self._http.headers["User-Agent"] = f"plldb/{__version__}"
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(max_retries=_RETRY))

    def create_session(self, stack_name: str) -> str:
        """Opens a session for a stack and returns its id, a credential.

        Raises AccessDeniedError, EndpointError or SessionError.
        """
        answer = self._request("POST", "/sessions", {"stackName": stack_name})
        session_id = answer.get("sessionId")
        if not isinstance(session_id, str):
            raise SessionError(f"{self._url}/sessions answered without a session.", _UPDATE_HINT)
        return session_id

    def _request(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url = self._url + path
        try:
            response = self._http.request(method, url, json=body, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise EndpointError(
                f"The management API at {url} does not answer: {_reason(error)}.",
                "Check the network and --region, or the emulator: plldb local status",
            ) from error
        answer = _json_object(response)
        if response.ok and answer is not None:
            return answer
        message = str((answer or {}).get("message") or (answer or {}).get("Message") or "")
        raise _refusal(f"{method} {url}", response.status_code, message or response.reason)


_UPDATE_HINT = "Run 'plldb bootstrap' to bring the helper stack up to date."


def _json_object(response: requests.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except (requests.JSONDecodeError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(call: str, status: int, message: str) -> Exception:
    text = f"{call} was refused: {status} {message}"
    if status == requests.codes.forbidden:
        return AccessDeniedError(
            text, "Allow these credentials execute-api:Invoke on the helper stack's management API."
        )
    if status == requests.codes.too_many_requests:
        return SessionError(text, "Wait a moment, then try again.")
    if status >= requests.codes.server_error:
        return SessionError(text, "The log group /plldb/<helper stack> says why.")
    return SessionError(text, _UPDATE_HINT)


def _reason(error: requests.RequestException) -> str:
    """The innermost cause: requests wraps urllib3, which wraps the system's error."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(error).__name__
