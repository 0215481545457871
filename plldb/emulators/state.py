"""Which emulator `plldb local up` started: one small file under PLLDB_HOME."""

from __future__ import annotations

import json
from pathlib import Path

from plldb.emulators.base import RunningEmulator
from plldb.files import replace_file

_FILE = "emulator.json"


class StateFile:
    """The file lies in ``home``, PLLDB_HOME."""

    def __init__(self, home: Path) -> None:
        self._path = home / _FILE

    def read(self) -> RunningEmulator | None:
        """The emulator that was started; None without a file, or with one that makes no sense."""
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
            return RunningEmulator.from_json(data)
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, running: RunningEmulator) -> None:
        """Notes which emulator is started; a reader never sees half a file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, json.dumps(running.to_json()).encode())

    def clear(self) -> None:
        """Notes that no emulator runs."""
        self._path.unlink(missing_ok=True)
