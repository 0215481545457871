"""The stacks of a project, packaged: SAM's and CloudFormation's templates, CDK, Serverless."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from plldb.bootstrap.packager import make_zip
from plldb.debugger.sources.cdk import find_output
from plldb.debugger.sources.choice import find_projects
from plldb.debugger.sources.cloud_assembly import (
    MANIFEST,
    CloudAssembly,
    SynthesisedStack,
    read_assembly,
)
from plldb.debugger.sources.project import Parameters, make_absolute
from plldb.debugger.sources.sam import find_deployed_template
from plldb.debugger.sources.serverless import name_nested_template
from plldb.dev.code_zip import Upload, list_entries
from plldb.dev.template_package import (
    Adaptation,
    PackagedTemplate,
    Storage,
    package_template,
    render,
)
from plldb.errors import SourceError, UsageError
from plldb.templates import as_dict

_SERVERLESS_TEMPLATE = Path(".serverless", "cloudformation-template-update-stack.json")
# The bucket that `cdk bootstrap` makes, as templates name it; an app may have one of its own:
# https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
_CDK_BUCKET = re.compile(
    r"cdk-[a-z0-9]+-assets-(?:\$\{AWS::AccountId\}|\d{12})-(?:\$\{AWS::Region\}|[a-z]+(?:-[a-z]+)+-\d)"
)
# They only say which version of that must be there.
_CDK_CHECK = ("Parameters", "BootstrapVersion"), ("Rules", "CheckBootstrapVersion")
_HINT = (
    "Name it with --template. For a CDK app, run 'cdk synth' first; for Serverless, 'sls package'."
)


@dataclass(frozen=True)
class StackSource:
    """A stack of a project: ``name`` is None if the project does not say how it is called.

    ``package`` makes of it what can be deployed, given where uploads go, what is to be changed for
    the target, and the parameters that it is deployed with.
    """

    name: str | None
    template: Path
    package: Callable[[Storage, Adaptation, Parameters], PackagedTemplate]


def find_stack_sources(folder: Path, template: Path | None) -> list[StackSource]:
    """The stacks of the project in a folder, in the order in which they have to be deployed; with
    ``template``, the one of that.

    Raises SourceError if there is none, or if it makes no sense.
    """
    if template is not None:
        path = make_absolute(folder / template.expanduser())
        if path.name == MANIFEST:
            return _list_synthesised(read_assembly(path))
        for manifest in (path / MANIFEST, path.parent / MANIFEST):
            if manifest.is_file():
                stacks = _list_synthesised(read_assembly(manifest))
                return [one for one in stacks if path.is_dir() or one.template == path] or stacks
        if not path.is_file():
            what = f"{path} is a folder, and not a template." if path.is_dir() else ""
            raise SourceError(what or f"There is no template {path}.", _HINT)
        return [_read_template(path)]
    if (found := find_deployed_template(folder)) is not None:
        return [_read_template(found)]
    manifest = make_absolute(find_output(folder) / MANIFEST)
    if manifest.is_file():
        return _list_synthesised(read_assembly(manifest))
    if (folder / _SERVERLESS_TEMPLATE).is_file():
        return [_read_template(make_absolute(folder / _SERVERLESS_TEMPLATE))]
    raise SourceError(f"There is no template to deploy in {make_absolute(folder)}.", _HINT)


def choose_stacks(sources: Sequence[StackSource], stack_name: str | None) -> list[StackSource]:
    """All, or of several the one of that name. Raises UsageError if there is none."""
    if stack_name is None or len(sources) == 1:
        return list(sources)
    chosen = [one for one in sources if one.name == stack_name]
    if chosen:
        return chosen
    from plldb.config import suggest

    names = [one.name for one in sources if one.name is not None]
    raise UsageError(f"The app has no stack {stack_name!r}.", suggest(stack_name, names))


def _read_template(path: Path) -> StackSource:
    name = _find_name(path, path.parent)
    if path.name == _SERVERLESS_TEMPLATE.name:
        name = name or _find_name(path, path.parent.parent)
        return StackSource(name, path, partial(_package_serverless, path))
    return StackSource(name, path, partial(package_template, path))


def _find_name(path: Path, folder: Path) -> str | None:
    """What the project in a folder calls the stack of a template, if it is one name."""
    return next(
        (
            min(project.stack_names)
            for project in find_projects(folder)
            if project.file == path and len(project.stack_names) == 1
        ),
        None,
    )


# --- Serverless -----------------------------------------------------------------------------------


def _package_serverless(
    path: Path, storage: Storage, adaptation: Adaptation, parameters: Parameters
) -> PackagedTemplate:
    """Its zips and nested templates lie beside the template, and go into a bucket of the stack's
    own otherwise.
    """

    def name_files(body: dict[str, Any]) -> list[str]:
        for resource in body["Resources"].values():
            properties = as_dict(as_dict(resource).get("Properties"))
            for name in ("Code", "Content"):
                key = as_dict(properties.get(name)).get("S3Key")
                if isinstance(key, str) and (path.parent / Path(key).name).is_file():
                    properties[name] = Path(key).name
            nested = name_nested_template(properties)
            if nested is not None and (path.parent / nested).is_file():
                properties["TemplateURL"] = nested
        return adaptation.prepare(body)

    return package_template(path, storage, replace(adaptation, prepare=name_files), parameters)


# --- CDK ------------------------------------------------------------------------------------------


def _list_synthesised(assembly: CloudAssembly) -> list[StackSource]:
    return [
        StackSource(stack.name, stack.template, partial(_package_synthesised, assembly, stack))
        for stack in _sort(assembly.stacks)
    ]


def _sort(stacks: Sequence[SynthesisedStack]) -> list[SynthesisedStack]:
    """Each one after those that it depends on."""
    by_id = {stack.artifact_id: stack for stack in stacks}
    ordered: dict[str, SynthesisedStack] = {}

    def add(stack: SynthesisedStack, above: frozenset[str]) -> None:
        for artifact_id in stack.dependencies:
            if artifact_id in by_id and artifact_id not in above:
                add(by_id[artifact_id], above | {stack.artifact_id})
        ordered.setdefault(stack.artifact_id, stack)

    for stack in stacks:
        add(stack, frozenset())
    return list(ordered.values())


def _package_synthesised(
    assembly: CloudAssembly,
    stack: SynthesisedStack,
    storage: Storage,
    adaptation: Adaptation,
    parameters: Parameters,
) -> PackagedTemplate:
    """Its assets go into plldb's bucket, so that nobody need run ``cdk bootstrap``."""

    def move(body: dict[str, Any]) -> list[str]:
        for part, name in _CDK_CHECK:
            as_dict(body.get(part)).pop(name, None)
            if body.get(part) == {}:
                del body[part]
        body["Resources"] = _replace(body["Resources"], assembly, storage)
        return adaptation.prepare(body)

    moving = replace(adaptation, prepare=move)
    packaged = package_template(stack.template, storage, moving, parameters)
    text = "".join(map(render, (packaged.body, *packaged.nested)))
    assets = tuple(_list_assets(assembly, storage, text))
    return replace(packaged, uploads=(*assets, *packaged.uploads))


