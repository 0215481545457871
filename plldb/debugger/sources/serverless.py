"""Serverless Framework and osls: what ``serverless package`` writes into .serverless.

A function's package has the folder of the service in it, so that is where the code is edited; its
handler is a path from there, such as ``src/users.create``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

from plldb.debugger.sources.functions import OtherStacks, read_functions
from plldb.debugger.sources.package_origin import (
    NoOrigin,
    OriginFinder,
    Package,
    make_archive_finder,
)
from plldb.debugger.sources.project import (
    CodeSource,
    DescribedLayer,
    Functions,
    GeneratedFiles,
    Parameters,
    Project,
    find_folder,
    find_module_path,
    has_module,
    is_file,
    make_absolute,
    read_json,
)
from plldb.templates import as_dict, read_template

_OUTPUT = ".serverless"
_GENERATED = Path(".plldb", "generated")
_TEMPLATE = "cloudformation-template-update-stack.json"
_NESTED = re.compile(r"cloudformation-template-[^/]+\.json")
_STATE = "serverless-state.json"
_SERVICE_FILES = tuple(f"serverless.{suffix}" for suffix in ("yml", "yaml", "json", "js", "ts"))
_BUCKET = "ServerlessDeploymentBucket"
_RENEWAL = "serverless package --stage STAGE"
_HINT = "Package the service again: serverless package, or osls package"


def find_projects(folder: Path) -> Sequence[Project]:
    """The service in a folder, once it was packaged. It may be packaged for one stage only."""
    template = make_absolute(folder / _OUTPUT / _TEMPLATE)
    return [_read_project(template, make_absolute(folder))] if template.is_file() else []


def find_template_project(template: Path) -> Project | None:
    """The project that a template which the developer names is of; None if it is none of these.

    ``serverless package --package`` may have put it anywhere below the service's folder. It serves
    whatever stack the developer names it for.
    """
    if template.name != _TEMPLATE:
        return None
    has_service = (
        at for at in template.parents if any((at / name).is_file() for name in _SERVICE_FILES)
    )
    service = next(has_service, None)
    return None if service is None else replace(_read_project(template, service), stack_names=_ANY)


_ANY: frozenset[str] = frozenset()


def _read_project(template: Path, service: Path) -> Project:
    state_file = template.parent / _STATE
    state = _read_state(state_file)
    read = partial(_read_service, template, _Service(service, template.parent, state))
    name = _find_stack_name(state)
    names = _ANY if name is None else frozenset({name})
    named_by = state_file if names else None
    return Project(template, read, names, named_by, renewal=_RENEWAL)


def _read_service(template: Path, service: _Service, parameters: Parameters) -> Functions:
    others = OtherStacks(find_template=service.find_template)
    functions = dict(read_functions(template, parameters, service.locate, others=others))
    resources = read_template(template)["Resources"]
    for logical_id, found in functions.items():
        if isinstance(found, CodeSource):
            source = replace(found, build_dir=service.find_packages(found.code_dir))
            resource = as_dict(resources.get(logical_id))
            functions[logical_id] = service.add_generated(logical_id, source, resource)
    return functions


@dataclass(frozen=True)
class _Service:
    """``folder`` is the service's, ``output`` where it was packaged, ``state`` what it is made of:
    https://github.com/oss-serverless/osls/blob/main/lib/plugins/package/lib/save-service-state.js
    """

    folder: Path
    output: Path
    state: Mapping[str, Any]

    def locate(self, logical_id: str, resource: Mapping[str, Any]) -> Path | str | None:
        """The folder of what Serverless has packaged. What else is in a template says it itself."""
        properties = as_dict(resource.get("Properties"))
        content = as_dict(properties.get("Code", properties.get("Content")))
        if "S3Key" not in content:
            return None
        if logical_id in self._layers:
            return self._locate_layer(self._layers[logical_id])
        name = properties.get("FunctionName")
        function = (
            self._functions.get(name)
            if isinstance(name, str)
            else self._functions_by_id.get(logical_id)
        )
        if function is not None:
            return self._locate_function(function, str(properties.get("Handler")))
        return self.folder if content.get("S3Bucket") == {"Ref": _BUCKET} else None

    def find_template(self, resource: Mapping[str, Any]) -> Path | None:
        """That of a nested stack, beside the service's own."""
        name = name_nested_template(as_dict(resource.get("Properties")))
        path = None if name is None else self.output / name
        return path if path is not None and is_file(path) else None

    def find_packages(self, code_dir: Path) -> Path | None:
        """Where serverless-python-requirements has installed what the code needs."""
        below = code_dir.relative_to(self.folder) if code_dir.is_relative_to(self.folder) else ""
        places = (self.output / below / "requirements", self.output / "requirements")
        return next((place for place in places if place.is_dir()), None)

    def add_generated(
        self, logical_id: str, source: CodeSource, resource: Mapping[str, Any]
    ) -> CodeSource:
        """A function whose handler a plugin writes while it packages, with what that has written.

        Such as serverless-wsgi, which takes it away again:
        https://github.com/logandk/serverless-wsgi/blob/master/index.js
        """
        module = find_module_path(source.handler or "")
        key = as_dict(as_dict(resource.get("Properties")).get("Code")).get("S3Key")
        if not isinstance(key, str) or has_module(source.code_dir, module):
            return source
        package = Package(self.output / PurePosixPath(key).name)
        if package.find_module(source.handler or "") is None:
            return source
        names = [name for name in package.list_top() if not is_file(source.code_dir / name)]
        folder = self.folder / _GENERATED / logical_id
        layer = DescribedLayer(str(package.path), (folder,), is_deployed=False)
        generated = GeneratedFiles(package.path, tuple(names), folder)
        return replace(source, layers=(layer, *source.layers), generated=generated)

    def _locate_function(self, function: Mapping[str, Any], handler: str) -> Path | str:
        artifact = as_dict(function.get("package")).get("artifact")
        artifact = artifact or as_dict(self._content.get("package")).get("artifact")
        if isinstance(artifact, str):
            path = make_absolute(self.folder / artifact)
            if not path.is_relative_to(self.output):
                return self._find_origin(path, handler)
        # Of serverless-python-requirements: what is in this folder is at the package's top, if
        # functions are packaged individually.
        module = function.get("module")
        if not isinstance(module, str):
            return self.folder
        folder, name = find_folder(self.folder, module), find_module_path(handler)
        is_whole = isinstance(folder, Path) and not has_module(folder, name)
        return self.folder if is_whole and has_module(self.folder, name) else folder

    @cached_property
    def _finder_for(self) -> Callable[[Path, str], OriginFinder]:
        """The one for all archives of a place: each is made once."""
        return cache(partial(make_archive_finder, self.folder))

    def _find_origin(self, path: Path, handler: str) -> Path | str:
        finder = self._finder_for(path.parent, path.suffix)
        origin = finder.find(Package(path, is_bundled=True), handler)
        if isinstance(origin, NoOrigin):
            return f"its package {path} was made by something else, and {origin.reason}"
        return origin

    def _locate_layer(self, layer: Mapping[str, Any]) -> Path | str | None:
        path = layer.get("path")
        return find_folder(self.folder, path) if isinstance(path, str) else None

    @property
    def _content(self) -> Mapping[str, Any]:
        return as_dict(self.state.get("service"))

    @cached_property
    def _functions(self) -> Mapping[str, Mapping[str, Any]]:
        """By their names at Lambda."""
        described = self._functions_by_id.values()
        return {one["name"]: one for one in described if isinstance(one.get("name"), str)}

    @cached_property
    def _functions_by_id(self) -> Mapping[str, Mapping[str, Any]]:
        """By their logical ids."""
        return self._describe("functions", "LambdaFunction")

    @cached_property
    def _layers(self) -> Mapping[str, Mapping[str, Any]]:
        """By their logical ids."""
        return self._describe("layers", "LambdaLayer")

    def _describe(self, section: str, suffix: str) -> Mapping[str, Mapping[str, Any]]:
        described = as_dict(_follow(self.state, self._content.get(section)))
        return {
            f"{normalise_name(name)}{suffix}": as_dict(_follow(self.state, one))
            for name, one in described.items()
        }


