"""Which folder of a project a package was made from: that whose files are those of the package.

A package, be it a folder or a zip file, does not say where it came from. Only files of Python are
compared. What has no match without doubt has none: code of another function must never run.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from plldb.debugger.sources.project import find_module_path, is_file
from plldb.debugger.wrapped_handlers import is_wrapper

# Other people's code, and what tools make of the project's.
_SKIPPED = frozenset(
    {"node_modules", "site-packages", "__pycache__", "cdk.out", "build", "dist", "venv", "env"}
)
# What is beside a function's code and no part of it, so that who builds a package leaves it out.
_NO_CODE = re.compile(
    r"(.*/)?((tests?|docs|scripts)/.*|test_[^/]*\.py|[^/]*_test\.py|(conftest|setup|noxfile)\.py)"
)
# RuntimeError: it is encrypted. KeyError: it has no such file.
_UNREADABLE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    KeyError,
)
# So many files and folders are looked through in a second.
_MOST_FILES = 100_000
# How like each other two files are, from 0 to 1, of which one is the other after some edits.
_LIKE = 0.6
_MOST_LINES = 500
_NONE = "no folder of the project has the same files"


@dataclass(frozen=True)
class NoOrigin:
    """Why no folder was found, in words that follow "because"."""

    reason: str


@dataclass(frozen=True)
class Package:
    """A folder or a zip file of a function or a layer. What can't be read counts as empty.

    ``is_bundled``: a build may have put other things beside the code.
    """

    path: Path
    is_bundled: bool = False

    @cached_property
    def names(self) -> frozenset[str]:
        """Its files of Python, as paths in it."""
        return frozenset(self._list_zip() if self._is_archive else _list_folder(self.path))

    @cached_property
    def _is_archive(self) -> bool:
        return is_file(self.path)

    @cached_property
    def _digests(self) -> dict[str, bytes]:
        return {}

    def read(self, name: str) -> bytes:
        try:
            if not self._is_archive:
                return (self.path / name).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(name)
        except _UNREADABLE:
            return b""

    def digest(self, name: str) -> bytes:
        if name not in self._digests:
            self._digests[name] = sha256(self.read(name)).digest()
        return self._digests[name]

    def is_twin(self, other: Package) -> bool:
        """Whether another one has the same files of Python."""
        return (
            other.path != self.path
            and other.names == self.names
            and all(other.digest(name) == self.digest(name) for name in self.names)
        )

    def find_module(self, handler: str) -> str | None:
        """The file of a handler's module, which may be named by a path: ``src/users.create``."""
        module = find_module_path(handler)
        names = (f"{module}.py", f"{module}/__init__.py")
        return next((name for name in names if name in self.names), None)

    @property
    def first_module(self) -> str | None:
        """The one nearest to the top, of a build's own if there are some."""
        own = self.names - self._installed or self.names
        return min(own, key=lambda name: (name.count("/"), name), default=None)

    @cached_property
    def _installed(self) -> frozenset[str]:
        """What pip has put into a folder.

        https://packaging.python.org/en/latest/specifications/recording-installed-packages/
        """
        records = self.path.glob("*.dist-info/RECORD") if self.is_bundled else ()
        lines = [line for path in records for line in read_file(path).splitlines()]
        return frozenset(line.partition(b",")[0].decode(errors="replace") for line in lines)

    def list_top(self) -> list[str]:
        """The files at the top of an archive, of whatever kind."""
        return [name for name in self._list_archive() if "/" not in name and name.strip(".")]

    def _list_zip(self) -> list[str]:
        return [name for name in self._list_archive() if name.endswith(".py")]

    def _list_archive(self) -> list[str]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.namelist()
        except _UNREADABLE:
            return []


def _list_folder(path: Path) -> Iterator[str]:
    for at, _, files in os.walk(path):
        here = Path(at).relative_to(path)
        yield from ((here / name).as_posix() for name in files if name.endswith(".py"))


