"""The functions of a template and of those nested in it: SAM's, or CloudFormation's.

A template is read as it was written: its loops and included files are expanded, parameters and
conditions are known by what is deployed, and paths are relative to the template that names them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from plldb.debugger.sources.cloud_assembly import (
    ASSET_BUILD_ARGS,
    ASSET_DOCKERFILE,
    ASSET_PATH,
    ASSET_TARGET,
)
from plldb.debugger.sources.code_location import (
    MAKEFILE,
    WAY_OUT,
    FunctionCode,
    InlineText,
    locate_code,
)
from plldb.debugger.sources.dockerfile import read_image
from plldb.debugger.sources.expansion import expand
from plldb.debugger.sources.intrinsics import Scope
from plldb.debugger.sources.project import (
    CodeSource,
    DescribedLayer,
    Functions,
    Parameters,
    find_folder,
    find_module_path,
    has_module,
    is_file,
    is_folder,
    is_remote,
    make_absolute,
    may_be_python,
)
from plldb.debugger.wrapped_handlers import find_own_handler
from plldb.deployed import FUNCTION_TYPE, NESTED_STACK_TYPE, is_custom_resource
from plldb.errors import SourceError
from plldb.templates import as_dict, as_list, is_computed, read_template

SAM_FUNCTION = "AWS::Serverless::Function"
SAM_APPLICATION = "AWS::Serverless::Application"
# What a nested stack's resource names its template in.
TEMPLATE_PROPERTIES = {NESTED_STACK_TYPE: "TemplateURL", SAM_APPLICATION: "Location"}
_NO_CONTEXT = (
    "it is a container image, and the template does not say what it is made of; name its code with "
    "--code"
)

# What a layer's resource has its content in.
_CONTENT_NAMES = {
    "AWS::Lambda::LayerVersion": "Content",
    "AWS::Serverless::LayerVersion": "ContentUri",
}
_SAM_TRANSFORM = "AWS::Serverless-2016-10-31"
_SAM_BUILD = Path(".aws-sam", "build")
# ${Layer}, or ${Layer.LayerVersionArn}
_REFERENCE = re.compile(r"\$\{\s*(\w+)(?:\.\w+)?\s*\}")
# Of a nested stack: !GetAtt Child.Outputs.Name
_OUTPUTS = "Outputs."
_SERVES_CUSTOM_RESOURCE = (
    "it serves the custom resource {}: while an invocation is held here, a deployment of the stack "
    "waits for what its code sends, and fails without that"
)
_NOT_MADE = (
    "its makefile puts the module of {} somewhere else than it is in {}, and it was not built "
    "here; run 'sam build' once, or name the folder with --code"
)
_NOT_COPIED = (
    "what its Dockerfile copies has no module for the handler {} where Lambda looks for it; name "
    "the folder that has it with --code"
)
_ONLY_BUILT = (
    "the module of {} is not in {}, but only in {}, where sam build has put it: edits of it have "
    "no effect until you build it again; name the folder with --code"
)
_CIRCLE = "it is passed what comes of its own outputs"
_SERVERLESS_REPOSITORY = "it is an application of the AWS Serverless Application Repository"

# The folder of a function's or layer's content, by its logical id and resource, or why there is
# none; None if the template says it.
Locate = Callable[[str, Mapping[str, Any]], "Path | str | None"]


def _leave_to_template(_logical_id: str, _resource: Mapping[str, Any]) -> None:
    return None


@dataclass(frozen=True)
class BuildFolders:
    """What ``sam build`` is told: what relative paths are relative to, if not to the template's
    folder, and where it puts functions, if not below that.
    """

    base: Path | None = None
    build: Path | None = None


Layers = tuple[DescribedLayer, ...]


@dataclass(frozen=True)
class OtherStacks:
    """What a template has from other stacks of its project.

    ``passed`` are layers that the stack above passes, by the names of the parameters; a list may be
    in one. ``find_exported`` gives the one that some stack exports under a name, or none.
    ``find_template`` gives the template of a nested stack by its resource, where a tool that has
    computed the URL put the file itself.
    """

    passed: Mapping[str, Layers] = field(default_factory=dict)
    find_exported: Callable[[str], Layers] = lambda _name: ()
    find_template: Callable[[Mapping[str, Any]], Path | None] = lambda _resource: None


def read_functions(
    path: Path,
    parameters: Parameters,
    locate: Locate = _leave_to_template,
    folders: BuildFolders = BuildFolders(),
    others: OtherStacks = OtherStacks(),
) -> Functions:
    """The functions of the template at ``path``, and of those nested in it.

    ``locate`` is of a kind of project whose tool puts other things into the template. Raises
    SourceError if a template can't be read, or is nested in itself.
    """
    scope = Scope(read_template(path), parameters)
    # The functions of nested stacks are put there, too.
    folders = replace(folders, build=folders.build or path.parent / _SAM_BUILD)
    return dict(_Reader(path, scope, locate, folders, others).read())


def read_layers(
    path: Path, parameters: Parameters, locate: Locate, others: OtherStacks, values: Any
) -> dict[str, Layers]:
    """The layers that values in the template at ``path`` refer to, by the names of these."""
    reader = _Reader(path, Scope(read_template(path), parameters), locate, BuildFolders(), others)
    return reader.find_all_layers(values)


def read_resources(path: Path, parameters: Parameters) -> dict[str, str]:
    """The types of the template's resources that are not known to be left out, by logical id."""
    scope = Scope(read_template(path), parameters)
    return {
        logical_id: str(as_dict(resource).get("Type"))
        for logical_id, resource in expand(path, scope).items()
        if not scope.is_excluded(as_dict(resource))
    }


