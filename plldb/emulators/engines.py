"""The emulators by their names. Each loads what it needs when it is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plldb.emulators.base import Emulator


def make_emulator(
    name: str,
    home: Path,
    image: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Emulator:
    """``home`` is where state lies, ``image`` another one than plldb's own of LocalStack;
    ``progress`` hears what a build of that does.
    """
    if name == "localstack":
        from plldb.emulators.container import LocalStack

        return LocalStack(home, image, progress)
    from plldb.emulators.process import MiniStack

    return MiniStack(home)
