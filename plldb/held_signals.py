"""What must not be interrupted in the middle, by Ctrl-C or a signal that ends plldb."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# What ends plldb otherwise.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def holding_signals(*, are_lost: bool = False) -> Iterator[None]:
    """They come at the end, unless ``are_lost``: then they are as if nobody had sent them.

    Only the main thread is ever interrupted: in another one, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, _: FrameType | None) -> None:
        held.append(number)

    # Programs that are started meanwhile inherit what is ignored, as under nohup.
    kept = (signal.SIG_IGN, None)
    ours = [number for number in _SIGNALS if signal.getsignal(number) not in kept]
    before = {number: signal.signal(number, hold) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(() if are_lost else held):
            signal.raise_signal(late)
