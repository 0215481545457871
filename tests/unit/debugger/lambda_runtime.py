"""Lambda's own runtime client, awslambdaric, in a process of its own, and the API that it asks.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, as much of it as a runtime needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 30.0
_MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
# Read after an answer only: they hold all that is written before it.
_PIPE_BYTES = 1024 * 1024
# A frame of the log: its type (4 bytes), a length (4), a time (8).
_FRAME_HEAD_BYTES = 16


@dataclass
class Answer:
    """``kind`` is "response", "error", "init error" or "exit"; that has a ``status``."""

    kind: str
    content: bytes = b""
    status: int = 0
    log: list[str] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""


class LambdaRuntime:
    """One function under awslambdaric: its process is started when it is needed, and again after
    its end.
    """

    def __init__(self, folder: Path, handler: str, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._handler = handler
        self._variables = variables
        self._events: queue.Queue[tuple[str, str, dict[str, str]] | None] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._server = _Server(("127.0.0.1", 0), _Api)
        self._server.events, self._server.answers = self._events, self._answers
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def invoke(
        self, event: str, request_id: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._events.put((request_id, event, dict(headers or {})))
        answer = self._answers.get(timeout=SECONDS)
        self._await_rest()
        answer.log, answer.stdout, answer.stderr = self._read_outputs()
        return answer

    def _await_rest(self) -> None:
        """Until it asks for its next event, or has ended: then it has written all of its output."""
        assert self._process is not None
        give_up = time.monotonic() + SECONDS
        while not self._server.is_idle.wait(0.002) and self._process.poll() is None:
            assert time.monotonic() < give_up
        if self._process.poll() is not None:
            self._waiter.join(SECONDS)
            for left in (self._events, self._answers):
                while not left.empty():
                    left.get()

    def close(self) -> None:
        self._events.put(None)
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for descriptor in getattr(self, "_outputs", ()):
            os.close(descriptor)
        self._server.shutdown()
        self._server.server_close()

    def _start(self) -> None:
        for descriptor in getattr(self, "_outputs", ()):
            os.close(descriptor)
        self._server.is_idle.clear()
        pipes = [os.pipe() for _ in range(3)]
        self._outputs = [reader for reader, _ in pipes]
        (_, out), (_, err), (_, log) = pipes
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "en_US.UTF-8",
            "PYTHONUTF8": "1",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_address[1]}",
            "_LAMBDA_TELEMETRY_LOG_FD": str(log),
            **self._variables,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", self._handler],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=[log],
        )
        for descriptor in (out, err, log):
            os.close(descriptor)
        for descriptor in self._outputs:
            os.set_blocking(descriptor, False)
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._waiter = threading.Thread(target=self._await_exit, args=[self._process], daemon=True)
        self._waiter.start()

    def _await_exit(self, process: subprocess.Popen[bytes]) -> None:
        self._answers.put(Answer("exit", status=process.wait()))

    def _read_outputs(self) -> tuple[list[str], str, str]:
        out, err, log = (_read_all(descriptor) for descriptor in self._outputs)
        records = []
        while log:
            size = int.from_bytes(log[4:8], "big")
            records.append(log[_FRAME_HEAD_BYTES : _FRAME_HEAD_BYTES + size].decode())
            log = log[_FRAME_HEAD_BYTES + size :]
        return records, out.decode(errors="replace"), err.decode(errors="replace")


def _read_all(descriptor: int) -> bytes:
    content = b""
    while True:
        try:
            data = os.read(descriptor, 1 << 20)
        except BlockingIOError:
            return content
        if not data:
            return content
        content += data


class _Server(socketserver.ThreadingTCPServer):
    # Closing waits for its threads.
    daemon_threads = False
    events: queue.Queue[tuple[str, str, dict[str, str]] | None]
    answers: queue.Queue[Answer]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # Whether the runtime asks for its next event: then it has written all of its log.
        self.is_idle = threading.Event()


class _Api(socketserver.StreamRequestHandler):
    """HTTP by hand: a header may have the stack of an error, which is too long for http.server."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while self._answer():
                pass

    def _answer(self) -> bool:
        """Whether there is something to come."""
        request = self.rfile.readline().decode().split()
        if not request:
            return False
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if request[0] == "GET":
            return self._send_next()
        self._take_answer(request[1], self.rfile.read(int(headers["content-length"])))
        return True

    def _send_next(self) -> bool:
        self.server.is_idle.set()
        event = self.server.events.get()
        if event is None:
            return False
        self.server.is_idle.clear()
        request_id, text, headers = event
        defaults = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": "4102444800000",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:1:function:greeter",
            "Content-Type": "application/json",
        }
        self._send("200 OK", text.encode("utf-8", "surrogatepass"), defaults | headers)
        return True

    def _take_answer(self, path: str, content: bytes) -> None:
        kind = "init error" if path.endswith("/init/error") else path.rpartition("/")[2]
        is_too_large = len(content) > _MAX_RESPONSE_BYTES
        if is_too_large:
            # The platform's answer to the caller, in its own words.
            kind, content = "error", b'{"errorType": "Function.ResponseSizeTooLarge"}'
        self._send("413 Too Large" if is_too_large else "202 Accepted")
        self.server.answers.put(Answer(kind, content))

    def _send(
        self, status: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = [f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(content)}", "", ""]
        self.wfile.write("\r\n".join(head).encode() + content)
