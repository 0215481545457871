"""What a finder gives: for each stack that a project describes, the code of its functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CodeSource:
    """Where the code of one function is, and what the project says of it.

    ``code_dir`` is absolute: what lies in /var/task on Lambda, as the developer edits it.
    ``handler`` and ``runtime`` are the project's, None if it says nothing or not here. ``layers``
    are folders with what is in /opt on Lambda, of which a later one wins, and ``missing_layers``
    those that are not on this machine, with the reason of each. ``build_dir`` is where a build has
    put the function, if there was one: only what ``code_dir`` lacks is taken from there.
    """

    code_dir: Path
    handler: str | None = None
    runtime: str | None = None
    layers: tuple[Path, ...] = ()
    missing_layers: tuple[tuple[str, str], ...] = ()
    build_dir: Path | None = None


# By a function's name in a session, which is its path from the stack: Greeter, Child/Greeter.
# A function whose code is not here has a reason, in words that follow "because".
Functions = Mapping[str, CodeSource | str]


@dataclass(frozen=True)
class Project:
    """One stack, as the files of a project describe it.

    ``kind`` is what it is called in messages: SAM, CloudFormation, CDK, … ``file`` is what
    ``read`` reads, for example a template; it raises SourceError if that makes no sense.
    ``stack_names`` are the names under which the project deploys this, as ``named_by`` says; empty
    if it names none. A project that names other stacks is never used for a stack.
    """

    kind: str
    file: Path
    read: Callable[[], Functions]
    stack_names: frozenset[str] = frozenset()
    named_by: Path | None = None


# All projects in a folder. Raises SourceError for a file that is of its kind and can't be read.
Finder = Callable[[Path], Sequence[Project]]


def make_absolute(path: Path) -> Path:
    """Without following links: an editor knows the file by the path that the developer uses."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")


def find_folder(folder: Path, value: str) -> Path | str:
    """The folder that a template's value names; or why there is none."""
    if value.startswith(("s3://", "https://", "http://")):
        return f"its code is at {value}"
    path = make_absolute(folder / value)
    if path.is_dir():
        return path
    if path.is_file():
        return f"its code, {path}, is a file and not a folder"
    return f"its folder {path} does not exist"
