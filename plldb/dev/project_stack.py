"""Which stack a command is about, where nobody names one: that of the project in the folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from plldb.config import ConfigFile
from plldb.debugger.sources.choice import find_projects
from plldb.dev.sam_settings import read_sam_settings
from plldb.errors import UsageError

_HINT = "Name the stack with --stack-name."
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-using-console-create-stack-parameters.html
_LONGEST_NAME = 128
_NO_PART_OF_A_NAME = re.compile(r"[^A-Za-z0-9]+")


def find_stack_name(
    folder: Path,
    file: ConfigFile | None,
    *,
    is_deployed: bool = True,
    find_attached: Callable[[], Sequence[str]] = tuple,
) -> str:
    """The one that plldb.toml names, else the one that the project is deployed as, of several the
    one of SAM's default environment; else the one that is attached to in this folder, which
    ``find_attached`` gives; else the one that the folder is called after. If it is about to be
    deployed, and so not ``is_deployed``, it is none that plldb.toml has attached to.

    Raises UsageError if there are several, or SourceError if the project makes no sense.
    """
    if file is not None and (stacks := _list_stacks(file, is_deployed)):
        return _choose(stacks, find_attached, str(file.path))
    named = sorted({name for project in find_projects(folder) for name in project.stack_names})
    of_sam = None if len(named) == 1 else read_sam_settings(folder).stack_name
    if of_sam is not None and (not named or of_sam in named):
        return of_sam
    if named:
        return _choose(named, find_attached, f"The project in {folder}")
    attached = find_attached()
    return attached[0] if len(attached) == 1 else name_after(folder)


def _list_stacks(file: ConfigFile, is_deployed: bool) -> list[str]:
    """That of 'plldb dev', else those of 'plldb attach', else those with settings."""
    if of_dev := file.commands.get("dev", {}).get("stack-name"):
        return [str(of_dev)]
    attached = file.commands.get("attach", {}).get("stacks")
    if is_deployed and attached and isinstance(attached, list):
        return [str(one) for one in attached]
    return [*file.stacks]


def name_after(folder: Path) -> str:
    """A stack name that the folder's gives: a letter, then letters, digits and hyphens."""
    name = _NO_PART_OF_A_NAME.sub("-", folder.absolute().name).strip("-")
    if not name[:1].isalpha():
        name = f"stack-{name}".rstrip("-")
    return name[:_LONGEST_NAME].rstrip("-")


def _choose(names: Sequence[str], find_attached: Callable[[], Sequence[str]], who: str) -> str:
    """The only one, or the only one that is attached to."""
    if len(names) > 1:
        attached = [name for name in find_attached() if name in names]
        if len(attached) != 1:
            raise UsageError(f"{who} has several stacks: {', '.join(names)}.", _HINT)
        return attached[0]
    return names[0]
