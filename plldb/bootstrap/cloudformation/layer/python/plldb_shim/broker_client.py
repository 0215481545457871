"""Asks the attached debugger for the answer to an invocation, through plldb's broker.

Nothing of the function's environment goes out: only its logical id, what Lambda's context object
says of this invocation, and the event.
"""

from __future__ import annotations

import json
import time

from . import constants, remote

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPConnection
    from socket import socket
    from typing import Any
    from urllib.parse import SplitResult

CONNECT_SECONDS = 2
# The broker answers within 29 s, as its API allows no more; the rest is a cold start's.
ANSWER_SECONDS = 45
# Kept of the function's own time, for telling the caller what happened.
MARGIN_SECONDS = 1.0
# Larger events go through the bucket. The broker takes 32,000 bytes.
MAX_EVENT_BYTES = 24000
# How often a broker that fails is asked again: the debugger may be running the invocation.
BUSY_ATTEMPTS = 5
BUSY_SECONDS = 1.0

_INVOCATIONS = "/debug/invocations"
# For what remains of opening a connection, however late it was that an address took it.
_SHORTEST_TIMEOUT = 0.05
_CONTEXT = (
    "function_name",
    "function_version",
    "invoked_function_arn",
    "memory_limit_in_mb",
    "log_group_name",
    "log_stream_name",
)
_CLIENT = (
    "installation_id",
    "app_title",
    "app_version_name",
    "app_version_code",
    "app_package_name",
)
_IDENTITY = ("cognito_identity_id", "cognito_identity_pool_id")


class AbsentError(Exception):
    """Nobody is attached who could answer; says why."""


def ask(event: Any, context: Any, taken: dict[str, str]) -> dict[str, Any]:
    """``{"result": value}`` or ``{"error": {"errorType", "errorMessage", "stackTrace"}}``.

    Raises AbsentError, or an error for the caller if the function's time is up.
    """
    request = _Request(context, taken)
    try:
        answer = request.start(event)
        while answer is None:
            answer = request.wait()
        return answer
    finally:
        request.close()


class _BusyError(AbsentError):
    """The broker failed, or was throttled, this once."""


def _refusal(status: int, reason: str) -> AbsentError:
    kind = _BusyError if status == 429 or status >= 500 else AbsentError
    return kind(reason)


