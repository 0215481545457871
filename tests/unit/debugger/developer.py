"""A developer at a pseudo-terminal, while an invocation is debugged there."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plldb.debugger.children.invoker import Outcome
from plldb.debugger.children.local_function import Pdb
from tests.unit.debugger.local_code import Project

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x01|\x02")

_TIME_LEFT = re.compile(r"\(Pdb \d+s\) ")


class Terminal:
    """The developer: what they see, and what they type."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.path = Path(os.ttyname(self.slave))
        self.seen = ""

    def expect(self, text: str, seconds: float = 30) -> str:
        """Reads up to and including ``text``, and gives what came before it."""
        give_up = time.monotonic() + seconds
        while text not in self.seen:
            left = give_up - time.monotonic()
            assert left > 0, f"no {text!r} in {self.seen!r}"
            if select.select([self.master], [], [], left)[0]:
                read = os.read(self.master, 4096).decode()
                self.seen = _TIME_LEFT.sub("(Pdb) ", self.seen + _ESCAPES.sub("", read))
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, line: str) -> None:
        os.write(self.master, line.encode() + b"\n")

    def interrupt(self, until: str = "KeyboardInterrupt") -> None:
        """By Ctrl-C; again, if Python was just about to wait for a key: it misses the signal."""
        for _ in range(15):
            os.write(self.master, b"\x03")
            with contextlib.suppress(AssertionError):
                self.expect(until, seconds=2)
                return
        raise AssertionError(f"no {until!r} in {self.seen!r}")

    def ask(self, line: str, prompt: str = "(Pdb) ") -> str:
        """Types a line at a prompt, and gives what is shown until the next one."""
        self.type(line)
        return self.expect(prompt)

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


def debug(
    project: Project,
    terminal: Terminal,
    developer: Callable[[], None],
    *,
    post_mortem: bool = True,
    **options: Any,
) -> Outcome:
    """One invocation, while ``developer`` sits at the terminal."""
    failures: list[BaseException] = []

    def sit() -> None:
        try:
            developer()
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    thread = threading.Thread(target=sit)
    thread.start()
    try:
        return project.invoke({"a": 1, "é": "ü"}, debug=Pdb(terminal.path, post_mortem), **options)
    finally:
        thread.join()
        for failure in failures:
            raise failure
