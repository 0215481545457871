"""``--code``: where the developer says that the code of functions is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from plldb.debugger.sources.project import make_absolute
from plldb.errors import UsageError


def parse_code_options(values: Iterable[str], folder: Path) -> dict[str, Path]:
    """``--code LOGICAL_ID=DIR`` as logical id → absolute folder; a relative one is in ``folder``.

    Raises UsageError for one that is malformed, given twice, or names no folder.
    """
    folders: dict[str, Path] = {}
    for value in values:
        logical_id, equals, text = value.partition("=")
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
        if not (equals and text and logical_id.isascii() and logical_id.isalnum()):
            raise UsageError(
                f"--code {value} is not LOGICAL_ID=DIR.",
                "For example: --code Greeter=src/greeter",
            )
        if logical_id in folders:
            raise UsageError(f"--code names {logical_id} twice.", "Leave one out.")
        path = make_absolute(folder / Path(text).expanduser())
        if not path.is_dir():
            raise UsageError(
                f"--code {value}: there is no folder {path}.",
                f"Name the folder that holds the handler's module of {logical_id}.",
            )
        folders[logical_id] = path
    return folders
