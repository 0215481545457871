"""A helper stack as a function sees it: a WebSocket server on 127.0.0.1 that keeps to a script.

It is as strict as API Gateway is: a message is one whole frame of at most 32,000 bytes, and pings
get no pong. Whatever is not so is kept as a violation, and fails the test at the end.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from lambda_functions.websocket import wire
from websockets.exceptions import InvalidState, ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

REQUEST_ID = "request-1"
# Stands for the deadline of whatever invocation was heard of last.
ASKED = -1.0
MAX_FRAME_BYTES = 32_000

Message = dict[str, Any]


class HangUpError(Exception):
    """Raised by a script: the connection ends, without a close frame."""


# What a script answers with, in the place of messages.
HANG_UP = HangUpError()

Script = Callable[[Message, "ServerConnection"], Sequence[Message]]


def accepted() -> Message:
    return wire.accepted(REQUEST_ID, ASKED)


def absent(reason: str = "nobody is attached") -> Message:
    return wire.absent(REQUEST_ID, ASKED, reason)


def started() -> Message:
    return wire.started(REQUEST_ID, ASKED)


def gone() -> Message:
    return wire.gone(REQUEST_ID, ASKED)


def answer(result: Any) -> Message:
    return wire.answer(REQUEST_ID, ASKED, body=json.dumps({"result": result}))


def answer_with_error(error: Message) -> Message:
    return wire.answer(REQUEST_ID, ASKED, body=json.dumps({"error": error}))


def silent(message: Message, connection: ServerConnection) -> Sequence[Message]:
    return []


def answering(script: Mapping[str, Sequence[Sequence[Message] | HangUpError]]) -> Script:
    """By action: the answers to the first such message, to the second, …; the last ones stay.

    An action that is not named gets no answer.
    """
    left = {action: list(answers) for action, answers in script.items()}

    def respond(message: Message, connection: ServerConnection) -> Sequence[Message]:
        answers = left.get(message["action"], [[]])
        one = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(one, HangUpError):
            raise one
        return one

    return respond


def invoked(*answers: Message) -> Script:
    """Every invocation gets these."""
    return answering({"invoke": [answers]})


@dataclass
class Handshake:
    path: str
    headers: dict[str, str]


class ServerConnection:
    def __init__(self, stack: HelperStack, connected: Any) -> None:
        self._stack = stack
        self._socket = connected
        self._lock = threading.Lock()
        self._protocol = ServerProtocol(max_size=None)

    def run(self) -> None:
        with self._socket:
            while self._protocol.state is not State.CLOSED:
                try:
                    data = self._socket.recv(65536)
                except OSError:
                    return
                if not self.take(data):
                    return

    def take(self, data: bytes) -> bool:
        """What the other end has sent, b"" for its end. Whether the connection goes on."""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        try:
            for event in self._protocol.events_received():
                self._handle(event)
        except HangUpError:
            return False
        self._flush()
        return bool(data) and not self._protocol.close_expected()

    def send(self, message: Message) -> None:
        """Whether anybody is there to hear it or not."""
        message = _put_deadline(message, self._stack.deadline)
        with self._lock, suppress(InvalidState):
            self._protocol.send_text(json.dumps(message).encode())
        self._flush()

    def ping(self, payload: bytes = b"") -> None:
        with self._lock:
            self._protocol.send_ping(payload)
        self._flush()

    def close(self, code: int = 1001) -> None:
        """In good order: API Gateway does after two hours."""
        with self._lock:
            self._protocol.send_close(code)
        self._flush()

    def hang_up(self, *, resets: bool = False) -> None:
        """Without a word; with a reset, the other end finds out when it sends."""
        if resets:
            now = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _handle(self, event: Any) -> None:
        if isinstance(event, Request):
            self._admit(event)
        elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            self._answer(event)
        elif isinstance(event, Frame) and event.opcode is Opcode.PONG:
            self._stack.pongs.append(bytes(event.data))
        elif isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
            self._stack.closes.append(Close.parse(event.data).code)
        elif isinstance(event, Frame):
            self._stack.violations.append(f"a frame {event.opcode.name}")

    def _admit(self, request: Request) -> None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        self._stack.handshakes.append(Handshake(request.path, headers))
        status = self._stack.refusals.pop(0) if self._stack.refusals else 101
        with self._lock:
            if status == 101:
                response = self._protocol.accept(request)
            else:
                response = self._protocol.reject(status, '{"message": "no"}')
            self._protocol.send_response(response)
        if status == 101:
            self._stack.connections.append(self)

    def _answer(self, frame: Frame) -> None:
        if not frame.fin or len(frame.data) > MAX_FRAME_BYTES:
            self._stack.violations.append(f"fin={frame.fin}, {len(frame.data)} bytes")
        message = json.loads(bytes(frame.data))
        self._stack.messages.append(message)
        for reply in self._stack.respond(message, self):
            self.send(_put_deadline(reply, message.get("deadline")))

    def _flush(self) -> None:
        with self._lock:
            for data in self._protocol.data_to_send():
                with suppress(OSError):
                    if data:
                        self._socket.sendall(data)
        if isinstance(self._protocol.parser_exc, ProtocolError):
            self._stack.violations.append(str(self._protocol.parser_exc))


def _put_deadline(message: Any, deadline: Any) -> Any:
    """What is not of an invocation, or of another one, stays as it is."""
    if isinstance(message, dict) and message.get("deadline") == ASKED and deadline is not None:
        return message | {"deadline": deadline}
    return message


@dataclass
class HelperStack:
    respond: Script
    handshakes: list[Handshake] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    # The statuses that the next handshakes are refused with.
    refusals: list[int] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    # The codes of close frames.
    closes: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    port: int = 0
    tls: Any = None

    @property
    def url(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://localhost:{self.port}/_aws/execute-api/id/plldb"

    @property
    def deadline(self) -> Any:
        told = [message["deadline"] for message in self.messages if "deadline" in message]
        return told[-1] if told else None

    def actions(self) -> list[str]:
        return [message["action"] for message in self.messages]

    def push(self, message: Message) -> None:
        """To the newest connection."""
        self.connections[-1].send(message)

    @contextmanager
    def running(self) -> Iterator[None]:
        """On the same port as before, if there was one."""
        with ExitStack() as stack:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", self.port)))
            self.port = listening.getsockname()[1]
            sockets: list[socket.socket] = []
            threads: list[threading.Thread] = []

            def serve() -> None:
                while True:
                    try:
                        connected, _ = listening.accept()
                    except OSError:
                        return
                    sockets.append(connected)
                    thread = threading.Thread(target=self._run, args=(connected,))
                    threads.append(thread)
                    thread.start()

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield
            finally:
                listening.shutdown(socket.SHUT_RDWR)
                thread.join()
                for connected in sockets:
                    with suppress(OSError):
                        connected.shutdown(socket.SHUT_RDWR)
                for thread in threads:
                    thread.join()

    def _run(self, connected: socket.socket) -> None:
        with suppress(OSError):
            connected.settimeout(30)
            if self.tls is not None:
                connected = self.tls.wrap_socket(connected, server_side=True)
        ServerConnection(self, connected).run()


@contextmanager
def helper_stack(respond: Script, **options: Any) -> Iterator[HelperStack]:
    stack = HelperStack(respond, **options)
    with stack.running():
        yield stack
    assert stack.violations == []


@contextmanager
def full_port() -> Iterator[int]:
    """A port of this machine whose queue of connections is full: nobody gets in."""
    with socket.socket() as listening, ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
