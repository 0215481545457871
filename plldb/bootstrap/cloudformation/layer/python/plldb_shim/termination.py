"""Being stopped in the middle of an invocation, as emulators do when a function is updated.

On AWS, invocations outlive an update of their function. MiniStack ends the process with SIGTERM,
and two seconds later by force: enough to ask the helper stack whether the function may run its own
handler. So restoring a function costs no caller an answer.
"""

from __future__ import annotations

import os
import signal
import threading

from . import channel

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# Lets the answer out before the process ends.
_LAST_SECONDS = 0.1


class Termination:
    """``with termination:`` around an invocation."""

    def __init__(self) -> None:
        # Whether the process is to end after this invocation; None where nobody would tell.
        self.is_due: Callable[[], bool] | None = None
        self._is_invoked = False
        self._is_due = False

    def install(self) -> None:
        """Only the main thread can; elsewhere the process ends as it would without."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)
            self.is_due = lambda: self._is_due

    def __enter__(self) -> None:
        self._is_invoked = True

    def __exit__(self, *_: object) -> None:
        self._is_invoked = False
        if self._is_due:
            # Nothing handles SIGALRM: it ends the process.
            signal.setitimer(signal.ITIMER_REAL, _LAST_SECONDS)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._is_invoked:
            channel.hang_up()
            os._exit(0)
        self._is_due = True
