"""SAM: what ``samconfig.toml`` says of stacks and their templates, environment by environment.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from plldb.debugger.sources.cloudformation import find_template, list_templates
from plldb.debugger.sources.functions import BuildFolders, read_functions, read_resources
from plldb.debugger.sources.project import (
    CodeSource,
    Functions,
    Parameters,
    Project,
    is_folder,
    make_absolute,
)
from plldb.errors import SourceError
from plldb.templates import as_dict, read_values

logger = logging.getLogger(__name__)

# The first one that is there counts.
_CONFIGURATIONS = ("samconfig.toml", "samconfig.yaml", "samconfig.yml")
# Such as samconfig-prod.toml.
_OTHER_CONFIGURATIONS = "samconfig*"
_SUFFIXES = frozenset({".toml", ".yaml", ".yml"})
DEFAULT_ENVIRONMENT = "default"
_OUTPUT = ".aws-sam"
_BUILT = (
    "its code is the copy that sam build has made, {0}. Edits of the source have no effect until "
    "you build it again; name the template that this was built from with --template"
)
# Of the commands whose parameters matter, the later one wins.
_NAMING = ("global", "sync", "deploy")
_TAKING = ("package", "deploy", "sync", "global", "build")
_BUILDING = ("global", "build")
_PACKAGING = ("global", "package")


@dataclass(frozen=True)
class _Deployment:
    """A template and how it is built: the environments that agree in it may have several names."""

    template: Path
    folders: BuildFolders


def find_projects(folder: Path) -> Sequence[Project]:
    """A project for each template that the configuration deploys, with the stacks it makes of it.

    Where that names no stack at all, they are templates like any other, of which those elsewhere
    are of use. Raises SourceError if the configuration can't be read.
    """
    root = find_template(folder)
    if find_configuration(folder) is None and root is not None:
        project = find_template_project(root)
        return [] if project is None else [project]
    names: dict[_Deployment, set[str]] = {}
    files: dict[_Deployment, Path] = {}
    for path, environments, defaults in _read_configurations(folder):
        for environment in map(as_dict, environments.values()):
            deployment = _find_deployment(environment, defaults, folder)
            name = _find_parameter(environment, "stack_name", _NAMING)
            if deployment is not None:
                names.setdefault(deployment, set()).update(() if name is None else (name,))
                files.setdefault(deployment, path)
        if root is not None and not any(names.values()):
            # The template here is of any stack, whatever another file calls one of its own.
            break
    is_named = any(names.values())
    return [
        Project(
            one.template,
            partial(read_functions, one.template, folders=one.folders),
            frozenset(stacks),
            files[one],
            read_resources=None if is_named else partial(read_resources, one.template),
        )
        for one, stacks in names.items()
        if stacks or (not is_named and one.template != root)
    ]


def _read_configurations(
    folder: Path,
) -> Iterator[tuple[Path, Mapping[str, Any], Sequence[Mapping[str, Any]]]]:
    """The environments of the configuration, then those of others beside it, as ``--config-file``
    names them: each with the default ones that may have built its stacks, the likeliest first.

    Raises SourceError if the configuration can't be read; others need not be any.
    """
    default: list[Mapping[str, Any]] = []
    first = find_configuration(folder)
    if first is not None:
        environments = read_configuration(first)
        default.append(as_dict(environments.get(DEFAULT_ENVIRONMENT)))
        yield first, environments, default
    for path in sorted(folder.glob(_OTHER_CONFIGURATIONS)):
        if path.suffix in _SUFFIXES and path.name not in _CONFIGURATIONS and path.is_file():
            try:
                environments = read_configuration(make_absolute(path))
            except SourceError as error:
                logger.info("%s", error)
                continue
            own = as_dict(environments.get(DEFAULT_ENVIRONMENT))
            yield make_absolute(path), environments, [own, *default]


def find_template_project(template: Path) -> Project | None:
    """The project that a template which ``sam build`` wrote was made from; None if it is another.

    It serves whatever stack the developer names it for.
    """
    if _OUTPUT not in template.parts:
        return None
    app = next(at.parent for at in template.parents if at.name == _OUTPUT)
    is_top = len(template.relative_to(app / _OUTPUT).parts) == 2
    sources = {project.file: project for project in find_projects(app)} if is_top else {}
    if len(sources) == 1:
        ((_, project),) = sources.items()
        return replace(project, stack_names=frozenset(), named_by=None)
    source = find_template(app)
    if not sources and is_top and source is not None:
        return Project(source, partial(read_functions, source))
    return Project(template, partial(_read_build, template))


def read_source_project(template: Path, folder: Path, stack_name: str) -> Project:
    """The project of a template that the developer names in a folder, of whatever stack: it is
    built as the configuration there says, or in that folder.
    """
    try:
        projects = [project for project in find_projects(folder) if project.file == template]
    except SourceError:
        # To name the template is the way out of that.
        projects = []
    if projects:
        own = (project for project in projects if stack_name in project.stack_names)
        return replace(next(own, projects[0]), stack_names=frozenset(), named_by=None)
    places = (make_absolute(at / _OUTPUT / "build") for at in (template.parent, folder))
    folders = BuildFolders(build=next(filter(is_folder, places), None))
    return Project(template, partial(read_functions, template, folders=folders))


def _read_build(template: Path, parameters: Parameters) -> Functions:
    """The functions as they were built, since nothing says what from."""
    return {
        name: replace(one, note=_BUILT.format(one.code_dir))
        if isinstance(one, CodeSource) and one.inline is None
        else one
        for name, one in read_functions(template, parameters).items()
    }


def find_configuration(folder: Path) -> Path | None:
    paths = (make_absolute(folder / name) for name in _CONFIGURATIONS)
    return next((path for path in paths if path.is_file()), None)


def read_configuration(path: Path) -> Mapping[str, Any]:
    """The environments, by their names. Raises SourceError if it can't be read."""
    hint = "Mend it, or name the stack's template with --template PATH."
    if path.suffix != ".toml":
        return as_dict(read_values(path))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no valid TOML: {error}.", hint) from None
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.", hint) from None


