"""CloudFormation: a template in the folder, as ``aws cloudformation package`` takes it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from plldb.debugger.sources.functions import read_functions, read_resources
from plldb.debugger.sources.project import Project, make_absolute

TEMPLATE_NAMES = ("template.yaml", "template.yml", "template.json")


def find_projects(folder: Path) -> Sequence[Project]:
    """The template in a folder."""
    path = find_template(folder)
    return [] if path is None else [read_project(path)]


def find_template(folder: Path) -> Path | None:
    """The one under a name that templates usually have; of several, the first of these names."""
    paths = (make_absolute(folder / name) for name in TEMPLATE_NAMES)
    return next((path for path in paths if path.is_file()), None)


def read_project(path: Path) -> Project:
    """The project of one template, of whatever stack; ``path`` is absolute."""
    return Project(
        "CloudFormation",
        path,
        partial(read_functions, path),
        read_resources=partial(read_resources, path),
    )
