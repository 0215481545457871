"""CloudFormation: a template in the folder, as ``aws cloudformation package`` takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from plldb.debugger.sources.functions import read_functions, read_resources
from plldb.debugger.sources.project import Project, make_absolute
from plldb.errors import SourceError
from plldb.templates import read_template

TEMPLATE_NAMES = ("template.yaml", "template.yml", "template.json")


def find_projects(folder: Path) -> Sequence[Project]:
    """The templates in a folder under the names that they usually have.

    A second one counts only if it is a template: there are other files of such names.
    """
    paths = [*list_templates(folder)]
    return [read_project(path) for path in (*paths[:1], *filter(_is_template, paths[1:]))]


def find_template(folder: Path) -> Path | None:
    """The first of these."""
    return next(list_templates(folder), None)


def list_templates(folder: Path) -> Iterator[Path]:
    paths = (make_absolute(folder / name) for name in TEMPLATE_NAMES)
    return (path for path in paths if path.is_file())


def read_project(path: Path) -> Project:
    """The project of one template, of whatever stack; ``path`` is absolute."""
    return Project(
        path,
        partial(read_functions, path),
        read_resources=partial(read_resources, path),
    )


def _is_template(path: Path) -> bool:
    try:
        read_template(path)
    except SourceError:
        return False
    return True
