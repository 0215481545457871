"""The interpreter of the user's project."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plldb.errors import SourceError

logger = logging.getLogger(__name__)

# What runtime/ is written for.
MINIMUM = (3, 8)
_CHECK_SECONDS = 15.0
_QUESTION = "import json, sys; print(json.dumps(sys.version_info[:3]))"
_PLACES = (Path("bin", "python"), Path("bin", "python3"))
_ENVIRONMENTS = (".venv", "venv")


@dataclass(frozen=True)
class Interpreter:
    """``path`` is as it was found: a link in a virtual environment stands for that environment."""

    path: Path
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))


def find_interpreter(
    python: str | None, folders: Sequence[Path], environ: Mapping[str, str]
) -> Interpreter:
    """``--python`` (a path, a command or a virtual environment), or else the project's own.

    That is the one of VIRTUAL_ENV, of .venv or venv in the first of ``folders`` (the template's,
    those of the code) that has one, or the one that runs plldb. Raises SourceError if it is no
    Python, or too old.
    """
    if python is not None:
        return check_interpreter(_find_named(python), "--python")
    for environment in _list_environments(folders, environ):
        for place in _PLACES:
            if (environment / place).is_file():
                return check_interpreter(environment / place, "the project's environment")
    return check_interpreter(Path(sys.executable), "plldb's own")


def _list_environments(folders: Sequence[Path], environ: Mapping[str, str]) -> Iterator[Path]:
    if environ.get("VIRTUAL_ENV"):
        yield Path(environ["VIRTUAL_ENV"])
    for folder in folders:
        for name in _ENVIRONMENTS:
            yield folder / name


def _find_named(python: str) -> Path:
    path = Path(python).expanduser()
    for place in _PLACES:
        if (path / place).is_file():
            return (path / place).absolute()
    found = shutil.which(python)
    if found is None:
        raise SourceError(
            f"--python {python}: there is no such program.",
            "Name the interpreter of your project, for example --python .venv/bin/python",
        )
    return Path(found).absolute()


def check_interpreter(path: Path, what: str, patience: float = _CHECK_SECONDS) -> Interpreter:
    """Asks a program for its version, and waits ``patience`` seconds for its answer.

    Raises SourceError, in which ``what`` names the program, if it is no Python, or too old.
    """
    try:
        # The program is the user's choice; no shell reads it.
        answer = subprocess.run(  # nosec B603
            [path, "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
        )
        major, minor, micro = json.loads(answer.stdout)
        version = (int(major), int(minor), int(micro))
    except subprocess.TimeoutExpired:
        raise _make_not_python_error(
            path, what, f"it did not answer within {patience:g} s"
        ) from None
    except OSError as error:
        raise _make_not_python_error(path, what, error.strerror or str(error)) from None
    except (ValueError, TypeError):
        said = answer.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"it gave no version (exit status {answer.returncode})"
        raise _make_not_python_error(path, what, reason) from None
    if version < MINIMUM:
        raise SourceError(
            f"{path} ({what}) is Python {major}.{minor}.{micro}, which is too old.",
            f"Use Python {'.'.join(map(str, MINIMUM))} or newer: --python PATH",
        )
    logger.debug("%s (%s) is Python %d.%d.%d", path, what, *version)
    return Interpreter(path, version)


def _make_not_python_error(path: Path, what: str, reason: str) -> SourceError:
    return SourceError(
        f"{path} ({what}) is not a Python interpreter: {reason}.",
        "Name the interpreter of your project: --python PATH",
    )
