"""Stamps and listings: by what a file that was loaded is known to have changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from plldb.debugger.children.file_changes import NOTHING_LOADED, find_changes, read_loaded_files
from plldb.debugger.children.runtime.file_stamps import is_unchanged, list_modules, take_stamp


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text("VALUE = 1")
    return path


def age(path: Path, seconds: float = 60) -> None:
    """Makes it a file that was saved some time ago."""
    then = path.stat().st_mtime_ns - int(seconds * 1e9)
    os.utime(path, ns=(then, then))


class TestStamps:
    @pytest.mark.parametrize("is_old", [True, False])
    def test_nothing_has_changed(self, file: Path, is_old: bool) -> None:
        if is_old:
            age(file)
        assert is_unchanged(str(file), take_stamp(str(file)))

    def test_a_change_of_the_same_size_within_one_tick_of_the_file_systems_clock(
        self, file: Path
    ) -> None:
        stamp, saved = take_stamp(str(file)), file.stat()
        file.write_text("VALUE = 2")
        os.utime(file, ns=(saved.st_atime_ns, saved.st_mtime_ns))
        assert not is_unchanged(str(file), stamp)

    def test_another_file_in_its_place_with_time_and_size_of_the_first(self, file: Path) -> None:
        age(file)
        stamp, saved = take_stamp(str(file)), file.stat()
        other = file.with_name("other")
        other.write_text("VALUE = 2")
        os.utime(other, ns=(saved.st_atime_ns, saved.st_mtime_ns))
        other.replace(file)
        assert not is_unchanged(str(file), stamp)

    def test_an_older_file_in_its_place(self, file: Path) -> None:
        stamp = take_stamp(str(file))
        age(file)
        assert not is_unchanged(str(file), stamp)

    def test_one_that_is_gone_and_one_that_was_not_there(self, file: Path) -> None:
        stamp = take_stamp(str(file))
        file.unlink()
        assert not is_unchanged(str(file), stamp)
        assert take_stamp(str(file)) is None
        assert is_unchanged(str(file), None)
        file.touch()
        assert not is_unchanged(str(file), None)

    def test_a_link_that_leads_to_another_file(self, file: Path) -> None:
        link = file.with_name("link.py")
        link.symlink_to(file)
        stamp = take_stamp(str(link))
        shutil.copy2(file, file.with_name("copy.py"))
        link.unlink()
        link.symlink_to(file.with_name("copy.py"))
        assert not is_unchanged(str(link), stamp)

    @pytest.mark.parametrize("path", ["", "a\0b", "/nowhere/x.py", "x" * 10_000])
    def test_what_is_no_path_is_no_file(self, path: str) -> None:
        assert take_stamp(path) is None
        assert is_unchanged(path, None)


class TestListings:
    def test_what_can_be_imported(self, tmp_path: Path) -> None:
        for name in ("app.py", "fast.cpython-311-x86_64-linux-gnu.so", "old.pyc", "events.jsonl"):
            (tmp_path / name).touch()
        for name in ("package/__init__.py", "space/x.py", "__pycache__/app.pyc", "not-a-name/x.py"):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).touch()
        entries = list_modules(str(tmp_path))
        assert entries == [
            "app.py",
            "fast.cpython-311-x86_64-linux-gnu.so",
            "old.pyc",
            "package/__init__",
            "space/",
        ]
        assert list_modules(str(tmp_path), {"space", "fast"}) == [entries[1], entries[4]]

    def test_no_folder(self) -> None:
        assert list_modules("/nowhere") == []


def test_changes_are_named(file: Path, tmp_path: Path) -> None:
    loaded = read_loaded_files(
        {
            "files": {str(file): take_stamp(str(file)), str(tmp_path / "data.json"): None},
            "folders": {str(tmp_path): [["app", "extra"], list_modules(str(tmp_path), {"app"})]},
        }
    )
    assert find_changes(loaded) == []
    for name in ("extra.py", "data.json", "unasked.py", "events.jsonl"):
        (tmp_path / name).touch()
    assert find_changes(loaded) == [str(tmp_path / "data.json"), str(tmp_path / "extra.py")]
    file.unlink()
    assert str(file) in find_changes(loaded)


def test_nothing_was_loaded() -> None:
    assert find_changes(NOTHING_LOADED) == []