@dataclass(frozen=True)
class _Reader:
    """Reads one template. ``above`` are those that it is nested in, ``name`` is the path to it."""

    path: Path
    scope: Scope
    locate: Locate
    folders: BuildFolders
    others: OtherStacks
    name: str = ""
    above: tuple[Path, ...] = ()

    @cached_property
    def _resources(self) -> dict[str, Any]:
        return expand(self.path, self.scope)

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        """What SAM's Globals say of functions."""
        return as_dict(as_dict(self.scope.template.get("Globals")).get("Function"))

    @cached_property
    def _bases(self) -> tuple[Path, ...]:
        """What paths may be relative to, the likeliest first.

        SAM follows a template that is a link, and ``aws cloudformation package`` does not:
        https://github.com/aws/aws-sam-cli/blob/develop/samcli/commands/build/build_context.py
        """
        if self.folders.base is not None:
            return (self.folders.base,)
        is_sam = _SAM_TRANSFORM in as_list(self.scope.template.get("Transform"))
        if is_sam and self.path.is_symlink():
            return (self.path.resolve().parent, self.path.parent)
        return (self.path.parent,)

    def _find_base(self, text: str, handler: str | None = None) -> Path:
        """The one of them that has what the template names: the module of the handler, or else the
        file or folder.
        """
        module = find_module_path(handler or "")
        with_module = (at for at in self._bases if has_module(at / text, module))
        with_it = (at for at in self._bases if is_folder(at / text) or is_file(at / text))
        return next(chain(with_module, with_it, self._bases))

    def read(self) -> Iterator[tuple[str, CodeSource | str]]:
        for logical_id, resource in self._resources.items():
            kind = str(as_dict(resource).get("Type"))
            if kind in (FUNCTION_TYPE, SAM_FUNCTION):
                if not self.scope.is_excluded(resource):
                    yield self.name + logical_id, self._read_function(logical_id, resource)
            elif kind in TEMPLATE_PROPERTIES and not self.scope.is_excluded(resource):
                yield from self._read_nested(logical_id, resource)

    # --- Functions --------------------------------------------------------------------------------

    def _read_function(self, logical_id: str, resource: Mapping[str, Any]) -> CodeSource | str:
        is_sam = resource["Type"] == SAM_FUNCTION
        own = as_dict(resource.get("Properties"))
        properties = _merge(self._defaults, own) if is_sam else own
        handler, runtime, name, package = (
            self.scope.find_text(properties.get(key))
            for key in ("Handler", "Runtime", "FunctionName", "PackageType")
        )
        if package == "Image":
            return self._read_image(logical_id, resource, properties)
        if handler is not None:
            handler = find_own_handler(handler, self._read_variables(properties))
        if not may_be_python(runtime):
            return f"its runtime is {runtime}"
        build_dir = self._find_build(logical_id)
        named = self.scope.choose_one(properties.get("CodeUri" if is_sam else "Code"))
        base = self._find_base(self.scope.find_text(named) or ".", handler)
        code = self.locate(logical_id, resource) or locate_code(
            FunctionCode(
                is_sam,
                properties,
                as_dict(resource.get("Metadata")),
                handler,
                build_dir,
            ),
            base,
            self.scope,
        )
        if isinstance(code, str):
            return code
        inline = code.text if isinstance(code, InlineText) else None
        source = CodeSource(
            code if isinstance(code, Path) else base,
            handler,
            runtime,
            # SAM puts the layers of Globals before the function's own.
            tuple(self._read_layers(properties.get("Layers"))),
            build_dir,
            name,
            inline=inline,
            use=self._describe_use(logical_id),
        )
        is_made = as_dict(resource.get("Metadata")).get("BuildMethod") == MAKEFILE
        return _note_build(self._complete_made(source, properties) if is_made else source)

    def _complete_made(self, source: CodeSource, properties: Mapping[str, Any]) -> CodeSource:
        """The function with what its makefile puts beside the module of the handler, if it has
        taken that from below: what else there is in CodeUri.
        """
        text = self.scope.find_text(properties.get("CodeUri")) or "."
        whole = make_absolute(self._find_base(text, source.handler) / text)
        if whole != source.code_dir:
            beside = DescribedLayer("CodeUri", (whole,), is_deployed=False)
            return replace(source, layers=(*source.layers, beside))
        is_there = has_module(whole, find_module_path(source.handler or ""))
        is_known = is_there or source.build_dir is not None or source.inline is not None
        return source if is_known else replace(source, note=_NOT_MADE.format(source.handler, whole))

    def _read_variables(self, properties: Mapping[str, Any]) -> dict[str, str]:
        """Those whose values are known."""
        variables = as_dict(as_dict(properties.get("Environment")).get("Variables"))
        texts = {name: self.scope.find_text(value) for name, value in variables.items()}
        return {name: text for name, text in texts.items() if text is not None}

    def _read_image(
        self, logical_id: str, resource: Mapping[str, Any], properties: Mapping[str, Any]
    ) -> CodeSource | str:
        """What a container image is made of, as SAM or the CDK say it."""
        metadata = as_dict(resource.get("Metadata"))
        context = self.locate(logical_id, resource)
        if context is None and isinstance(metadata.get("DockerContext"), str):
            text = metadata["DockerContext"]
            context = find_folder(self._find_base(text), text)
        if isinstance(context, str):
            return context
        if context is None:
            return _NO_CONTEXT
        file = metadata.get(ASSET_DOCKERFILE) or metadata.get("Dockerfile")
        dockerfile = context / (file if isinstance(file, str) else "Dockerfile")
        command = as_list(as_dict(properties.get("ImageConfig")).get("Command"))
        names = tuple(filter(None, map(self.scope.find_text, command)))
        target = metadata.get(ASSET_TARGET) or metadata.get("DockerBuildTarget")
        stage = target if isinstance(target, str) else None
        given = as_dict(metadata.get(ASSET_BUILD_ARGS) or metadata.get("DockerBuildArgs"))
        # No default stands in place of what is not known: it may lead to another function's code.
        build_args = {name: self.scope.find_text(value) or "" for name, value in given.items()}
        try:
            image = read_image(
                context, dockerfile, names, stage, build_args, self._read_variables(properties)
            )
        except (OSError, UnicodeDecodeError) as error:
            return f"its Dockerfile can't be read: {error}"
        name = self.scope.find_text(properties.get("FunctionName"))
        beside = tuple(map(make_absolute, image.beside))
        is_known = image.has_module or image.handler is None
        return CodeSource(
            make_absolute(image.code_dir),
            image.handler,
            layers=(DescribedLayer("COPY", beside, is_deployed=False),) if beside else (),
            physical_name=name,
            note="" if is_known else _NOT_COPIED.format(image.handler),
            use=self._describe_use(logical_id),
        )

    def _describe_use(self, logical_id: str) -> str:
        """For custom resources, by the template; no other use is to be known by that alone.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cfn-customresource.html
        """
        served = self._served.get(logical_id)
        return _SERVES_CUSTOM_RESOURCE.format(", ".join(sorted(served))) if served else ""

    @cached_property
    def _served(self) -> Mapping[str, list[str]]:
        """The custom resources that functions serve, by these functions' logical ids."""
        served: dict[str, list[str]] = {}
        for name, resource in self._resources.items():
            if _is_custom(as_dict(resource)) and not self.scope.is_excluded(resource):
                function = find_logical_id(resource["Properties"].get("ServiceToken"))
                served.setdefault(function, []).append(name)
        return served

    def _find_build(self, logical_id: str) -> Path | None:
        build = self.folders.build or self.path.parent / _SAM_BUILD
        found = make_absolute(build / self.name / logical_id)
        return found if is_folder(found) else None

    # --- Nested stacks ----------------------------------------------------------------------------

    def _read_nested(
        self, logical_id: str, resource: Mapping[str, Any]
    ) -> Iterator[tuple[str, CodeSource | str]]:
        child = self._open_nested(logical_id, resource)
        if isinstance(child, str):
            yield f"{self.name}{logical_id}/*", child
        else:
            yield from child.read()

    @cached_property
    def _nested(self) -> dict[str, _Reader | str]:
        """What was opened of the nested stacks; each may be asked for many outputs."""
        return {}

    def _open_nested(self, logical_id: str, resource: Mapping[str, Any]) -> _Reader | str:
        """The reader of a nested stack's template; or why that is not here."""
        if logical_id not in self._nested:
            # To know what it is passed, others are asked, and these may ask it in turn.
            self._nested[logical_id] = _CIRCLE
            self._nested[logical_id] = self._make_nested(logical_id, resource)
        return self._nested[logical_id]

    def _make_nested(self, logical_id: str, resource: Mapping[str, Any]) -> _Reader | str:
        properties = as_dict(resource.get("Properties"))
        of_tool = self.others.find_template(resource)
        path = of_tool or self._find_nested(resource)
        if isinstance(path, str):
            return path
        above = (*self.above, self.path)
        if path in above:
            raise SourceError(
                f"{self.path}: {logical_id} is the template {path}, which it is nested in itself.",
                "Name another template for it.",
            )
        parameters, unknown = self.scope.pass_on(properties.get("Parameters"))
        return replace(
            self,
            path=path,
            scope=Scope(read_template(path), parameters, unknown),
            locate=self.locate if of_tool else _leave_to_template,
            folders=replace(self.folders, base=None),
            others=replace(self.others, passed=self.find_all_layers(properties.get("Parameters"))),
            name=f"{self.name}{logical_id}/",
            above=above,
        )

    def _find_nested(self, resource: Mapping[str, Any]) -> Path | str:
        """A nested stack's template, by what names it; or why it is not here."""
        name = TEMPLATE_PROPERTIES[str(resource["Type"])]
        value = as_dict(resource.get("Properties")).get(name)
        if name == "Location" and "ApplicationId" in as_dict(value):
            return _SERVERLESS_REPOSITORY
        text = self.scope.find_text(value)
        if text is None:
            return f"the {name} of its stack is computed by CloudFormation"
        if is_remote(text):
            return f"the template of its stack is at {text}; {WAY_OUT}"
        path = make_absolute(self._find_base(text) / text)
        return path if is_file(path) else f"the template of its stack, {path}, does not exist"

    # --- Layers -----------------------------------------------------------------------------------

    def find_all_layers(self, values: Any) -> dict[str, Layers]:
        """Those that the values of a table refer to, by its keys."""
        found = {
            str(name): tuple(
                layer for one in self.scope.choose([value]) for layer in self._find_layers(one)
            )
            for name, value in as_dict(values).items()
        }
        return {name: layers for name, layers in found.items() if layers}

    def _read_layers(self, values: Any) -> Iterator[DescribedLayer]:
        for value in self.scope.choose(values):
            found = self._find_layers(value)
            text = value if isinstance(value, str) else self.scope.find_text(value)
            text = text or json.dumps(value, default=str)
            yield from found or [DescribedLayer(text, reason="it is none of this template's")]

    def _find_layers(self, value: Any) -> Layers:
        """What a value refers to, if that is in the project; several if it is a list of them."""
        match value:
            case {"Ref": str() as name} if name in self.others.passed:
                return self.others.passed[name]
            case {"Fn::ImportValue": str() as name}:
                return self.others.find_exported(name)
            case {"Fn::GetAtt": [str() as name, str() as output]} if output.startswith(_OUTPUTS):
                return self._find_output(name, output.removeprefix(_OUTPUTS))
            case {"Fn::Split": [",", joined]}:
                return self._find_layers(joined)
            case {"Fn::Join": [",", [*parts]]}:
                layers = tuple(self._read_layers(parts))
                return layers if any(one.folders for one in layers) else ()
        name = find_logical_id(value)
        resource = as_dict(self._resources.get(name))
        is_layer = str(resource.get("Type")) in _CONTENT_NAMES
        return (self._read_layer(name, resource),) if is_layer else ()

    def _find_output(self, logical_id: str, output: str) -> Layers:
        """What a nested stack gives out."""
        resource = as_dict(self._resources.get(logical_id))
        if str(resource.get("Type")) not in TEMPLATE_PROPERTIES:
            return ()
        child = self._open_nested(logical_id, resource)
        if isinstance(child, str):
            return ()
        outputs = as_dict(child.scope.template.get("Outputs"))
        return child._find_layers(as_dict(outputs.get(output)).get("Value"))

    def _read_layer(self, name: str, resource: dict[str, Any]) -> DescribedLayer:
        layer_name = self.scope.find_text(as_dict(resource.get("Properties")).get("LayerName"))
        content = self.locate(name, resource) or self._locate_layer(resource)
        if isinstance(content, Path) and not is_folder(content):
            content = f"its content, {content}, is a file and not a folder"
        # Of a layer that a build makes, there is the source, as it is edited, over what it needs.
        built = self._find_build(name)
        is_built = "BuildMethod" in as_dict(resource.get("Metadata")) and built is not None
        folders = (built,) if built is not None and is_built else ()
        if isinstance(content, Path):
            folders = (*folders, content)
        reason = content if isinstance(content, str) and not folders else ""
        return DescribedLayer(name, folders, reason, layer_name)

    def _locate_layer(self, resource: dict[str, Any]) -> Path | str:
        metadata = as_dict(resource.get("Metadata"))
        if isinstance(text := metadata.get(ASSET_PATH), str):
            return find_folder(self._find_base(text), text)
        name = _CONTENT_NAMES[str(resource.get("Type"))]
        value = as_dict(resource.get("Properties")).get(name)
        text = self.scope.find_text(value)
        if text is not None:
            return find_folder(self._find_base(text), text)
        if value is None:
            return f"the template gives it no {name}"
        if is_computed(value):
            return f"its {name} is computed by CloudFormation"
        return f"its {name} is in S3"


