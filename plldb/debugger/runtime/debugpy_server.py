"""debugpy, for an editor that attaches."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .frames import Header
    from .invoker_pipes import InvokerPipes

_LISTEN_RETRY_SECONDS = 0.1


class DebuggerFailed(Exception):  # noqa: N818
    """The debugger can't be started: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


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
