"""What was unpacked once is kept, whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from plldb.debugger.deployed_layers.layer_cache import LayerCache
from plldb.errors import LayerError

SHA256 = "ab" * 32
ARN = "arn:aws:lambda:eu-west-1:123456789012:layer:x:1"


def write(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "file").write_text(text) and None


def unfinished(cache: Path) -> list[Path]:
    return list((cache / "unfinished").iterdir())


class TestContent:
    def test_it_is_made_once(self, tmp_path: Path) -> None:
        cache = LayerCache(tmp_path / "cache")
        path = cache.keep_content(SHA256, write("one"))
        assert LayerCache(tmp_path / "cache").keep_content(SHA256, write("two")) == path
        assert (path / "file").read_text() == "one"
        assert unfinished(tmp_path / "cache") == []

    def test_it_is_for_its_users_eyes_only(self, tmp_path: Path) -> None:
        LayerCache(tmp_path / "cache").keep_content(SHA256, write("one"))
        for folder in (tmp_path / "cache").iterdir():
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_what_can_not_be_made_leaves_nothing(self, tmp_path: Path) -> None:
        def fail(folder: Path) -> None:
            (folder / "half").touch()
            raise LayerError("it is malformed")

        cache = LayerCache(tmp_path)
        with pytest.raises(LayerError, match="malformed"):
            cache.keep_content(SHA256, fail)
        assert unfinished(tmp_path) == []
        assert cache.keep_content(SHA256, write("one")).is_dir()

    def test_while_it_is_made_somebody_else_is_quicker(self, tmp_path: Path) -> None:
        cache = LayerCache(tmp_path)

        def make(folder: Path) -> None:
            LayerCache(tmp_path).keep_content(SHA256, write("other"))
            write("own")(folder)

        path = cache.keep_content(SHA256, make)
        assert (path / "file").read_text() == "other"
        assert unfinished(tmp_path) == []

    def test_a_plldb_that_is_killed_half_way_leaves_nothing_half(self, tmp_path: Path) -> None:
        def die(folder: Path) -> None:
            (folder / "half").touch()
            os.kill(os.getpid(), signal.SIGKILL)

        child = multiprocessing.get_context("fork").Process(
            target=lambda: LayerCache(tmp_path).keep_content(SHA256, die)
        )
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert len(unfinished(tmp_path)) == 1
        path = LayerCache(tmp_path).keep_content(SHA256, write("one"))
        assert [one.name for one in path.iterdir()] == ["file"]

    def test_what_was_left_behind_is_deleted_in_the_end(self, tmp_path: Path) -> None:
        cache = LayerCache(tmp_path)
        old, new = cache.make_download(), cache.make_download()
        (old / "file").touch()
        (old / "file").chmod(0o444)
        os.utime(old, (0, 0))
        cache.keep_content(SHA256, write("one"))
        assert unfinished(tmp_path) == [new]

    def test_a_folder_that_can_not_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "cache").touch()
        with pytest.raises(LayerError, match=r"can't be kept in .*cache") as raised:
            LayerCache(tmp_path / "cache").keep_content(SHA256, write("one"))
        assert "PLLDB_HOME" in str(raised.value.hint)


class TestVersions:
    def test_a_version_is_remembered_with_its_content(self, tmp_path: Path) -> None:
        cache = LayerCache(tmp_path)
        path = cache.keep_content(SHA256, write("one"))
        assert cache.find_version(ARN) is None
        cache.remember_version(ARN, SHA256)
        assert cache.find_version(ARN) == path
        assert cache.find_version(ARN[:-1] + "2") is None

    def test_but_not_without(self, tmp_path: Path) -> None:
        cache = LayerCache(tmp_path)
        cache.remember_version(ARN, SHA256)
        assert cache.find_version(ARN) is None

    @pytest.mark.parametrize("text", ["", "..", "x" * 64, SHA256 + "/..", "\N{SNOWMAN}"])
    def test_a_file_that_was_tampered_with_names_no_other_folder(
        self, tmp_path: Path, text: str
    ) -> None:
        cache = LayerCache(tmp_path)
        cache.keep_content(SHA256, write("one"))
        cache.remember_version(ARN, SHA256)
        (file,) = (tmp_path / "versions").iterdir()
        file.write_text(text, encoding="utf-8")
        assert cache.find_version(ARN) is None