class OriginFinder:
    """Finds the folders of packages in a project.

    ``roots`` are absolute folders that are looked through, each within the one after it: the
    project's own, and the repository's. ``packages`` are all that a tool has made of the project,
    and ``is_named`` tells of a folder whether the project speaks of it. Without that, only a folder
    that is equal to a package is its origin; with that, one that was edited since may be, too.
    ``may_rival`` tells whether such a folder, by its name, puts an equal one in doubt. What a build
    has filled is never an origin.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        packages: Sequence[Package] = (),
        is_named: Callable[[Path], bool] = lambda _: False,
        may_rival: Callable[[Package, Path], bool] = lambda _package, _folder: True,
    ) -> None:
        self._is_named = is_named
        self._may_rival = may_rival
        built = frozenset(package.path for package in packages if package.is_bundled)
        self._trees = [_Tree(root, built) for root in roots]
        self._packages = packages

    @cached_property
    def _whole(self) -> _Tree:
        """Where other code may be, it is the largest one that counts."""
        return next((tree for tree in self._trees[::-1] if tree.names), self._trees[-1])

    def find(
        self, package: Package, handler: str | None = None, *, as_edited: bool = True
    ) -> Path | NoOrigin:
        """The folder of a function's package; of a layer's, which has no ``handler``.

        Unless ``as_edited``, one that was edited since is not taken.
        """
        anchor = _find_anchor(package, handler)
        if anchor is None:
            return NoOrigin(f"there is no module for the handler {handler} in {package.path}")
        for tree in self._trees:
            equal = [match for match in _match_all(tree, package, anchor) if match.is_equal]
            if equal:
                best = min(match.rank for match in equal)
                origin = _only([match.folder for match in equal if match.rank == best])
                doubt = self._find_doubt(tree, package, anchor)
                return NoOrigin(doubt) if doubt and isinstance(origin, Path) else origin
        return self._find_edited(package, anchor) if as_edited else NoOrigin(_NONE)

    def may_be_here(self, package: Package, handler: str | None = None) -> bool:
        """Whether there is a folder with the module of the handler, whatever is in that."""
        anchor = _find_anchor(package, handler)
        folders = self._whole.list_folders_with(anchor) if anchor else ()
        return any(self._is_named(folder) for folder in folders)

    def _find_doubt(self, tree: _Tree, package: Package, anchor: str) -> str | None:
        """Why the only folder that is equal to the package may be that of another one: two were
        equal, and their own was edited.
        """
        if not package.is_bundled and any(package.is_twin(other) for other in self._packages):
            return f"there is another copy with the same files as {package.path}"
        lost = [other for other in self._packages if self._is_lost(other, package, anchor)]
        for folder in self._list_edited(tree, package, anchor):
            is_lost = any(self._compare(folder, other, anchor) >= _LIKE for other in lost)
            if not is_lost and self._may_rival(package, folder):
                return f"it may also be from {folder}, if that was edited"
        return None

    def _find_edited(self, package: Package, anchor: str) -> Path | NoOrigin:
        """The folder that was equal to the package before somebody edited it.

        That can be told only while all that it may be taken for has a folder of its own.
        """
        alike = self._list_edited(self._whole, package, anchor)
        if not alike:
            return NoOrigin(_NONE)
        if any(self._is_lost(other, package, anchor) for other in self._packages):
            return NoOrigin(f"{alike[0]} was edited, and is not the only one")
        return _only(alike)

    def _list_edited(self, tree: _Tree, package: Package, anchor: str) -> list[Path]:
        """The folders that are like the package, and equal to none."""
        return [
            match.folder
            for match in _match_all(tree, package, anchor)
            if match.is_like
            and not match.is_equal
            and match.folder not in self._taken
            and self._compare(match.folder, package, anchor) >= _LIKE
            and self._is_named(match.folder)
        ]

    @cached_property
    def _taken(self) -> set[Path]:
        """The folders that are equal to some package."""
        return {folder for package in self._packages for folder in self._list_equal(package)}

    def _list_equal(self, package: Package, anchor: str | None = None) -> list[Path]:
        anchor = anchor or package.first_module
        matches = _match_all(self._whole, package, anchor) if anchor else []
        return [match.folder for match in matches if match.is_equal]

    def _is_lost(self, other: Package, package: Package, anchor: str) -> bool:
        """Whether another package has such a file, too, and no folder is equal to it.

        Of one folder, builds may make several packages, for example one for each architecture.
        """
        is_sister = (
            package.is_bundled
            and other.is_bundled
            and other.digest(anchor) == package.digest(anchor)
        )
        return (
            anchor in other.names
            and other.path != package.path
            and not is_sister
            and not self._list_equal(other, anchor)
        )

    def _compare(self, folder: Path, package: Package, name: str) -> float:
        """How like each other two files of one name are, from 0 to 1."""
        texts = (read_file(folder / name), package.read(name))
        one, other = (text.decode(errors="replace").splitlines()[:_MOST_LINES] for text in texts)
        return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _find_anchor(package: Package, handler: str | None) -> str | None:
    """The file that the folder of a package has to have."""
    is_any = handler is None or is_wrapper(handler)
    return package.first_module if is_any else package.find_module(handler or "")


def _match_all(tree: _Tree, package: Package, anchor: str) -> list[_Match]:
    """The package beside each folder that has the anchor."""
    return [_match(tree, folder, package) for folder in tree.list_folders_with(anchor)]


def _match(tree: _Tree, folder: Path, package: Package) -> _Match:
    equal = different = beside = 0
    below = set(tree.list_below(folder))
    # What is behind a link to a folder, or in one of a name such as build, is none of the tree's. A
    # build has put other things into a package than what is there.
    hidden = set() if package.is_bundled else package.names - below
    for name in below | {name for name in hidden if is_file(folder / name)}:
        if name not in package.names:
            beside += not _NO_CODE.fullmatch(name)
        elif package.digest(name) == tree.digest(folder / name):
            equal += 1
        else:
            different += 1
    lacking = len(package.names) - equal - different
    return _Match(folder, equal, different, beside, lacking, package.is_bundled)


@dataclass(frozen=True)
class _Match:
    """A folder beside a package: how many files are equal, how many different, and how many are in
    one of them only: the folder (``beside``, tests and the like left out), the package
    (``lacking``).
    """

    folder: Path
    equal: int
    different: int
    beside: int
    lacking: int
    is_bundled: bool

    @property
    def is_equal(self) -> bool:
        """A package may leave out files of the folder; and a build adds others, but omits none."""
        if self.different or not self.equal:
            return False
        return not self.lacking or (self.is_bundled and not self.beside)

    @property
    def is_like(self) -> bool:
        """Whether it may have been equal before some of its files were edited."""
        common = self.equal + self.different
        return self.beside <= common and (self.is_bundled or self.lacking <= common)

    @property
    def rank(self) -> tuple[int, int]:
        """The lower, the better."""
        return self.beside, -self.equal


@dataclass
class _Tree:
    """The project's own files of Python, those in the folders ``built`` left out."""

    root: Path
    built: frozenset[Path]
    _digests: dict[Path, bytes] = field(default_factory=dict)

    @cached_property
    def names(self) -> list[str]:
        """Their paths from the root, sorted; none if they are too many."""
        names: list[str] = []
        count = 0
        for here, folders, files in walk_own(self.root):
            folders[:] = [name for name in folders if here / name not in self.built]
            below = here.relative_to(self.root)
            names += [(below / name).as_posix() for name in files if name.endswith(".py")]
            count += len(files) + len(folders)
            if count > _MOST_FILES:
                return []
        return sorted(names)

    def list_folders_with(self, name: str) -> Iterator[Path]:
        """The folders below which there is such a file."""
        for path in self.names:
            if path == name or path.endswith(f"/{name}"):
                yield self.root / path[: len(path) - len(name)]

    def list_below(self, folder: Path) -> Iterator[str]:
        """The paths from there of the files in a folder and below."""
        prefix = f"{folder.relative_to(self.root).as_posix()}/".removeprefix("./")
        for path in self.names[bisect_left(self.names, prefix) :]:
            if not path.startswith(prefix):
                return
            yield path.removeprefix(prefix)

    def digest(self, path: Path) -> bytes:
        if path not in self._digests:
            self._digests[path] = sha256(read_file(path)).digest()
        return self._digests[path]


