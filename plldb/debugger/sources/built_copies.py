"""Folders that a project's own build fills, such as ``build`` and ``dist``, and what from.

A template or an archive may name such a folder. What is edited is another one: that with the same
files, if there is one; the rest, such as installed packages, is taken from the build.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from plldb.debugger.sources.package_origin import NoOrigin, OriginFinder, Package, is_foreign
from plldb.debugger.sources.project import CodeSource, Functions

_NOTE = (
    "its code is in {0}, which looks like what a build makes, and {1}; if you edit it elsewhere, "
    "name that folder with --code"
)


def replace_built_copies(functions: Functions, folder: Path) -> Functions:
    """The functions of a project in ``folder``, those in such folders where they are edited.

    One whose origin is not known stays, with a note.
    """
    finder = OriginFinder([folder])
    return {
        name: _replace(one, folder, finder) if isinstance(one, CodeSource) else one
        for name, one in functions.items()
    }


def _replace(source: CodeSource, folder: Path, finder: OriginFinder) -> CodeSource:
    is_explained = source.note or source.build_dir is not None or source.inline is not None
    if is_explained or not _is_built(source.code_dir, folder):
        return source
    origin = finder.find(Package(source.code_dir, is_bundled=True), source.handler or "")
    if isinstance(origin, NoOrigin):
        return replace(source, note=_NOTE.format(source.code_dir, origin.reason))
    return replace(source, code_dir=origin, build_dir=source.code_dir)


def _is_built(code_dir: Path, folder: Path) -> bool:
    below: Iterable[Path] = (code_dir, *code_dir.parents)
    return any(is_foreign(at) for at in below if at != folder and at.is_relative_to(folder))