class _Request:
    """One invocation's conversation with the broker, over one connection."""

    def __init__(self, context: Any, taken: dict[str, str]) -> None:
        self._context = context
        self._id = context.aws_request_id
        self._function = taken.get(constants.FUNCTION, "")
        self._headers = {"Authorization": "Bearer " + taken.get(constants.TOKEN, "")}
        self._broker = taken.get(constants.BROKER_URL, "")
        self._deadline: float = (
            time.time() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        )
        self._connection: HTTPConnection | None = None
        # Whether the debugger may be running it.
        self._may_run = False

    def start(self, event: Any) -> dict[str, Any] | None:
        """Sends the invocation; the answer, or None if there is none yet."""
        body = {
            "requestId": self._id,
            "function": self._function,
            "deadline": round(self._deadline, 3),
            "context": _described(self._context),
        }
        text = json.dumps(event)
        if len(text) > MAX_EVENT_BYTES:
            body["eventKey"] = self._upload(text)
        else:
            body["event"] = text
        content = json.dumps(body)
        return self._patiently(lambda: self._post(content))

    def wait(self) -> dict[str, Any] | None:
        """Asks for the answer; None if there is none yet."""
        return self._patiently(self._look)

    def _patiently(self, call: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        for _ in range(BUSY_ATTEMPTS):
            try:
                return call()
            except _BusyError:
                time.sleep(min(BUSY_SECONDS, self._seconds_left()))
        return call()

    def _post(self, content: str) -> dict[str, Any] | None:
        try:
            return self._exchange("POST", _INVOCATIONS, content)
        except OSError as error:
            if self._connection is None:
                raise AbsentError("the broker can't be reached: " + repr(error)) from None
            # It may have arrived all the same. It can be sent again: the broker knows an
            # invocation by its id and deadline, and hands it over once.
            self.close()
            raise _BusyError("the broker hung up: " + repr(error)) from None

    def _look(self) -> dict[str, Any] | None:
        path = _INVOCATIONS + "/" + self._id
        try:
            return self._exchange("GET", path)
        except OSError:
            self.close()
        try:
            return self._exchange("GET", path)
        except OSError as error:
            self.close()
            raise _BusyError("the broker can't be reached: " + repr(error)) from None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _upload(self, text: str) -> str:
        """Puts the event into the bucket, and gives its key."""
        try:
            status, content = self._send("POST", "/debug/uploads")
            if status != 200:
                raise AbsentError(f"the broker answered {status}")
            upload = json.loads(content)
            status, _ = _fetch("PUT", upload["url"], self._seconds_left(), text.encode())
        except OSError as error:
            raise AbsentError("the broker can't be reached: " + repr(error)) from None
        if status != 200:
            raise AbsentError(f"the event's upload was answered with {status}")
        return str(upload["key"])

    def _exchange(self, method: str, path: str, body: str | None = None) -> dict[str, Any] | None:
        status, content = self._send(method, path, body)
        if status == 202:
            return None
        if status != 200:
            raise _refusal(status, f"the broker answered {status}")
        answer = json.loads(content)
        if "error" in answer:
            return {"error": answer["error"]}
        if "resultUrl" in answer:
            return {"result": json.loads(self._download(answer["resultUrl"]))}
        return {"result": json.loads(answer["result"])}

    def _download(self, url: str) -> bytes:
        status, content = _fetch("GET", url, self._seconds_left())
        if status != 200:
            raise _refusal(status, f"the result's download was answered with {status}")
        return content

    def _send(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """(status, content) of one request. Raises OSError."""
        from http.client import HTTPException

        # An answer with "Connection: close" leaves a connection without a socket.
        if self._connection is not None and self._connection.sock is None:
            self.close()
        if self._connection is None:
            self._connection = _connect(self._broker, self._seconds_left())
        prefix = _split(self._broker).path.rstrip("/")
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.sock.settimeout(min(ANSWER_SECONDS, self._seconds_left()))
        self._may_run = self._may_run or path == _INVOCATIONS
        try:
            self._connection.request(method, prefix + path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except HTTPException as error:
            raise ConnectionError(repr(error)) from None

    def _seconds_left(self) -> float:
        """Until the function must answer by itself.

        At the end, raises the error for the caller; or AbsentError if nobody runs it elsewhere.
        """
        left = self._deadline - time.time()
        if left <= 0 and not self._may_run:
            raise AbsentError("too little of the function's time was left to ask for one")
        if left <= 0:
            raise remote.error(
                "PlldbTimeout", "plldb: the debugger did not answer before the function's timeout"
            )
        return left


def _described(context: Any) -> dict[str, Any]:
    """What the context object says, without its methods."""
    described = {name: getattr(context, name, None) for name in _CONTEXT}
    described["client_context"] = _client_context(getattr(context, "client_context", None))
    identity = getattr(context, "identity", None)
    described["identity"] = {name: getattr(identity, name, None) for name in _IDENTITY}
    return described


def _client_context(client_context: Any) -> dict[str, Any] | None:
    if client_context is None:
        return None
    client = getattr(client_context, "client", None)
    return {
        "client": client and {name: getattr(client, name, None) for name in _CLIENT},
        "custom": getattr(client_context, "custom", None),
        "env": getattr(client_context, "env", None),
    }


def _fetch(method: str, url: str, timeout: float, body: bytes | None = None) -> tuple[int, bytes]:
    """(status, content) of one request to a presigned URL. Raises OSError."""
    from http.client import HTTPException

    connection = _connect(url, timeout)
    parts = _split(url)
    try:
        connection.sock.settimeout(timeout)
        connection.request(method, parts.path + "?" + parts.query, body)
        response = connection.getresponse()
        return response.status, response.read()
    except HTTPException as error:
        raise ConnectionError(repr(error)) from None
    finally:
        connection.close()


def _connect(url: str, timeout: float) -> HTTPConnection:
    """An open connection. Raises OSError if there is none within two seconds.

    http.client would give so long to each of the host's addresses.
    """
    from http.client import HTTPConnection, HTTPSConnection

    parts = _split(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=min(CONNECT_SECONDS, timeout))
    connection._create_connection = _open_socket  # type: ignore[attr-defined]
    connection.connect()
    return connection


def _open_socket(address: tuple[str, int], timeout: float, _source: object = None) -> socket:
    """A connection to one of a host's addresses, which share the time: one may be a black hole.

    What is left of it is the timeout of what follows, which is TLS.
    """
    import socket

    deadline = time.monotonic() + timeout
    addresses = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    error: OSError = TimeoutError("timed out")
    for number, (*_, found) in enumerate(addresses):
        share = (deadline - time.monotonic()) / (len(addresses) - number)
        one: Any = found[:2]
        try:
            opened = socket.create_connection(one, max(share, _SHORTEST_TIMEOUT))
        except OSError as refused:
            error = refused
            continue
        opened.settimeout(max(deadline - time.monotonic(), _SHORTEST_TIMEOUT))
        return opened
    raise error


def _split(url: str) -> SplitResult:
    from urllib.parse import urlsplit

    return urlsplit(url)