def _merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What SAM makes of Globals and a function's own properties: lists are joined, tables merged.

    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
    """
    merged = dict(defaults) | dict(own)
    for key in defaults.keys() & own.keys():
        one, other = defaults[key], own[key]
        if isinstance(one, list) and isinstance(other, list):
            merged[key] = one + other
        elif isinstance(one, dict) and isinstance(other, dict):
            is_value = is_computed(one) or is_computed(other)
            merged[key] = other if is_value else _merge(one, other)
    return merged


def _note_build(source: CodeSource) -> CodeSource:
    """The function, with a word on it if its module is only where a build has put it."""
    module = find_module_path(source.handler or "")
    if source.build_dir is None or source.note or source.inline is not None:
        return source
    if has_module(source.code_dir, module) or not has_module(source.build_dir, module):
        return source
    note = _ONLY_BUILT.format(source.handler, source.code_dir, source.build_dir)
    return replace(source, note=note)


def _is_custom(resource: Mapping[str, Any]) -> bool:
    is_one = is_custom_resource(resource.get("Type"))
    return is_one and isinstance(resource.get("Properties"), dict)


def find_logical_id(reference: Any) -> str:
    """Of the resource that is referred to, in whatever way; empty if it is none."""
    match reference:
        case {"Ref": str() as name} | {"Fn::GetAtt": [str() as name, *_]}:
            return name
        case {"Fn::Sub": str() as text}:
            found = _REFERENCE.fullmatch(text)
            return found[1] if found else ""
    return ""
