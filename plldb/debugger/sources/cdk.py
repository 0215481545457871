"""CDK: the stacks of a cloud assembly, and the folders that its assets were made from.

``cdk.out`` has a copy of each function's code, which ``cdk synth`` makes. What is edited is the
folder that it was made from. Where ``cdk synth --no-staging`` was used, the template names that;
otherwise nothing does, and it is found by what is in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from plldb.debugger.sources.cloud_assembly import (
    ASSET_IS_BUNDLED,
    ASSET_PATH,
    MANIFEST,
    SYNTH_HINT,
    CloudAssembly,
    SynthesisedStack,
    read_assembly,
)
from plldb.debugger.sources.functions import Layers, OtherStacks, read_functions, read_layers
from plldb.debugger.sources.package_origin import (
    NoOrigin,
    OriginFinder,
    Package,
    list_roots,
    read_file,
    walk_own,
)
from plldb.debugger.sources.project import (
    CodeSource,
    DescribedLayer,
    Functions,
    Parameters,
    Project,
    is_file,
    is_folder,
    make_absolute,
)
from plldb.errors import SourceError
from plldb.templates import as_dict, read_template

_SETTINGS = "cdk.json"
_OUTPUT = "cdk.out"
_RENEWAL = "cdk synth"
_CONTENTS = ("Code", "CodeUri", "Content", "ContentUri")
# Those that apps are written in, and how many files one may have.
_LANGUAGES = frozenset({".py", ".ts", ".mts", ".js", ".mjs", ".cjs", ".java", ".cs", ".go"})
_MOST_FILES = 5_000
# What the logical ids begin with of the CDK's own functions that are in Python.
_FRAMEWORK = re.compile(r"(CustomCDK\w+?)[0-9A-F]{32}|(BucketNotificationsHandler)[0-9a-f]{32}")
_OWN = "it is a function of the CDK's own, {}; name its code with --code, if you have it"
_GONE = "its copy {0} is not there any more; synthesise it again: cdk synth"
_NO_ORIGIN = (
    "its code is the copy that cdk synth has made, {0}, because {1}. Edits of the source have no "
    "effect until you deploy it; name its folder with --code, or use cdk synth --no-staging."
)
_NO_LAYER = (
    "its layer {} is the copy that cdk synth has made, {}, because {}. Edits of the source have no "
    "effect until you synthesise it again."
)


def find_projects(folder: Path) -> Sequence[Project]:
    """A project for each name of a stack that was synthesised, those in Stages included."""
    manifest = make_absolute(find_output(folder) / MANIFEST)
    if not is_file(manifest):
        return []
    assembly = read_assembly(manifest)
    origins = _Origins(make_absolute(folder), assembly)
    by_name: dict[str, list[SynthesisedStack]] = {}
    for stack in assembly.stacks:
        by_name.setdefault(stack.name, []).append(stack)
    return [
        Project(
            stacks[0].template,
            partial(_read_stacks, stacks, origins),
            frozenset({name}),
            manifest,
            make_absolute(folder),
            renewal=_RENEWAL,
        )
        for name, stacks in by_name.items()
    ]


def find_template_project(template: Path) -> Project | None:
    """The project that has a template which the developer names; None if it is no stack's of CDK.

    It serves whatever stack the developer names it for.
    """
    manifest = template.parent / MANIFEST
    if not manifest.is_file():
        return None
    # The assembly of a Stage lies in that of the app.
    whole = template.parent.parent / MANIFEST
    assembly = read_assembly(whole if whole.is_file() else manifest)
    if template not in (stack.template for stack in assembly.stacks):
        return None
    above = assembly.folder.parents
    app = next((at for at in above if (at / _SETTINGS).is_file()), above[0])
    origins = _Origins(app, assembly)
    return Project(
        template,
        partial(_read_template, template, origins),
        named_by=manifest,
        folder=app,
        renewal=_RENEWAL,
    )


def find_output(folder: Path) -> Path:
    """``cdk.out``, or what ``cdk.json`` names. https://docs.aws.amazon.com/cdk/v2/guide/cli.html"""
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        settings = {}  # The CDK itself says what is wrong with it.
    output = as_dict(settings).get("output")
    return folder / (output if isinstance(output, str) else _OUTPUT)


# --- Functions ------------------------------------------------------------------------------------


