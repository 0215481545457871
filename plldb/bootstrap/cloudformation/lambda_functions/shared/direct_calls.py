"""The few calls that an invocation waits for, as boto3's clients make them, but at a third of the
CPU time, over connections that are kept open.

Most of what boto3 does for a call is of use to those who do not know beforehand what they will
call: it looks for rules, hooks and shapes. Here, what is said and what comes back is JSON as it
stands. All other calls go to boto3's client.
"""

from __future__ import annotations

import json
import os
import random
import select
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from botocore.httpsession import get_cert_path
from botocore.validate import ParamValidator

from .dynamodb import request_headers
from .signing import sign_post

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 3.0
# With all of them, a call fails within the time of those who wait for it.
_ATTEMPTS = 3
# Doubled each time, and a random part of that:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_PAUSE_SECONDS = 0.2
_PASSING = (429, 500, 502, 503, 504)
_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "ThrottlingError",
}


@dataclass(frozen=True)
class _Answer:
    status: int
    kind: str | None
    body: bytes

    @property
    def is_passing(self) -> bool:
        """Whether another attempt may fare better."""
        return self.status in _PASSING or _code(self) in _THROTTLED


@dataclass(frozen=True)
class _Request:
    """What is sent, as often as need be, for one call of an ``operation``."""

    operation: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    id: str

    def name_attempt(self, number: int) -> dict[str, str]:
        told = f"attempt={number}; max={_ATTEMPTS}"
        return {**self.headers, "amz-sdk-invocation-id": self.id, "amz-sdk-request": told}


@dataclass(frozen=True)
class _Attempt:
    """A request that was sent, unless ``error`` came of that; ``was_open``: over a kept one."""

    connection: HTTPConnection
    was_open: bool
    error: Exception | None


