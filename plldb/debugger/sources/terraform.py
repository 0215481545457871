"""Terraform and OpenTofu: the functions in what ``terraform show -json`` says, of state or plan.

There is no stack; the functions go by their names at Lambda. The code of one is what its archive
was made of. https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from plldb.debugger.sources.package_origin import (
    OriginFinder,
    Package,
    has_its_name,
    list_roots,
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
    may_be_python,
)
from plldb.debugger.wrapped_handlers import find_own_handler
from plldb.errors import SourceError
from plldb.templates import as_dict, as_list

_FUNCTION, _LAYER = "aws_lambda_function", "aws_lambda_layer_version"
_ARCHIVE, _EXTERNAL = "archive_file", "external"
_OBJECTS = ("aws_s3_object", "aws_s3_bucket_object")
# Of a source_path, those that install nothing.
_PLAIN_OPTIONS = ("path", "prefix_in_zip", "patterns")
_KNOWN_MAJOR = ("0", "1")
_HINT = "Make it with: terraform show -json > FILE (or tofu show -json)"
_DIFFERING = (
    "the configuration has functions of this name with other code, as in several regions; name its "
    "code with --code"
)

_Values = Mapping[str, Any]


def read_project_file(file: Path) -> Project:
    """The functions in a file. Raises SourceError if it can't be read.

    Its paths are those that Terraform had in the folder where it ran: the file's, or this one.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SourceError(f"{file} can't be read: {reason}.", _HINT) from None
    return read_project(text, file, [file.parent, Path.cwd()])


def read_project(text: str | bytes, file: Path, folders: Sequence[Path]) -> Project:
    """The functions of a configuration. Its paths are relative to one of ``folders``.

    ``file`` is where the text is from, for messages. Raises SourceError if it makes no sense.
    """
    resources = _read_resources(text, file)
    configuration = _Configuration(tuple(make_absolute(at) for at in folders), resources)
    read = partial(_read_functions, configuration)
    return Project(file, read, folder=configuration.folders[0])


def _read_functions(configuration: _Configuration, parameters: Parameters) -> Functions:
    """Those of one name are deployed to several regions, of which one is known in the end."""
    by_name: dict[str, list[_Values]] = {}
    for kind, values in configuration.resources:
        if kind == _FUNCTION and isinstance(values.get("function_name"), str):
            by_name.setdefault(str(values["function_name"]), []).append(values)
    region = parameters.get("AWS::Region")
    functions: dict[str, CodeSource | str] = {}
    for name, alike in by_name.items():
        here = [values for values in alike if _find_region(values) == region]
        first, *others = map(configuration.describe, here or alike)
        is_doubtful = region is not None and any(other != first for other in others)
        functions[name] = _DIFFERING if is_doubtful else first
    return functions


def _find_region(function: _Values) -> str | None:
    arn = (_text(function, "arn") or "").split(":")
    return _text(function, "region") or (arn[3] if len(arn) > 3 else None)


@dataclass(frozen=True)
class _Archive:
    """What a package was made of: a folder, or why there is none; and the folders ``beside`` that,
    whose content is in it as well. ``has_more``: packages were installed into it.
    """

    path: str
    content_hash: str | None
    source: Path | str
    beside: tuple[Path, ...] = ()
    has_more: bool = False


