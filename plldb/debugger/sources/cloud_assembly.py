"""A cloud assembly: what ``cdk synth`` writes into cdk.out.

``manifest.json`` names the artifacts: stacks with their templates, and the assemblies of Stages, in
folders of their own. https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plldb.debugger.sources.project import is_file, make_absolute, read_json
from plldb.errors import SourceError
from plldb.templates import as_dict, as_list

MANIFEST = "manifest.json"
_TEMPLATE = ".template.json"
# Of a resource's metadata:
# https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/cx-api/lib/assets.ts
ASSET_PATH, ASSET_IS_BUNDLED, ASSET_DOCKERFILE, ASSET_TARGET, ASSET_BUILD_ARGS = (
    "aws:asset:path",
    "aws:asset:is-bundled",
    "aws:asset:dockerfile-path",
    "aws:asset:docker-build-target",
    "aws:asset:docker-build-args",
)
_STACK, _ASSEMBLY, _ASSETS = (
    "aws:cloudformation:stack",
    "cdk:cloud-assembly",
    "cdk:asset-manifest",
)
SYNTH_HINT = "Synthesise it again: cdk synth"


@dataclass(frozen=True)
class SynthesisedStack:
    """A stack; ``artifact_id`` is its id in the app, ``name`` the one that it is deployed by.

    ``environment`` is where to, such as ``aws://unknown-account/eu-west-1``. ``dependencies`` are
    the ids of artifacts that have to be deployed before it, stacks among them.
    """

    name: str
    artifact_id: str
    template: Path
    environment: str
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True)
class CloudAssembly:
    """``manifest`` is the file. ``assets`` are the packages of all its stacks, folders and zip
    files, by the keys that they have in the bucket; ``buckets`` are named as templates name them.
    ``images`` are the folders that container images are made of.
    """

    manifest: Path
    stacks: tuple[SynthesisedStack, ...]
    assets: Mapping[str, Path]
    buckets: frozenset[str]
    images: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        return self.manifest.parent


def read_assembly(manifest: Path) -> CloudAssembly:
    """Raises SourceError if it is none, or if one that it names is not there."""
    stacks: list[SynthesisedStack] = []
    assets: dict[str, Path] = {}
    buckets: set[str] = set()
    images: list[Path] = []
    for folder, artifact_id, artifact in _list_artifacts(manifest):
        properties = as_dict(artifact.get("properties"))
        if artifact.get("type") == _STACK:
            stacks.append(_read_stack(folder, artifact_id, artifact, properties))
        elif artifact.get("type") == _ASSETS:
            for bucket, key, path in _list_packages(folder, properties.get("file")):
                assets[key] = path
                buckets.add(bucket)
            images += _list_images(folder, properties.get("file"))
    named = frozenset(buckets - {""})
    return CloudAssembly(manifest, tuple(stacks), assets, named, tuple(images))


def _list_artifacts(manifest: Path) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """Of this assembly and those in it: the folder of each, its id, and what is said of it."""
    folder = manifest.parent
    content = as_dict(read_json(manifest, SYNTH_HINT))
    artifacts = content.get("artifacts", {})
    if not isinstance(content.get("version"), str) or not isinstance(artifacts, dict):
        raise SourceError(f"{manifest} is no manifest of a cloud assembly.", SYNTH_HINT)
    for artifact_id, value in artifacts.items():
        artifact = as_dict(value)
        if artifact.get("type") == _ASSEMBLY:
            name = as_dict(artifact.get("properties")).get("directoryName")
            # Only below: no manifest leads out of its folder, or around in a circle.
            if not isinstance(name, str) or Path(name).name != name or name in ("", "..", "."):
                raise _malformed(manifest, artifact_id, content)
            yield from _list_artifacts(folder / name / MANIFEST)
        else:
            yield folder, artifact_id, artifact


def _read_stack(
    folder: Path, artifact_id: str, artifact: Mapping[str, Any], properties: Mapping[str, Any]
) -> SynthesisedStack:
    name = properties.get("stackName", artifact_id)
    file = properties.get("templateFile")
    if not isinstance(name, str) or not isinstance(file, str):
        raise _malformed(folder / MANIFEST, artifact_id, {})
    dependencies = tuple(str(one) for one in as_list(artifact.get("dependencies")))
    environment = str(artifact.get("environment", ""))
    return SynthesisedStack(name, artifact_id, folder / file, environment, dependencies)


def _list_packages(folder: Path, file: object) -> Iterator[tuple[str, str, Path]]:
    """Those of an asset manifest: the bucket, the key and the file of each. It has templates as
    well, which are single files.
    """
    for asset in _list_assets(folder, file, "files"):
        path = as_dict(asset.get("source")).get("path")
        if not isinstance(path, str) or path.endswith(_TEMPLATE):
            continue
        for one in map(as_dict, as_dict(asset.get("destinations")).values()):
            yield (
                str(one.get("bucketName") or ""),
                str(one.get("objectKey")),
                make_absolute(folder / path),
            )


def _list_images(folder: Path, file: object) -> Iterator[Path]:
    for asset in _list_assets(folder, file, "dockerImages"):
        path = as_dict(asset.get("source")).get("directory")
        if isinstance(path, str):
            yield make_absolute(folder / path)


def _list_assets(folder: Path, file: object, section: str) -> Iterator[Mapping[str, Any]]:
    if isinstance(file, str) and is_file(folder / file):
        content = as_dict(read_json(folder / file, SYNTH_HINT))
        yield from map(as_dict, as_dict(content.get(section)).values())


def _malformed(manifest: Path, artifact_id: str, content: Mapping[str, Any]) -> SourceError:
    version = f" (version {content['version']})" if "version" in content else ""
    return SourceError(
        f"{manifest}{version}: the artifact {artifact_id} makes no sense.", SYNTH_HINT
    )