class DirectCalls:
    """Requests to the endpoint of a boto3 ``client``; threads may share it.

    ``credentials`` gives botocore's, as they are now. ``is_strict``: parameters are held against
    the model of AWS, as that client does unless it is told not to.
    """

    def __init__(
        self,
        client: Any,
        credentials: Callable[[], Any],
        sleep: Callable[[float], None] = time.sleep,
        *,
        is_strict: bool = False,
    ) -> None:
        self._model = client.meta.service_model if is_strict else None
        self._url: str = client.meta.endpoint_url.rstrip("/")
        self._path = urlsplit(self._url).path
        self._service: str = client.meta.service_model.signing_name
        self._region: str = client.meta.region_name
        self._credentials = credentials
        self._sleep = sleep
        self._kept: list[HTTPConnection] = []
        self._tls = _trust(_find_certificates()) if self._url.startswith("https:") else None

    def check(self, operation: str, parameters: Mapping[str, Any]) -> None:
        """Raises ParamValidationError for what AWS would refuse by its model.

        An emulator may have carried it out by then: all the same, it is an error.
        """
        if self._model is None:
            return
        shape = self._model.operation_model(operation).input_shape
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())

    def begin(
        self, operation: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Callable[[], bytes]:
        """Sends a POST; what is returned waits for what comes back.

        That raises ClientError and EndpointConnectionError. Like boto3, it repeats what was not
        answered, or was refused for the moment: also what has been carried out, and only the answer
        got lost.
        """
        request = _Request(operation, path, headers, body, str(uuid.uuid4()))
        return partial(self._finish, request, self._send(request, 1))

    def _finish(self, request: _Request, sent: _Attempt) -> bytes:
        for number in count(2):
            is_last = number > _ATTEMPTS
            try:
                answer = _receive(sent)
            except (OSError, HTTPException) as error:
                sent.connection.close()
                if is_last:
                    raise EndpointConnectionError(endpoint_url=self._url, error=error) from error
                if sent.was_open:
                    # The other end has closed what was kept for too long: all the others, too.
                    self.close()
                    sent = self._send(request, number)
                    continue
            else:
                self._kept.append(sent.connection)
                if answer.status < 300:
                    return answer.body
                if is_last or not answer.is_passing:
                    raise _error(answer, request.operation)
            pause = random.random() * _PAUSE_SECONDS * 2 ** (number - 1)  # noqa: S311 # nosec B311
            self._sleep(pause)
            sent = self._send(request, number)
        raise AssertionError

    def close(self) -> None:
        """Those that are not in use."""
        while self._kept:
            with suppress(IndexError):  # another thread was faster
                self._kept.pop().close()

    def _send(self, request: _Request, number: int) -> _Attempt:
        connection = self._take()
        was_open = connection.sock is not None
        headers = sign_post(
            self._credentials(),
            self._service,
            self._region,
            f"{self._url}{request.path}",
            request.name_attempt(number),
            request.body,
        )
        error: Exception | None = None
        try:
            if not was_open:
                _open(connection)
            connection.request("POST", f"{self._path}{request.path}", request.body, headers)
        except (OSError, HTTPException) as failure:
            error = failure
        return _Attempt(connection, was_open, error)

    def _take(self) -> HTTPConnection:
        with suppress(IndexError):
            while _was_dropped(connection := self._kept.pop()):
                connection.close()
            return connection
        host = urlsplit(self._url)
        assert host.hostname is not None
        if self._tls is None:
            return HTTPConnection(host.hostname, host.port, timeout=_CONNECT_SECONDS)
        return HTTPSConnection(
            host.hostname, host.port, timeout=_CONNECT_SECONDS, context=self._tls
        )


def _receive(sent: _Attempt) -> _Answer:
    if sent.error is not None:
        raise sent.error
    response = sent.connection.getresponse()
    return _Answer(response.status, response.getheader("x-amzn-errortype"), response.read())


def _was_dropped(connection: HTTPConnection) -> bool:
    """Whether the other end has closed it meanwhile, as after some idle time: nobody who has asked
    for nothing gets anything to read but that. What was never sent is not sent twice.
    """
    if connection.sock is None:
        return True
    looking = select.poll()
    looking.register(connection.sock, select.POLLIN)
    return bool(looking.poll(0))


def _open(connection: HTTPConnection) -> None:
    connection.connect()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.sock.settimeout(_ANSWER_SECONDS)


class DirectDynamoDb:
    """A boto3 client for DynamoDB, with another way for calls that are about one item.

    Values have their types, as in that client; none is binary.
    """

    def __init__(self, client: Any, calls: DirectCalls) -> None:
        self._client = client
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        return self.begin("GetItem", arguments)()

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        return self.begin("PutItem", arguments)()

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        return self.begin("UpdateItem", arguments)()

    def begin(self, operation: str, arguments: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        """Sends it; what is returned waits for the answer, and does what can be done meanwhile."""
        body = json.dumps(arguments).encode()
        answer = self._calls.begin(operation, "/", request_headers(operation), body)
        return partial(self._finish, operation, arguments, answer)

    def _finish(
        self, operation: str, arguments: dict[str, Any], answer: Callable[[], bytes]
    ) -> dict[str, Any]:
        self._calls.check(operation, arguments)
        found: dict[str, Any] = json.loads(answer())
        return found


class DirectConnections:
    """A boto3 client for connections of an API, with another way for what is posted to them."""

    def __init__(self, client: Any, calls: DirectCalls) -> None:
        self._client = client
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def post_to_connection(self, *, ConnectionId: str, Data: bytes) -> None:  # noqa: N803
        parameters = {"ConnectionId": ConnectionId, "Data": Data}
        path = f"/@connections/{quote(ConnectionId, safe='')}"
        answer = self._calls.begin("PostToConnection", path, {}, Data)
        self._calls.check("PostToConnection", parameters)
        answer()


def _find_certificates() -> str:
    """The file of those that boto3 trusts."""
    return os.environ.get("AWS_CA_BUNDLE") or str(get_cert_path(verify=True))


@cache
def _trust(certificates: str) -> ssl.SSLContext:
    """For all endpoints: reading so many takes time, for which a first call would wait."""
    return ssl.create_default_context(cafile=certificates)


def _error(answer: _Answer, operation: str) -> ClientError:
    """As boto3's, with all that the answer says."""
    told = _read(answer)
    message = told.pop("message", told.pop("Message", ""))
    problem = {"Code": _code(answer), "Message": message}
    metadata = {"HTTPStatusCode": answer.status}
    response: Any = told | {"Error": problem, "ResponseMetadata": metadata}
    return ClientError(response, operation)


def _code(answer: _Answer) -> str:
    """Of an error: in a header, or in the body with a prefix, or with an explanation after it."""
    named = answer.kind or str(_read(answer).get("__type", ""))
    return named.partition(":")[0].rpartition("#")[2] or str(answer.status)


def _read(answer: _Answer) -> dict[str, Any]:
    """The JSON of an error; what is in front of AWS may answer with something else."""
    with suppress(ValueError):
        told = json.loads(answer.body)
        if isinstance(told, dict):
            return told
    return {}
