"""The functions' code with the packages that it needs, as pip installs them here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

_SOURCE = Path(__file__).parent.parent / "src"


@jsii.implements(cdk.ILocalBundling)
class _WithPip:
    """PyJWT is pure Python: what is installed here runs on Lambda, so no container is needed."""

    def try_bundle(self, output_dir: str, *_args: object, **_options: object) -> bool:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", output_dir]
        subprocess.run([*pip, "--requirement", str(_SOURCE / "requirements.txt")], check=True)
        shutil.copytree(
            _SOURCE, output_dir, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )
        return True


def bundle(runtime: lambda_.Runtime) -> lambda_.Code:
    bundling = cdk.BundlingOptions(image=runtime.bundling_image, local=_WithPip())
    return lambda_.Code.from_asset(str(_SOURCE), bundling=bundling, exclude=["**/__pycache__"])
