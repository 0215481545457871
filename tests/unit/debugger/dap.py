"""A debug client: just enough of the Debug Adapter Protocol to do what an editor does.

https://microsoft.github.io/debug-adapter-protocol/specification
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Message = dict[str, Any]


def substitute(config: Message, workspace: Path) -> Message:
    """A launch configuration as VS Code reads it from launch.json in a workspace."""
    text = json.dumps(config).replace("${workspaceFolder}", str(workspace))
    substituted: Message = json.loads(text)
    return substituted


class DapClient:
    """Attached once ``attach`` returns, with breakpoints set before anything runs."""

    def __init__(self, host: str, port: int, seconds: float = 20) -> None:
        self._socket = socket.create_connection((host, port), timeout=seconds)
        self._file = self._socket.makefile("rb")
        self._sequence = 0
        self._events: list[Message] = []
        self._responses: dict[int, Message] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hang_up()
        self._file.close()
        self._socket.close()

    def hang_up(self) -> None:
        """Whoever reads, in another thread, gets an OSError."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def attach(
        self, config: Message, breakpoints: dict[Path, list[int]], exceptions: Sequence[str] = ()
    ) -> None:
        """``config`` is a launch configuration, as VS Code would send it.

        ``exceptions`` are the filters to stop at: raised, uncaught, userUnhandled.
        """
        self.request("initialize", adapterID="debugpy", pathFormat="path")
        attaching = self._send("attach", config)
        self.event("initialized")
        for path, lines in breakpoints.items():
            self.set_breakpoints(path, lines)
        self.request("setExceptionBreakpoints", filters=list(exceptions))
        self.request("configurationDone")
        self._response(attaching)

    def set_breakpoints(self, path: Path, lines: list[int]) -> None:
        self.request(
            "setBreakpoints",
            source={"path": str(path)},
            breakpoints=[{"line": line} for line in lines],
        )

    def stopped_in(self) -> tuple[int, Message]:
        """Waits for a stop: its thread, and the innermost frame."""
        thread = self.event("stopped")["threadId"]
        return thread, self.stack(thread)[0]

    def stack(self, thread: int) -> list[Message]:
        """The frames of a thread that is stopped, the innermost one first."""
        frames: list[Message] = self.request("stackTrace", threadId=thread)["stackFrames"]
        return frames

    def variables(self, frame: Message) -> dict[str, str]:
        """The local ones, as the debugger shows them."""
        scopes = self.request("scopes", frameId=frame["id"])["scopes"]
        answer = self.request("variables", variablesReference=scopes[0]["variablesReference"])
        return {variable["name"]: variable["value"] for variable in answer["variables"]}

    def go_on(self, thread: int) -> None:
        self.request("continue", threadId=thread)

    def request(self, command: str, **arguments: Any) -> Message:
        return self._response(self._send(command, arguments))

    def event(self, name: str) -> Message:
        while True:
            for number, event in enumerate(self._events):
                if event["event"] == name:
                    body: Message = self._events.pop(number).get("body") or {}
                    return body
            self._read()

    def _send(self, command: str, arguments: Message) -> int:
        self._sequence += 1
        message = {"seq": self._sequence, "type": "request", "command": command}
        body = json.dumps(message | {"arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._sequence

    def _response(self, sequence: int) -> Message:
        while sequence not in self._responses:
            self._read()
        response = self._responses.pop(sequence)
        assert response["success"], response
        body: Message = response.get("body") or {}
        return body

    def _read(self) -> None:
        size = 0
        while line := self._file.readline().strip():
            size = int(line.partition(b":")[2])
        if not size:
            raise ConnectionError("the debugger has hung up")
        message = json.loads(self._file.read(size))
        if message["type"] == "event":
            self._events.append(message)
        elif message["type"] == "response":
            self._responses[message["request_seq"]] = message