def read_file(path: Path) -> bytes:
    """What can't be read counts as empty."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def walk_own(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As ``os.walk``, without what was not written in the project.

    A list of folders may be changed: it says where to go on, and in which order.
    """
    for at, folders, files in os.walk(folder):
        here = Path(at)
        folders[:] = [name for name in folders if not is_foreign(here / name)]
        yield here, folders, files


def is_foreign(folder: Path) -> bool:
    """Whether what is in a folder was not written in the project."""
    return (
        folder.name in _SKIPPED
        or folder.name.startswith((".", "asset."))
        or (folder / "pyvenv.cfg").exists()
    )


def find_origin_of_archive(path: Path, folder: Path, handler: str) -> Path | NoOrigin:
    """The folder that a zip file of a project in ``folder`` was made of, if that is all that is
    known of it.
    """
    finder = make_archive_finder(folder, path.parent, path.suffix)
    return finder.find(Package(path, is_bundled=True), handler)


def make_archive_finder(folder: Path, place: Path, suffix: str) -> OriginFinder:
    """For the zip files of a project in ``folder`` that lie in one ``place``, each of a function.

    It reads them all once, and the project's code.
    """
    archives = filter(is_file, sorted(place.glob(f"*{suffix}")))
    packages = [Package(at, is_bundled=True) for at in archives]
    return OriginFinder(list_roots(folder), packages, lambda _: True, has_its_name)


def has_its_name(package: Package, folder: Path) -> bool:
    return folder.name in (package.path.name, package.path.stem)


def list_roots(folder: Path) -> list[Path]:
    """A project's folder, and that of the repository: functions may lie beside the project."""
    places = [folder, *folder.parents]
    repository = next((at for at in places if (at / ".git").exists()), folder)
    return list(dict.fromkeys([folder, repository]))


def _only(folders: list[Path]) -> Path | NoOrigin:
    if len(folders) == 1:
        return folders[0]
    first, second = sorted(folders)[:2]
    return NoOrigin(f"it may be from {first} or {second}, which are alike")
