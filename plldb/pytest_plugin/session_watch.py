"""What happens in a session, for other threads that wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from plldb.debugger import protocol
from plldb.debugger.attachment import AttachEvent
from plldb.debugger.invocation_runner import NotPrepared, Prepared
from plldb.errors import ConnectionLostError
from plldb.replay.history import History


class SessionWatch:
    """Of the session with one stack.

    ``history`` has its invocations. ``skipped`` are functions whose invocations do not come here,
    with the reasons; ``instrumented`` is how many come, None until that is known.
    """

    def __init__(self, stack_name: str) -> None:
        self.stack_name = stack_name
        self.history = History([stack_name])
        self.skipped: dict[str, str] = {}
        self.instrumented: int | None = None
        self.has_ended = False
        # What has ended the session, if anything but the tests did.
        self.error: BaseException | None = None
        self._news = threading.Condition()

    def take(self, event: AttachEvent) -> None:
        """From the thread of the session."""
        self.history.take(event)
        with self._news:
            match event:
                case protocol.Ready():
                    self.instrumented = event.instrumented
                case protocol.Skipped() if not event.is_unchosen:
                    self.skipped[event.function] = event.reason
                case NotPrepared():
                    self.skipped[event.function] = event.reason
                case Prepared():
                    self.skipped.pop(event.function, None)
            self._news.notify_all()

    def end(self, error: BaseException | None) -> None:
        """Nothing happens any more. The ``error`` has ended it, if there was one."""
        with self._news:
            self.has_ended, self.error = True, error
            self._news.notify_all()

    def wait_for(self, look: Callable[[], bool], seconds: float) -> bool:
        """Whether ``look`` came to be true in that time; it is called whenever anything happens.

        Raises what has ended the session before.
        """
        __tracebackhide__ = True
        with self._news:
            deadline = time.monotonic() + seconds
            while not look():
                if self.has_ended:
                    raise self.error or ConnectionLostError("The session has ended.")
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._news.wait(left)
        return True
