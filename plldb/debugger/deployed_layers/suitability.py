"""What of a fetched layer can be used on this machine, under the project's interpreter.

A layer may have been made for another one: compiled modules for another version of Python or
another machine. The rest of it is of use all the same, and what is not can be installed here.
"""

from __future__ import annotations

import csv
import email.parser
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from plldb.debugger.deployed_layers.native_files import Platform, find_misfit, is_compiled

logger = logging.getLogger(__name__)

_PYTHON = Path("python")
_PROGRAMS = Path("bin")
_LIBRARIES = Path("lib")
_EXTENSIONS = Path("extensions")


@dataclass(frozen=True)
class Suitability:
    """``misfits`` are what can't be used: paths in the layer's folder, each with the reason.

    ``installable`` are the distributions they belong to, as pip takes them: name==version.
    ``extensions`` are the names of the layer's Lambda extensions, which nothing runs here.
    ``has_packages``: there is something to import, whether it fits or not.
    """

    misfits: dict[Path, str] = field(default_factory=dict)
    installable: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    has_packages: bool = False

    @property
    def names(self) -> list[str]:
        """What is missed, as people call it."""
        return sorted({_find_module(path.name) for path, why in self.misfits.items() if why})

    @property
    def reasons(self) -> list[str]:
        return sorted({reason for reason in self.misfits.values() if reason})


@dataclass(frozen=True)
class _Distribution:
    """What pip has installed. ``paths`` are entries of a folder on the path, in the layer's."""

    requirement: str
    paths: frozenset[Path]


def examine_layer(layer: Path, runtime: str, platform: Platform) -> Suitability:
    """``layer`` is a folder with what is in /opt, ``runtime`` Lambda's name of the function's."""
    places = [place for place in _list_places(layer, runtime, platform) if place.is_dir()]
    misfits = {
        entry.relative_to(layer): reason
        for place in places
        for entry in sorted(place.iterdir())
        if entry not in places and (reason := _find_misfit_in(entry, platform))
    }
    # Of most layers all can be used, whoever it belongs to.
    searched = places if misfits else []
    found = [one for place in searched for one in _list_distributions(place, layer)]
    owners = Counter(path for one in found for path in one.paths)
    broken = [one for one in found if not one.paths.isdisjoint(misfits)]
    # A part of a distribution is worse than none.
    whole = {path for one in broken for path in one.paths if owners[path] == 1}
    own = [layer / _PYTHON, *(place for place in places if place.name == "site-packages")]
    return Suitability(
        dict.fromkeys(sorted(whole), "") | misfits,
        tuple(sorted(one.requirement for one in broken)),
        tuple(sorted(one.name for one in _list_folder(layer / _EXTENSIONS) if one.is_file())),
        any(_list_folder(place) for place in own),
    )


def link_suitable(layer: Path, misfits: dict[Path, str], folder: Path) -> None:
    """Fills an empty folder with links to all of the layer but the misfits."""
    _link(layer, folder, Path(), misfits)


def name_suitable(layer: Path, misfits: dict[Path, str]) -> str:
    """A name for that folder: by the content, and by what is left out."""
    text = "\n".join(sorted(map(str, misfits)))
    return f"{layer.name[:16]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _list_places(layer: Path, runtime: str, platform: Platform) -> list[Path]:
    """The folders in /opt in which Lambda looks for something:
    https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
    """
    versions = dict.fromkeys((runtime, f"python{platform.python}"))
    installed = [
        layer / _PYTHON / "lib" / version / "site-packages" for version in versions if version
    ]
    return [layer / _PROGRAMS, layer / _LIBRARIES, *installed, layer / _PYTHON]


def _find_misfit_in(entry: Path, platform: Platform) -> str | None:
    """The reason of the first file in it that can't be used."""
    # Other versions of Python have their packages there.
    if entry == entry.parent.parent / _PYTHON / "lib":
        return None
    for path in _walk(entry):
        try:
            if is_compiled(path) and (reason := find_misfit(path, platform)):
                logger.debug("%s: %s", path, reason)
                return reason
        except (OSError, ValueError) as error:  # a file without content can't be mapped
            logger.debug("%s can't be examined: %s", path, error)
    return None


def _walk(entry: Path) -> Iterator[Path]:
    """The files; what is behind a link is looked at where it lies."""
    if entry.is_symlink():
        return
    if entry.is_file():
        yield entry
    for folder, _, names in os.walk(entry):
        yield from (path for name in sorted(names) if not (path := Path(folder, name)).is_symlink())


def _list_distributions(place: Path, layer: Path) -> Iterator[_Distribution]:
    for folder in sorted(place.glob("*.dist-info")):
        try:
            metadata = (folder / "METADATA").read_text(encoding="utf-8", errors="replace")
            rows = (folder / "RECORD").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            logger.debug("%s says not what it is: %s", folder, error)
            continue
        headers = email.parser.HeaderParser().parsestr(metadata)
        parts = [PurePosixPath(row[0]).parts for row in csv.reader(rows) if row]
        entries = {part[0] for part in parts if part and part[0] not in ("..", "/")}
        paths = {(place / entry).relative_to(layer) for entry in entries | {folder.name}}
        if headers["Name"] and headers["Version"]:
            yield _Distribution(f"{headers['Name']}=={headers['Version']}", frozenset(paths))


def _find_module(name: str) -> str:
    return name.partition(".")[0]


def _list_folder(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _link(source: Path, target: Path, path: Path, misfits: dict[Path, str]) -> None:
    for entry in _list_folder(source):
        here = path / entry.name
        if here in misfits:
            continue
        if entry.is_dir() and any(here in misfit.parents for misfit in misfits):
            (target / entry.name).mkdir()
            _link(entry, target / entry.name, here, misfits)
        else:
            (target / entry.name).symlink_to(entry)
