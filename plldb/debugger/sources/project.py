"""What a finder gives: for each stack that a project describes, the code of its functions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plldb.errors import SourceError


@dataclass(frozen=True)
class DescribedLayer:
    """A layer of a function as the project describes it.

    ``name`` is its logical id, its ARN, or whatever stands there, and ``layer_name`` the name that
    the project gives it, if any. ``folders`` have what is in /opt on Lambda, of which a later one
    wins; where there are none, ``reason`` says why, in words that follow "because".
    ``is_deployed`` is False for a folder that the function has no layer of, since its content is
    deployed as a part of the code; here it is used as if it were one.
    """

    name: str
    folders: tuple[Path, ...] = ()
    reason: str = ""
    layer_name: str | None = None
    is_deployed: bool = True


@dataclass(frozen=True)
class GeneratedFiles:
    """Files that a tool has put beside the code when it made ``archive``, a zip file.

    ``names`` are at the top of that, and will be in ``folder``, which is written before the code
    runs.
    """

    archive: Path
    names: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class CodeSource:
    """Where the code of one function is, and what the project says of it.

    ``code_dir`` is absolute: what lies in /var/task on Lambda, as the developer edits it.
    ``handler`` and ``runtime`` are the project's, None where it says nothing or not here; so is
    ``physical_name``, what the function is called at Lambda. ``layers`` are in the function's
    order. ``build_dir`` is where a build has put the function, if there was one: only what
    ``code_dir`` lacks is taken from there. ``note`` is what the developer should know of it, in
    words that follow the function's name; so is ``use`` of who calls the function. ``inline`` is
    code that stands in the template itself, to be written to ``code_dir`` first, which ``choice``
    finds for it. ``generated`` are in the first of ``layers``.
    """

    code_dir: Path
    handler: str | None = None
    runtime: str | None = None
    layers: tuple[DescribedLayer, ...] = ()
    build_dir: Path | None = None
    physical_name: str | None = None
    note: str = ""
    inline: str | None = None
    use: str = ""
    generated: GeneratedFiles | None = None


# By a function's name in a session, which is its path from the stack: Greeter, Child/Greeter.
# A function whose code is not here has a reason, in words that follow "because". A name that ends
# with "/*" is that of all functions of a nested stack of which nothing more is known here.
Functions = Mapping[str, CodeSource | str]

# The values of a stack's parameters, as far as they are known: those that it was deployed with, and
# pseudo parameters such as AWS::Region. By them it is known what ``Fn::If`` and ``Ref`` give.
Parameters = Mapping[str, str]


@dataclass(frozen=True)
class Project:
    """One stack, as the files of a project describe it.

    ``file`` is what ``read`` reads, for example a template; it raises SourceError if that makes no
    sense. It takes the stack's parameters, for kinds of projects to which they matter.
    ``stack_names`` are the names under which the project deploys this, as ``named_by`` says; empty
    if it names none. A project that names other stacks is never used for a stack. ``folder`` is the
    project's own, where that is not the one of ``file``. Where there are no names,
    ``read_resources`` gives the types of all resources, by logical id, to tell stacks apart.
    ``renewal`` is the command that writes the file, if a tool does.
    """

    file: Path
    read: Callable[[Parameters], Functions]
    stack_names: frozenset[str] = frozenset()
    named_by: Path | None = None
    folder: Path | None = None
    read_resources: Callable[[Parameters], Mapping[str, str]] | None = None
    renewal: str | None = None


# All projects in a folder. Raises SourceError for a file that is of its kind and can't be read.
Finder = Callable[[Path], Sequence[Project]]


def make_absolute(path: Path) -> Path:
    """Without following links: an editor knows the file by the path that the developer uses."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")


def is_folder(path: Path) -> bool:
    """False for what can't be a path, too, such as a name that is too long."""
    return os.path.isdir(path)  # noqa: PTH112 (Path.is_dir raises OSError)


def is_file(path: Path) -> bool:
    """False for what can't be a path, too, such as a name that is too long."""
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises OSError)


def read_json(path: Path, hint: str) -> Any:
    """What a tool wrote. Raises SourceError, with the hint, if it is not there or can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SourceError(f"{path} is not there.", hint) from None
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path} can't be read: {error}.", hint) from None


def is_remote(text: str) -> bool:
    """Whether a template's text names what is not on this machine."""
    return text.startswith(("s3://", "https://", "http://"))


def may_be_python(runtime: str | None) -> bool:
    """Whether plldb can run what has this runtime, or none that is known."""
    return not runtime or runtime.startswith("python")


def find_module_path(handler: str) -> str:
    """The path of a handler's module, ``package/module``; empty if it names none.

    https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html
    """
    return handler.rpartition(".")[0].replace(".", "/")


def has_module(folder: Path, module: str) -> bool:
    """Whether a module is importable from a folder; it is given as a path: ``package/module``."""
    places = (folder / f"{module}.py", folder / module / "__init__.py")
    return bool(module) and any(is_file(place) for place in places)


def find_folder(folder: Path, value: str) -> Path | str:
    """The folder that a template's value names; or why there is none."""
    if is_remote(value):
        return f"its code is at {value}"
    path = make_absolute(folder / value)
    if is_folder(path):
        return path
    if is_file(path):
        return f"its code, {path}, is a file and not a folder"
    return f"its folder {path} does not exist"
