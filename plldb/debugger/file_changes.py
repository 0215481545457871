"""Whether the code in a folder has changed since it was loaded."""

from __future__ import annotations

import os
from pathlib import Path

# Not the function's own code, and large.
_SKIPPED = frozenset({"__pycache__", "node_modules", "cdk.out", "venv"})

# (time of the last change in nanoseconds, size in bytes) of each file, by its path.
Snapshot = dict[str, tuple[int, int]]


def take_snapshot(folder: Path) -> Snapshot:
    """What lies in a folder and below it now; hidden folders and those of other tools are left out.

    Links are followed. What vanishes meanwhile counts as not there.
    """
    snapshot: Snapshot = {}
    waiting, seen = [str(folder)], set()
    while waiting:
        at = waiting.pop()
        try:
            identity = os.stat(at)  # noqa: PTH116 (os.scandir goes with it)
            if (identity.st_dev, identity.st_ino) in seen:
                continue
            seen.add((identity.st_dev, identity.st_ino))
            entries = list(os.scandir(at))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir():
                    if entry.name not in _SKIPPED and not entry.name.startswith("."):
                        waiting.append(entry.path)
                else:
                    status = entry.stat()
                    snapshot[entry.path] = (status.st_mtime_ns, status.st_size)
            except OSError:
                continue
    return snapshot


def find_changes(before: Snapshot, after: Snapshot) -> list[str]:
    """The paths of the files that were changed, added or removed between two snapshots."""
    if before == after:
        return []
    return sorted({path for path, _ in before.items() ^ after.items()})