def _read_stacks(
    stacks: Sequence[SynthesisedStack], origins: _Origins, parameters: Parameters
) -> Functions:
    """The functions of a stack; of several with one name, what they agree in.

    An app deploys stacks of one name to several regions or accounts. Which of them is meant does
    not matter as long as their code is the same.
    """
    first, *others = (
        (stack, _read_template(stack.template, origins, parameters)) for stack in stacks
    )
    functions = dict(first[1])
    for other, theirs in others:
        for name in functions.keys() | theirs.keys():
            if functions.get(name) != theirs.get(name):
                functions[name] = (
                    f"the app has other code for it in each of {first[0].artifact_id} "
                    f"({first[0].environment}) and {other.artifact_id} ({other.environment})"
                )
    return functions


def _read_template(template: Path, origins: _Origins, parameters: Parameters) -> Functions:
    """The functions of a template and of the nested stacks in it."""
    origins.require_template(template)
    locate = partial(origins.locate, template.parent)
    others = origins.describe_others(template.parent)
    return {
        name: origins.adapt(name.rpartition("/")[2], found)
        for name, found in read_functions(template, parameters, locate, others=others).items()
    }


def _get_metadata(resource: object) -> Mapping[str, Any]:
    return as_dict(as_dict(resource).get("Metadata"))


