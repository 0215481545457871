"""What counts as a change of the code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plldb.debugger.file_changes import find_changes, take_snapshot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("app.py", "lib/thing.py", ".git/HEAD", ".venv/x.py", "node_modules/m/i.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    return tmp_path


def names(folder: Path) -> set[str]:
    return {str(Path(path).relative_to(folder)) for path in take_snapshot(folder)}


def test_the_code_and_nothing_else(folder: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "app.pyc").write_text("x")
    assert names(folder) == {"app.py", "lib/thing.py"}


def test_nothing_has_changed(folder: Path) -> None:
    assert take_snapshot(folder) == take_snapshot(folder)
    assert find_changes(take_snapshot(folder), take_snapshot(folder)) == []


@pytest.mark.parametrize("name", ["app.py", "lib/thing.py", "lib/new.py", "data.json"])
def test_a_change(folder: Path, name: str) -> None:
    before = take_snapshot(folder)
    (folder / name).write_text("22")
    assert find_changes(before, take_snapshot(folder)) == [str(folder / name)]


def test_a_change_of_the_same_size_within_a_second(folder: Path) -> None:
    before = take_snapshot(folder)
    (folder / "app.py").write_text("2")
    os.utime(folder / "app.py", ns=(0, before[str(folder / "app.py")][0] + 1))
    assert take_snapshot(folder) != before


def test_a_file_that_is_gone(folder: Path) -> None:
    before = take_snapshot(folder)
    (folder / "lib" / "thing.py").unlink()
    assert find_changes(before, take_snapshot(folder)) == [str(folder / "lib" / "thing.py")]


@pytest.mark.parametrize("name", [".git/index", ".env.swp", "node_modules/m/j.js"])
def test_other_peoples_files(folder: Path, name: str) -> None:
    before = take_snapshot(folder)
    (folder / name).write_text("new")
    assert (take_snapshot(folder) == before) == ("/" in name)


def test_links_are_followed_and_never_for_ever(folder: Path, tmp_path_factory) -> None:
    shared = tmp_path_factory.mktemp("shared")
    (shared / "common.py").write_text("1")
    (folder / "common").symlink_to(shared)
    (folder / "loop").symlink_to(folder)
    (folder / "dangling").symlink_to("nowhere")
    before = take_snapshot(folder)
    assert str(folder / "common" / "common.py") in before
    (shared / "common.py").write_text("22")
    assert take_snapshot(folder) != before


def test_no_folder(tmp_path: Path) -> None:
    assert take_snapshot(tmp_path / "nowhere") == {}