@dataclass(frozen=True)
class _Configuration:
    """``resources`` are types and values; modules make no difference."""

    folders: tuple[Path, ...]
    resources: tuple[tuple[str, _Values], ...]

    def describe(self, function: _Values) -> CodeSource | str:
        handler, runtime = _text(function, "handler"), _text(function, "runtime")
        if function.get("package_type") == "Image":
            return "it is a container image; name its code with --code"
        if not may_be_python(runtime):
            return f"its runtime is {runtime}"
        # The block of that name, of which there may be one.
        environment = next(iter(as_list(function.get("environment"))), None)
        variables = as_dict(as_dict(environment).get("variables"))
        if handler is not None:
            handler = find_own_handler(handler, variables)
        code = self._find_code(function, handler or "")
        if isinstance(code, str):
            return code
        arns = as_list(function.get("layers"))
        layers = tuple(layer for arn in arns for layer in self._describe_layer(arn))
        archive = self._find_archive(function)
        if archive is not None and archive.beside:
            layers += (DescribedLayer("source_path", archive.beside, is_deployed=False),)
        return CodeSource(
            code, handler, runtime, layers, physical_name=_text(function, "function_name")
        )

    def _describe_layer(self, arn: object) -> Iterator[DescribedLayer]:
        layer = self._layers.get(str(arn))
        if layer is None:
            yield DescribedLayer(str(arn), reason="it is none of this configuration's")
            return
        name = _text(layer, "layer_name")
        content, archive = self._find_code(layer, None), self._find_archive(layer)
        beside = archive.beside if archive is not None else ()
        if isinstance(content, str):
            yield DescribedLayer(str(arn), reason=content, layer_name=name)
        elif archive is not None and archive.has_more:
            yield DescribedLayer(
                str(arn), reason="packages were installed into it", layer_name=name
            )
            yield DescribedLayer(str(content), (content, *beside), is_deployed=False)
        else:
            yield DescribedLayer(str(arn), (content, *beside), layer_name=name)

    def _find_code(self, values: _Values, handler: str | None) -> Path | str:
        """What the package of a function or a layer was made of; or why that is not known."""
        archive = self._find_archive(values)
        if archive is not None:
            return archive.source
        package = self._find_package(values)
        if package is None:
            return f"its code is at s3://{values.get('s3_bucket')}/{values.get('s3_key')}"
        path = self._resolve(package)
        if not is_file(path):
            return f"its package {path} was not made by an archive_file, and does not exist here"
        origin = self._finder.find(Package(path, is_bundled=True), handler)
        if isinstance(origin, Path):
            return origin
        return f"its package {path} was not made by an archive_file, and {origin.reason}"

    def _find_package(self, values: _Values) -> str | None:
        return _text(values, "filename") or self._find_upload(values)

    def _find_archive(self, values: _Values) -> _Archive | None:
        """The one that made the package of a function or a layer, if one did."""
        package, content_hash = self._find_package(values), _text(values, "source_code_hash")
        if package is None:
            return None
        path = os.path.normpath(package)
        named = [one for one in self._archives if os.path.normpath(one.path) == path]
        # Its path may have been another one when the state was written.
        equal = [one for one in self._archives if content_hash and one.content_hash == content_hash]
        # Instances of a module may write to one path, each in its turn.
        alike = [one for one in named if one in equal] or named or equal
        if len({one.source for one in alike}) == 1:
            return alike[0]
        reason = f"several archives are written to {package}, and which one is not known"
        return _Archive(package, None, reason) if named else None

    def _find_upload(self, values: _Values) -> str | None:
        key = values.get("s3_bucket"), values.get("s3_key")
        for kind, one in self.resources:
            if kind in _OBJECTS and (one.get("bucket"), one.get("key")) == key:
                return _text(one, "source")
        return None

    @cached_property
    def _layers(self) -> dict[str, _Values]:
        """By their versions' ARNs."""
        return {str(values.get("arn")): values for kind, values in self.resources if kind == _LAYER}

    @cached_property
    def _archives(self) -> list[_Archive]:
        archives = []
        for kind, values in self.resources:
            if kind == _ARCHIVE and isinstance(path := values.get("output_path"), str):
                content_hash = _text(values, "output_base64sha256")
                archives.append(_Archive(path, content_hash, self._find_source(values)))
            elif kind == _EXTERNAL:
                archives += self._list_prepared(values)
        return archives

    def _find_source(self, archive: _Values) -> Path | str:
        """https://registry.terraform.io/providers/hashicorp/archive/latest/docs/data-sources/file"""
        folder, file = _text(archive, "source_dir"), _text(archive, "source_file")
        if folder is None and file is None:
            return "its archive is made of texts in the configuration"
        path = self._resolve(folder) if folder else self._resolve(str(file)).parent
        return path if is_folder(path) else f"its folder {path} does not exist"

    def _list_prepared(self, external: _Values) -> Iterator[_Archive]:
        """Of the module terraform-aws-modules/lambda, which makes packages by a program.

        https://github.com/terraform-aws-modules/terraform-aws-lambda/blob/master/package.tf
        """
        query, result = as_dict(external.get("query")), as_dict(external.get("result"))
        path = result.get("filename")
        if not isinstance(path, str) or "source_path" not in query:
            return
        paths = as_dict(_parse(query.get("paths")))
        folders = [Path(cwd)] if isinstance(cwd := paths.get("cwd"), str) else []
        found: list[Path] = []
        prefixed: list[Path] = []
        of_layer: list[Path] = []
        has_more = False
        for source in as_list(_parse(query["source_path"])):
            named = source if isinstance(source, str) else as_dict(source).get("path")
            if not isinstance(named, str):
                continue
            at = self._resolve(named, folders)
            at = at if is_folder(at) else at.parent
            prefix = Path(str(as_dict(source).get("prefix_in_zip") or "")).parts
            options = as_dict(source).items()
            has_more |= any(value for key, value in options if key not in _PLAIN_OPTIONS)
            if prefix == ("python",):
                of_layer.append(at)
            if not prefix:
                found.append(at)
            elif at.parts[-len(prefix) :] == prefix:
                # It has the same name in the project.
                prefixed.append(at.parents[len(prefix) - 1])
        if found:
            yield _Archive(path, None, found[0], (*found[1:], *prefixed))
        elif of_layer:
            yield _Archive(path, None, of_layer[0], (*of_layer[1:],), has_more)

    def _resolve(self, path: str, more: Sequence[Path] = ()) -> Path:
        """Where a path of the configuration is on this machine."""
        places = [make_absolute(folder / path) for folder in (*self.folders, *more)]
        found = (place for place in places if is_folder(place) or is_file(place))
        return next(found, places[0])

    @cached_property
    def _finder(self) -> OriginFinder:
        packages = {
            self._resolve(path)
            for kind, values in self.resources
            if kind in (_FUNCTION, _LAYER) and (path := self._find_package(values))
        }
        sources = {archive.source for archive in self._archives}
        return OriginFinder(
            list_roots(self.folders[0]),
            [Package(path, is_bundled=True) for path in sorted(packages) if is_file(path)],
            lambda folder: folder not in sources,
            has_its_name,
        )


