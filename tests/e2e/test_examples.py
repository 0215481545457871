"""The examples' own tests, as somebody runs them who has copied one of the folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .support import clean_environment

_EXAMPLES = Path(__file__).parents[2] / "examples"
_LEFT_BY_OTHERS = shutil.ignore_patterns(".*", "__pycache__", "cdk.out")
# Seconds: a stack for each of two processes, on a busy machine.
_LONGEST = 400


def _run_pytest(example: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """On an emulator of their own, whatever the others of this suite run against."""
    project = folder / example
    shutil.copytree(_EXAMPLES / example, project, ignore=_LEFT_BY_OTHERS)
    environment = {
        name: value
        for name, value in clean_environment().items()
        if not name.startswith(("COV_", "COVERAGE_", "PYTEST_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=project,
        env=environment | {"PLLDB_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST,
    )


_COVERED = ("--cov", "--cov-fail-under=90")


@pytest.mark.needs("process")
@pytest.mark.parametrize(
    ("example", "options"),
    [
        pytest.param("orders", ("-n", "2", *_COVERED), id="orders"),
        pytest.param("duel_arena", ("-n", "0", *_COVERED), id="duel_arena"),
        pytest.param("agent_platform", ("-n", "0"), id="agent_platform"),
        # Without the CDK and Node.js, those of its own tests that deploy it are skipped.
        pytest.param("audio_broadcast", ("-n", "0"), id="audio_broadcast"),
    ],
)
def test_an_examples_own_tests_pass(example: str, options: tuple[str, ...], tmp_path: Path) -> None:
    done = _run_pytest(example, tmp_path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
