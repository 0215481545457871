"""Threads that WebSocket work runs on. LocalStack's own answer HTTP requests, and nothing else.

What runs here invokes functions, and functions call the emulator. If both shared one pool, many
connections at once would fill it with calls that wait for calls that no thread is left for. So each
kind of work has a pool of its own, and no task waits for another of its pool.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from ..settings import SETTINGS

LOG = logging.getLogger(__name__)
Task = Callable[[], None]
T = TypeVar("T")

# A pool starts a thread only when none of its threads is idle. Together they and LocalStack's pool
# for HTTP requests stay independent: INTEGRATIONS has a thread for each of the others'.
HANDSHAKES = ThreadPoolExecutor(SETTINGS.websocket_connect_threads, "websocket-connect")
MESSAGES = ThreadPoolExecutor(SETTINGS.websocket_message_threads, "websocket-message")
DISCONNECTS = ThreadPoolExecutor(SETTINGS.websocket_disconnect_threads, "websocket-disconnect")
INTEGRATIONS = ThreadPoolExecutor(
    SETTINGS.websocket_connect_threads
    + SETTINGS.websocket_message_threads
    + SETTINGS.websocket_disconnect_threads,
    "websocket-integration",
)


class DeadlineError(Exception):
    """The work took longer than it may. It goes on, but nobody waits for it any more."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of ``work``, or DeadlineError. Raises what ``work`` raises."""
    return in_time(INTEGRATIONS.submit(work), seconds)


def in_time(future: Future[T], seconds: float) -> T:
    """The result of ``future``, or DeadlineError. Raises what its work raises."""
    try:
        return future.result(timeout=seconds)
    except TimeoutError as error:
        if future.done():  # at the last moment, or the work ran into a time limit of its own
            return future.result()
        raise DeadlineError from error


class Submits(Protocol):
    """What has its tasks done by a thread, whenever it likes."""

    def submit(self, work: Callable[..., Any], /, *args: Any) -> Any: ...


class Lane:
    """The events of one connection in order, ``width`` of its messages at a time.

    Holds no thread when idle. ``finish`` runs its task after everything before it.
    """

    def __init__(self, width: int, messages: Executor, last: Submits) -> None:
        self._width = width
        self._messages = messages
        self._last = last
        self._lock = threading.Lock()
        self._waiting: deque[Task] = deque()
        self._running = 0
        self._final: Task | None = None

    def put(self, task: Task) -> None:
        with self._lock:
            self._waiting.append(task)
            self._start()

    def finish(self, task: Task) -> None:
        with self._lock:
            self._final = task
            self._start()

    def _start(self) -> None:
        """Needs the lock."""
        while self._waiting and self._running < self._width:
            self._running += 1
            self._messages.submit(self._run, self._waiting.popleft())
        if self._final and not self._running:
            self._last.submit(_perform, self._final)
            self._final = None

    def _run(self, task: Task) -> None:
        try:
            _perform(task)
        finally:
            with self._lock:
                self._running -= 1
                self._start()


def _perform(task: Task) -> None:
    """Nobody asks the pool how a task went, so that a fault is in the log or nowhere."""
    try:
        task()
    except Exception:
        LOG.exception("An event of a connection was not handled")
        raise
