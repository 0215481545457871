"""``plldb-shim`` is the layer's folder as a package, for container images to install."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import plldb_shim
import pytest
from lambda_functions.websocket import wire
from plldb_shim import constants

from plldb import __version__
from plldb.debugger.children.interpreter import Interpreter
from tests.unit.debugger.lambda_runtime import LambdaRuntime
from tests.unit.debugger.local_code import every_python

from .function import variables_of
from .helper_stack import ASKED, REQUEST_ID, absent, accepted, helper_stack

PACKAGE = Path(__file__).parents[4] / "packaging" / "plldb-shim"
SHIM = Path(plldb_shim.__file__).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run(
        [*build, "-d", str(folder)], cwd=PACKAGE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pip does it: such a wheel is unpacked, and nothing else."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_has_what_the_layer_has_and_plldbs_version(wheel: Path) -> None:
    assert wheel.name == f"plldb_shim-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        content = {
            name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name
        }
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        described = archive.read(metadata).decode()
    assert content == {f"plldb_shim/{path.name}": path.read_bytes() for path in SHIM.glob("*.py")}
    assert "Requires-Python: >=3.8" in described
    assert "Requires-Dist" not in described


@every_python
def test_it_can_be_imported(installed: Path, python: Interpreter) -> None:
    code = "import plldb_shim; print(plldb_shim.handler.__name__)"
    done = subprocess.run(
        [python.path, "-c", code],
        check=False,
        env={"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("handler\n", "")


def test_an_image_that_is_called_by_it_asks_the_debugger_and_runs_its_own_handler_without(
    installed: Path, tmp_path: Path
) -> None:
    """``python -m awslambdaric plldb_shim.handler`` is what ImageConfig's Command makes of one."""
    pytest.importorskip("awslambdaric", reason="awslambdaric can be had for Linux only")
    (tmp_path / "app.py").write_text("def handler(event, context): return ['own', event]")
    said = [absent(), wire.answer(REQUEST_ID, ASKED, body='{"result": "debugged"}')]
    with helper_stack(lambda *_: [accepted(), said[-1]]) as stack:
        variables = variables_of(stack.url) | {
            constants.ORIGINAL_HANDLER: "app.handler",
            constants.IMAGE_HANDLER: "app.handler",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "PYTHONPATH": str(installed),
        }
        function = LambdaRuntime(tmp_path, constants.SHIM_HANDLER, variables)
        try:
            debugged = function.invoke("1", REQUEST_ID)
            said.pop()
            own = function.invoke("1", REQUEST_ID)
        finally:
            function.close()
    assert json.loads(debugged.content) == "debugged"
    assert json.loads(own.content) == ["own", 1]
