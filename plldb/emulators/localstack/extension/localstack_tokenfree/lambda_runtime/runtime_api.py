"""The Lambda Runtime API of one execution environment, on a loopback port of its own.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import queue
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import Any, ClassVar, cast


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to. ``body`` is JSON, as the caller of Invoke gets it."""

    body: bytes
    is_error: bool

    @classmethod
    def error(cls, error_type: str, message: str) -> "Outcome":
        body = json.dumps({"errorType": error_type, "errorMessage": message})
        return cls(body.encode(), True)


@dataclass(frozen=True)
class Invocation:
    request_id: str
    payload: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str
    outcome: "Future[Outcome]" = field(default_factory=Future)

    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.function_arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
        }


def settle(future: "Future[Any]", value: Any) -> None:
    """Needs the lock. First come, first served: a process may die while its answer arrives."""
    if not future.done():
        future.set_result(value)


class RuntimeApi:
    """Hands invocations to the runtime in the child, one at a time.

    ``ready`` is None once the handler is loaded, or the Outcome of a failed initialisation.
    """

    def __init__(self) -> None:
        self.ready: Future[Outcome | None] = Future()
        self._waiting: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._current: Invocation | None = None
        self._failure: Outcome | None = None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, name="lambda-runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def submit(self, invocation: Invocation) -> None:
        with self._lock:
            self._current = invocation
            if self._failure:
                settle(invocation.outcome, self._failure)
        self._waiting.put(invocation)

    def fail(self, outcome: Outcome) -> None:
        """The child is gone: whatever waits for it, now or later, gets ``outcome``."""
        with self._lock:
            self._failure = outcome
            settle(self.ready, outcome)
            if self._current:
                settle(self._current.outcome, outcome)

    def close(self) -> None:
        """Idempotent. Ends the threads that wait for the child."""
        self._waiting.put(None)
        with suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone would not
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            threading.Thread(
                target=self._serve,
                args=(connection, address),
                name="lambda-runtime-api-connection",
                daemon=True,
            ).start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            with suppress(ConnectionError):  # the child was killed
                _Connection(connection, address, cast(BaseServer, self))

    # what the runtime calls

    def next_invocation(self) -> Invocation | None:
        with self._lock:
            settle(self.ready, None)
        return self._waiting.get()

    def finish(self, request_id: str, outcome: Outcome) -> None:
        with self._lock:
            if self._current and self._current.request_id == request_id:
                settle(self._current.outcome, outcome)

    def fail_initialisation(self, body: bytes) -> None:
        with self._lock:
            settle(self.ready, Outcome(body, True))


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment for each response, else a warm invocation waits for an ACK
    PREFIX: ClassVar[str] = "/2018-06-01/runtime/"

    @property
    def _api(self) -> RuntimeApi:
        return cast(RuntimeApi, self.server)

    def do_GET(self) -> None:
        invocation = self._api.next_invocation()
        if invocation is None:
            self.close_connection = True
            return
        self._reply(200, invocation.payload, invocation.headers())

    def do_POST(self) -> None:
        body = self._body()
        match self.path.removeprefix(self.PREFIX).split("/"):
            case ["init", "error"]:
                self._api.fail_initialisation(body)
            case ["invocation", request_id, ("response" | "error") as kind]:
                self._api.finish(request_id, Outcome(body, kind == "error"))
        self._reply(202, b'{"status":"OK"}', {"Content-Type": "application/json"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: LocalStack logs invocations itself."""
