"""The two pipes between this process and plldb, and what their end means."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from . import frames

if TYPE_CHECKING:
    from .frames import Header

_CHUNK_BYTES = 1024 * 1024
# Those that mean what their thread does just now.
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}


class InvokerPipes:
    """The two pipes. A thread reads, so that their end is noticed whatever the handler does."""

    def __init__(self, requests: int, answers: int) -> None:
        for descriptor in (requests, answers):
            os.set_inheritable(descriptor, False)
        self._requests = requests
        self._answers = answers
        self._received: queue.SimpleQueue[tuple[Header, str]] = queue.SimpleQueue()
        # A frame ``go`` each, which any thread of the user's code may wait for.
        self._gos = threading.Semaphore(0)
        self._sending = threading.Lock()
        # Those that a debugger holds. Code that is stopped must not go on by itself.
        self.stopped_threads: set[int] = set()
        # How many seconds the user's code has to end after SIGTERM, once plldb is gone.
        self.patience = 0.0
        # The process has been told to end.
        self.is_ending = False
        self._is_orphan = False
        # Registered before the user's code registers anything, it runs after all of that.
        atexit.register(self._end_group_of_orphan)
        reader = threading.Thread(target=self._read, name="plldb", daemon=True)
        # pydevd leaves such a thread alone.
        reader.pydev_do_not_trace = True  # type: ignore[attr-defined]
        reader.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
        reader.start()

    def receive(self) -> tuple[Header, str]:
        return self._received.get()

    def await_go(self) -> None:
        self._gos.acquire()

    def request_end(self) -> None:
        """Puts ``end`` behind the frames that were received."""
        self.is_ending = True
        self._received.put(({"type": "end"}, ""))

    def send(self, kind: str, header: Header | None = None, text: str = "") -> None:
        frame = memoryview(frames.encode_frame({"type": kind, **(header or {})}, text))
        with self._sending:
            while frame:
                frame = frame[os.write(self._answers, frame) :]

    def _read(self) -> None:
        # Signals are for the user's threads. One that came here would not interrupt the main thread
        # where it waits: Ctrl-C, or the terminal's new size, would be noticed with the next key.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
        parser = frames.FrameParser(self._take)
        with contextlib.suppress(OSError):
            while True:
                data = os.read(self._requests, _CHUNK_BYTES)
                if not data:
                    break
                parser.feed(data)
        self._end_orphan()

    def _take(self, header: Header, text: str) -> None:
        if header["type"] == "go":
            self._gos.release()
        else:
            self._received.put((header, text))

    def _end_orphan(self) -> None:
        self._is_orphan = True
        if not self.stopped_threads:
            _signal_group(signal.SIGTERM)
            time.sleep(self.patience)
        self._end_group_of_orphan()
        os._exit(1)

    def _end_group_of_orphan(self) -> None:
        if self._is_orphan:
            _signal_group(signal.SIGKILL)


def _signal_group(number: int) -> None:
    """Sends a signal to this process and all that it started; only to those of a child's group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, number)


def end_on_sigterm(pipes: InvokerPipes) -> None:
    """Makes SIGTERM run the user's ``finally`` and ``atexit``, unless the user's code handles it.

    Code that catches SystemExit is asked again after its answer. Processes that the user's code
    forks end as those of any other program.
    """
    # Each thread that forks has a mask meanwhile: the one that it had before.
    forking = threading.local()
    has_raised = False

    def on_sigterm(number: int, _frame: object) -> None:
        nonlocal has_raised
        pipes.request_end()
        # What ends is not disturbed. Python would print and drop what is raised while it forks.
        if not has_raised and not hasattr(forking, "mask"):
            has_raised = True
            sys.exit(128 + number)

    def before_fork() -> None:
        """Python forgets a signal that the new process gets before it is ready for any."""
        forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))

    def after_fork() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, forking.mask)
        del forking.mask

    def after_fork_in_child() -> None:
        if signal.getsignal(signal.SIGTERM) is on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        after_fork()

    os.register_at_fork(
        before=before_fork, after_in_parent=after_fork, after_in_child=after_fork_in_child
    )
    signal.signal(signal.SIGTERM, on_sigterm)
