"""Whether what a child has loaded has changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.debugger.children.runtime.file_stamps import is_unchanged, list_modules

if TYPE_CHECKING:
    from plldb.debugger.children.runtime.file_stamps import Stamp
    from plldb.debugger.children.runtime.frames import Header


@dataclass(frozen=True)
class SearchedFolder:
    """A folder in which modules of these ``names`` were looked for (None: of any), and what it had.

    ``entries`` are as ``list_modules`` has them.
    """

    names: frozenset[str] | None
    entries: frozenset[str]


@dataclass(frozen=True)
class LoadedFiles:
    """As the child's frame ``loaded`` has it: files with their stamps, and folders, by path."""

    files: Mapping[str, Stamp | None] = field(default_factory=dict)
    folders: Mapping[str, SearchedFolder] = field(default_factory=dict)


NOTHING_LOADED = LoadedFiles()


def read_loaded_files(header: Header) -> LoadedFiles:
    """The content of a frame ``loaded``."""
    folders = {
        path: SearchedFolder(None if names is None else frozenset(names), frozenset(entries))
        for path, (names, entries) in header["folders"].items()
    }
    return LoadedFiles(header["files"], folders)


def find_changes(loaded: LoadedFiles) -> list[str]:
    """The paths of files that were changed, removed, or added where they would be imported."""
    changed = {path for path, stamp in loaded.files.items() if not is_unchanged(path, stamp)}
    for path, folder in loaded.folders.items():
        entries = list_modules(path, folder.names)
        changed |= {
            str(Path(path, entry)) for entry in folder.entries.symmetric_difference(entries)
        }
    return sorted(changed)
