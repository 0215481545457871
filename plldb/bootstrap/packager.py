"""Makes zips that depend on the content of files alone: same code, same bytes, same key."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

# The earliest date that a zip can hold; any fixed one would do.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE = 0o100644 << 16
_UNIX = 3  # as the creating system, wherever the zip is made


@dataclass(frozen=True)
class Artifact:
    """A zip and the S3 key that its content gives it."""

    key: str
    body: bytes


def package(folder: Path, key_prefix: str = "", name: str | None = None) -> Artifact:
    """Zips the Python sources below ``folder``, with the folder itself as the root of the zip.

    The key is ``<key_prefix><name>-<hash>.zip``; the name is the folder's unless another is given.
    Entries are sorted, with fixed times and modes, and stored rather than deflated: zlib's output
    differs between its builds, and the sources are small.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for source in sorted(folder.rglob("*.py")):
            archive.writestr(_make_entry(source.relative_to(folder.parent)), _read_source(source))
    body = buffer.getvalue()
    digest = hashlib.sha256(body).hexdigest()[:16]
    return Artifact(f"{key_prefix}{name or folder.name}-{digest}.zip", body)


def _make_entry(name: Path) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name.as_posix(), date_time=_EPOCH)
    entry.external_attr = _REGULAR_FILE
    entry.create_system = _UNIX
    return entry


def _read_source(source: Path) -> bytes:
    """The line ends are those of the repository, whatever a checkout made of them."""
    return source.read_bytes().replace(b"\r\n", b"\n")
