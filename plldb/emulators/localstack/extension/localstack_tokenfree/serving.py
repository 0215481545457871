"""How LocalStack's server hands requests to threads, and takes their answers back.

A request that invokes a function holds its thread while the function calls the emulator, which
takes another. In one pool, many such requests at once hold every thread there is, and nothing
answers any more. So handshakes of WebSockets, and requests that invoke functions, have threads of
their own; those of LocalStack's pool are there for what functions call.

An invocation is a dozen small requests, each of which waits for the one before. So what Twisted
does for all of them, and nobody makes use of, is left out.
"""

import re
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partialmethod
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import h11
from localstack import config
from localstack.utils.patch import patch
from rolo.serving.twisted import (
    HeaderPreservingWSGIResource,
    HeaderPreservingWSGIResponse,
    TwistedRequestAdapter,
    WebsocketResourceDecorator,
)
from twisted.internet import reactor
from twisted.internet.tcp import Port
from twisted.web.http import HTTPFactory
from twisted.web.server import NOT_DONE_YET
from wsproto.utilities import ProtocolError

from .apigatewayv2.domains import DOMAINS
from .http_api.answers import HttpAnswer
from .settings import SETTINGS
from .websocket.executors import HANDSHAKES
from .websocket.opening_handshake import BAD_REQUEST, refusal
from .websocket.turns import Turns

LISTEN_BACKLOG = 4096
SWITCH_SECONDS = 0.0005
INVOCATION = re.compile(rb"/(_aws/execute-api|restapis)/|/functions/[^/]+/invocations$")
HOST_OF_FUNCTIONS = re.compile(r"\.(execute-api|lambda-url)\.")
MANAGEMENT = re.compile(rb"/(@|%40)connections/", re.IGNORECASE)
INVOCATION_THREADS: int = config.GATEWAY_WORKER_COUNT
INVOCATIONS = ThreadPoolExecutor(INVOCATION_THREADS, "invocation")
HANDSHAKE_TURNS = Turns(HANDSHAKES, SETTINGS.websocket_connect_threads, reactor)


def install() -> None:
    """Clients that come all at once find room to wait in, too: Twisted's backlog of 50 makes the
    others try again after one second, then after three.

    The reactor's thread gives the interpreter's lock away at each system call; with Python's own
    five milliseconds it would get it back too late while functions keep other threads busy.
    """
    patch(WebsocketResourceDecorator._processWebsocket)(_process_websocket)
    HeaderPreservingWSGIResource.render = _render
    # Nobody asks Twisted for the fields of forms, which it finds by the parser of e-mails.
    TwistedRequestAdapter.__init__ = partialmethod(
        TwistedRequestAdapter.__init__, parsePOSTFormSubmission=False
    )
    # A line for each request, which goes nowhere.
    HTTPFactory.log = _log_nothing
    sys.setswitchinterval(SWITCH_SECONDS)
    reactor.callWhenRunning(_widen_backlog)


def may_invoke(path: bytes, host: str) -> bool:
    """Whether a request may end in a function: one for an API, by AWS's name or at a custom
    domain, or an invocation. Posts to a WebSocket's connection don't, and functions make them."""
    if MANAGEMENT.search(path):
        return False
    if HOST_OF_FUNCTIONS.search(host) or INVOCATION.search(path):
        return True
    return DOMAINS.has(host.partition(":")[0])


def _widen_backlog() -> None:
    for reader in reactor.getReaders():
        if isinstance(reader, Port):
            reader.socket.listen(LISTEN_BACKLOG)


def _threads_of(executor: Executor) -> Any:
    return SimpleNamespace(callInThread=executor.submit)


def _process_websocket(original: Callable[[Any, Any], None], resource: Any, request: Any) -> None:
    """A handshake is begun when its turn has come; until then it is a request like any other."""
    own = SimpleNamespace(
        original=SimpleNamespace(_threadpool=SimpleNamespace(callInThread=HANDSHAKE_TURNS.run)),
        websocketListener=resource.websocketListener,
    )

    def begin() -> bool:
        if request.channel is None:
            return False  # the client has left
        answer = refusal(
            request.method.decode("latin-1"),
            request.clientproto.decode("latin-1"),
            lambda name: request.requestHeaders.getRawHeaders(name, []),
        )
        try:
            if answer is None:
                original(own, request)
                return True
        except (ProtocolError, h11.ProtocolError, UnicodeError):  # of what else a header may hold
            answer = BAD_REQUEST
        _refuse(request, answer)
        return False

    HANDSHAKE_TURNS.take(begin)


def _refuse(request: Any, answer: HttpAnswer) -> None:
    wire = request.transport
    request.setResponseCode(answer.status, HTTPStatus(answer.status).phrase.encode())
    framing = (("connection", "close"), ("content-length", str(len(answer.body))))
    for name, value in (*answer.headers, *framing):
        request.setHeader(name, value)
    request.write(answer.body)
    request.finish()
    wire.loseConnection()  # to which a protocol may listen by now that knows no further requests


def _render(resource: Any, request: Any) -> Any:
    is_invocation = may_invoke(request.path, request.getHeader("host") or "")
    threads = _threads_of(INVOCATIONS) if is_invocation else resource._threadpool
    WholeResponse(resource._reactor, threads, resource._application, request).start()
    return NOT_DONE_YET


def _log_nothing(_factory: HTTPFactory, _request: Any) -> None:
    pass


class WholeResponse(HeaderPreservingWSGIResponse):
    """One whose body comes in one piece is handed to the reactor's thread at its end, and at once.

    Twisted's hands it over before, and waits until that thread has taken it.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._body = b""

    def write(self, data: bytes) -> None:
        if not self.started and not self._body and self._is_all(data):
            self._body = data
        else:
            super().write(data)

    def _is_all(self, data: bytes) -> bool:
        lengths = [value for name, value in self.headers if name.lower() == "content-length"]
        return lengths == [str(len(data))]

    def _sendResponseHeaders(self) -> None:  # noqa: N802  # Twisted's name
        """On the reactor's thread, before anything is written, or at the end."""
        super()._sendResponseHeaders()
        if self._body:
            self.request.write(self._body)
