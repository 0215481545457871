"""``--code``: where the developer says that the code of functions is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from plldb.debugger.sources.project import is_folder, make_absolute
from plldb.errors import UsageError

# The pattern of a folder that is given without one.
ALL = "*"


def parse_code_options(values: Iterable[str], folder: Path) -> dict[str, Path]:
    """``--code [FUNCTION=]DIR`` as pattern of names → absolute folder.

    A relative folder is in ``folder``. Raises UsageError for one that is malformed, given twice, or
    names no folder.
    """
    folders: dict[str, Path] = {}
    for value in values:
        pattern, equals, text = value.rpartition("=")
        if not text or (equals and not pattern):
            raise UsageError(
                f"--code {value} is not FUNCTION=DIR.",
                "For example: --code Greeter=src/greeter, --code 'Orders*=src/orders', or "
                "--code src for all functions.",
            )
        pattern = pattern or ALL
        if pattern in folders:
            what = f"names {pattern} twice" if equals else "names a folder for all functions twice"
            raise UsageError(f"--code {what}.", "Leave one out.")
        path = make_absolute(folder / Path(text).expanduser())
        if not is_folder(path):
            raise UsageError(
                f"--code {value}: there is no folder {path}.",
                f"Name the folder that holds the handler's module of {pattern}."
                if equals
                else "Name the folder that holds the handlers' modules, or that of one function: "
                "--code FUNCTION=DIR.",
            )
        folders[pattern] = path
    return folders


def is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")


def find_most_specific(folders: Mapping[str, Path], name: str) -> str | None:
    """The pattern that a function's folder is given by; of several, what says most of the name.

    A name wins over a pattern, and of patterns the one with more characters that are no wildcards.
    Of equal ones the last one wins.
    """
    matching = [pattern for pattern in folders if fnmatchcase(name, pattern)]
    if name in folders:
        return name
    return max(reversed(matching), key=_count_literals, default=None)


def _count_literals(pattern: str) -> int:
    return sum(character not in "*?[]" for character in pattern)
