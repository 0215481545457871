"""Makes zips that depend on the content of files alone: same code, same bytes, same key."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

# The earliest date that a zip can hold; any fixed one would do.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE = 0o100644 << 16
_PROGRAM = 0o100755 << 16
_UNIX = 3  # as the creating system, wherever the zip is made


@dataclass(frozen=True)
class Artifact:
    """A zip and the S3 key that its content gives it."""

    key: str
    body: bytes


@dataclass(frozen=True)
class Entry:
    """A file of a zip; ``name`` is its path there, with slashes."""

    name: str
    content: bytes = field(repr=False)
    is_executable: bool = False


def package(folder: Path, key_prefix: str = "", name: str | None = None) -> Artifact:
    """Zips the Python sources below ``folder``, with the folder itself as the root of the zip.

    The key is ``<key_prefix><name>-<hash>.zip``; the name is the folder's unless another is given.
    They are stored rather than deflated: zlib's output differs between its builds, and the sources
    are small.
    """
    sources = sorted(folder.rglob("*.py"))
    body = make_zip(
        [Entry(one.relative_to(folder.parent).as_posix(), _read_source(one)) for one in sources]
    )
    digest = hashlib.sha256(body).hexdigest()[:16]
    return Artifact(f"{key_prefix}{name or folder.name}-{digest}.zip", body)


def make_zip(entries: Iterable[Entry], is_deflated: bool = False) -> bytes:
    """In the order of the entries, with fixed times, and modes of two kinds."""
    buffer = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if is_deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for entry in entries:
            archive.writestr(_make_info(entry), entry.content, compression)
    return buffer.getvalue()


def _make_info(entry: Entry) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(entry.name, date_time=_EPOCH)
    info.external_attr = _PROGRAM if entry.is_executable else _REGULAR_FILE
    info.create_system = _UNIX
    return info


def _read_source(source: Path) -> bytes:
    """The line ends are those of the repository, whatever a checkout made of them."""
    return source.read_bytes().replace(b"\r\n", b"\n")