@dataclass(frozen=True)
class _Origins:
    """Where the assets of an assembly came from; ``folder`` is that of the app."""

    folder: Path
    assembly: CloudAssembly

    def locate(self, folder: Path, _: str, resource: Mapping[str, Any]) -> Path | str | None:
        """The asset of a function or a layer; a zip file if somebody else made it.

        Without the command line of the CDK, the app writes no metadata.
        """
        path = _get_metadata(resource).get(ASSET_PATH)
        asset = folder / path if isinstance(path, str) else self._find_by_key(resource)
        if asset is None:
            return None
        asset = make_absolute(asset)
        if _get_metadata(resource).get(ASSET_IS_BUNDLED) is False:
            self._unbundled.add(asset)
        return asset if is_folder(asset) or is_file(asset) else _GONE.format(asset)

    def _find_by_key(self, resource: Mapping[str, Any]) -> Path | None:
        properties = as_dict(resource.get("Properties"))
        content = next((as_dict(properties[name]) for name in _CONTENTS if name in properties), {})
        return self.assembly.assets.get(str(content.get("S3Key", content.get("Key"))))

    @cached_property
    def _unbundled(self) -> set[Path]:
        """The assets that were located and are as they were in the app."""
        return set()

    def require_template(self, template: Path) -> None:
        """Raises SourceError if it is not there."""
        if not is_file(template):
            raise SourceError(
                f"{self.assembly.manifest} is out of date: there is no {template}.", SYNTH_HINT
            )

    def describe_others(self, folder: Path) -> OtherStacks:
        """What templates in a folder have from other stacks."""
        return OtherStacks(
            find_exported=self.find_exported, find_template=partial(self._find_nested, folder)
        )

    def _find_nested(self, folder: Path, resource: Mapping[str, Any]) -> Path | None:
        path = _get_metadata(resource).get(ASSET_PATH)
        if not isinstance(path, str):
            return None
        self.require_template(folder / path)
        return folder / path

    def find_exported(self, name: str) -> Layers:
        """The layer that a stack of the app exports under a name; none if it is something else."""
        if name not in self._exported:
            # It may be asked for again on the way.
            self._exported[name] = ()
            self._exported[name] = self._read_exported(name)
        return self._exported[name]

    @cached_property
    def _exported(self) -> dict[str, Layers]:
        """What was asked for: all functions of an app may have the same layer."""
        return {}

    def _read_exported(self, name: str) -> Layers:
        template, value = self._exports.get(name, (None, None))
        if template is None:
            return ()
        locate = partial(self.locate, template.parent)
        others = self.describe_others(template.parent)
        return read_layers(template, {}, locate, others, {name: value}).get(name, ())

    @cached_property
    def _exports(self) -> Mapping[str, tuple[Path, Any]]:
        """What all stacks export, each with the template that it stands in, by its name."""
        exports: dict[str, tuple[Path, Any]] = {}
        for stack in self.assembly.stacks:
            template = read_template(stack.template) if is_file(stack.template) else {}
            for output in map(as_dict, as_dict(template.get("Outputs")).values()):
                name = as_dict(output.get("Export")).get("Name")
                if isinstance(name, str):
                    exports[name] = stack.template, output.get("Value")
        return exports

    def adapt(self, logical_id: str, found: CodeSource | str) -> CodeSource | str:
        """A function as the app has it, in place of what its template says."""
        if isinstance(found, str):
            return found
        own = _FRAMEWORK.match(logical_id)
        if own is not None:
            return _OWN.format(own[1] or own[2])
        return found if found.inline is not None else self._replace_copies(found)

    def _replace_copies(self, source: CodeSource) -> CodeSource | str:
        """The function with the folders that its assets are copies of; or a word on what has none.

        What is no copy, since nothing was staged, stays as it is.
        """
        layers = tuple(self._replace_layer(layer) for layer in source.layers)
        source = replace(source, layers=layers, note=self._describe_copies(source.layers))
        # Who says nothing may have built it; a zip file was made by something else.
        is_bundled = source.code_dir not in self._unbundled
        package = Package(source.code_dir, is_bundled or is_file(source.code_dir))
        if not self._is_copy(package.path) and package.path.is_dir():
            return source
        origin = self._finder.find(package, source.handler or "")
        if isinstance(origin, Path):
            build_dir = package.path if package.is_bundled and package.path.is_dir() else None
            return replace(source, code_dir=origin, build_dir=build_dir)
        if package.path.is_file():
            return f"its code is a file, {package.path}, and {origin.reason}"
        return replace(source, note=_NO_ORIGIN.format(package.path, origin.reason))

    def _replace_layer(self, layer: DescribedLayer) -> DescribedLayer:
        """What was installed into a layer is nowhere else; it is not edited, either."""
        folders: list[Path] = []
        for folder in layer.folders:
            origin = self._find_layer_once(folder)
            if not isinstance(origin, Path) or folder not in self._unbundled:
                folders.append(folder)
            if isinstance(origin, Path):
                folders.append(origin)
        return replace(layer, folders=tuple(folders))

    def _find_layer_once(self, folder: Path) -> Path | NoOrigin | None:
        if folder not in self._layers:
            self._layers[folder] = self._find_layer(folder)
        return self._layers[folder]

    @cached_property
    def _layers(self) -> dict[Path, Path | NoOrigin | None]:
        """What was found: all functions of an app may have the same layer."""
        return {}

    def _find_layer(self, folder: Path) -> Path | NoOrigin | None:
        """The folder that a layer is a copy of; None if it is no copy of one in the project.

        Of a package, PythonLayerVersion puts the content into a folder ``python``.
        https://docs.aws.amazon.com/cdk/api/v2/docs/aws-lambda-python-alpha-readme.html
        """
        if not self._is_copy(folder):
            return None
        is_bundled = folder not in self._unbundled
        packages = [Package(folder, is_bundled), Package(folder / "python", is_bundled)]
        origins = [self._finder.find(one) for one in packages[: 1 + is_bundled]]
        found = next((one for one in origins if isinstance(one, Path)), None)
        is_here = any(self._finder.may_be_here(one) for one in packages)
        return found or (origins[-1] if is_here else None)

    def _describe_copies(self, layers: Layers) -> str:
        """The first one that was not traced back to its folder, which may be edited."""
        for layer in layers:
            for folder in layer.folders:
                origin = self._find_layer_once(folder)
                if isinstance(origin, NoOrigin):
                    return _NO_LAYER.format(layer.name, folder, origin.reason)
        return ""

    def _is_copy(self, path: Path) -> bool:
        return path.is_relative_to(self.assembly.folder)

    @cached_property
    def _finder(self) -> OriginFinder:
        paths = {*self.assembly.assets.values(), *self.assembly.images}
        packages = [Package(path, True) for path in paths]
        return OriginFinder(list_roots(self.folder), packages, self._is_named)

    def _is_named(self, folder: Path) -> bool:
        """Whether the app speaks of a folder of that name: it has it in a text, or in a path."""
        name = re.escape(folder.name)
        pattern = re.compile(rf"[\"'`/\\]{name}[\"'`/\\]")
        return any(
            pattern.search(text) and not path.is_relative_to(folder)
            for path, text in self._texts.items()
        )

    @cached_property
    def _texts(self) -> dict[Path, str]:
        """What the app consists of, in whatever language."""
        texts: dict[Path, str] = {}
        for here, _, files in walk_own(self.folder):
            for name in files:
                if Path(name).suffix in _LANGUAGES and len(texts) < _MOST_FILES:
                    texts[here / name] = read_file(here / name).decode(errors="replace")
        return texts