def normalise_name(name: str) -> str:
    """As the logical ids of functions and layers have it.

    https://github.com/oss-serverless/osls/blob/main/lib/plugins/aws/lib/naming.js
    """
    name = name.replace("-", "Dash").replace("_", "Underscore")
    return name[:1].upper() + name[1:]


def name_nested_template(properties: Mapping[str, Any]) -> str | None:
    """The name of the file that serverless-plugin-split-stacks has written for a nested stack.

    https://github.com/dougmoscrop/serverless-plugin-split-stacks
    """
    match properties.get("TemplateURL"):
        case {"Fn::Join": ["/", [*_, str() as name]]} if _NESTED.fullmatch(name):
            return name
    return None


# --- The state ------------------------------------------------------------------------------------


def _read_state(path: Path) -> Mapping[str, Any]:
    return as_dict(read_json(path, _HINT)) if path.exists() else {}


def _find_stack_name(state: Mapping[str, Any]) -> str | None:
    content = as_dict(state.get("service"))
    service = content.get("service")
    provider = as_dict(_follow(state, content.get("provider")))
    name, stage = provider.get("stackName"), provider.get("stage")
    if isinstance(name, str) and name:
        return name
    return f"{service}-{stage}" if isinstance(service, str) and isinstance(stage, str) else None


def _follow(state: Mapping[str, Any], value: Any) -> Any:
    """What stands in several places is written in one of them; the others have its path.

    https://www.npmjs.com/package/json-cycle
    """
    for _ in range(10):
        path = as_dict(value).get("$ref")
        if not isinstance(path, str) or not path.startswith("$"):
            break
        value = state
        for key in re.findall(r'\["((?:[^"\\]|\\.)*)"\]', path):
            value = as_dict(value).get(json.loads(f'"{key}"'))
    return value
