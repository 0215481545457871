"""What is in /opt on Lambda, and in a build's folder, as paths for Python."""

from __future__ import annotations

import csv
import importlib.machinery
import logging
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.local_function import LocalFunction

logger = logging.getLogger(__name__)

# What a compiled module's suffix begins with that is made for one Python:
# https://peps.python.org/pep-3149/
_TAGS = (".cpython-", ".pypy", ".graalpy", ".cp")


@dataclass(frozen=True)
class BuiltPackages:
    """``folders`` are by the packages' names. ``suits_us``: none of them is compiled for another
    Python than the one that runs plldb. ``others`` are folders, by the names of modules, of what
    else there is and the code lacks.
    """

    folders: dict[str, str] = field(default_factory=dict)
    suits_us: bool = True
    others: dict[str, str] = field(default_factory=dict)


def list_layer_paths(function: LocalFunction, python: Interpreter) -> list[str]:
    """The folders of the function's layers that are to be on the path, the first one first.

    On Lambda that is ``/opt/python/lib/pythonX.Y/site-packages`` and then ``/opt/python``, where of
    two layers with the same file the later one has its way. Neither is there if the function sets
    PYTHONPATH itself. A layer that has no ``python`` folder is taken for what a build would put
    there: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-layers.html
    """
    if "PYTHONPATH" in function.variables:
        return []
    newest_first = function.layers[::-1]
    here = "python{}.{}".format(*python.version)
    versions = [function.runtime or here, here]
    installed = []
    for layer in newest_first:
        places = [layer / "python" / "lib" / version / "site-packages" for version in versions]
        installed += [str(place) for place in places if place.is_dir()][:1]
    own = [layer / "python" if (layer / "python").is_dir() else layer for layer in newest_first]
    return [*installed, *map(str, own)]


def find_built_packages(function: LocalFunction) -> BuiltPackages:
    """The packages that pip has put into a build's folder, and what the build has from elsewhere.

    Modules of the function itself lie there, too, but as they were when it was built. That is all
    else that ``sam build`` puts there.
    """
    build_dir = function.build_dir
    if build_dir is None:
        return BuiltPackages()
    files: set[str] = set()
    for record in build_dir.glob("*.dist-info/RECORD"):
        try:
            lines = record.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            logger.info("%s can't be read: %s", record, error)
            continue
        files |= {row[0] for row in csv.reader(lines) if row}
    names = {name for path in files if (name := _find_module(path))}
    is_of_sam = (build_dir.parent / "template.yaml").exists()
    others = set() if is_of_sam else _list_modules(build_dir) - names
    others.discard(function.handler.replace("/", ".").partition(".")[0])
    return BuiltPackages(
        {name: str(build_dir) for name in names if _is_there(build_dir, name)},
        all(map(_suits_us, files)),
        {name: str(build_dir) for name in others if not _is_there(function.code_dir, name)},
    )


def _list_modules(folder: Path) -> set[str]:
    """The names of modules and packages at the top of a folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    paths = (f"{one.name}/x.py" if one.is_dir() else one.name for one in found)
    return {name for path in paths if (name := _find_module(path))} - {"__pycache__"}


def _find_module(path: str) -> str:
    """The module or package that a file of a distribution belongs to; empty if it is none."""
    parts = PurePosixPath(path).parts
    name = parts[0].partition(".")[0] if parts else ""
    is_module = len(parts) > 1 or PurePosixPath(path).suffix in (".py", ".so", ".pyd")
    return name if is_module and name.isidentifier() and not parts[0].startswith(".") else ""


def _suits_us(path: str) -> bool:
    name = PurePosixPath(path).name
    suffix = name[name.find(".") :]
    is_compiled = suffix.endswith((".so", ".pyd")) and suffix.startswith(_TAGS)
    return not is_compiled or suffix in importlib.machinery.EXTENSION_SUFFIXES


def _is_there(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or any(folder.glob(f"{name}.*"))
