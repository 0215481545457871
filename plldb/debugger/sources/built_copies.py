"""Folders that a project's own build fills, such as ``build`` and ``dist``, and what from.

One that pip has installed packages into is such a folder, too, whatever its name.

A template or an archive may name such a folder. What is edited is another one: that with the same
files, or else the only one that is like it; the rest, such as installed packages, is taken from the
build.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from plldb.debugger.sources.package_origin import (
    OriginFinder,
    Package,
    has_its_name,
    is_foreign,
    list_roots,
)
from plldb.debugger.sources.project import CodeSource, Functions

_NOTE = (
    "its code is in {0}, which looks like what a build makes, and {1}; if you edit it elsewhere, "
    "name that folder with --code"
)


def replace_built_copies(functions: Functions, folder: Path) -> Functions:
    """The functions of a project in ``folder``, those in such folders where they are edited.

    One whose origin is not known stays, with a note.
    """
    return _Replacement(functions, folder).functions


class _Replacement:
    def __init__(self, functions: Functions, folder: Path) -> None:
        self._folder = folder
        sources = [one for one in functions.values() if isinstance(one, CodeSource)]
        places = {one.code_dir for one in sources if one.inline is None}
        built = {at for at in places if self._looks_built(at) or self._has_packages(at)}
        own = places - built
        packages = [Package(at, is_bundled=True) for at in sorted(built)]
        self._finder = OriginFinder(
            list_roots(folder), packages, lambda at: at not in own, has_its_name
        )
        self.functions: Functions = {
            name: self._replace(one) if isinstance(one, CodeSource) else one
            for name, one in functions.items()
        }

    def _replace(self, source: CodeSource) -> CodeSource:
        is_explained = source.note or source.build_dir is not None or source.inline is not None
        looks_built = self._looks_built(source.code_dir)
        if is_explained or not (looks_built or self._has_packages(source.code_dir)):
            return source
        package, handler = Package(source.code_dir, is_bundled=True), source.handler or ""
        # Some people install packages into the folder that they edit.
        origin = self._finder.find(package, handler, as_edited=looks_built)
        if isinstance(origin, Path):
            return replace(source, code_dir=origin, build_dir=source.code_dir)
        if looks_built or self._finder.may_be_here(package, handler):
            return replace(source, note=_NOTE.format(source.code_dir, origin.reason))
        return source

    def _looks_built(self, code_dir: Path) -> bool:
        return any(is_foreign(at) for at in (code_dir, *code_dir.parents) if self._is_beside(at))

    def _has_packages(self, code_dir: Path) -> bool:
        """Whether pip has installed something into a folder."""
        return self._is_beside(code_dir) and any(code_dir.glob("*.dist-info"))

    def _is_beside(self, folder: Path) -> bool:
        """Whether a folder is none that the whole project is in."""
        return not self._folder.is_relative_to(folder)
