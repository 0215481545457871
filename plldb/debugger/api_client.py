"""Client of the management API. Every request is signed (SigV4, service ``execute-api``)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

import requests
from requests.adapters import BaseAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.clock_skew import TOLERANCE_SECONDS, clock_difference
from plldb.debugger.http_session import NO_RETRY, TIMEOUT_SECONDS, open_http_session
from plldb.diagnostic_log import shorten_ids
from plldb.errors import (
    AccessDeniedError,
    EndpointError,
    PlldbError,
    SessionError,
)
from plldb.network_refusals import find_refusal, find_vpc_refusal

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.stacks import HelperStack

logger = logging.getLogger(__name__)

# There is no such session, or there are several.
_MISSING = {requests.codes.conflict, requests.codes.not_found}
# How often all sessions of a stack are gone through, at most.
_CLOSING_PASSES = 5


@dataclass(frozen=True)
class SessionView:
    """A session as it may be shown. ``session`` is the beginning of its id, ``owner`` an ARN.

    Times are in ISO 8601; ``status`` is PENDING, ACTIVE or CLOSED. ``holds`` are the names under
    which functions are held for it, its own and those of sessions that it replaced.
    """

    session: str
    stack_name: str
    status: str
    owner: str
    created_at: str
    expires_at: str
    holds: tuple[str, ...]

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
            holds=tuple(map(str, answer["holds"])),
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
    """A context manager, which closes its connections at the end.

    ``url`` is the API's stage, without a slash at the end; ``ca_bundle`` is a file with the
    certificates to trust. ``adapter`` sends requests in place of the network.
    """

    def __init__(
        self,
        url: str,
        auth: AuthBase,
        ca_bundle: Path | None = None,
        adapter: BaseAdapter | None = None,
    ) -> None:
        self._url = url
        self._auth = auth
        # A repeated POST /sessions leaves at worst a session that nobody uses and that expires.
        self._http = open_http_session(ca_bundle)
        self._impatient = open_http_session(ca_bundle, retry=NO_RETRY)
        if adapter is not None:
            for http in (self._http, self._impatient):
                http.mount(url, adapter)

    @classmethod
    def of_helper_stack(cls, helper: HelperStack, target: Target) -> Self:
        """Raises CredentialsError if there are none to sign with."""
        return cls(helper.management_api_url, target.execute_api_auth(), target.ca_bundle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()
        self._impatient.close()

    def move_to(self, url: str) -> None:
        """The API is at another URL from now on: the helper stack was deployed anew."""
        self._url = url

    # --- Sessions -------------------------------------------------------------

    def create_session(self, stack_name: str) -> str:
        """Opens a session for a stack and returns its id, a credential.

        Raises AccessDeniedError, EndpointError or SessionError.
        """
        response, answer = self._call_either(
            "POST", "/sessions", _make_stack_path(stack_name), {"stackName": stack_name}
        )
        # Without that header it is API Gateway's own throttling.
        if response.status_code == requests.codes.too_many and "Retry-After" in response.headers:
            raise SessionError(
                _describe_refusal("POST", f"{self._url}/sessions", response, answer),
                "Those that nobody uses expire within an hour. To see them, and close them by ID: "
                f"plldb sessions list --stack-name {stack_name}",
            )
        answer = self._check("POST", "/sessions", response, answer)
        session_id = answer.get("sessionId")
        if not isinstance(session_id, str):
            raise SessionError(f"{self._url}/sessions answered without a session.", _UPDATE_HINT)
        return session_id

    def list_sessions(self, stack_name: str | None = None) -> Iterator[SessionView]:
        """The sessions of a stack that have not expired, or the attached ones of all, page by page.

        Raises AccessDeniedError, EndpointError or SessionError.
        """
        for page in self._read_pages("GET", stack_name):
            yield from (self._read_session(one) for one in page.get("sessions") or [])

    def find_session(self, session_id: str, stack_name: str | None = None) -> SessionView:
        """``session_id`` is a whole id or, with a stack's name, 8 or more of its first characters.

        Raises SessionError if there is none (that this caller may see), or if there are several.
        """
        return self._read_session(self._request_session("GET", session_id, stack_name))

    def close_session(self, session_id: str, stack_name: str | None = None) -> SessionView:
        """Closes it, whoever is attached, and has its functions restored. Repeatable.

        ``session_id`` and what is raised are as for ``find_session``.
        """
        return self._read_session(self._request_session("DELETE", session_id, stack_name))

    def close_sessions(self, stack_name: str) -> int:
        """Closes all open sessions of a stack that this caller may see; says how many.

        Pages go by the time at which sessions expire. One that is extended meanwhile moves in front
        of what is being read, so they are read again until there is nothing left to close.
        """
        total = 0
        for _ in range(_CLOSING_PASSES):
            closed = sum(
                int(page.get("closed") or 0) for page in self._read_pages("DELETE", stack_name)
            )
            total += closed
            if not closed:
                break
        return total

    def health(self) -> Health:
        """How the helper stack is. Raises AccessDeniedError, EndpointError or SessionError."""
        # "Unhealthy" is an answer, not a reason to ask again.
        response, answer = self._call("GET", "/health", http=self._impatient)
        now = time.time()
        is_unhealthy = response.status_code == requests.codes.service_unavailable
        if answer is None or not (is_unhealthy and "status" in answer):
            answer = self._check("GET", "/health", response, answer)
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

    def _read_pages(self, method: str, stack_name: str | None) -> Iterator[dict[str, Any]]:
        query = {} if stack_name is None else {"stackName": stack_name}
        below = None if stack_name is None else _make_stack_path(stack_name)
        while True:
            asked = f"?{_encode(query)}".rstrip("?")
            page = self._request_either(method, f"/sessions{asked}", below and f"{below}{asked}")
            yield page
            if not (token := page.get("nextToken")):
                return
            query["nextToken"] = str(token)

    def _read_session(self, answer: Any) -> SessionView:
        try:
            return SessionView.from_answer(answer)
        except (KeyError, TypeError):
            raise SessionError(
                f"{self._url}/sessions answered with no session.", _UPDATE_HINT
            ) from None

    # --- HTTP -----------------------------------------------------------------

    def _request_session(
        self, method: str, session_id: str, stack_name: str | None
    ) -> dict[str, Any]:
        below = None
        if stack_name is not None:
            below = f"{_make_stack_path(stack_name)}/{quote(session_id, safe='')}"
        return self._request_either(method, _make_session_path(session_id, stack_name), below)

    def _request_either(self, method: str, path: str, below: str | None) -> dict[str, Any]:
        response, answer = self._call_either(method, path, below)
        return self._check(method, path, response, answer)

    def _call_either(
        self, method: str, path: str, below: str | None, body: dict[str, Any] | None = None
    ) -> tuple[requests.Response, dict[str, Any] | None]:
        """``below`` is the same below the path of a stack: some may use nothing but that.

        Where both are refused, it is the first refusal that counts.
        """
        response, answer = self._call(method, path, body)
        if response.status_code == requests.codes.forbidden and answer is not None and below:
            narrower = self._call(method, below, body)
            if narrower[0].status_code != requests.codes.forbidden:
                return narrower
        return response, answer

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        http: requests.Session | None = None,
    ) -> tuple[requests.Response, dict[str, Any] | None]:
        """``http`` is the patient session, which repeats what may pass, unless another is given."""
        response = self._send(
            http or self._http, method, self._url + path, auth=self._auth, json=body
        )
        return response, _read_object(response)

    def _check(
        self,
        method: str,
        path: str,
        response: requests.Response,
        answer: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """The answer. Raises the error for it if it is a refusal."""
        if response.ok and answer is not None:
            return answer
        raise _make_error(method, self._url + path, response, answer)

    def _send(
        self, http: requests.Session, method: str, url: str, **content: Any
    ) -> requests.Response:
        where, began = _shorten_url(url), time.perf_counter()
        try:
            response = http.request(method, url, timeout=TIMEOUT_SECONDS, **content)
        except requests.RequestException as error:
            reason = shorten_ids(_find_reason(error).replace(url, where))
            logger.debug("%s %s: %s", method, where, reason)
            if refusal := find_refusal(where, error):
                raise refusal from None
            raise EndpointError(
                f"{where} does not answer: {reason}.",
                "Check the network and --region, or the emulator: plldb local status",
                # The cause would quote a presigned URL, and so its signature.
            ) from None
        _log_call(method, where, response, time.perf_counter() - began)
        return response


def _log_call(method: str, where: str, response: requests.Response, seconds: float) -> None:
    retries = getattr(response.raw, "retries", None)
    logger.debug(
        "%s %s: %d in %.0f ms, repeated %d times",
        *(method, where, response.status_code, seconds * 1000),
        len(retries.history) if isinstance(retries, Retry) else 0,
    )


def _make_session_path(session_id: str, stack_name: str | None) -> str:
    query = "" if stack_name is None else f"?{_encode({'stackName': stack_name})}"
    return f"/sessions/{quote(session_id, safe='')}{query}"


def _make_stack_path(stack_name: str) -> str:
    return f"/stacks/{quote(stack_name, safe='')}/sessions"


def _encode(query: Mapping[str, str]) -> str:
    """Without a plus, which is a space to one who signs or checks, and a plus to another."""
    return urlencode(query, quote_via=quote)


_ACCESS_HINT = "Allow these credentials execute-api:Invoke on the helper stack's management API."
_OF_ONE_STACK = "Who may use the sessions of one stack only names it: --stack-name."
_LOG_HINT = "The log group /plldb/<helper stack> says why."
_UPDATE_HINT = "Run 'plldb bootstrap' to bring the helper stack up to date."


def _read_object(response: requests.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except (requests.JSONDecodeError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _describe_refusal(
    method: str, url: str, response: requests.Response, answer: dict[str, Any] | None
) -> str:
    """What was refused, and why. A session's id is a credential: of a path, the beginning.

    API Gateway's own refusals name the path as well.
    """
    said = shorten_ids(str((answer or {}).get("message") or (answer or {}).get("Message") or ""))
    where = _shorten_url(url)
    return f"{method} {where} was refused: {response.status_code} {said or response.reason}"


def _shorten_url(url: str) -> str:
    """A URL without its query, and with no whole session id."""
    path = url.partition("?")[0]
    start, found, session_id = path.partition("/sessions/")
    return f"{start}{found}{shortened(session_id)}"


def _make_error(
    method: str, url: str, response: requests.Response, answer: dict[str, Any] | None
) -> PlldbError:
    text, status = _describe_refusal(method, url, response, answer), response.status_code
    if status == requests.codes.forbidden:
        refusal = find_vpc_refusal(f"{method} {_shorten_url(url)}", response.headers)
        is_of_all = method != "POST" and "/sessions" in url and "stackName=" not in url
        hint = f"{_ACCESS_HINT} {_OF_ONE_STACK}" if is_of_all else _ACCESS_HINT
        return refusal or _make_denial(text, response, answer, hint)
    if status == requests.codes.too_many_requests:
        return SessionError(text, "Wait a moment, then try again.")
    if status >= requests.codes.server_error:
        return SessionError(text, _LOG_HINT)
    if status in _MISSING and "/sessions/" in url and answer is not None:
        return SessionError(text, "'plldb sessions list' shows those that there are.")
    return SessionError(text, _UPDATE_HINT)


def _make_denial(
    text: str, response: requests.Response, answer: dict[str, Any] | None, hint: str
) -> PlldbError:
    if answer is None:
        # API Gateway refuses in JSON.
        return EndpointError(
            f"{text}, but not by the helper stack.",
            "A proxy, or the sign-in page of a network, may be in between: check the network.",
        )
    return AccessDeniedError(text, f"{_find_clock_hint(response)}{hint}")


def _find_clock_hint(response: requests.Response) -> str:
    """What to do where it is the time that was refused, though it was corrected; mostly empty."""
    off = clock_difference(response.headers.get("Date"), time.time())
    if abs(off) <= TOLERANCE_SECONDS:
        return ""
    return (
        f"This machine's clock is {abs(off):.0f} s {'behind' if off > 0 else 'ahead'}. "
        "Set it, or else: "
    )


def _find_reason(error: requests.RequestException) -> str:
    """The innermost cause: requests wraps urllib3, which wraps the system's error."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(error).__name__
