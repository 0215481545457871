"""The interpreter of the user's project."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from plldb.errors import SourceError

logger = logging.getLogger(__name__)

# What runtime/ is written for.
MINIMUM = (3, 8)
_CHECK_SECONDS = 15.0
_QUESTION = "import json, sys; print(json.dumps(sys.version_info[:3]))"
_PLACES = (Path("bin", "python"), Path("bin", "python3"))
# As venv, virtualenv, uv, and Poetry and Pipenv in the project have it, and conda in VS Code.
_ENVIRONMENTS = (".venv", "venv", ".conda", "env")
_CONDA_BASE = "base"


@dataclass(frozen=True)
class Interpreter:
    """``path`` is as it was found: a link in a virtual environment stands for that environment.
    ``is_ours``: it is the one that runs plldb, for want of one of the project's; what is installed
    there is plldb's.
    """

    path: Path
    version: tuple[int, int, int]
    is_ours: bool = False

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))


def find_interpreter(
    python: str | None,
    folders: Sequence[Path],
    environ: Mapping[str, str],
    named_by: str = "--python",
) -> Interpreter:
    """``python`` (a path, a command or a virtual environment), or else the project's own.

    ``named_by`` says in the user's words what names ``python``. The project's own is found
    in this order:

    - the environment that is active (VIRTUAL_ENV, or CONDA_PREFIX but for conda's base), unless it
      is the one that plldb itself runs in,
    - the first of .venv, venv, .conda and env in one of ``folders`` (the template's, those of the
      code), or in a folder above one of them, up to the root of its repository,
    - an active environment of any kind, and at last the one that runs plldb.

    Raises SourceError if it is no Python, not there any more, or too old.
    """
    if python is not None:
        return check_interpreter(_find_named(python, named_by), named_by)
    for environment in _list_environments(folders, environ):
        path = _find_program(environment)
        if path is not None:
            return check_interpreter(path, "the project's environment")
    return replace(check_interpreter(Path(sys.executable), "plldb's own"), is_ours=True)


def _list_environments(folders: Sequence[Path], environ: Mapping[str, str]) -> Iterator[Path]:
    active = [Path(environ[name]) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if environ.get(name)]
    for environment in active:
        is_base = (
            environ.get("CONDA_PREFIX") == str(environment)
            and environ.get("CONDA_DEFAULT_ENV") == _CONDA_BASE
        )
        if not is_base and not _is_our_own(environment):
            yield environment
    for folder in _list_folders_and_those_above(folders):
        for name in _ENVIRONMENTS:
            yield _follow(folder / name)
    yield from (environment for environment in active if not _is_our_own(environment))


def _is_our_own(environment: Path) -> bool:
    try:
        return environment.samefile(sys.prefix)
    except OSError:
        return False


def _list_folders_and_those_above(folders: Sequence[Path]) -> list[Path]:
    """The folders themselves come first, then the nearer of those above them."""
    lines = [_list_up_to_repository(folder.absolute()) for folder in folders]
    by_distance = [folder for level in zip_longest(*lines) for folder in level if folder]
    return list(dict.fromkeys(by_distance))


def _list_up_to_repository(folder: Path) -> list[Path]:
    """The folder alone if it is in no repository."""
    line = []
    for one in (folder, *folder.parents):
        line.append(one)
        if (one / ".git").exists():
            return line
    return [folder]


def _follow(environment: Path) -> Path:
    """Pipenv and virtualenvwrapper let .venv be a file that says where the environment is.

    A file that says anything else, like one with variables, is no environment.
    """
    try:
        named = environment.read_text(encoding="utf-8").strip() if environment.is_file() else ""
        if not named or "\n" in named:
            return environment
        target = environment.parent / Path(named).expanduser()
        return target if target.exists() else environment
    except (OSError, ValueError, RuntimeError):  # too long, with a zero byte, or of no user
        return environment


def _find_program(environment: Path) -> Path | None:
    """One that leads nowhere is found too: its environment is meant, and has to be made anew."""
    programs = [environment / place for place in _PLACES]
    there = [program for program in programs if program.is_file()]
    links = [program for program in programs if _find_broken_link(program)]
    return next(iter(there + links), None)


def _find_broken_link(program: Path) -> Path | None:
    """The program, or the folder of its environment."""
    ends = (program, program.parent.parent)
    return next((end for end in ends if end.is_symlink() and not end.exists()), None)


def _find_named(python: str, named_by: str) -> Path:
    path = _find_program(Path(python).expanduser()) if python else None
    if path is not None:
        return path.absolute()
    found = shutil.which(python)
    if found is None:
        raise SourceError(
            f"{named_by} {python}: there is no such program.",
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
        # What stands before it is a wrapper's.
        major, minor, micro = json.loads(answer.stdout.strip().rpartition(b"\n")[2])
        version = (int(major), int(minor), int(micro))
    except subprocess.TimeoutExpired:
        raise _make_not_python_error(
            path, what, f"it did not answer within {patience:g} s"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        if link := _find_broken_link(path):
            what_is = "it" if link == path else str(link)
            reason = f"{what_is} is a link to {link.readlink()}, which is not there"
        raise _make_not_python_error(path, what, reason) from None
    except (ValueError, TypeError):
        said = answer.stderr.decode(errors="replace").strip()
        reason = _find_gist(said) or f"it gave no version (exit status {answer.returncode})"
        raise _make_not_python_error(path, what, reason) from None
    if version < MINIMUM:
        raise SourceError(
            f"{path} ({what}) is Python {major}.{minor}.{micro}, which is too old.",
            f"Use Python {'.'.join(map(str, MINIMUM))} or newer: --python PATH",
        )
    logger.debug("%s (%s) is Python %d.%d.%d", path, what, *version)
    return Interpreter(path, version)


def _find_gist(said: str) -> str:
    """Programs begin with what is wrong, before what could be done; Python's traces end with it."""
    lines = said.splitlines()
    is_trace = any(line.startswith("Traceback ") for line in lines)
    return "".join(lines[-1:] if is_trace else lines[:1]).strip().rstrip(".")


def _make_not_python_error(path: Path, what: str, reason: str) -> SourceError:
    return SourceError(
        f"{path} ({what}) is not a Python interpreter: {reason}.",
        "Name the interpreter of your project: --python PATH",
    )
