"""DynamoDB as it is on a bad day: between the helper stack's functions and their tables."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3

from .support import Backend, poll

_FUNCTIONS = ("ManagementFunction", "WebSocketFunction", "InstrumentationFunction")
# botocore numbers the attempts of a call: "attempt=1; max=3".
_FIRST_ATTEMPT = re.compile(r"\battempt=1\b")
_VARIABLE = "AWS_ENDPOINT_URL_DYNAMODB"
_READS = (".GetItem", ".BatchGetItem", ".Query", ".Scan")
_TYPES = "com.amazonaws.dynamodb.v20120810#"


class Fault(Enum):
    """What becomes of a call; with a lost answer, the table has done it and nobody heard."""

    THROTTLED = "throttled"
    SERVER_ERROR = "server error"
    LOST_ANSWER = "lost answer"
    CUT = "cut"


# Status and error type of the answers; a connection that is cut has none.
_ANSWERS = {
    Fault.THROTTLED: (400, "ProvisionedThroughputExceededException"),
    Fault.SERVER_ERROR: (500, "InternalServerError"),
    Fault.LOST_ANSWER: (500, "InternalServerError"),
}


class FaultyDynamoDb:
    """Hands calls on. With a ``fault``, the first attempt of each call fails, or ``every`` one.

    ``reads`` are the bodies of all calls so far that read. ``before`` and ``after`` are told of
    each call, before and after the table has done it.
    """

    def __init__(self, endpoint_url: str) -> None:
        self.fault: Fault | None = None
        self.every = False
        self.failed = 0
        self.reads: list[str] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        self._endpoint = urllib3.connection_from_url(endpoint_url, maxsize=16, retries=False)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
            self._endpoint.close()

    @contextmanager
    def failing(self, fault: Fault, *, every: bool = False) -> Iterator[None]:
        self.fault, self.every, self.failed = fault, every, 0
        try:
            yield
        finally:
            self.fault = None

    def reads_of(self, *keys: str) -> int:
        """How many reads name one of the ``keys``: a stack that closes meanwhile has its own."""
        return sum(any(f'"{key}"' in body for key in keys) for body in self.reads)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["X-Amz-Target"].endswith(_READS):
                    faulty.reads.append(body.decode())
                faulty.before()
                is_first = _FIRST_ATTEMPT.search(self.headers.get("amz-sdk-request", ""))
                fault = faulty.fault if is_first or faulty.every else None
                if fault is not None:
                    faulty.failed += 1
                if fault in (None, Fault.LOST_ANSWER):
                    status, answer = faulty._handed_on(dict(self.headers), body)
                    faulty.after()
                if fault is Fault.CUT:
                    self.close_connection = True
                    return
                if fault is not None:
                    status, kind = _ANSWERS[fault]
                    answer = json.dumps({"__type": _TYPES + kind, "message": "a bad day"}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(answer)))
                # Whoever has called may have been killed meanwhile.
                with suppress(OSError):
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler

    def _handed_on(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """With its own Host header, which is signed."""
        answer = self._endpoint.urlopen("POST", "/", body=body, headers=headers)
        return answer.status, answer.data


@contextmanager
def faulty_dynamodb(backend: Backend, endpoint_url: str) -> Iterator[FaultyDynamoDb]:
    """The helper stack's session functions reach their tables through it."""
    faulty = FaultyDynamoDb(endpoint_url)
    with faulty.serving():
        _point_functions_at(backend, faulty.url)
        try:
            yield faulty
        finally:
            _point_functions_at(backend, None)


def _point_functions_at(backend: Backend, url: str | None) -> None:
    functions = backend.target.client("lambda")
    for logical_id in _FUNCTIONS:
        name = backend.function_name(logical_id)
        found = functions.get_function_configuration(FunctionName=name)
        variables = dict(found["Environment"]["Variables"])
        variables.pop(_VARIABLE, None)
        if url is not None:
            variables[_VARIABLE] = url
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": variables}
        )
        poll(
            lambda name=name: (
                functions.get_function_configuration(FunctionName=name).get("LastUpdateStatus")
                != "InProgress"
            ),
            f"{logical_id} is updated",
        )
