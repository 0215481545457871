"""Code as Lambda takes it: zips of folders, whose keys are their content's."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from plldb.bootstrap.packager import Artifact, Entry, make_zip

# What is no code, and may be large. A virtual environment is told by its pyvenv.cfg.
_LEFT_OUT = frozenset(
    {
        ".aws-sam",
        ".git",
        ".hg",
        ".idea",
        ".mypy_cache",
        ".plldb",
        ".pytest_cache",
        ".ruff_cache",
        ".serverless",
        ".terraform",
        ".tox",
        ".vscode",
        "__pycache__",
        "cdk.out",
    }
)
_ENVIRONMENT = "pyvenv.cfg"
_ARCHIVES = (".zip", ".jar")
_DIGITS = 32
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class MakeBody(Protocol):
    def __call__(self) -> bytes: ...


@dataclass(frozen=True)
class Upload:
    """An object to be there under ``key``; its body is made if it is not there yet."""

    key: str
    make_body: MakeBody

    def make(self) -> Artifact:
        return Artifact(self.key, self.make_body())


def zip_code(path: Path, prefix: str) -> Upload:
    """A folder or a file as a zip; what is one already stays as it is.

    The key is ``<prefix><name>-<hash>.zip``. Links are followed. Raises OSError for what can't be
    read.
    """
    name = _name(path.stem if path.is_file() else path.name)
    if path.is_file() and path.suffix.lower() in _ARCHIVES:
        body = path.read_bytes()
        return Upload(f"{prefix}{name}-{_digest(body)}{path.suffix.lower()}", lambda: body)
    entries = [Entry(path.name, path.read_bytes())] if path.is_file() else [*list_entries(path)]
    hashed = hashlib.sha256()
    for entry in entries:
        head = f"{entry.name}\0{entry.is_executable}\0{len(entry.content)}\0"
        hashed.update(head.encode("utf-8", "surrogateescape") + entry.content)
    key = f"{prefix}{name}-{hashed.hexdigest()[:_DIGITS]}.zip"
    return Upload(key, partial(make_zip, entries, is_deflated=True))


def upload_file(path: Path, prefix: str) -> Upload:
    """A file as it is. Raises OSError."""
    return upload_text(path.read_bytes(), path.stem, path.suffix, prefix)


def upload_text(body: bytes, name: str, suffix: str, prefix: str) -> Upload:
    return Upload(f"{prefix}{_name(name)}-{_digest(body)}{suffix}", lambda: body)


def _name(name: str) -> str:
    """As it may stand in a URL, for people to know it by."""
    return _UNSAFE.sub("-", name)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:_DIGITS]


def list_entries(folder: Path) -> Iterator[Entry]:
    """The files below a folder, without what is no code. Raises OSError."""
    for at, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not _is_left_out(Path(at, name), folder))
        for name in sorted(files):
            path = Path(at, name)
            # A link that leads nowhere, a socket, a pipe.
            if path.is_file() and path.suffix != ".pyc":
                _check_name(path)
                yield Entry(
                    path.relative_to(folder).as_posix(),
                    path.read_bytes(),
                    os.access(path, os.X_OK),
                )


def _is_left_out(folder: Path, root: Path) -> bool:
    if folder.name in _LEFT_OUT or (folder / _ENVIRONMENT).is_file():
        return True
    if not folder.is_symlink():
        return False
    # A link to a folder that it is in, maybe by way of other links, would have no end.
    target = folder.resolve()
    inside = (above.resolve() for above in folder.parents if above.is_relative_to(root))
    return any(above.is_relative_to(target) for above in inside)


def _check_name(path: Path) -> None:
    """Raises OSError if a zip can't have it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        name = os.fsencode(path).decode(errors="backslashreplace")
        raise OSError(errno.EILSEQ, "its name is not UTF-8", name) from None