def list_parameters(environment: Mapping[str, Any], command: str) -> Iterator[tuple[str, Any]]:
    """What an environment says for a command, by names as SAM's parameters have them."""
    parameters = as_dict(as_dict(environment.get(command)).get("parameters"))
    for name, value in parameters.items():
        yield str(name).replace("-", "_"), value


def find_deployed_template(folder: Path) -> Path | None:
    """The template that ``sam deploy`` takes in a folder, if there is one."""
    path = find_configuration(folder)
    environments = {} if path is None else read_configuration(path)
    default = as_dict(environments.get(DEFAULT_ENVIRONMENT))
    return _find_template(default, (default,), folder)


def _find_deployment(
    environment: Mapping[str, Any], defaults: Sequence[Mapping[str, Any]], folder: Path
) -> _Deployment | None:
    """What an environment deploys: often what ``sam build`` has made of a default one's template,
    as that says.
    """
    template = _find_template(environment, defaults, folder)
    if template is None:
        return None
    is_of = (one for one in defaults if _find_template(one, (one,), folder) == template)
    told = (environment, *is_of)

    def find_told(name: str) -> Path | None:
        found = (_find_parameter(one, name, _BUILDING) for one in told)
        value = next(filter(None, found), None)
        return None if value is None else make_absolute(folder / value)

    build = find_told("build_dir") or make_absolute(folder / _OUTPUT / "build")
    return _Deployment(template, BuildFolders(find_told("base_dir"), build))


def _find_template(
    environment: Mapping[str, Any], defaults: Sequence[Mapping[str, Any]], folder: Path
) -> Path | None:
    """The one that an environment deploys, or is built from."""
    building = () if "build" in environment else defaults
    packaged = {
        make_absolute(folder / name)
        for one in (environment, *defaults)
        for name in _list_parameters(one, "output_template_file", _PACKAGING)
    }

    def list_sources(one: Mapping[str, Any], commands: Sequence[str]) -> Iterator[Path]:
        """Those that are written by hand, and not what was built or packaged from them."""
        for name in _list_parameters(one, "template_file", commands):
            path = make_absolute(folder / name)
            is_packaged = path in packaged or "packaged" in path.name
            if _OUTPUT not in path.parts and not is_packaged:
                yield path

    found = chain(
        list_sources(environment, _TAKING),
        *(list_sources(one, _BUILDING) for one in building),
        list_templates(folder),
        *(list_sources(one, _TAKING) for one in defaults),
    )
    return next(found, None)


def _find_parameter(
    environment: Mapping[str, Any], name: str, commands: Sequence[str]
) -> str | None:
    return next(_list_parameters(environment, name, commands), None)


def _list_parameters(
    environment: Mapping[str, Any], name: str, commands: Sequence[str]
) -> Iterator[str]:
    """What an environment says for its commands, the strongest first."""
    for command in reversed(commands):
        for key, value in list_parameters(environment, command):
            if key == name and isinstance(value, str) and value:
                yield value
