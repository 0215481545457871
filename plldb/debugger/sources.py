"""Where the code of the functions of a stack lies on this machine, according to its template.

A template is SAM's, CloudFormation's or what the CDK synthesised into ``cdk.out``; it is read as it
was written, never as it was built or packaged, so that what runs is what the developer edits.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from plldb.errors import SourceError, UsageError

logger = logging.getLogger(__name__)

_TEMPLATE_NAMES = ("template.yaml", "template.yml", "template.json")
_CDK_FOLDER = "cdk.out"
_CDK_SUFFIX = ".template.json"
# A nested stack's template is not the stack's own.
_CDK_NESTED_SUFFIX = ".nested.template.json"

_LAMBDA_FUNCTION = "AWS::Lambda::Function"
_SAM_FUNCTION = "AWS::Serverless::Function"
_LAMBDA_LAYER = "AWS::Lambda::LayerVersion"
_SAM_LAYER = "AWS::Serverless::LayerVersion"
_SAM_BUILD = Path(".aws-sam", "build")
# https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/cx-api/lib/assets.ts
_CDK_ASSET_PATH = "aws:asset:path"

# What a layer's resource has its content in.
_CONTENT_NAMES = {_LAMBDA_LAYER: "Content", _SAM_LAYER: "ContentUri"}
_CODE_HINT = "Say where its code is: --code {0}=DIR"
_TEMPLATE_HINT = "Name the template with --template PATH, or the code with --code LOGICAL_ID=DIR."


@dataclass(frozen=True)
class CodeSource:
    """``code_dir`` is absolute. ``handler`` is the template's, None if it says nothing or not here.

    ``code_dir`` is what lies in /var/task on Lambda, as the developer edits it; of a CDK asset it
    is the copy that ``cdk synth`` made. ``layers`` are folders with what is in /opt on Lambda, of
    which a later one wins, and ``missing_layers`` those that are not on this machine, with the
    reason of each. ``build_dir`` is where ``sam build`` has put the function, if it has.
    """

    logical_id: str
    code_dir: Path
    handler: str | None
    layers: tuple[Path, ...] = ()
    missing_layers: tuple[tuple[str, str], ...] = ()
    build_dir: Path | None = None


@dataclass(frozen=True)
class Sources:
    """What was found, and for each function of the template that has no local code, why not.

    Both are by logical id. ``template`` is None if there is none and every folder was given.
    """

    template: Path | None
    found: Mapping[str, CodeSource]
    missing: Mapping[str, str]

    def explain_missing(self, logical_id: str) -> str:
        """Why a function has no source here; it may be one that the template does not have."""
        if logical_id in self.missing:
            return self.missing[logical_id]
        if self.template is None:
            return "there is no template, and --code does not name it"
        return f"it is not in {self.template}"

    def require(self, logical_id: str) -> CodeSource:
        """Raises SourceError if its code is not on this machine."""
        if logical_id not in self.found:
            raise SourceError(
                f"There is no code for {logical_id} here: {self.explain_missing(logical_id)}.",
                _CODE_HINT.format(logical_id),
            )
        return self.found[logical_id]


def parse_code_options(values: Iterable[str], folder: Path) -> dict[str, Path]:
    """``--code LOGICAL_ID=DIR`` as logical id → absolute folder; a relative one is in ``folder``.

    Raises UsageError for one that is malformed, given twice, or names no folder.
    """
    folders: dict[str, Path] = {}
    for value in values:
        logical_id, equals, text = value.partition("=")
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
        if not (equals and text and logical_id.isascii() and logical_id.isalnum()):
            raise UsageError(
                f"--code {value} is not LOGICAL_ID=DIR.",
                "For example: --code Greeter=src/greeter",
            )
        if logical_id in folders:
            raise UsageError(f"--code names {logical_id} twice.", "Leave one out.")
        path = _make_absolute(folder / Path(text).expanduser())
        if not path.is_dir():
            raise UsageError(
                f"--code {value}: there is no folder {path}.",
                f"Name the folder that holds the handler's module of {logical_id}.",
            )
        folders[logical_id] = path
    return folders


def find_sources(
    folder: Path,
    template: Path | None = None,
    code: Mapping[str, Path] | None = None,
    stack_name: str | None = None,
) -> Sources:
    """The code of each function of the template; ``code`` (see ``parse_code_options``) wins.

    Without ``template``, it is the one in ``folder``: template.yaml, .yml or .json, or the CDK's
    in cdk.out, which of several is the one of ``stack_name``. Raises SourceError if there is none
    (unless ``code`` names at least one function), or if it can't be read.
    """
    code = code or {}
    path = _make_absolute(folder / template) if template else _find_template(folder, stack_name)
    if path is None:
        if not code:
            raise SourceError(f"There is no template in {_make_absolute(folder)}.", _TEMPLATE_HINT)
        return Sources(None, {name: CodeSource(name, at, None) for name, at in code.items()}, {})
    found, missing = _read_functions(_load(path), path.parent)
    for logical_id, code_dir in code.items():
        source = found.get(logical_id) or CodeSource(logical_id, code_dir, None)
        found[logical_id] = replace(source, code_dir=code_dir)
        missing.pop(logical_id, None)
    logger.info("%s: code of %d functions is here, of %d not", path, len(found), len(missing))
    for logical_id, source in found.items():
        logger.debug("the code of %s is in %s", logical_id, source.code_dir)
    return Sources(path, found, missing)


def _make_absolute(path: Path) -> Path:
    """Without following links: an editor knows the file by the path that the developer uses."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")


