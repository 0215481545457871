"""How LocalStack's server hands requests to threads.

A request that invokes a function holds its thread while the function calls the emulator, which
takes another. In one pool, many such requests at once hold every thread there is, and nothing
answers any more. So handshakes of WebSockets, and requests that invoke functions, have threads of
their own; those of LocalStack's pool are there for what functions call.
"""

import re
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from localstack import config
from localstack.utils.patch import patch
from rolo.serving.twisted import HeaderPreservingWSGIResource, WebsocketResourceDecorator
from twisted.internet import reactor
from twisted.internet.tcp import Port
from twisted.python.failure import Failure
from wsproto.utilities import ProtocolError

from .apigatewayv2.domains import DOMAINS
from .settings import SETTINGS
from .websocket.executors import HANDSHAKES
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
    patch(HeaderPreservingWSGIResource.render)(_render)
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
        try:
            original(own, request)
        except ProtocolError:
            request.processingFailed(Failure())  # as Twisted does what a request raises
            return False
        return True

    HANDSHAKE_TURNS.take(begin)


def _render(original: Callable[[Any, Any], Any], resource: Any, request: Any) -> Any:
    if not may_invoke(request.path, request.getHeader("host") or ""):
        return original(resource, request)
    own = SimpleNamespace(
        _reactor=resource._reactor,
        _threadpool=_threads_of(INVOCATIONS),
        _application=resource._application,
    )
    return original(own, request)
