"""Where a template says that a function's code is.

CloudFormation's ``Code`` is what ``aws cloudformation package`` takes, SAM's ``CodeUri`` what ``sam
build`` takes: a folder, a single file, or nothing, which is the template's own folder.
https://docs.aws.amazon.com/cli/latest/reference/cloudformation/package.html
https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-cli-command-reference-sam-build.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plldb.debugger.sources.cloud_assembly import ASSET_PATH
from plldb.debugger.sources.intrinsics import Scope, UnknownValueError
from plldb.debugger.sources.package_origin import (
    OriginFinder,
    Package,
    find_origin_of_archive,
    read_file,
)
from plldb.debugger.sources.project import (
    find_folder,
    find_module_path,
    has_module,
    is_file,
    is_folder,
    is_remote,
    make_absolute,
)
from plldb.templates import as_dict

WAY_OUT = "name the template that this was packaged from with --template, or its code with --code"


@dataclass(frozen=True)
class InlineText:
    """Code that stands in the template; on Lambda it is a file of its own, index.py."""

    text: str


@dataclass(frozen=True)
class FunctionCode:
    """What a template says of the code of one function, Globals included.

    ``handler`` is None if it is not known. ``build_dir`` is where a build has put the function.
    """

    is_sam: bool
    properties: Mapping[str, Any]
    metadata: Mapping[str, Any]
    handler: str | None
    build_dir: Path | None


def locate_code(function: FunctionCode, folder: Path, scope: Scope) -> Path | InlineText | str:
    """The folder of a function's code, or its text; or why it has none, in words that follow
    "because". ``folder`` is what paths are relative to.
    """
    asset = function.metadata.get(ASSET_PATH)
    if isinstance(asset, str):
        return find_folder(folder, asset)
    name = "CodeUri" if function.is_sam else "Code"
    value = function.properties.get(name)
    if function.is_sam and function.properties.get("InlineCode") is not None:
        name, value = "InlineCode", {"ZipFile": function.properties["InlineCode"]}
    # Where the template leaves it out by a condition, there is none.
    value = scope.choose_one(value)
    is_text = isinstance(as_dict(value).get("ZipFile"), str)
    try:
        value = value if is_text else scope.resolve(value)
    except UnknownValueError:
        return _explain_unknown(name, value)
    match value:
        case {"ZipFile": str() as text}:
            return InlineText(text)
        case None if not function.is_sam and "Handler" not in function.properties:
            return f"the template gives it no {name}"
        case None | str():
            return _find_code(value or ".", function, folder)
    return f"its {name} is in S3; {WAY_OUT}"


def _explain_unknown(name: str, value: Any) -> str:
    if "ZipFile" in as_dict(value):
        return (
            "its code stands in the template, and CloudFormation computes parts of it; "
            "name a folder with its code with --code"
        )
    return f"its {name} is computed by CloudFormation; name its code with --code"


def _find_code(value: str, function: FunctionCode, folder: Path) -> Path | str:
    if is_remote(value):
        return f"its code is at {value}; {WAY_OUT}"
    path = make_absolute(folder / value)
    if is_folder(path):
        return _find_root(path, function)
    if path.suffix == ".py" and is_file(path):
        return path.parent
    if is_file(path):
        origin = find_origin_of_archive(path, folder, function.handler or "")
        if isinstance(origin, Path):
            return origin
        return (
            f"its code is in a file, {path}, and {origin.reason}; name the folder that this is "
            "made of with --code"
        )
    return f"its folder {path} does not exist"


def _find_root(path: Path, function: FunctionCode) -> Path:
    """The folder that the handler's module is found from: what becomes /var/task.

    A build may put the code below a package's folders, of which it is a part in the project, or
    take it from a folder below.
    https://github.com/aws/aws-sam-cli/blob/develop/samcli/lib/build/app_builder.py
    """
    module = find_module_path(function.handler or "")
    if not module or has_module(path, module):
        return path
    packages = tuple(module.split("/"))
    if "ParentPackageMode" in as_dict(function.metadata.get("BuildProperties")):
        for count in range(len(packages) - 1, 0, -1):
            if path.parts[-count:] == packages[:count]:
                root = path.parents[count - 1]
                if has_module(root, module):
                    return root
    if function.build_dir is not None:
        # A makefile takes what it wants from below.
        built = [Package(at, is_bundled=True) for at in function.build_dir.parent.glob("*/")]
        finder = OriginFinder([path], built, partial(_is_named, read_file(path / "Makefile")))
        origin = finder.find(Package(function.build_dir, is_bundled=True), function.handler)
        return origin if isinstance(origin, Path) else path
    return path


def _is_named(makefile: bytes, folder: Path) -> bool:
    name = re.escape(folder.name).encode()
    return re.search(rb"(?<![\w.-])" + name + rb"(?![\w.-])", makefile) is not None