def _find_template(folder: Path, stack_name: str | None) -> Path | None:
    for name in _TEMPLATE_NAMES:
        if (folder / name).is_file():
            return _make_absolute(folder / name)
    candidates = sorted(
        path
        for path in (folder / _CDK_FOLDER).glob("*" + _CDK_SUFFIX)
        if not path.name.endswith(_CDK_NESTED_SUFFIX)
    )
    of_stack = [path for path in candidates if path.name == f"{stack_name}{_CDK_SUFFIX}"]
    match of_stack or candidates:
        case []:
            return None
        case [path]:
            return _make_absolute(path)
    names = ", ".join(path.name for path in candidates)
    raise SourceError(
        f"{_make_absolute(folder / _CDK_FOLDER)} has several templates: {names}.",
        "Choose one: --template cdk.out/<stack>.template.json",
    )


# --- Reading a template ---------------------------------------------------------------------------


class _TemplateLoader(yaml.SafeLoader):
    """YAML in which any tag may stand, as CloudFormation's short forms of its functions."""


class _Intrinsic(dict[str, Any]):
    """A value that only CloudFormation knows, such as ``!Sub …``."""


def _construct_intrinsic(loader: _TemplateLoader, suffix: str, node: yaml.Node) -> _Intrinsic:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return _Intrinsic({f"!{suffix}": value})


_TemplateLoader.add_multi_constructor("!", _construct_intrinsic)


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"There is no template {path}.", _TEMPLATE_HINT) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The template {path} can't be read: {error}.", _TEMPLATE_HINT) from None
    try:
        template = _parse(text, is_json=path.suffix == ".json")
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        what = "JSON" if path.suffix == ".json" else "YAML"
        reason = " ".join(str(error).split())
        raise SourceError(f"{path} is not {what}: {reason}.", _TEMPLATE_HINT) from None
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise SourceError(f"{path} is no template: it has no Resources.", _TEMPLATE_HINT)
    return template


def _parse(text: str, is_json: bool) -> Any:
    if is_json:
        return json.loads(text)
    return yaml.load(text, Loader=_TemplateLoader)  # nosec B506  # noqa: S506 (a SafeLoader)


