"""A file is replaced whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from plldb.files import replace_file


@pytest.mark.parametrize("before", [None, b"", b"old and longer"])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_file_has_the_new_content_and_permissions(
    tmp_path: Path, before: bytes | None, mode: int
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    replace_file(path, b"new", mode)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_only_its_owner_reads_it_unless_more_is_asked_for(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", b"")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_what_can_not_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "kept").touch()
    with pytest.raises(OSError):
        replace_file(folder, b"new")
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "kept").exists()


def test_without_its_folder_it_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "none" / "file", b"new")
