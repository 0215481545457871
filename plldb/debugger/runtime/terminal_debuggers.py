"""pdb on a terminal."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from .faults import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .invoker_pipes import InvokerPipes


def start_pdb(pipes: InvokerPipes, terminal: int) -> None:
    """Makes ``breakpoint()`` and ``pdb.set_trace()`` talk to the terminal, a file descriptor."""
    import pdb

    with contextlib.suppress(ImportError):
        importlib.import_module("readline")

    screen = open(terminal, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.set_inheritable(terminal, False)

    class TerminalDebugger(pdb.Pdb):
        """Tells the invoker before it writes to the terminal, and when it is done with it."""

        def __init__(self) -> None:
            super().__init__(nosigint=True, skip=["__main__", f"{__package__}.*"])
            self.stdout = screen
            self._is_paused = False

        def message(self, msg: str) -> None:
            self._pause()
            super().message(msg)

        def interaction(self, *arguments: Any, **options: Any) -> None:
            self._pause()
            with _redirect_standard_streams(terminal):
                super().interaction(*arguments, **options)
            self._is_paused = False
            pipes.send("resumed")

        def get_stack(self, *arguments: Any, **options: Any) -> Any:
            stack, index = super().get_stack(*arguments, **options)
            hidden = 0
            while hidden < len(stack) - 1 and is_ours(stack[hidden][0].f_code.co_filename):
                hidden += 1
            return stack[hidden:], max(0, index - hidden)

        def _pause(self) -> None:
            if not self._is_paused:
                self._is_paused = True
                pipes.send("paused")
                pipes.receive()  # go

    debugger = TerminalDebugger()

    def stop(*, header: str | None = None, **_options: Any) -> None:
        if header is not None:
            debugger.message(header)
        debugger.set_trace(sys._getframe().f_back)

    sys.breakpointhook = stop
    pdb.set_trace = stop


@contextlib.contextmanager
def _redirect_standard_streams(terminal: int) -> Iterator[None]:
    """stdin and stdout are the terminal meanwhile: only so does ``input()`` edit lines."""
    streams = sys.stdin, sys.stdout
    for stream in streams:
        with contextlib.suppress(Exception):
            stream.flush()
    saved = os.dup(0), os.dup(1)
    try:
        for descriptor in (0, 1):
            os.dup2(terminal, descriptor)
        sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
        yield
    finally:
        sys.stdout.flush()
        sys.stdin, sys.stdout = streams
        for descriptor in (0, 1):
            os.dup2(saved[descriptor], descriptor)
            os.close(saved[descriptor])
