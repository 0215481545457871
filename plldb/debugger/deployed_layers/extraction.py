"""Unpacks the archive of a layer, which may be anybody's, into a folder and nowhere else."""

from __future__ import annotations

import logging
import os
import stat
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from plldb.errors import LayerError

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: a function and all of its
# layers, unpacked.
MAX_BYTES = 250 * 1024 * 1024
# Lambda names no such limit; what fits in 250 MB and is of use has a tenth of it.
MAX_ENTRIES = 200_000
_CHUNK = 1024 * 1024
_LONGEST_LINK = 4096
_OPT = "/opt/"
# What is wrong with an archive, as zipfile tells it.
_MALFORMED = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError, ValueError)


def extract_layer(archive: Path, folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Unpacks into ``folder``, which exists and is empty, as Lambda does into /opt.

    Files can be read and, if they could, run by their owner; nobody writes to them. Links are made
    if they lead to a place inside of the folder; /opt is the folder. What is neither a file, a
    folder nor a link is left out. Raises LayerError for an archive that is malformed or too large,
    or that names a place outside; the folder may then have a part of it.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _extract_all(opened, folder, max_bytes)
    except _MALFORMED as error:
        raise LayerError(f"its archive is malformed: {error}") from None
    except RuntimeError:  # zipfile's own for one that is encrypted
        raise LayerError("its archive is encrypted") from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        name = Path(str(error.filename2 or error.filename)).name
        raise LayerError(f"its archive is malformed: {name} is there twice") from None


def _extract_all(archive: zipfile.ZipFile, folder: Path, max_bytes: int) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise LayerError(f"its archive has {len(entries)} files, more than {MAX_ENTRIES}")
    left = max_bytes
    links: list[tuple[Path, str]] = []
    for entry in entries:
        path = _locate(entry.filename, folder)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir():
            path.mkdir(parents=True, exist_ok=True)
        elif kind == stat.S_IFLNK:
            links.append((path, _read_link(archive, entry)))
        elif kind in (0, stat.S_IFREG):
            left = _extract_file(archive, entry, path, left)
        else:
            logger.info("%s is no file, folder or link, and left out", entry.filename)
    # After all files: no file is written through a link.
    _make_links(links, folder)


def _locate(name: str, folder: Path) -> Path:
    parts = PurePosixPath(name).parts
    is_root = not parts and name.endswith("/")
    if name.startswith("/") or ".." in parts or "\0" in name or not (parts or is_root):
        raise LayerError(f"its archive is malformed: {name!r} is no path in it")
    return folder.joinpath(*parts)


def _extract_file(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, max_bytes: int
) -> int:
    """How many bytes are left. What the archive says of the size is not relied on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        # Of two with one name, the later one is the file: so says every program that unpacks.
        path.unlink()
    with archive.open(entry) as source, path.open("xb") as file:
        while chunk := source.read(_CHUNK):
            max_bytes -= len(chunk)
            if max_bytes < 0:
                raise LayerError("its archive is larger than Lambda's 250 MB when it is unpacked")
            file.write(chunk)
    is_program = (entry.external_attr >> 16) & stat.S_IXUSR
    path.chmod(0o555 if is_program else 0o444)
    return max_bytes


def _read_link(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    if entry.file_size > _LONGEST_LINK:
        raise LayerError(f"its archive is malformed: the link {entry.filename!r} is too long")
    with archive.open(entry) as source:
        text = os.fsdecode(source.read(_LONGEST_LINK))
    if not text:
        raise LayerError(f"its archive is malformed: the link {entry.filename!r} leads nowhere")
    return text


def _make_links(links: list[tuple[Path, str]], folder: Path) -> None:
    """Those that lead elsewhere, be it by way of another link, are taken away again."""
    root = folder.resolve()
    # First of all, so that no link is made through another one.
    for path, _ in links:
        path.parent.mkdir(parents=True, exist_ok=True)
    for path, text in links:
        up = [".."] * (len(path.relative_to(folder).parts) - 1)
        is_in_opt = text.startswith(_OPT)
        path.symlink_to("/".join([*up, text.removeprefix(_OPT)]) if is_in_opt else text)
    made = [path for path, _ in links]
    while outward := [path for path in made if not _leads_into(path, root)]:
        for path in outward:
            logger.info("the link %s leads out of its layer, and is left out", path)
            path.unlink()
        made = [path for path in made if path not in outward]


def _leads_into(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # it leads to itself
        return False
