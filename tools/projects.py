"""What ``make projects`` does: the projects of tests/projects, as their own tools lay them out.

``python -m tools.projects KIND…`` runs the tool of each kind on a copy of its project, and puts
what it wrote beside the project's sources, without what plldb never reads. The tools are installed
into build/projects: those that pip and npm have. The copy's path is written as ``@PROJECT@``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_PROJECTS = _ROOT / "tests" / "projects"
_TOOLS = _ROOT / "build" / "projects"
_PYTHON_PACKAGES = ("aws-cdk-lib>=2.170,<3", "awscli", "chalice>=1.31", "setuptools<81")
_NODE_PACKAGES = (
    "aws-cdk@2",
    "aws-cdk-lib@2",
    "constructs@10",
    "osls",
    "ts-node@10",
    "typescript@5.9",
    "@types/node@22",
)
_PLACEHOLDER = "@PROJECT@"
_BUCKET = "artifacts"
# https://github.com/oss-serverless/osls/blob/main/lib/plugins/aws/package/lib/generate-artifact-directory-name.js
_PACKAGED_AT = re.compile(r"\d{13}-[0-9T:.-]+Z")


@dataclass(frozen=True)
class _Kind:
    """``output`` is what the ``commands`` write; ``clean`` makes it the same for each run."""

    commands: tuple[str, ...]
    output: str
    clean: Callable[[Path], None]


def _clean_assembly(output: Path) -> None:
    """Leaves out what tells of the constructs, and the flags of the CDK's version."""
    unread = ("*.metadata.json", "tree.json", "validation-report.json", "performance-counters.json")
    for path in [path for name in unread for path in output.rglob(name)]:
        path.unlink()
    for path in output.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["artifacts"] = {
            artifact_id: {k: v for k, v in artifact.items() if k != "additionalMetadataFile"}
            for artifact_id, artifact in manifest["artifacts"].items()
            if artifact["type"] not in ("cdk:tree", "cdk:feature-flag-report")
        }
        path.write_text(json.dumps(manifest, indent=1) + "\n")


def _clean_service(output: Path) -> None:
    """Leaves out the packages, and when they were made."""
    for path in output.iterdir():
        if path.suffix == ".json":
            path.write_text(_PACKAGED_AT.sub("0-1970-01-01T00:00:00.000Z", path.read_text()))
        else:
            path.unlink()


def _clean_packages(output: Path) -> None:
    for path in output.glob("*.zip"):
        path.unlink()


_KINDS: Mapping[str, _Kind] = {
    "cdk-python": _Kind(("cdk synth --quiet",), "cdk.out", _clean_assembly),
    "cdk-typescript": _Kind(("cdk synth --quiet",), "cdk.out", _clean_assembly),
    "chalice": _Kind(("chalice package out",), "out", _clean_packages),
    "cloudformation": _Kind(
        (
            f"aws s3 mb s3://{_BUCKET}",
            "mkdir packaged",
            f"aws cloudformation package --template-file template.yaml --s3-bucket {_BUCKET} "
            "--output-template-file packaged/template.yaml",
        ),
        "packaged",
        lambda _: None,
    ),
    "serverless": _Kind(("osls package",), ".serverless", _clean_service),
}


def generate(names: Iterable[str]) -> None:
    """Writes what the tools of these kinds make of their projects."""
    _install()
    with tempfile.TemporaryDirectory() as temporary:
        home = {"PLLDB_HOME": str(Path(temporary, "home"))}
        _run_plldb(["local", "up", "--detach"], home)
        try:
            for name in names:
                print(f"{name}: {'; '.join(_KINDS[name].commands)}", flush=True)
                _generate_one(name, Path(temporary, name), home)
        finally:
            _run_plldb(["local", "down"], home)


def _generate_one(name: str, copy: Path, home: Mapping[str, str]) -> None:
    kind = _KINDS[name]
    shutil.copytree(
        _PROJECTS / name, copy, ignore=shutil.ignore_patterns(kind.output, "__pycache__")
    )
    if (copy / "package.json").exists():
        (copy / "node_modules").symlink_to(_TOOLS / "node_modules")
    for command in kind.commands:
        _run_plldb(["exec", "--", "sh", "-c", command], home, copy)
    made = copy / kind.output
    kind.clean(made)
    for path in made.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace(str(copy), _PLACEHOLDER))
    shutil.rmtree(_PROJECTS / name / kind.output, ignore_errors=True)
    shutil.copytree(made, _PROJECTS / name / kind.output)


def _run_plldb(arguments: list[str], home: Mapping[str, str], folder: Path | None = None) -> None:
    paths = (_TOOLS / "venv" / "bin", _TOOLS / "node_modules" / ".bin")
    environment = os.environ | home
    environment["PATH"] = os.pathsep.join([*map(str, paths), os.environ["PATH"]])
    # The tools run under the Python that they are installed for.
    environment.pop("VIRTUAL_ENV", None)
    result = subprocess.run(
        [sys.executable, "-m", "plldb", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        sys.exit(f"{' '.join(arguments)}\n{result.stdout}\n{result.stderr}")


def _install() -> None:
    """Installs the tools once."""
    stamp = _TOOLS / "installed"
    wanted = " ".join((*_PYTHON_PACKAGES, *_NODE_PACKAGES))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Installing the tools into build/projects: a minute or two.", flush=True)
    venv.create(_TOOLS / "venv", with_pip=True, clear=True)
    pip = [str(_TOOLS / "venv" / "bin" / "pip"), "install", "--quiet", "--quiet", *_PYTHON_PACKAGES]
    subprocess.run(pip, check=True)
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(_TOOLS)]
    subprocess.run([*npm, *_NODE_PACKAGES], check=True)
    stamp.write_text(wanted)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", help=", ".join(_KINDS), metavar="KIND")
    chosen = parser.parse_args().kinds
    if unknown := [name for name in chosen if name not in _KINDS]:
        parser.error(f"no such kind: {', '.join(unknown)}")
    generate(chosen or _KINDS)
