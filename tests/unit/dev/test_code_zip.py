"""Code as Lambda takes it: the same content has the same key, wherever it is zipped."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path

import pytest

from plldb.dev.code_zip import Upload, upload_file, zip_code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (folder := tmp_path / "src").mkdir()
    (folder / "app.py").write_text("def handler(event, context): ...\n")
    (folder / "package").mkdir()
    (folder / "package" / "data.bin").write_bytes(b"\x00\xff")
    (program := folder / "run.sh").write_text("#!/bin/sh\n")
    program.chmod(0o700)
    return folder


def opened(upload: Upload) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(upload.make().body))


def test_its_key_can_stand_in_a_url(folder: Path) -> None:
    other = folder.rename(folder.with_name("my ünïcode&code"))
    assert re.fullmatch(r"p/my-n-code-code-[0-9a-f]{32}\.zip", zip_code(other, "p/").key)
    (other / "stack #1.yaml").write_text("x")
    assert upload_file(other / "stack #1.yaml", "p/").key.startswith("p/stack-1-")


def test_it_has_the_files_and_what_can_be_run(folder: Path) -> None:
    with opened(zip_code(folder, "p/")) as archive:
        assert archive.namelist() == ["app.py", "run.sh", "package/data.bin"]
        assert archive.read("package/data.bin") == b"\x00\xff"
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in archive.infolist()}
        assert modes == {"app.py": 0o644, "run.sh": 0o755, "package/data.bin": 0o644}


def test_times_and_order_make_no_difference(folder: Path, tmp_path: Path) -> None:
    before = zip_code(folder, "p/")
    os.utime(folder / "app.py", (1, 1))
    (folder / "app.py").rename(tmp_path / "kept")
    (tmp_path / "kept").rename(folder / "app.py")
    after = zip_code(folder, "p/")
    assert after.key == before.key
    assert after.make().body == before.make().body


def test_any_change_gives_another_key(folder: Path) -> None:
    keys = {zip_code(folder, "p/").key}
    (folder / "app.py").write_text("def handler(event, context): pass\n")
    keys.add(zip_code(folder, "p/").key)
    (folder / "app.py").rename(folder / "main.py")
    keys.add(zip_code(folder, "p/").key)
    (folder / "main.py").chmod(0o755)
    keys.add(zip_code(folder, "p/").key)
    assert len(keys) == 4
    assert all(key.startswith("p/src-") and key.endswith(".zip") for key in keys)


def test_what_is_no_code_stays_out(folder: Path) -> None:
    before = zip_code(folder, "").key
    for name in (".git", "__pycache__", ".aws-sam", ".plldb", "cdk.out", ".venv"):
        (folder / name).mkdir()
        (folder / name / "file").touch()
    (folder / ".venv" / "pyvenv.cfg").touch()
    (folder / "app.pyc").touch()
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "around").symlink_to(folder.parent)
    (folder / "itself").symlink_to(".", target_is_directory=True)
    (folder / "package" / "again").symlink_to(folder / "package")
    os.mkfifo(folder / "pipe")
    assert zip_code(folder, "").key == before


def test_links_around_two_corners_have_an_end(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.py").touch()
    (folder / "there").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(folder)
    (tmp_path / "other" / "again").symlink_to(tmp_path / "other")
    with opened(zip_code(folder, "")) as archive:
        assert "there/x.py" in archive.namelist()
        assert len(archive.namelist()) == 4


def test_a_name_that_no_zip_can_have(folder: Path) -> None:
    def try_it() -> None:
        # There are systems that have no such names at all, and say so.
        os.close(os.open(os.fsencode(folder / "caf") + b"\xe9", os.O_CREAT))
        zip_code(folder, "")

    with pytest.raises(OSError, match=r"its name is not UTF-8|Illegal byte sequence"):
        try_it()


def test_links_are_followed(folder: Path, tmp_path: Path) -> None:
    (shared := tmp_path / "shared").mkdir()
    (shared / "common.py").write_text("x = 1")
    (folder / "shared").symlink_to(shared)
    with opened(zip_code(folder, "")) as archive:
        assert archive.read("shared/common.py") == b"x = 1"


def test_a_single_file_is_zipped_and_an_archive_is_not(folder: Path, tmp_path: Path) -> None:
    with opened(zip_code(folder / "app.py", "")) as archive:
        assert archive.namelist() == ["app.py"]
    body = zip_code(folder, "").make().body
    (package := tmp_path / "package.zip").write_bytes(body)
    upload = zip_code(package, "p/")
    assert upload.make().body == body
    assert upload.key.startswith("p/package-")
    assert upload_file(folder / "app.py", "p/").make().body == (folder / "app.py").read_bytes()