# --- Reading --------------------------------------------------------------------------------------


def _read_resources(text: str | bytes, file: Path) -> tuple[tuple[str, _Values], ...]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{file} is not JSON: {error}.", _HINT) from None
    version = as_dict(content).get("format_version")
    if not isinstance(version, str):
        raise SourceError(f"{file} is not what 'terraform show -json' writes.", _HINT)
    if version.partition(".")[0] not in _KNOWN_MAJOR:
        raise SourceError(f"{file} has format {version}, which is not known.", "Update plldb.")
    # A plan has what will be, and what data sources have read before.
    prior = as_dict(content.get("prior_state")).get("values")
    roots = (content.get("planned_values"), content.get("values"), prior)
    found: dict[str, tuple[str, _Values]] = {}
    for root in roots:
        for resource in _list_resources(as_dict(as_dict(root).get("root_module"))):
            one = (str(resource.get("type")), as_dict(resource.get("values")))
            found.setdefault(str(resource.get("address")), one)
    return tuple(found.values())


def _list_resources(module: _Values) -> Iterator[_Values]:
    yield from map(as_dict, as_list(module.get("resources")))
    for child in as_list(module.get("child_modules")):
        yield from _list_resources(as_dict(child))


def _text(values: _Values, name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) and value else None


def _parse(value: object) -> Any:
    """What the module hands to its program is JSON in a text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
