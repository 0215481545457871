"""Ctrl-C, and the signals that end plldb as it does, where Python can raise nothing."""

from __future__ import annotations

import sys

# Until what could not be interrupted is over. If it is not, it comes once more.
_PAUSE_SECONDS = 0.05


def repeat_lost_interrupts() -> None:
    """An interrupt that comes within a finalizer or a ``__del__`` is written to stderr and dropped
    (https://docs.python.org/3/library/sys.html#sys.unraisablehook): whoever waits for the end would
    wait for ever. From now on it comes again a moment later.
    """
    sys.unraisablehook = _repeat_interrupt


def _repeat_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    import signal
    import threading

    # One of them is not ignored, or nothing would have been raised.
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    number = signal.SIGTERM if is_ignored else signal.SIGINT
    main = threading.main_thread().ident
    again = threading.Timer(_PAUSE_SECONDS, signal.pthread_kill, (main, number))
    again.daemon = True
    again.start()
