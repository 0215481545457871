"""Being stopped in the middle of an invocation, as emulators do when a function is updated.

On AWS, invocations outlive an update of their function. MiniStack ends the process with SIGTERM,
and two seconds later by force: enough to give up waiting for the debugger, and to run the
function's own handler instead. So restoring a function costs no caller an answer.
"""

from __future__ import annotations

import os
import signal
import threading

from .broker_client import AbsentError

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from types import FrameType

# Lets the answer out before the process ends.
_LAST_SECONDS = 0.1


class Termination:
    """``with termination:`` around an invocation, ``is_asking`` while it waits for the debugger."""

    def __init__(self) -> None:
        self.is_asking = False
        self._is_invoked = False
        self._is_due = False

    def install(self) -> None:
        """Only the main thread can; elsewhere the process ends as it would without."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)

    def __enter__(self) -> None:
        self._is_invoked = True

    def __exit__(self, *_: object) -> None:
        self._is_invoked = False
        if self._is_due:
            # Nothing handles SIGALRM: it ends the process.
            signal.setitimer(signal.ITIMER_REAL, _LAST_SECONDS)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._is_invoked:
            os._exit(0)
        self._is_due = True
        if self.is_asking:
            self.is_asking = False
            raise AbsentError("this environment is being stopped")
