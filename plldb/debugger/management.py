"""Client of the management API. Every request is signed (SigV4, service ``execute-api``)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from plldb import __version__
from plldb.errors import AccessDeniedError, EndpointError, InvocationError, SessionError

_TIMEOUT_SECONDS = (5, 30)
# What the broker takes within a request; longer results go through the artifacts bucket.
_INLINE_RESULT_BYTES = 200_000
# Of an error that is longer.
_SHOWN_CHARACTERS = 10_000
# Answered already, abandoned by the function, unknown.
_UNANSWERABLE = {requests.codes.conflict, requests.codes.gone, requests.codes.not_found}
# Kept open at once, for as many invocations as may run at once.
_CONNECTIONS = 32
# A repeated POST /sessions leaves at worst a session that nobody uses and that expires.
_RETRY = Retry(
    total=3,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)


class ManagementClient:
    """``url`` is the API's stage, without a slash at the end.

    ``reachable`` turns a URL that the helper stack hands out into one that is reached from here.
    """

    def __init__(
        self, url: str, auth: AuthBase, reachable: Callable[[str], str] = lambda url: url
    ) -> None:
        self._url = url
        self._reachable = reachable
        self._http = _http_session()
        self._http.auth = auth
        # For what is signed already, in its URL.
        self._presigned = _http_session()

    def create_session(self, stack_name: str) -> str:
        """Opens a session for a stack and returns its id, a credential.

        Raises AccessDeniedError, EndpointError or SessionError.
        """
        answer = self._request("POST", "/sessions", {"stackName": stack_name})
        session_id = answer.get("sessionId")
        if not isinstance(session_id, str):
            raise SessionError(f"{self._url}/sessions answered without a session.", _UPDATE_HINT)
        return session_id

    def event_of(self, request_id: str) -> str:
        """The event of an invocation, as JSON text. Raises InvocationError if it has gone."""
        answer = self._request("GET", f"/invocations/{quote(request_id, safe='')}/event")
        if isinstance(text := answer.get("event"), str):
            return text
        return self._transfer("GET", str(answer["url"])).content.decode()

    def answer_invocation(
        self, request_id: str, *, result: str | None, error: dict[str, Any] | None
    ) -> None:
        """Sends the result, as JSON text, or the error of an invocation.

        Raises InvocationError if nobody waits for it any more, or it has an answer already.
        """
        path = f"/invocations/{quote(request_id, safe='')}"
        if result is None:
            answer: dict[str, Any] = {"error": _fitting(error)}
        elif len(payload := result.encode()) <= _INLINE_RESULT_BYTES:
            answer = {"result": result}
        else:
            upload = self._request("POST", f"{path}/uploads", {})
            self._transfer("PUT", str(upload["url"]), payload)
            answer = {"resultKey": upload["key"]}
        self._request("POST", f"{path}/result", answer)

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        url = self._url + path
        response = self._send(self._http, method, url, json=body)
        answer = _json_object(response)
        if response.ok and answer is not None:
            return answer
        message = str((answer or {}).get("message") or (answer or {}).get("Message") or "")
        raise _refusal(f"{method} {url}", response.status_code, message or response.reason)

    def _transfer(self, method: str, url: str, data: bytes | None = None) -> requests.Response:
        response = self._send(self._presigned, method, self._reachable(url), data=data)
        if not response.ok:
            # Without the URL: whoever has it can read the payload.
            raise SessionError(
                f"The artifacts bucket refused a payload with {response.status_code}.",
                _UPDATE_HINT,
            )
        return response

    def _send(
        self, http: requests.Session, method: str, url: str, **content: Any
    ) -> requests.Response:
        try:
            return http.request(method, url, timeout=_TIMEOUT_SECONDS, **content)
        except requests.RequestException as error:
            where = url.partition("?")[0]
            raise EndpointError(
                f"{where} does not answer: {_reason(error).replace(url, where)}.",
                "Check the network and --region, or the emulator: plldb local status",
                # The cause would quote a presigned URL, and so its signature.
            ) from None


def _http_session() -> requests.Session:
    http = requests.Session()
    http.headers["User-Agent"] = f"plldb/{__version__}"
    for scheme in ("http://", "https://"):
        http.mount(scheme, HTTPAdapter(max_retries=_RETRY, pool_maxsize=_CONNECTIONS))
    return http


def _fitting(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """An error as the broker takes it: of an enormous one, the beginning."""
    if error is None or len(json.dumps(error)) <= _INLINE_RESULT_BYTES:
        return error
    return {
        "errorType": str(error.get("errorType"))[:_SHOWN_CHARACTERS],
        "errorMessage": str(error.get("errorMessage"))[:_SHOWN_CHARACTERS] + "…",
        "stackTrace": [],
    }


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
    if status in _UNANSWERABLE and "/invocations/" in call:
        return InvocationError(text)
    if status >= requests.codes.server_error:
        return SessionError(text, "The log group /plldb/<helper stack> says why.")
    return SessionError(text, _UPDATE_HINT)


def _reason(error: requests.RequestException) -> str:
    """The innermost cause: requests wraps urllib3, which wraps the system's error."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(error).__name__
