"""What is in /opt on Lambda, and in a build's folder, as paths for Python."""

from __future__ import annotations

import csv
import logging
from pathlib import Path, PurePosixPath

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.local_function import LocalFunction

logger = logging.getLogger(__name__)


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


def list_built_packages(build_dir: Path | None) -> dict[str, str]:
    """The packages that pip has put into a build's folder: their names, each with that folder.

    Modules of the function itself lie there, too, but as they were when it was built.
    """
    if build_dir is None:
        return {}
    names: set[str] = set()
    for record in build_dir.glob("*.dist-info/RECORD"):
        try:
            lines = record.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            logger.info("%s can't be read: %s", record, error)
            continue
        names |= {name for row in csv.reader(lines) if row and (name := _find_module(row[0]))}
    return {name: str(build_dir) for name in names if _is_there(build_dir, name)}


def _find_module(path: str) -> str:
    """The module or package that a file of a distribution belongs to; empty if it is none."""
    parts = PurePosixPath(path).parts
    name = parts[0].partition(".")[0] if parts else ""
    is_module = len(parts) > 1 or PurePosixPath(path).suffix in (".py", ".so", ".pyd")
    return name if is_module and name.isidentifier() and not parts[0].startswith(".") else ""


def _is_there(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or any(folder.glob(f"{name}.*"))
