"""Which project serves a stack, and what the developer says of its code.

A project that names the stack serves it; one that names none, such as a bare template, serves any
that asks; one that names others only serves none of those.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plldb.debugger.sources import cdk, cloudformation
from plldb.debugger.sources.project import CodeSource, Finder, Project, make_absolute
from plldb.errors import SourceError
from plldb.templates import TEMPLATE_HINT

logger = logging.getLogger(__name__)

# Of two projects that would serve a stack alike, the one of the earlier finder does.
FINDERS: Sequence[Finder] = (cloudformation.find_projects, cdk.find_projects)
_CODE_HINT = "Say where its code is: --code {0}=DIR"


@dataclass(frozen=True)
class Sources:
    """What was found, and for each function of the project that has no local code, why not.

    Both are by the function's name. ``file`` is what they were read from, None if there is no
    project and every folder was given.
    """

    file: Path | None
    found: Mapping[str, CodeSource]
    missing: Mapping[str, str]

    def explain_missing(self, function: str) -> str:
        """Why a function has no source here; it may be one that the project does not have."""
        if function in self.missing:
            return self.missing[function]
        if self.file is None:
            return "there is no template, and --code does not name it"
        return f"it is not in {self.file}"

    def require(self, function: str) -> CodeSource:
        """Raises SourceError if its code is not on this machine."""
        if function not in self.found:
            raise SourceError(
                f"There is no code for {function} here: {self.explain_missing(function)}.",
                _CODE_HINT.format(function),
            )
        return self.found[function]


def find_sources(
    folder: Path,
    template: Path | None = None,
    code: Mapping[str, Path] | None = None,
    stack_name: str | None = None,
) -> Sources:
    """The code of each function of a stack; ``code`` (see ``parse_code_options``) wins.

    With ``template``, it is that one's, and otherwise that of the project in ``folder`` which
    serves the stack. Raises SourceError if there is none (unless ``code`` names at least one
    function), or if it can't be read.
    """
    code = code or {}
    project = (
        choose_project(find_projects(folder), stack_name)
        if template is None
        else find_template(make_absolute(folder / template))
    )
    if project is None:
        if not code:
            raise SourceError(f"There is no template in {make_absolute(folder)}.", TEMPLATE_HINT)
        return Sources(None, {name: CodeSource(at) for name, at in code.items()}, {})
    functions = dict(project.read())
    for name, code_dir in code.items():
        source = functions.get(name)
        known = source if isinstance(source, CodeSource) else CodeSource(code_dir)
        functions[name] = replace(known, code_dir=code_dir)
    found = {name: one for name, one in functions.items() if isinstance(one, CodeSource)}
    missing = {name: one for name, one in functions.items() if isinstance(one, str)}
    logger.info(
        "%s: code of %d functions is here, of %d not", project.file, len(found), len(missing)
    )
    for name, source in found.items():
        logger.debug("the code of %s is in %s", name, source.code_dir)
    return Sources(project.file, found, missing)


def find_projects(folder: Path) -> list[Project]:
    """The projects of every kind in a folder, in the order of their precedence."""
    return [project for find in FINDERS for project in find(folder)]


def find_template(path: Path) -> Project:
    """The project that a template which the developer names is of; ``path`` is absolute."""
    return cloudformation.read_project(path)


def choose_project(projects: Sequence[Project], stack_name: str | None) -> Project | None:
    """The one that serves a stack, None if there is no project at all.

    Raises SourceError if each of them is another stack's.
    """
    own = [project for project in projects if stack_name in project.stack_names]
    nameless = [project for project in projects if not project.stack_names]
    if own or nameless or not projects:
        return next(iter(own or nameless), None)
    names = sorted({name for project in projects for name in project.stack_names})
    file = projects[0].named_by or projects[0].file
    raise SourceError(
        f"{file.parent} has no stack {stack_name}, but {', '.join(names)}.",
        f"Name one of those, or the template of this one: --template {file.name}",
    )
