"""Client of the management API. Every request is signed (SigV4, service ``execute-api``)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from plldb import __version__
from plldb.clock_skew import TOLERANCE_SECONDS, clock_difference
from plldb.errors import (
    AccessDeniedError,
    AnsweredError,
    EndpointError,
    InvocationError,
    PlldbError,
    SessionError,
)

_TIMEOUT_SECONDS = (5, 30)
# What the broker takes within a request; longer results go through the artifacts bucket.
_INLINE_RESULT_BYTES = 200_000
# Of an error that is longer.
_SHOWN_CHARACTERS = 10_000
_SHOWN_ID_CHARACTERS = 8
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Answered already, abandoned by the function, unknown.
_UNANSWERABLE = {requests.codes.conflict, requests.codes.gone, requests.codes.not_found}
# Kept open at once, for as many invocations as may run at once.
_CONNECTIONS = 32
# How often all sessions of a stack are gone through, at most.
_CLOSING_PASSES = 5
# A repeated POST /sessions leaves at worst a session that nobody uses and that expires.
_RETRY = Retry(
    total=3,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
    # It may be an hour, which nobody is to wait for without a word.
    respect_retry_after_header=False,
)
_NO_RETRY = Retry(total=0, raise_on_status=False)


@dataclass(frozen=True)
class SessionView:
    """A session as it may be shown. ``session`` is the beginning of its id, ``owner`` an ARN.

    Times are in ISO 8601; ``status`` is PENDING, ACTIVE or CLOSED.
    """

    session: str
    stack_name: str
    status: str
    owner: str
    created_at: str
    expires_at: str

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Self:
        """Raises KeyError where something is missing."""
        return cls(
            session=str(answer["session"]),
            stack_name=str(answer["stackName"]),
            status=str(answer["status"]),
            owner=str(answer["owner"]),
            created_at=str(answer["createdAt"]),
            expires_at=str(answer["expiresAt"]),
        )


@dataclass(frozen=True)
class Health:
    """``tables``: whether each table answers. ``clock_difference`` is what the helper stack's clock
    is ahead of this machine's, in seconds; negative, if it is behind.
    """

    is_healthy: bool
    tables: Mapping[str, bool]
    clock_difference: float


class ApiClient:
    """``url`` is the API's stage, without a slash at the end.

    ``reachable`` turns a URL that the helper stack hands out into one that is reached from here.
    """

    def __init__(
        self, url: str, auth: AuthBase, reachable: Callable[[str], str] = lambda url: url
    ) -> None:
        self._url = url
        self._reachable = reachable
        self._http = _http_session(_RETRY)
        self._http.auth = auth
        self._impatient = _http_session(_NO_RETRY)
        self._impatient.auth = auth
        # For what is signed already, in its URL: with a second authentication, S3 refuses it.
        self._presigned = _http_session(_RETRY)
        self._presigned.auth = _no_auth

    def move_to(self, url: str) -> None:
        """The API is at another URL from now on: the helper stack was deployed anew."""
        self._url = url

    # --- Sessions -------------------------------------------------------------

    def create_session(self, stack_name: str) -> str:
        """Opens a session for a stack and returns its id, a credential.

        Raises AccessDeniedError, EndpointError or SessionError.
        """
        response, answer = self._call(self._http, "POST", "/sessions", {"stackName": stack_name})
        # Without that header it is API Gateway's own throttling.
        if response.status_code == requests.codes.too_many and "Retry-After" in response.headers:
            raise SessionError(
                _refused("POST", f"{self._url}/sessions", response, answer),
                "Those that nobody uses expire within an hour. To see them, and close them by ID: "
                f"plldb sessions list --stack-name {stack_name}",
            )
        answer = self._checked("POST", "/sessions", response, answer)
        session_id = answer.get("sessionId")
        if not isinstance(session_id, str):
            raise SessionError(f"{self._url}/sessions answered without a session.", _UPDATE_HINT)
        return session_id

    def list_sessions(self, stack_name: str | None = None) -> Iterator[SessionView]:
        """The open sessions of a stack, or the attached ones of all; page by page as they are read.

        Raises AccessDeniedError, EndpointError or SessionError.
        """
        for page in self._pages("GET", stack_name):
            yield from (self._view(one) for one in page.get("sessions") or [])

    def find_session(self, session_id: str, stack_name: str | None = None) -> SessionView:
        """``session_id`` is a whole id or, with a stack's name, 8 or more of its first characters.

        Raises SessionError if there is none (that this caller may see), or if there are several.
        """
        return self._view(self._request("GET", _session_path(session_id, stack_name)))

    def close_session(self, session_id: str, stack_name: str | None = None) -> SessionView:
        """Closes it, whoever is attached, and has its functions restored. Repeatable.

        ``session_id`` and what is raised are as for ``find_session``.
        """
        return self._view(self._request("DELETE", _session_path(session_id, stack_name)))

    def close_sessions(self, stack_name: str) -> int:
        """Closes all open sessions of a stack that this caller may see; says how many.

        Pages go by the time at which sessions expire. One that is extended meanwhile moves in front
        of what is being read, so they are read again until there is nothing left to close.
        """
        total = 0
        for _ in range(_CLOSING_PASSES):
            closed = sum(int(page.get("closed") or 0) for page in self._pages("DELETE", stack_name))
            total += closed
            if not closed:
                break
        return total

    def health(self) -> Health:
        """How the helper stack is. Raises AccessDeniedError, EndpointError or SessionError."""
        # "Unhealthy" is an answer, not a reason to ask again.
        response, answer = self._call(self._impatient, "GET", "/health")
        now = time.time()
        is_unhealthy = response.status_code == requests.codes.service_unavailable
        if answer is None or not (is_unhealthy and "status" in answer):
            answer = self._checked("GET", "/health", response, answer)
        try:
            tables = answer.get("tables") or {}
            return Health(
                is_healthy=answer["status"] == "ok",
                tables={str(name): state == "reachable" for name, state in tables.items()},
                clock_difference=float(answer["time"]) - now,
            )
        except (KeyError, AttributeError, TypeError, ValueError):
            raise SessionError(
                f"{self._url}/health answered with no health.", _UPDATE_HINT
            ) from None

    def _pages(self, method: str, stack_name: str | None) -> Iterator[dict[str, Any]]:
        query = {} if stack_name is None else {"stackName": stack_name}
        while True:
            page = self._request(method, f"/sessions?{urlencode(query)}".rstrip("?"))
            yield page
            if not (token := page.get("nextToken")):
                return
            query["nextToken"] = str(token)

    def _view(self, answer: Any) -> SessionView:
        try:
            return SessionView.from_answer(answer)
        except (KeyError, TypeError):
            raise SessionError(
                f"{self._url}/sessions answered with no session.", _UPDATE_HINT
            ) from None

    # --- Invocations ----------------------------------------------------------

    def event_of(self, request_id: str) -> str:
        """The event of an invocation, as JSON text.

        Raises InvocationError if it has gone, EndpointError for what may be over soon.
        """
        answer = self._request("GET", f"/invocations/{quote(request_id, safe='')}/event")
        if isinstance(text := answer.get("event"), str):
            return text
        return self._transfer("GET", self._told(answer, "url")).content.decode()

    def answer_invocation(
        self, request_id: str, *, result: str | None, error: dict[str, Any] | None
    ) -> None:
        """Sends the result, as JSON text, or the error of an invocation. Once: whoever repeats it
        after a failure knows that an answer which is there by then may be its own.

        Raises InvocationError if nobody waits for it any more, AnsweredError if it has an answer
        already, EndpointError for what may be over soon.
        """
        path = f"/invocations/{quote(request_id, safe='')}"
        if result is None:
            answer: dict[str, Any] = {"error": _fitting(error)}
        elif len(payload := result.encode()) <= _INLINE_RESULT_BYTES:
            answer = {"result": result}
        else:
            upload = self._request("POST", f"{path}/uploads", {})
            self._transfer("PUT", self._told(upload, "url"), payload)
            answer = {"resultKey": self._told(upload, "key")}
        self._request("POST", f"{path}/result", answer, self._impatient)

    def _told(self, answer: Mapping[str, Any], name: str) -> str:
        if isinstance(value := answer.get(name), str):
            return value
        raise SessionError(f"{self._url}/invocations answered with no {name}.", _UPDATE_HINT)

    # --- HTTP -----------------------------------------------------------------

    def _request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        http: requests.Session | None = None,
    ) -> dict[str, Any]:
        response, answer = self._call(http or self._http, method, path, body)
        return self._checked(method, path, response, answer)

    def _call(
        self,
        http: requests.Session,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
    ) -> tuple[requests.Response, dict[str, Any] | None]:
        response = self._send(http, method, self._url + path, json=body)
        return response, _json_object(response)

    def _checked(
        self,
        method: str,
        path: str,
        response: requests.Response,
        answer: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """The answer, unless it is a refusal."""
        if response.ok and answer is not None:
            return answer
        raise _refusal(method, self._url + path, response, answer)

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
            where = _shown(url)
            reason = _without_ids(_reason(error).replace(url, where))
            raise EndpointError(
                f"{where} does not answer: {reason}.",
                "Check the network and --region, or the emulator: plldb local status",
                # The cause would quote a presigned URL, and so its signature.
            ) from None


def _session_path(session_id: str, stack_name: str | None) -> str:
    query = "" if stack_name is None else f"?{urlencode({'stackName': stack_name})}"
    return f"/sessions/{quote(session_id, safe='')}{query}"


def _http_session(retry: Retry) -> requests.Session:
    http = requests.Session()
    http.headers["User-Agent"] = f"plldb/{__version__}"
    for scheme in ("http://", "https://"):
        http.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=_CONNECTIONS))
    return http


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps requests from taking the credentials of ~/.netrc for a request without any."""
    return request


