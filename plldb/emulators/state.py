"""Which emulator `plldb local up` started: one small file under PLLDB_HOME."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from plldb.emulators.base import RunningEmulator

_FILE = "emulator.json"


class StateFile:
    def __init__(self, home: Path) -> None:
        self._path = home / _FILE

    def read(self) -> RunningEmulator | None:
        """None if there is no file, or one that cannot be understood."""
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
            return RunningEmulator.from_json(data)
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, running: RunningEmulator) -> None:
        """All or nothing: a reader never sees half a file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=_FILE)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(running.to_json(), file)
        Path(temporary).replace(self._path)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
