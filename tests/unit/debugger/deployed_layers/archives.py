"""Archives of layers, as good and bad tools make them."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

Entry = tuple[str, bytes, int]


def file(name: str, content: bytes | str = b"", mode: int = 0o644) -> Entry:
    content = content.encode() if isinstance(content, str) else content
    return name, content, stat.S_IFREG | mode


def link(name: str, target: str) -> Entry:
    return name, target.encode(), stat.S_IFLNK | 0o777


def make_archive(entries: Iterable[Entry], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            # ZipInfo cuts a name at a zero byte, as a careless reader would.
            info.filename = name
            info.external_attr = mode << 16
            info.compress_type = compression
            archive.writestr(info, content)
    return buffer.getvalue()


def make_layer(files: Mapping[str, bytes | str]) -> bytes:
    return make_archive(file(name, content) for name, content in files.items())


def digest(archive: bytes) -> str:
    """As Lambda writes CodeSha256."""
    return base64.b64encode(hashlib.sha256(archive).digest()).decode()


def elf(machine: int = 62, *, needs_glibc: int | None = None, big_endian: bool = False) -> bytes:
    """As much of an ELF file as tells what it was compiled for."""
    order = "big" if big_endian else "little"
    head = b"\x7fELF" + bytes([2, 2 if big_endian else 1, 1, 0]) + bytes(8)
    head += (3).to_bytes(2, order) + machine.to_bytes(2, order)
    names = b"" if needs_glibc is None else b"\0GLIBC_2.4\0GLIBC_2.%d\0" % needs_glibc
    return head + bytes(44) + names


def distribution(name: str, version: str, *entries: str) -> dict[str, str]:
    """What pip says of a distribution that has these files."""
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    record = "".join(f"{entry},,\n" for entry in (*entries, f"{folder}/RECORD"))
    return {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText",
        f"{folder}/RECORD": record,
    }


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
