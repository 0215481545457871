"""The functions of a template, and where their code is: a Serverless one's, or CloudFormation's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plldb.debugger.sources.project import (
    CodeSource,
    DescribedLayer,
    Functions,
    Parameters,
    find_folder,
    make_absolute,
)
from plldb.templates import as_dict, as_list, is_computed, read_template

LAMBDA_FUNCTION = "AWS::Lambda::Function"
SAM_FUNCTION = "AWS::Serverless::Function"
_LAMBDA_LAYER = "AWS::Lambda::LayerVersion"
_SAM_LAYER = "AWS::Serverless::LayerVersion"
_SAM_BUILD = Path(".aws-sam", "build")
# https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/cx-api/lib/assets.ts
_CDK_ASSET_PATH = "aws:asset:path"

# What a layer's resource has its content in.
_CONTENT_NAMES = {_LAMBDA_LAYER: "Content", _SAM_LAYER: "ContentUri"}


def read_functions(path: Path, parameters: Parameters) -> Functions:  # noqa: ARG001
    """The functions of the template at ``path``. Raises SourceError if it can't be read."""
    template, folder = read_template(path), path.parent
    functions: dict[str, CodeSource | str] = {}
    defaults = as_dict(as_dict(template.get("Globals")).get("Function"))
    for logical_id, resource in template["Resources"].items():
        kind = as_dict(resource).get("Type")
        if kind not in (LAMBDA_FUNCTION, SAM_FUNCTION):
            continue
        properties = as_dict(resource.get("Properties"))
        if kind == SAM_FUNCTION:
            properties = defaults | properties
        code = _locate(str(kind), properties, as_dict(resource.get("Metadata")), folder)
        if isinstance(code, str):
            functions[str(logical_id)] = code
            continue
        # SAM puts the layers of Globals before the function's own.
        own = [*as_list(defaults.get("Layers"))] if kind == SAM_FUNCTION else []
        own += as_list(as_dict(resource.get("Properties")).get("Layers"))
        build_dir = make_absolute(folder / _SAM_BUILD / str(logical_id))
        functions[str(logical_id)] = CodeSource(
            code,
            _read_text(properties, "Handler"),
            _read_text(properties, "Runtime"),
            tuple(_read_layer(value, template["Resources"], folder) for value in own),
            build_dir if build_dir.is_dir() else None,
            _read_text(properties, "FunctionName"),
        )
    return functions


def _read_text(properties: Mapping[str, Any], name: str) -> str | None:
    value = properties.get(name)
    return value if isinstance(value, str) else None


# --- Code -----------------------------------------------------------------------------------------


def _locate(
    kind: str, properties: dict[str, Any], metadata: dict[str, Any], folder: Path
) -> Path | str:
    """The folder of a function's code; or why it has none, in words that follow "because"."""
    runtime = properties.get("Runtime")
    if properties.get("PackageType") == "Image":
        return "it is a container image"
    if isinstance(runtime, str) and not runtime.startswith("python"):
        return f"its runtime is {runtime}"
    if isinstance(metadata.get(_CDK_ASSET_PATH), str):
        return find_folder(folder, metadata[_CDK_ASSET_PATH])
    if properties.get("InlineCode") is not None:
        return "its code stands in the template itself"
    name = "CodeUri" if kind == SAM_FUNCTION else "Code"
    value = properties.get(name)
    return (
        find_folder(folder, value)
        if isinstance(value, str)
        else _explain_missing_folder(name, value)
    )


def _explain_missing_folder(name: str, value: Any) -> str:
    if value is None:
        return f"the template gives it no {name}"
    if "ZipFile" in as_dict(value):
        return "its code stands in the template itself"
    if is_computed(value):
        return f"its {name} is computed by CloudFormation"
    return f"its {name} is in S3"


# --- Layers ---------------------------------------------------------------------------------------


def _read_layer(value: Any, resources: dict[str, Any], folder: Path) -> DescribedLayer:
    name = as_dict(value).get("Ref")
    resource = as_dict(resources.get(name)) if isinstance(name, str) else {}
    if resource.get("Type") not in _CONTENT_NAMES:
        return DescribedLayer(_name_layer(value), reason="it is none of this template's")
    layer_name = _read_text(as_dict(resource.get("Properties")), "LayerName")
    content = _locate_layer(resource, folder)
    # Of a layer that a build makes, there is the source, as it is edited, over what it needs.
    built = make_absolute(folder / _SAM_BUILD / str(name))
    is_built = "BuildMethod" in as_dict(resource.get("Metadata")) and built.is_dir()
    folders = (built,) if is_built else ()
    if isinstance(content, Path):
        folders = (*folders, content)
    reason = content if isinstance(content, str) and not folders else ""
    return DescribedLayer(str(name), folders, reason, layer_name)


def _locate_layer(resource: dict[str, Any], folder: Path) -> Path | str:
    metadata = as_dict(resource.get("Metadata"))
    if isinstance(metadata.get(_CDK_ASSET_PATH), str):
        return find_folder(folder, metadata[_CDK_ASSET_PATH])
    name = _CONTENT_NAMES[str(resource.get("Type"))]
    value = as_dict(resource.get("Properties")).get(name)
    return (
        find_folder(folder, value)
        if isinstance(value, str)
        else _explain_missing_folder(name, value)
    )


def _name_layer(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