def _list_assets(assembly: CloudAssembly, storage: Storage, text: str) -> Iterator[Upload]:
    for key, path in assembly.assets.items():
        if storage.prefix + key in text:
            if not path.exists():
                raise SourceError(f"The asset {path} is not there.", "Run 'cdk synth' again.")
            yield Upload(storage.prefix + key, partial(_read_asset, path))


def _read_asset(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else make_zip(list_entries(path), is_deflated=True)


def _replace(value: Any, assembly: CloudAssembly, storage: Storage) -> Any:
    if isinstance(value, Mapping):
        return {key: _replace(one, assembly, storage) for key, one in value.items()}
    if isinstance(value, list):
        return [_replace(one, assembly, storage) for one in value]
    if not isinstance(value, str):
        return value
    moved = _CDK_BUCKET.sub(storage.bucket, value)
    for bucket in assembly.buckets:
        moved = _name_in_place(bucket).sub(storage.bucket, moved)
    key = next((key for key in _list_ends(moved) if key in assembly.assets), "")
    return moved.removesuffix(key) + storage.prefix + key if key else moved


def _name_in_place(bucket: str) -> re.Pattern[str]:
    """Where a text is a bucket's name, or has it in a URL or an ARN."""
    return re.compile(rf"(?<![^/:]){re.escape(bucket)}(?![^/])")


def _list_ends(value: str) -> Iterator[str]:
    """What a text may have of a key, the longest first."""
    parts = value.split("/")
    return ("/".join(parts[at:]) for at in range(len(parts)))
