"""pdb on a terminal, or debugpy for an editor."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from .faults import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .frames import Header
    from .invoker_pipes import InvokerPipes

_LISTEN_RETRY_SECONDS = 0.1


class DebuggerFailed(Exception):  # noqa: N818
    """The debugger can't be started: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def say_that_nothing_stops(*_arguments: Any, **_options: Any) -> None:
    """Instead of ``breakpoint()`` while there is no debugger."""
    frame = sys._getframe(1)
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    sys.stderr.write(f"breakpoint() at {where} was passed over: attach with --pdb or --debugpy.\n")


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


def start_debugpy(host: str, port: int, patience: float) -> Header:
    """Listens for a debugger; the answer says where, and which process group serves it.

    For ``patience`` seconds the port may still be in use by the child before this one.
    """
    # What a stack frame shows is right without it, and pydevd would warn on stderr.
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    try:
        import debugpy
        import debugpy.server.api
    except Exception as error:
        raise DebuggerFailed(
            f"debugpy can't be loaded by {sys.executable}: {error}.",
            f"Install it there: {sys.executable} -m pip install debugpy",
        ) from error
    finally:
        del os.environ["PYDEVD_DISABLE_FILE_VALIDATION"]
    debugpy.configure(subProcess=False)
    give_up = time.monotonic() + patience
    while True:
        try:
            at_host, at_port = debugpy.listen((host, port))
            break
        except Exception as error:
            if time.monotonic() > give_up:
                raise DebuggerFailed(
                    f"debugpy can't listen at {host}:{port}: {error}.",
                    "Choose another port: --debugpy HOST:PORT",
                ) from error
        time.sleep(_LISTEN_RETRY_SECONDS)
    # The adapter left our process group for one that has the number of the process before it.
    adapter = getattr(debugpy.server.api, "_adapter_process", None)
    return {"host": at_host, "port": at_port, "adapterGroup": getattr(adapter, "pid", None)}


def report_stops(pipes: InvokerPipes) -> None:
    """Tells the invoker when debugpy stops a thread and lets it go on; pydevd has no hook."""
    debugger = getattr(sys.modules.get("pydevd"), "PyDB", None)
    suspend = getattr(debugger, "do_wait_suspend", None)
    if suspend is None:
        return

    def do_wait_suspend(*arguments: Any, **options: Any) -> Any:
        thread = threading.get_ident()
        pipes.stopped_threads.add(thread)
        pipes.send("stopped")
        try:
            return suspend(*arguments, **options)
        finally:
            pipes.stopped_threads.discard(thread)
            pipes.send("resumed")

    debugger.do_wait_suspend = do_wait_suspend  # type: ignore[union-attr]
