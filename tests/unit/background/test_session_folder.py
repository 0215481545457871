"""Which session runs in a folder, whatever has become of the one before."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from plldb.background.session_folder import SessionFolder, find_nearest
from plldb.background.session_record import SessionRecord
from plldb.errors import SessionError
from tests.unit.polling import poll

RECORD = SessionRecord(
    "/home/eve/shop",
    "dev",
    4242,
    "2026-11-26T10:15:00+00:00",
    "ready",
    ("shop",),
    ("Greeter",),
    {"Old": "it is an image"},
)


@pytest.fixture
def place(tmp_path: Path) -> SessionFolder:
    place = SessionFolder(tmp_path / "home", tmp_path)
    place.create()
    return place


class TestLock:
    def test_one_session_runs_at_once(self, place: SessionFolder) -> None:
        assert not place.is_running()
        first = place.lock()
        assert first is not None
        assert place.is_running()
        assert place.lock() is None
        os.close(first)
        assert not place.is_running()

    def test_a_look_at_it_is_in_nobodys_way(self, place: SessionFolder) -> None:
        looking = place._try_to_lock(1)  # LOCK_SH
        assert looking is not None
        assert not place.is_running()
        os.close(looking)

    def test_whoever_inherits_it_runs_until_it_is_killed(self, place: SessionFolder) -> None:
        lock = place.lock()
        assert lock is not None
        code = "import sys; print(flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(lock,),
        ) as process:
            os.close(lock)
            assert process.stdout is not None
            process.stdout.readline()
            assert place.is_running()
            process.kill()
            process.wait()
            poll(lambda: not place.is_running())


class TestRecord:
    def test_it_is_read_as_it_was_written(self, place: SessionFolder) -> None:
        assert place.read_record() is None
        place.write_record(RECORD)
        assert place.read_record() == RECORD
        place.write_record(replace(RECORD, state="ended", exit_code=1, error="It broke."))
        assert place.read_record() == replace(RECORD, state="ended", exit_code=1, error="It broke.")

    @pytest.mark.parametrize(
        "text",
        ["", "junk", "[]", "{}", "\x00", '{"folder": 3}', '{"pid": 4}']
        + [
            RECORD.to_json().replace("4242", pid)
            for pid in ("0", "1", "-1", '"4242"', "null", "42.5", "true")
        ]
        + [RECORD.to_json().replace('"ready"', state) for state in ("3", "null", '"gone"')]
        + [RECORD.to_json().replace('"/home/eve/shop"', "{}")],
    )
    def test_one_that_makes_no_sense_is_none(self, place: SessionFolder, text: str) -> None:
        place.record_file.write_text(text)
        assert place.read_record() is None

    def test_one_of_a_later_plldb_may_have_more(self, place: SessionFolder) -> None:
        place.record_file.write_text(RECORD.to_json().replace("{", '{"more": 1,', 1))
        assert place.read_record() == RECORD


class TestPlace:
    def test_nobody_else_can_read_it(self, place: SessionFolder) -> None:
        assert stat.S_IMODE(place.path.stat().st_mode) == 0o700
        place.path.chmod(0o755)
        place.create()
        assert stat.S_IMODE(place.path.stat().st_mode) == 0o700
        place.write_record(RECORD)
        assert stat.S_IMODE(place.record_file.stat().st_mode) == 0o600

    def test_folders_have_places_of_their_own(self, tmp_path: Path) -> None:
        names = ("a/shop", "b/shop", "a/sh op", "a/sh_op", "ä", "x" * 255)
        places = [SessionFolder(tmp_path, tmp_path / name).path for name in names]
        assert len({*places}) == len(names)
        for one in places:
            one.mkdir(parents=True)

    def test_however_it_is_named_it_is_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "shop").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "shop")
        one, other = (SessionFolder(tmp_path, tmp_path / name) for name in ("shop", "link"))
        assert one.path == other.path

    def test_the_nearest_above_is_found(self, tmp_path: Path) -> None:
        home, inner = tmp_path / "home", tmp_path / "a" / "b" / "c"
        inner.mkdir(parents=True)
        assert find_nearest(home, inner).path == SessionFolder(home, inner).path
        for folder in (tmp_path / "a", tmp_path / "a" / "b"):
            place = SessionFolder(home, folder)
            place.create()
            place.write_record(RECORD)
            assert find_nearest(home, inner).path == place.path
        assert len([*SessionFolder.list_all(home)]) == 2

    def test_where_there_can_be_none_it_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(SessionError, match="no state of a session"):
            SessionFolder(tmp_path / "file", tmp_path).create()
