"""The same code gives the same zip and the same key, wherever and whenever it is packaged."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from plldb.bootstrap.packager import package

FILES = {"__init__.py": b'"""x"""\n', "entry.py": b"a = 1\nb = 2\n", "deep/er.py": b"c = 3\n"}


def write(root: Path, files: dict[str, bytes], order: list[str] | None = None) -> Path:
    folder = root / "functions"
    for name in order or list(files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    return folder


def names(body: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_it_holds_the_folder_itself(tmp_path: Path) -> None:
    artifact = package(write(tmp_path, FILES))
    assert names(artifact.body) == [
        "functions/__init__.py",
        "functions/deep/er.py",
        "functions/entry.py",
    ]
    with zipfile.ZipFile(io.BytesIO(artifact.body)) as archive:
        assert archive.read("functions/entry.py") == FILES["entry.py"]


def test_the_key_is_the_folders_name_and_a_hash(tmp_path: Path) -> None:
    key = package(write(tmp_path, FILES), key_prefix="plldb/").key
    assert key.startswith("plldb/functions-")
    assert key.endswith(".zip")
    assert len(key) == len("plldb/functions-.zip") + 16


@given(
    mtime=st.integers(0, 2**32),
    mode=st.sampled_from([0o400, 0o644, 0o755, 0o600]),
    crlf=st.booleans(),
    order=st.permutations(list(FILES)),
)
def test_times_modes_line_ends_and_order_make_no_difference(
    tmp_path_factory, mtime: int, mode: int, crlf: bool, order: list[str]
) -> None:
    plain = package(write(tmp_path_factory.mktemp("plain"), FILES))
    files = {k: v.replace(b"\n", b"\r\n") for k, v in FILES.items()} if crlf else FILES
    other = write(tmp_path_factory.mktemp("other"), files, order)
    for source in other.rglob("*.py"):
        os.utime(source, (mtime, mtime))
        source.chmod(mode)
    assert package(other) == plain


def test_what_is_no_source_stays_out(tmp_path: Path) -> None:
    plain = package(write(tmp_path / "a", FILES))
    litter = {"__pycache__/entry.cpython-311.pyc": b"x", ".DS_Store": b"x", "notes.txt": b"x"}
    assert package(write(tmp_path / "b", FILES | litter)) == plain


@given(content=st.binary(max_size=50).filter(lambda b: b != FILES["entry.py"] and b"\r" not in b))
def test_any_change_of_the_code_changes_the_key(tmp_path_factory, content: bytes) -> None:
    plain = package(write(tmp_path_factory.mktemp("plain"), FILES))
    changed = write(tmp_path_factory.mktemp("changed"), FILES | {"entry.py": content})
    assert package(changed).key != plain.key


def test_so_does_another_file_or_another_name(tmp_path: Path) -> None:
    plain = package(write(tmp_path / "a", FILES)).key
    assert package(write(tmp_path / "b", FILES | {"more.py": b""})).key != plain
    renamed = {("main.py" if k == "entry.py" else k): v for k, v in FILES.items()}
    assert package(write(tmp_path / "c", renamed)).key != plain
