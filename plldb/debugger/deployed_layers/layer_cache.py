"""Layers that were unpacked once, by their content. Several plldbs may use it at once.

::

    <folder>/content/<SHA-256 of the archive>/   what is in /opt on Lambda
    <folder>/versions/<hash of an ARN>           the SHA-256 of a version: it never changes on AWS
    <folder>/suitable/<…>/                       what of a content suits an interpreter, as links
    <folder>/unfinished/                         what is being made

A content appears in one step, whole: whatever ends plldb, none is there by half.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plldb.errors import LayerError
from plldb.files import replace_file

logger = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")
# What is older than that was left behind by a plldb that was killed.
_ABANDONED_SECONDS = 24 * 3600.0


class LayerCache:
    """``folder`` is made when it is needed, for its user's eyes only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_version(self, arn: str) -> Path | None:
        """Where the content of a version is, if it is known and still here."""
        try:
            sha256 = self._version_file(arn).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return None
        path = self._folder / "content" / sha256
        return path if _SHA256.fullmatch(sha256) and path.is_dir() else None

    def remember_version(self, arn: str, sha256: str) -> None:
        path = self._version_file(arn)
        with self._explaining_errors():
            _make_folder(path.parent)
            replace_file(path, sha256.encode())

    def keep_content(self, sha256: str, make: Callable[[Path], None]) -> Path:
        """Where the content is. If it is not there yet, ``make`` puts it into an empty folder.

        ``sha256`` is hexadecimal. Raises LayerError.
        """
        return self._keep(self._folder / "content" / sha256, make)

    def keep_suitable(self, name: str, make: Callable[[Path], None]) -> Path:
        """The same, for what is made of a content."""
        return self._keep(self._folder / "suitable" / name, make)

    def make_download(self) -> Path:
        """A new folder for a file that is not worth keeping. Whoever has it deletes it."""
        with self._explaining_errors():
            unfinished = self._folder / "unfinished"
            _make_folder(unfinished)
            _sweep(unfinished)
            return Path(tempfile.mkdtemp(dir=unfinished))

    def _keep(self, path: Path, make: Callable[[Path], None]) -> Path:
        if path.is_dir():
            return path
        made = self.make_download()
        try:
            with self._explaining_errors():
                make(made)
                _make_folder(path.parent)
                _move(made, path)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return path

    def _version_file(self, arn: str) -> Path:
        return self._folder / "versions" / hashlib.sha256(arn.encode()).hexdigest()

    @contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        """What the machine refuses becomes a LayerError."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise LayerError(
                f"it can't be kept in {self._folder}: {reason}",
                "Make room there, or name another folder: PLLDB_HOME.",
            ) from error


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _move(made: Path, path: Path) -> None:
    """Another plldb may have been quicker: then its content is there, and it is the same."""
    try:
        made.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _sweep(unfinished: Path) -> None:
    for path in unfinished.iterdir():
        with suppress(OSError):
            if time.time() - os.lstat(path).st_mtime > _ABANDONED_SECONDS:
                logger.info("%s was left behind, and is deleted", path)
                shutil.rmtree(path, ignore_errors=True)
