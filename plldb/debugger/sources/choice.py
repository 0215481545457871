"""Which project serves a stack, and what the developer says of its code.

A project that names the stack serves it; one that names none, such as a bare template, serves any
that it fits; one that names others only serves none of those. What it says of functions is then
held against what is deployed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from plldb.config import suggest
from plldb.debugger.sources import cdk, chalice, cloudformation, sam, serverless
from plldb.debugger.sources.built_copies import replace_built_copies
from plldb.debugger.sources.code_options import find_most_specific, is_pattern
from plldb.debugger.sources.comparison import Comparison, compare, find_foreign_resource
from plldb.debugger.sources.nearby import (
    find_tool,
    is_template,
    list_folders_below,
    suggest_project,
)
from plldb.debugger.sources.project import (
    CodeSource,
    Finder,
    Functions,
    Project,
    is_folder,
    make_absolute,
    may_be_python,
)
from plldb.debugger.sources.stack_settings import StackSettings, apply_layers, suggest_function
from plldb.deployed import DeployedStack
from plldb.errors import SourceError, UsageError
from plldb.templates import TEMPLATE_HINT

logger = logging.getLogger(__name__)

# Of two projects that would serve a stack alike, the one of the earlier finder does.
FINDERS: Sequence[Finder] = (
    sam.find_projects,
    cloudformation.find_projects,
    cdk.find_projects,
    serverless.find_projects,
    chalice.find_projects,
)
# Of these kinds, a template that a tool wrote does not say where the code is.
_TOOLS = (sam, cdk, serverless, chalice)
# In the project, so that an editor has it in its workspace.
_INLINE = Path(".plldb", "inline")
_SHOWN = 3
_CODE_HINT = "Say where its code is: --code {0}=DIR"


@dataclass(frozen=True)
class CodeOptions:
    """Whose code runs here, and where it is.

    ``functions`` are shell patterns of names; none means all. ``code`` is by such patterns, too.
    ``settings`` are those of plldb.toml for the stack, of which what stands above has its way.
    ``project`` is one that was read already.
    """

    folder: Path
    template: Path | None = None
    code: Mapping[str, Path] = field(default_factory=dict)
    functions: tuple[str, ...] = ()
    settings: StackSettings | None = None
    project: Project | None = None

    def includes(self, function: str) -> bool:
        return not self.functions or any(fnmatchcase(function, p) for p in self.functions)

    @property
    def is_default(self) -> bool:
        names_project = self.named_template is not None or self.project is not None
        return not (names_project or self.code or self.functions)

    @property
    def named_template(self) -> Path | None:
        if self.template is not None:
            return make_absolute(self.folder / self.template)
        return None if self.settings is None else self.settings.template

    @property
    def names_code(self) -> bool:
        return bool(self.code) or (self.settings is not None and self.settings.has_code)


@dataclass(frozen=True)
class ChosenSources:
    """The code that runs here, by the function's name; the functions ``left_out`` with the reason
    of each; and, if there is no code at all, ``why_none``.

    ``known`` are the names of all functions, whether they were chosen or not; none if there may be
    others, before a stack is looked at. ``warnings`` say of
    functions what does not keep them from being debugged, or that they are not deployed;
    ``remarks`` say the like of the whole stack. ``unchosen`` are deployed functions that
    ``--function`` leaves out. ``hint`` says what to do if there is no code at all.
    """

    found: Mapping[str, CodeSource]
    left_out: Mapping[str, str] = field(default_factory=dict)
    why_none: str = ""
    known: frozenset[str] = frozenset()
    warnings: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    unchosen: frozenset[str] = frozenset()
    hint: str = TEMPLATE_HINT

    def require_code(self, deployed: DeployedStack) -> None:
        """Raises SourceError if the stack has functions, and none of them can be run here."""
        if self.found or not deployed.functions:
            return
        reasons: dict[str, list[str]] = {}
        for name, reason in sorted(self.left_out.items()):
            reasons.setdefault(reason, []).append(name)
        shown = [
            f"{', '.join(names[:_SHOWN])}{' and others' * (len(names) > _SHOWN)}: {reason}"
            for reason, names in [*reasons.items()][:_SHOWN]
        ]
        raise SourceError(
            f"No function of stack {deployed.name} can be run here. {'; '.join(shown)}.",
            self.hint,
        )


def choose_sources(
    options: CodeOptions, stack_name: str, deployed: DeployedStack | None = None
) -> ChosenSources:
    """The code of the chosen functions of a stack.

    Without ``deployed``, what the project says is believed. Raises SourceError if the project is
    another stack's, SourceError or UsageError for what the user named and is not there. That
    nothing is named and nothing found is no error: a session can be opened all the same.
    """
    if options.settings is not None:
        options = replace(options, settings=options.settings.with_names(deployed))
    is_list = deployed is not None and deployed.members is not None
    no_project = is_list and options.project is None
    candidates = [] if no_project else list_candidates(options, stack_name)
    if not candidates and not options.names_code and not is_list:
        why = f"There is no template in {make_absolute(options.folder)}."
        hint = suggest_project(options.folder)
        if not options.is_default:
            raise SourceError(why, hint)
        names = deployed.functions if deployed is not None else ()
        left_out = dict.fromkeys(names, f"there is no template in {options.folder}")
        chosen = _finish({}, left_out, f"{why} {hint}", options, deployed)
        return replace(chosen, hint=hint)
    readings = [_read(project, options, stack_name, deployed) for project in candidates]
    if not readings:
        readings = [_read(None, options, stack_name, deployed)]
    best = max(readings, key=lambda reading: reading.comparison.fitting)
    if best.project is not None and deployed is not None:
        best.comparison.require_fit(best.project.file, deployed)
        if options.named_template is None:
            _check_resources(best.project, deployed)
    found, missing = best.comparison.found, best.comparison.missing
    _check_patterns(options, best, deployed)
    logger.info("%s: code of %d functions is here, of %d not", best.name, len(found), len(missing))
    for name, source in found.items():
        logger.debug("the code of %s is in %s", name, source.code_dir)
    why_none = f"{best.name} has no function with code on this machine."
    return _finish(found, missing, why_none, options, deployed, best.comparison.undeployed)


# --- Projects -------------------------------------------------------------------------------------


def find_projects(folder: Path) -> list[Project]:
    """The projects of every kind in a folder, in the order of their precedence.

    Where two finders give the same file, the one that knows more of it counts.
    """
    projects: dict[Path, list[Project]] = {}
    for find in FINDERS:
        for project in find(folder):
            others = projects.setdefault(project.file, [])
            if project.stack_names or not others:
                others.append(project)
    return [project for others in projects.values() for project in others]


def _find_below(folder: Path, stack_name: str) -> list[Project]:
    """The project in a folder below which names a stack; what can't be read there counts as none.

    Raises SourceError if there are several: their code may be as like as their names are.
    """
    found: dict[Path, list[Project]] = {}
    for at in list_folders_below(folder):
        try:
            projects = find_projects(at)
        except (SourceError, OSError):
            continue
        own = [project for project in projects if stack_name in project.stack_names]
        if own:
            found[at] = own
    if len(found) > 1:
        names = ", ".join(str(at.relative_to(folder)) for at in found)
        raise SourceError(
            f"Several projects below {folder} have a stack {stack_name!r}: {names}.",
            "Attach in the folder of the one that was deployed, or name its template: "
            "--template PATH",
        )
    return [project for own in found.values() for project in own]


def find_template(path: Path, folder: Path, stack_name: str) -> Project:
    """The project that a template which the developer names in a folder is of; ``path`` is
    absolute.
    """
    projects = (tool.find_template_project(path) for tool in _TOOLS)
    found = next(filter(None, projects), None)
    return found or sam.read_source_project(path, folder, stack_name)


def list_candidates(options: CodeOptions, stack_name: str) -> list[Project]:
    """The projects that may serve a stack: those that name it, or else those that name none, or
    else one in a folder below that names it.

    Raises SourceError if there are projects, and each is another stack's.
    """
    if options.project is not None:
        return [options.project]
    if options.named_template is not None:
        _check_named_template(options, options.named_template)
        return [find_template(options.named_template, options.folder, stack_name)]
    projects = _leave_out_strays(find_projects(options.folder), options.folder)
    own = [project for project in projects if stack_name in project.stack_names]
    candidates = own or [project for project in projects if not project.stack_names]
    if candidates or options.names_code:
        return candidates
    below = _find_below(make_absolute(options.folder), stack_name)
    if below or not projects:
        return below
    names = sorted({name for project in projects for name in project.stack_names})
    file = projects[0].named_by or projects[0].file
    renewal = projects[0].renewal
    more = f" If it is another one of the same project: {renewal}" if renewal else ""
    raise SourceError(
        f"{file} has no stack {stack_name!r}.",
        f"{suggest(stack_name, names)} Or name the template of this one: --template PATH{more}",
    )


def _leave_out_strays(projects: list[Project], folder: Path) -> list[Project]:
    """The projects; where a tool has one, without templates that stand beside it by chance."""
    if find_tool(folder) is None:
        return projects
    return [project for project in projects if project.stack_names or _has_functions(project)]


def _has_functions(project: Project) -> bool:
    try:
        return bool(project.read({}))
    except SourceError:
        # What is wrong with a template is to be told.
        return is_template(project.file)


def _check_named_template(options: CodeOptions, path: Path) -> None:
    """Raises SourceError for a folder, and for what the settings file names and is not there."""
    where = "--template"
    if options.template is None and options.settings is not None:
        where = f"{options.settings.table}: template"
        if not path.exists():
            raise SourceError(f"{where}: there is no file {path}.", "It is relative to that file.")
    if is_folder(path):
        inner = cloudformation.find_template(path)
        raise SourceError(
            f"{where}: {path} is a folder, and not a template.",
            "Name a template in it, or attach there." if inner is None else f"Name {inner}.",
        )


# --- One project's functions ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """``project`` is None if the developer alone says where code is."""

    project: Project | None
    comparison: Comparison

    @property
    def name(self) -> str:
        return "what you named" if self.project is None else str(self.project.file)

    def explain_missing(self, function: str) -> str:
        if function in self.comparison.missing:
            return self.comparison.missing[function]
        if function in self.comparison.undeployed:
            return self.comparison.undeployed[function]
        if self.project is None:
            return "there is no template, and --code does not name it"
        return f"it is not in {self.project.file}"


def _read(
    project: Project | None,
    options: CodeOptions,
    stack_name: str,
    deployed: DeployedStack | None,
) -> _Reading:
    functions: Functions = {}
    if project is not None:
        parameters = {} if deployed is None else deployed.parameters
        functions = project.read(parameters)
        functions = replace_built_copies(functions, project.folder or project.file.parent)
        functions = _place_inline_code(project, functions, stack_name)
    by_hand = _name_code(functions, options, deployed)
    functions = {**functions, **by_hand}
    if options.settings is not None:
        sources = [(name, one) for name, one in functions.items() if isinstance(one, CodeSource)]
        functions |= apply_layers(sources, options.settings)
    if deployed is not None:
        file = None if project is None else project.file
        renewal = None if project is None else project.renewal
        return _Reading(project, compare(functions, deployed, file, by_hand, renewal))
    found = {name: one for name, one in functions.items() if isinstance(one, CodeSource)}
    missing = {name: one for name, one in functions.items() if isinstance(one, str)}
    return _Reading(project, Comparison(found, missing, {}, {}, len(functions)))


def _place_inline_code(project: Project, functions: Functions, stack_name: str) -> Functions:
    """Finds a folder for each function whose code stands in the template: it may be edited for one
    stack of several.
    """
    top = (project.folder or project.file.parent) / _INLINE / stack_name
    return {
        name: replace(one, code_dir=make_absolute(top / name))
        if isinstance(one, CodeSource) and one.inline is not None
        else one
        for name, one in functions.items()
    }


def _name_code(
    functions: Functions, options: CodeOptions, deployed: DeployedStack | None
) -> dict[str, CodeSource]:
    """The functions whose code the developer names, with that.

    Without any other knowledge, a name is one of a function. Raises UsageError for one that is
    none of a stack's, or for a pattern of no function.
    """
    names = {name for name in functions if not name.endswith("/*")}
    if deployed is not None:
        names |= deployed.functions.keys()
    else:
        names |= {pattern for pattern in options.code if not is_pattern(pattern)}
        names |= {*options.settings.stack.functions} if options.settings is not None else set()
    named: dict[str, CodeSource] = {}
    for name in sorted(names):
        code_dir = _find_named_code(name, options, deployed)
        if code_dir is not None:
            source = functions.get(name)
            known = source if isinstance(source, CodeSource) else CodeSource(code_dir)
            named[name] = replace(known, code_dir=code_dir, note="", inline=None)
    for pattern in options.code if deployed is not None else ():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"--code {pattern}={options.code[pattern]}: the stack has no function {pattern!r}.",
                suggest_function(pattern, names),
            )
    return named


def _find_named_code(
    name: str, options: CodeOptions, deployed: DeployedStack | None
) -> Path | None:
    """What the developer says: of a function, or of all that may be Python's."""
    may_run = _may_be_python(name, deployed)
    pattern = find_most_specific(options.code, name)
    if pattern is not None and (pattern == name or may_run):
        return options.code[pattern]
    settings = options.settings
    if settings is None or (name not in settings.stack.functions and not may_run):
        return None
    return settings.find_code(name)


