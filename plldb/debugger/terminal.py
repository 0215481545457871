"""The terminal that pdb talks to."""

from __future__ import annotations

import contextlib
import os
import termios
from pathlib import Path
from typing import Any

from plldb.errors import SourceError


class Terminal:
    """pdb's terminal. A child that is killed can't leave it as it found it: we do."""

    def __init__(self, path: Path) -> None:
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise SourceError(
                f"pdb needs a terminal, and there is none: {path}: {error.strerror}.",
                "Run it in a terminal, or attach an editor: --debugpy",
            ) from None
        # What it was before it was lent; None while it is not.
        self._settings: list[Any] | None = None

    def lend(self) -> None:
        with contextlib.suppress(termios.error):
            self._settings = termios.tcgetattr(self.descriptor)

    def restore(self) -> None:
        """Makes it what it was, even if the child may not be done with it."""
        if self._settings is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSANOW, self._settings)

    def take_back(self) -> None:
        self.restore()
        self._settings = None

    def close(self) -> None:
        self.take_back()
        os.close(self.descriptor)
