"""debugpy, for an editor that attaches."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .frames import Header


class DebuggerFailed(Exception):  # noqa: N818
    """The debugger can't be started: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def start_debugpy(host: str) -> Header:
    """Listens for a debugger; the answer says where, and which process group serves it."""
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
    try:
        at_host, at_port = debugpy.listen((host, 0))
    except Exception as error:
        raise DebuggerFailed(
            f"debugpy can't listen at {host}: {error}.", "Attach without --debugpy, or with --pdb."
        ) from error
    # The adapter left our process group for one that has the number of the process before it.
    adapter = getattr(debugpy.server.api, "_adapter_process", None)
    return {"host": at_host, "port": at_port, "adapterGroup": getattr(adapter, "pid", None)}
