"""Notices when a project's templates, or the settings that they are deployed with, were saved."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

logger = logging.getLogger(__name__)

# Few files are looked at, and a look at one takes microseconds.
_LOOK_SECONDS = 0.3
# An editor may take a file away for a moment to save it. Longer than this, it was deleted.
_GONE_SECONDS = 2.0

# Of each file, when it was written and how long it is; None if it is not there.
_Stamp = tuple[int, int]
_Stamps = dict[Path, _Stamp | None]
# A file's time may be so far behind the clock.
_CLOCK_TICK_NS = 20_000_000


class TemplateWatch:
    """Calls ``deploy`` in a thread of its own after each change, once nothing changes any more.

    It gives the files to look at from then on; what it raises ends the watch. A context manager,
    which waits at its end for a deployment that is under way.
    """

    def __init__(self, files: Iterable[Path], deploy: Callable[[], Iterable[Path]]) -> None:
        self._deploy = deploy
        self._deployed = _look(files)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="templates", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        before, changed = self._deployed, time.monotonic()
        while not self._closing.wait(_LOOK_SECONDS):
            now = _look(self._deployed)
            if now != before:
                before, changed = now, time.monotonic()
                continue
            is_settled = None not in now.values() or time.monotonic() - changed > _GONE_SECONDS
            if now != self._deployed and is_settled:
                logger.info("templates have changed: %s", [str(path) for path in now])
                # What is saved meanwhile is another change.
                began = time.time_ns() - _CLOCK_TICK_NS
                self._deployed = {
                    path: now.get(path, _stamp_as_of(began, stamp))
                    for path, stamp in _look(self._deploy()).items()
                }


def _stamp_as_of(began: int, stamp: _Stamp | None) -> _Stamp | None:
    """Of a file that was not watched before, None if it may have been written after ``began``."""
    return None if stamp is None or stamp[0] >= began else stamp


def _look(files: Iterable[Path]) -> _Stamps:
    stamps: _Stamps = {}
    for path in files:
        try:
            found = path.stat()
        except OSError:
            stamps[path] = None
        else:
            stamps[path] = (found.st_mtime_ns, found.st_size)
    return stamps
