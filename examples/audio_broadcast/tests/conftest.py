"""The stack, deployed to an emulator and attached to: its functions run here."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plldb.pytest_plugin.fixtures import AttachTo, DeployStack, PlldbAttached, PlldbStack

_APP = Path(__file__).parents[1]
# The code is deployed as it is: it runs here, where its packages are installed.
_CONTEXT = {"aws:cdk:bundling-stacks": [], "aws:cdk:disable-asset-staging": True}


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``cdk synth`` makes."""
    if importlib.util.find_spec("aws_cdk") is None or shutil.which("node") is None:
        pytest.skip("the CDK needs aws-cdk-lib and Node.js")
    output = tmp_path_factory.mktemp("app") / "cdk.out"
    variables = {"CDK_OUTDIR": str(output), "CDK_CONTEXT_JSON": json.dumps(_CONTEXT)}
    subprocess.run(
        [sys.executable, "app.py"], cwd=_APP, env=os.environ | variables, check=True, timeout=300
    )
    return output


@pytest.fixture(scope="session")
def stack(plldb_stack: DeployStack, assembly: Path) -> PlldbStack:
    return plldb_stack(assembly)


@pytest.fixture
def attached(plldb_attached: AttachTo, stack: PlldbStack) -> PlldbAttached:
    return plldb_attached(stack)