def _read_functions(
    template: dict[str, Any], folder: Path
) -> tuple[dict[str, CodeSource], dict[str, str]]:
    found: dict[str, CodeSource] = {}
    missing: dict[str, str] = {}
    defaults = _as_dict(_as_dict(template.get("Globals")).get("Function"))
    for logical_id, resource in template["Resources"].items():
        kind = _as_dict(resource).get("Type")
        if kind not in (_LAMBDA_FUNCTION, _SAM_FUNCTION):
            continue
        properties = _as_dict(resource.get("Properties"))
        if kind == _SAM_FUNCTION:
            properties = defaults | properties
        metadata = _as_dict(resource.get("Metadata"))
        code = _locate(str(kind), properties, metadata, folder)
        if isinstance(code, str):
            missing[str(logical_id)] = code
            continue
        handler = properties.get("Handler")
        # SAM puts the layers of Globals before the function's own.
        own = [*_as_list(defaults.get("Layers"))] if kind == _SAM_FUNCTION else []
        own += _as_list(_as_dict(resource.get("Properties")).get("Layers"))
        layers, missing_layers = _read_layers(own, template["Resources"], folder)
        build_dir = _make_absolute(folder / _SAM_BUILD / str(logical_id))
        found[str(logical_id)] = CodeSource(
            str(logical_id),
            code,
            handler if isinstance(handler, str) else None,
            layers,
            missing_layers,
            build_dir if build_dir.is_dir() else None,
        )
    return found, missing


def _read_layers(
    values: list[Any], resources: dict[str, Any], folder: Path
) -> tuple[tuple[Path, ...], tuple[tuple[str, str], ...]]:
    """The folders of a function's layers; and those that have none, with the reason of each."""
    folders: list[Path] = []
    missing: list[tuple[str, str]] = []
    for value in values:
        name = _find_reference(value)
        resource = _as_dict(resources.get(name)) if name is not None else {}
        if resource.get("Type") not in _CONTENT_NAMES:
            missing.append((_name_layer(value), "it is none of this template's"))
            continue
        content = _locate_layer(resource, folder)
        # Of a layer that a build makes, there is the source, as it is edited, over what it needs.
        built = _make_absolute(folder / _SAM_BUILD / str(name))
        is_built = "BuildMethod" in _as_dict(resource.get("Metadata")) and built.is_dir()
        folders += [built] if is_built else []
        if isinstance(content, Path):
            folders.append(content)
        elif not is_built:
            missing.append((str(name), content))
    return tuple(folders), tuple(missing)


def _locate_layer(resource: dict[str, Any], folder: Path) -> Path | str:
    metadata = _as_dict(resource.get("Metadata"))
    if isinstance(metadata.get(_CDK_ASSET_PATH), str):
        return _find_folder(folder, metadata[_CDK_ASSET_PATH])
    name = _CONTENT_NAMES[str(resource.get("Type"))]
    value = _as_dict(resource.get("Properties")).get(name)
    return (
        _find_folder(folder, value)
        if isinstance(value, str)
        else _explain_missing_folder(name, value)
    )


def _find_reference(value: Any) -> str | None:
    """The logical id that a layer is named by, as ``!Ref`` or ``{"Ref": …}``."""
    reference = _as_dict(value)
    name = reference.get("Ref", reference.get("!Ref"))
    return name if isinstance(name, str) else None


def _name_layer(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _as_list(value: Any) -> list[Any]:
    """What CloudFormation computes counts as one."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


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
        return _find_folder(folder, metadata[_CDK_ASSET_PATH])
    if properties.get("InlineCode") is not None:
        return "its code stands in the template itself"
    name = "CodeUri" if kind == _SAM_FUNCTION else "Code"
    value = properties.get(name)
    return (
        _find_folder(folder, value)
        if isinstance(value, str)
        else _explain_missing_folder(name, value)
    )


def _explain_missing_folder(name: str, value: Any) -> str:
    if value is None:
        return f"the template gives it no {name}"
    if "ZipFile" in _as_dict(value):
        return "its code stands in the template itself"
    if isinstance(value, _Intrinsic) or any(key.startswith("Fn::") for key in _as_dict(value)):
        return f"its {name} is computed by CloudFormation"
    return f"its {name} is in S3"


def _find_folder(folder: Path, value: str) -> Path | str:
    if value.startswith(("s3://", "https://", "http://")):
        return f"its code is at {value}"
    path = _make_absolute(folder / value)
    if path.is_dir():
        return path
    if path.is_file():
        return f"its code, {path}, is a file and not a folder"
    return f"its folder {path} does not exist"
