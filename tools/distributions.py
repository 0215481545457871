"""Builds what is published (``make dist``): of plldb, plldb-shim and the LocalStack extension each
an sdist, and a wheel from that.

``python -m tools.distributions FOLDER`` writes them there. The same commit gives the same bytes:
times are those of the commit, or of SOURCE_DATE_EPOCH
(https://reproducible-builds.org/docs/source-date-epoch/).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Of each package, the folder that pyproject.toml lies in.
PACKAGES = (
    ROOT,
    ROOT / "packaging" / "plldb-shim",
    ROOT / "plldb" / "emulators" / "localstack" / "extension",
)


def build(folder: Path) -> list[Path]:
    """Builds all of them into ``folder``, in place of what it had, and returns the files."""
    for old in _list_distributions(folder):
        old.unlink()
    environment = os.environ | {"SOURCE_DATE_EPOCH": _find_time()}
    for package in PACKAGES:
        # This Python builds them all: what builds a package need not be able to run it.
        command = [sys.executable, "-m", "uv", "build", "--quiet", "--python", sys.executable]
        subprocess.run([*command, "--out-dir", folder, package], env=environment, check=True)
    return _list_distributions(folder)


def _list_distributions(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.tar.gz"), *folder.glob("*.whl")])


def _find_time() -> str:
    """Seconds since 1970, of the commit that is checked out; without one, as in an unpacked sdist,
    of its changelog.
    """
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    if (ROOT / ".git").exists():
        return run_git("log", "-1", "--format=%ct").strip()
    return str(int((ROOT / "CHANGELOG.md").stat().st_mtime))


def run_git(*arguments: str) -> str:
    """What git says of the checkout, also if that is another user's, as where root builds it."""
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    for path in build(Path(sys.argv[1])):
        print(path)
