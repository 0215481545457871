"""Cloud assemblies as ``cdk synth`` writes them, as far as plldb reads them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HANDLER = "index.handler"
RUNTIME = "python3.13"


def synthesise(
    app: Path,
    name: str,
    folders: Mapping[str, Path],
    *,
    stage: str | None = None,
    stack_name: str | None = None,
    environment: str = "aws://unknown-account/unknown-region",
    nested: Mapping[str, Path] | None = None,
    staging: bool = True,
    bundled: bool = False,
    metadata: bool = True,
) -> Path:
    """Adds a stack to the assembly in ``app/cdk.out``, or to that of a Stage in it: its template.

    ``folders`` are those of functions' code, by logical id; ``nested`` those of a nested stack
    ``Child``. Returns the template's path.
    """
    output = app / "cdk.out"
    assembly = output if stage is None else output / f"assembly-{stage}"
    assembly.mkdir(parents=True, exist_ok=True)
    if stage is not None:
        properties = {"directoryName": assembly.name, "displayName": stage}
        _add(output, assembly.name, {"type": "cdk:cloud-assembly", "properties": properties})
    files: dict[str, Any] = {}

    def add_functions(folders: Mapping[str, Path]) -> dict[str, Any]:
        resources = {}
        for logical_id, folder in folders.items():
            key, path = _stage_asset(output, folder, staging)
            at = path if path.is_absolute() and not staging else Path("..", path.name)
            at = at if stage is not None or not staging else Path(path.name)
            files[key] = {
                "source": {"path": str(at), "packaging": "zip"},
                "destinations": {"here": {"bucketName": "b", "objectKey": f"{key}.zip"}},
            }
            resources[logical_id] = {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": {"Fn::Sub": "b"}, "S3Key": f"{key}.zip"},
                    "Handler": HANDLER,
                    "Runtime": RUNTIME,
                },
            }
            if metadata:
                resources[logical_id]["Metadata"] = {
                    "aws:cdk:path": f"{name}/{logical_id}/Resource",
                    "aws:asset:path": str(at),
                    "aws:asset:is-bundled": bundled,
                    "aws:asset:property": "Code",
                }
        return resources

    resources = add_functions(folders)
    if nested is not None:
        child = f"{name}Child.nested.template.json"
        (assembly / child).write_text(json.dumps({"Resources": add_functions(nested)}))
        resources["Child"] = {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {"TemplateURL": {"Fn::Join": ["", ["https://s3.", "x"]]}},
            "Metadata": {"aws:asset:path": child, "aws:asset:property": "TemplateURL"},
        }
    template = assembly / f"{name}.template.json"
    template.write_text(json.dumps({"Resources": resources}))
    assets = f"{name}.assets.json"
    (assembly / assets).write_text(json.dumps({"version": "55.0.0", "files": files}))
    _add(assembly, f"{name}.assets", {"type": "cdk:asset-manifest", "properties": {"file": assets}})
    properties = {"templateFile": template.name}
    if stack_name is not None:
        properties["stackName"] = stack_name
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": environment,
        "properties": properties,
    }
    _add(assembly, name, stack)
    return template


def _stage_asset(output: Path, folder: Path, staging: bool) -> tuple[str, Path]:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    if not staging:
        return digest.hexdigest(), folder
    copy = output / f"asset.{digest.hexdigest()}"
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return digest.hexdigest(), copy


def _add(assembly: Path, artifact_id: str, artifact: Mapping[str, Any]) -> None:
    manifest = assembly / "manifest.json"
    content = (
        json.loads(manifest.read_text())
        if manifest.exists()
        else {"version": "55.0.0", "artifacts": {}}
    )
    content["artifacts"][artifact_id] = artifact
    manifest.write_text(json.dumps(content))
