"""stdin, stdout and stderr, any of which a shell may have closed: ``plldb status >&-``."""

from __future__ import annotations

import os
import sys


def open_closed_streams() -> None:
    """Gives each that is closed the null device: the next file or socket would get its number
    otherwise.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
