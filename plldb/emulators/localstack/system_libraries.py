"""Gives a base image the shared libraries that every manylinux wheel may expect of it.

Usage: system_libraries.py FOLDER. Debian and ``python:3.13-slim`` have them all, and FOLDER stays
empty. A base image that holds little more than Python lacks some: the compiler's run-time
libraries come from Debian then, by a pinned version. glibc's own older names become links to its
libc, which contains what they held since 2.34.
"""

import ctypes
import hashlib
import io
import sys
import tarfile
import urllib.request
from pathlib import Path, PurePosixPath

POOL = "https://deb.debian.org/debian/pool/main/g/gcc-12"
PACKAGES = {
    "libgcc_s.so.1": (
        "libgcc-s1_12.2.0-14+deb12u1_amd64.deb",
        "3016e62cb4b7cd8038822870601f5ed131befe942774d0f745622cc77d8a88f7",
    ),
    "libstdc++.so.6": (
        "libstdc++6_12.2.0-14+deb12u1_amd64.deb",
        "5cd3171216d4ab0fc911cfe9c35509bf2dd8f47761c43b7f6a4296701551a24d",
    ),
}
MERGED_INTO_LIBC = ("libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in filter(is_missing, MERGED_INTO_LIBC):
        (folder / name).symlink_to(path_of_libc())
    for name, (package, digest) in PACKAGES.items():
        if is_missing(name):
            (folder / name).write_bytes(library_in(download(package, digest), name))


def is_missing(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        # A library that is there, but needs another of these, says the other's name.
        return str(error).startswith(name)
    return False


def path_of_libc() -> str:
    with Path("/proc/self/maps").open() as maps:
        return next(line.split()[-1] for line in maps if "/libc.so.6" in line)


def download(package: str, digest: str) -> bytes:
    url = f"{POOL}/{package}"
    # The scheme is POOL's, and what comes is checked.
    with urllib.request.urlopen(url, timeout=60) as response:  # nosec B310  # noqa: S310
        data: bytes = response.read()
    if hashlib.sha256(data).hexdigest() != digest:
        raise SystemExit(f"{package} is not what it was: its checksum differs")
    return data


def library_in(package: bytes, name: str) -> bytes:
    """The file that ``name`` is, or links to, in a Debian package."""
    with tarfile.open(fileobj=io.BytesIO(data_member(package))) as archive:
        files = {PurePosixPath(member.name).name: member for member in archive.getmembers()}
        member = files[name]
        while member.issym():
            member = files[PurePosixPath(member.linkname).name]
        content = archive.extractfile(member)
        assert content is not None
        return content.read()


def data_member(package: bytes) -> bytes:
    """``data.tar.*`` of a .deb, which is an ar archive: 60-byte headers, contents padded to two."""
    offset = len(b"!<arch>\n")
    while offset < len(package):
        header = package[offset : offset + 60]
        size = int(header[48:58])
        if header.startswith(b"data.tar"):
            return package[offset + 60 : offset + 60 + size]
        offset += 60 + size + size % 2
    raise SystemExit("not a Debian package")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
