"""CDK: the templates in cdk.out, each of which is a stack's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from plldb.debugger.sources.functions import read_functions
from plldb.debugger.sources.project import Project, make_absolute

_FOLDER = "cdk.out"
_SUFFIX = ".template.json"
# A nested stack's template is not the stack's own.
_NESTED_SUFFIX = ".nested.template.json"


def find_projects(folder: Path) -> Sequence[Project]:
    """A project for each stack that was synthesised; a single one may have another name."""
    paths = sorted(
        make_absolute(path)
        for path in (folder / _FOLDER).glob("*" + _SUFFIX)
        if not path.name.endswith(_NESTED_SUFFIX)
    )
    names = [path.name.removesuffix(_SUFFIX) for path in paths]
    is_single = len(paths) == 1
    return [
        Project("CDK", path, partial(read_functions, path), frozenset([] if is_single else [name]))
        for path, name in zip(paths, names, strict=True)
    ]