def _fitting(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """An error as the broker takes it: of an enormous one, the beginning."""
    if error is None or len(json.dumps(error)) <= _INLINE_RESULT_BYTES:
        return error
    return {
        "errorType": str(error.get("errorType"))[:_SHOWN_CHARACTERS],
        "errorMessage": str(error.get("errorMessage"))[:_SHOWN_CHARACTERS] + "…",
        "stackTrace": [],
    }


_ACCESS_HINT = "Allow these credentials execute-api:Invoke on the helper stack's management API."
_LOG_HINT = "The log group /plldb/<helper stack> says why."
_UPDATE_HINT = "Run 'plldb bootstrap' to bring the helper stack up to date."


def _json_object(response: requests.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except (requests.JSONDecodeError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _refused(
    method: str, url: str, response: requests.Response, answer: dict[str, Any] | None
) -> str:
    """What was refused, and why. A session's id is a credential: of a path, the beginning.

    API Gateway's own refusals name the path as well.
    """
    said = _without_ids(str((answer or {}).get("message") or (answer or {}).get("Message") or ""))
    where = _shown(url)
    return f"{method} {where} was refused: {response.status_code} {said or response.reason}"


def _shown(url: str) -> str:
    """A URL without its query, and with no whole session id."""
    path = url.partition("?")[0]
    start, found, session_id = path.partition("/sessions/")
    return f"{start}{found}{session_id[:_SHOWN_ID_CHARACTERS]}"


def _without_ids(text: str) -> str:
    return _ID.sub(lambda found: found[0][:_SHOWN_ID_CHARACTERS], text)


def _refusal(
    method: str, url: str, response: requests.Response, answer: dict[str, Any] | None
) -> PlldbError:
    text, status = _refused(method, url, response, answer), response.status_code
    if status == requests.codes.forbidden:
        return _denial(text, response, answer)
    if "/invocations/" in url and (error := _invocations_refusal(text, status)) is not None:
        return error
    if status == requests.codes.too_many_requests:
        return SessionError(text, "Wait a moment, then try again.")
    if status >= requests.codes.server_error:
        return SessionError(text, _LOG_HINT)
    if status in _UNANSWERABLE and "/sessions/" in url and answer is not None:
        return SessionError(text, "'plldb sessions list' shows those that there are.")
    return SessionError(text, _UPDATE_HINT)


def _invocations_refusal(text: str, status: int) -> PlldbError | None:
    if status == requests.codes.conflict:
        return AnsweredError(text)
    if status in _UNANSWERABLE:
        return InvocationError(text)
    if status == requests.codes.too_many_requests or status >= requests.codes.server_error:
        # It passes, as what a network does: whoever tries again goes on doing so.
        return EndpointError(text, _LOG_HINT)
    return None


def _denial(text: str, response: requests.Response, answer: dict[str, Any] | None) -> PlldbError:
    if answer is None:
        # API Gateway refuses in JSON.
        return EndpointError(
            f"{text}, but not by the helper stack.",
            "A proxy, or the sign-in page of a network, may be in between: check the network.",
        )
    return AccessDeniedError(text, _clock_hint(response) or _ACCESS_HINT)


def _clock_hint(response: requests.Response) -> str | None:
    """What to do where it is the time that was refused, though it was corrected."""
    off = clock_difference(response.headers.get("Date"), time.time())
    if abs(off) <= TOLERANCE_SECONDS:
        return None
    return (
        f"This machine's clock is {abs(off):.0f} s {'behind' if off > 0 else 'ahead'}. "
        f"Set it, or else: {_ACCESS_HINT}"
    )


def _reason(error: requests.RequestException) -> str:
    """The innermost cause: requests wraps urllib3, which wraps the system's error."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(error).__name__
