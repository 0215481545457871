"""What ``make setup`` does: a virtual environment with plldb and everything that develops it.

``python -m tools.environment FOLDER EXTRAS`` makes FOLDER with the Python that runs this, installs
the checkout into it with these extras (``local,dev``), and tells how far it is. What pip says is
shown only if pip fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

_MINIMUM = (3, 11)
_STEP = 30  # packages from one line to the next


def make(folder: Path, extras: str) -> int:
    """Makes the environment, or brings it up to date. Returns the exit code."""
    python = folder / "bin" / "python"
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _MINIMUM:
        minimum = ".".join(map(str, _MINIMUM))
        return _fail(f"{sys.executable} is Python {version}: name {minimum} or newer by PYTHON=…")
    if python.exists() and (of := _version_of(python)) != version:
        return _fail(f"{folder} is of Python {of}, not {version}: remove it, or give VENV=FOLDER")

    started = time.monotonic()
    print(f"Python {version} ({sys.executable}), plldb and its extras {extras} → {folder}")
    print("One to three minutes; again only when pyproject.toml changes.", flush=True)
    if not python.exists():
        venv.create(folder, with_pip=True, symlinks=True)
    if exit_code := _install(python, extras):
        return exit_code
    print(f"Done in {time.monotonic() - started:.0f} s: source {folder}/bin/activate")
    return 0


def _version_of(python: Path) -> str:
    command = [python, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _install(python: Path, extras: str) -> int:
    command = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "--editable", f".[{extras}]"]
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        assert pip.stdout is not None
        for line in progress(_kept(pip.stdout, said)):
            print(f"  {line}", flush=True)
    if pip.returncode:
        print("".join(said), file=sys.stderr)
    return pip.returncode


def _kept(lines: Iterator[str], said: list[str]) -> Iterator[str]:
    for line in lines:
        said.append(line)
        yield line


def progress(lines: Iterator[str]) -> Iterator[str]:
    """What to tell of the lines that pip prints: a few of them, each of which means a wait."""
    found = 0
    for line in lines:
        if line.startswith("Collecting "):
            found += 1
            if found % _STEP == 1:
                name = re.split(r"[^\w.-]", line.removeprefix("Collecting "), maxsplit=1)[0]
                yield f"looking up packages: {found}, {name} …"
        elif names := line.partition("Installing collected packages: ")[2]:
            yield f"installing {len(names.split(','))} packages …"


def _fail(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(make(Path(sys.argv[1]), sys.argv[2]))
