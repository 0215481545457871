"""By what a file is known to have changed, and the modules that a folder offers.

plldb imports this module, too: the child takes stamps before it reads, plldb compares them.
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    # When it was changed (in nanoseconds), its size (in bytes), its inode, and a checksum if it
    # was changed so shortly before that another change might leave the other three as they are.
    Stamp = list[int | None]

# The coarsest clock of a file system: FAT's.
_GRANULARITY_NS = 2_000_000_000
_CHUNK_BYTES = 1024 * 1024
_MODULE_SUFFIXES = (".py", ".pyc", ".so", ".pyd")
_INITIAL_FILES = ("__init__.py", "__init__.pyc")


def take_stamp(path: str) -> Stamp | None:
    """None if there is no such file. Links are followed."""
    try:
        status = os.stat(path)
        age = time.time_ns() - status.st_mtime_ns
        checksum = _checksum(path) if age < _GRANULARITY_NS else None
    except (OSError, ValueError):
        return None
    return [status.st_mtime_ns, status.st_size, status.st_ino, checksum]


def is_unchanged(path: str, stamp: Stamp | None) -> bool:
    """Whether the file is as it was when the stamp was taken."""
    try:
        status = os.stat(path)
        if stamp is None or [status.st_mtime_ns, status.st_size, status.st_ino] != stamp[:3]:
            return False
        return stamp[3] is None or _checksum(path) == stamp[3]
    except (OSError, ValueError):
        return stamp is None


def _checksum(path: str) -> int:
    value = 0
    with open(path, "rb") as file:
        while True:
            chunk = file.read(_CHUNK_BYTES)
            if not chunk:
                return value
            value = zlib.crc32(chunk, value)


def list_modules(folder: str, names: Container[str] | None = None) -> list[str]:
    """The files and folders that an import of one of the ``names`` (all, if None) may find.

    A folder ends with "/", and a package with an ``__init__`` with "/__init__".
    """
    found = []
    with contextlib.suppress(OSError, ValueError):
        for entry in os.scandir(folder):
            stem = entry.name.partition(".")[0]
            if stem == "__pycache__" or (names is not None and stem not in names):
                continue
            if entry.name.endswith(_MODULE_SUFFIXES):
                found.append(entry.name)
            elif entry.name.isidentifier() and entry.is_dir():
                found.append(entry.name + _describe_folder(entry.path))
    return sorted(found)


def _describe_folder(folder: str) -> str:
    is_package = any(os.path.exists(os.path.join(folder, name)) for name in _INITIAL_FILES)
    return "/__init__" if is_package else "/"