def _may_be_python(name: str, deployed: DeployedStack | None) -> bool:
    function = None if deployed is None else deployed.functions.get(name)
    return function is None or may_be_python(function.runtime)


# --- The choice -----------------------------------------------------------------------------------


def _check_resources(project: Project, deployed: DeployedStack) -> None:
    """Raises SourceError if a project that names no stack is another one's, by what else it has."""
    if project.read_resources is None:
        return
    reason = find_foreign_resource(project.read_resources(deployed.parameters), deployed)
    if reason is not None:
        raise SourceError(
            f"{project.file} is not the template of stack {deployed.name}: {reason}.",
            f"If it is, say so: --template {project.file.name}. {TEMPLATE_HINT}",
        )


def _check_patterns(
    options: CodeOptions, reading: _Reading, deployed: DeployedStack | None
) -> None:
    """Raises SourceError for a pattern of ``--function`` that no function with code has."""
    comparison = reading.comparison
    names = sorted({*comparison.found, *comparison.missing})
    for pattern in options.functions:
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if any(name in comparison.found for name in matching):
            continue
        function = matching[0] if matching else pattern
        if matching or deployed is None or function in comparison.undeployed:
            reason = reading.explain_missing(function)
            hint = _CODE_HINT.format(function)
            if not matching and names:
                hint = f"{suggest(pattern, names)} {hint}"
            raise SourceError(f"There is no code for {function} here: {reason}.", hint)
        raise SourceError(
            f"--function {pattern}: stack {deployed.name} has no such function.",
            suggest_function(pattern, names),
        )


def _finish(
    found: Mapping[str, CodeSource],
    missing: Mapping[str, str],
    why_none: str,
    options: CodeOptions,
    deployed: DeployedStack | None,
    undeployed: Mapping[str, str] | None = None,
) -> ChosenSources:
    """What is chosen by ``--function``."""

    def choose(names: Iterable[str]) -> list[str]:
        return [name for name in names if options.includes(name)]

    undeployed = undeployed or {}
    names = {*found, *missing}
    is_all_known = not any(name.endswith("/*") for name in names)
    return ChosenSources(
        {name: found[name] for name in choose(found)},
        {name: missing[name] for name in choose(missing)},
        why_none,
        frozenset(names if is_all_known else ()),
        {name: f"it is not debugged: {undeployed[name]}" for name in choose(undeployed)}
        | {name: found[name].note for name in choose(found) if found[name].note},
        () if deployed is None else deployed.warnings,
        frozenset(
            () if deployed is None else (n for n in deployed.functions if not options.includes(n))
        ),
    )
