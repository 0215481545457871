"""An archive is unpacked into its folder and nowhere else, whoever has made it."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb.debugger.deployed_layers.extraction import extract_layer
from plldb.errors import LayerError
from tests.unit.debugger.deployed_layers.archives import Entry, file, link, make_archive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """In the middle of another one, in which nothing is to appear."""
    folder = tmp_path / "outside" / "cache" / "layer"
    folder.mkdir(parents=True)
    return folder


def extract(folder: Path, *entries: Entry, max_bytes: int = 1000) -> Path:
    archive = folder.parents[2] / "layer.zip"
    archive.write_bytes(make_archive(entries))
    extract_layer(archive, folder, max_bytes)
    return folder


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class TestFiles:
    def test_as_they_are(self, folder: Path) -> None:
        extract(folder, file("python/a.py", "A = 1"), file("python/", b""), file("bin/tool", b"\0"))
        assert (folder / "python" / "a.py").read_text() == "A = 1"
        assert tree(folder) == ["bin", "bin/tool", "python", "python/a.py"]

    def test_the_folder_itself_may_be_an_entry(self, folder: Path) -> None:
        """As bsdtar writes it."""
        extract(folder, file("./", b""), file("./python/a.py"))
        assert tree(folder) == ["python", "python/a.py"]

    def test_programs_can_be_run_and_nothing_is_written_to(self, folder: Path) -> None:
        extract(folder, file("bin/tool", mode=0o755), file("a", mode=0o666), file("s", mode=0o6755))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*[!n]")}
        assert modes["tool"] == 0o555
        assert modes["a"] == 0o444
        # Neither set-user-ID nor set-group-ID is kept.
        assert modes["s"] == 0o555

    def test_an_archive_without_modes(self, folder: Path) -> None:
        extract(folder, ("python/a.py", b"A", 0))
        assert (folder / "python" / "a.py").read_bytes() == b"A"

    def test_of_two_with_one_name_the_later_one_counts(self, folder: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate name"):
            extract(folder, file("a.py", "1"), file("a.py", "2"))
        assert (folder / "a.py").read_text() == "2"

    def test_pipes_and_devices_are_left_out(self, folder: Path) -> None:
        extract(
            folder,
            ("pipe", b"", stat.S_IFIFO | 0o644),
            ("device", b"", stat.S_IFCHR | 0o644),
            file("a"),
        )
        assert tree(folder) == ["a"]


class TestBounds:
    @pytest.mark.parametrize(
        "name",
        ["../x", "python/../../x", "/x", "//x", "..", "python/..", "/", "./../x"],
    )
    def test_no_name_leads_out(self, folder: Path, name: str) -> None:
        with pytest.raises(LayerError, match="malformed"):
            extract(folder, file(name, "bad"))
        assert tree(folder) == []
        assert tree(folder.parents[1]) == ["cache", "cache/layer"]

    def test_what_is_unpacked_counts_and_not_what_the_archive_says(self, folder: Path) -> None:
        with pytest.raises(LayerError, match="250 MB"):
            extract(folder, file("a", bytes(600)), file("b", bytes(600)))
        assert (folder / "a").stat().st_size == 600
        assert (folder / "b").stat().st_size == 0

    @pytest.mark.parametrize(
        ("one", "other"),
        [("a", "a/b"), ("a/b", "a")],
        ids=["a file is a folder", "a folder is a file"],
    )
    def test_a_name_that_is_both(self, folder: Path, one: str, other: str) -> None:
        with pytest.raises(LayerError, match="malformed"):
            extract(folder, file(one), file(other))

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100, b"PK\x05\x06" + bytes(18)])
    def test_what_is_no_archive(self, folder: Path, content: bytes) -> None:
        archive = folder.parents[2] / "layer.zip"
        archive.write_bytes(content)
        if content.startswith(b"PK\x05"):
            extract_layer(archive, folder)
        else:
            with pytest.raises(LayerError, match="malformed"):
                extract_layer(archive, folder)
        assert tree(folder) == []

    def test_a_damaged_one(self, folder: Path) -> None:
        archive = folder.parents[2] / "layer.zip"
        content = bytearray(make_archive([file("a", b"text " * 50)], zipfile.ZIP_STORED))
        content[60] ^= 1
        archive.write_bytes(content)
        with pytest.raises(LayerError, match="malformed"):
            extract_layer(archive, folder)

    def test_an_encrypted_one(self, folder: Path) -> None:
        archive = folder.parents[2] / "layer.zip"
        content = bytearray(make_archive([file("a", b"text")]))
        content[6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
        archive.write_bytes(content)
        with pytest.raises(LayerError, match="encrypted"):
            extract_layer(archive, folder)


class TestLinks:
    def test_to_other_files_of_the_layer(self, folder: Path) -> None:
        extract(
            folder,
            link("lib/libx.so", "libx.so.1"),
            link("lib/libx.so.1", "libx.so.1.2"),
            link("bin/tool", "/opt/lib/libx.so"),
            link("python/data", "../data"),
            file("lib/libx.so.1.2", "x"),
            file("data/a", "a"),
        )
        for name in ("lib/libx.so", "lib/libx.so.1", "bin/tool"):
            assert (folder / name).read_text() == "x"
        assert (folder / "python" / "data" / "a").read_text() == "a"
        assert (folder / "lib" / "libx.so").readlink() == Path("libx.so.1")

    def test_to_a_file_that_is_not_there(self, folder: Path) -> None:
        extract(folder, link("a", "b"))
        assert (folder / "a").readlink() == Path("b")

    @pytest.mark.parametrize(
        "target",
        ["../x", "/etc/passwd", "/opt/../etc", "python/../../x", "/optional/x", "/opt", ".."],
    )
    def test_out_of_the_layer_are_left_out(self, folder: Path, target: str) -> None:
        extract(folder, link("a", target), file("b"))
        assert tree(folder) == ["b"]

    def test_out_of_the_layer_by_way_of_others(self, folder: Path) -> None:
        extract(
            folder,
            file("d/e/f"),
            link("d/e/up", "../.."),
            link("out", "d/e/up/../x"),
            link("by", "out"),
        )
        assert "out" not in tree(folder)
        assert "by" not in tree(folder)
        assert "d/e/up" in tree(folder)

    def test_to_itself(self, folder: Path) -> None:
        extract(folder, link("a", "b"), link("b", "a"), file("c"))
        assert "c" in tree(folder)

    def test_nothing_is_written_through_one(self, folder: Path) -> None:
        outside = folder.parents[1]
        with pytest.raises(LayerError, match="malformed"):
            extract(folder, link("a", str(outside)), file("a/x", "bad"))
        assert tree(outside) == ["cache", "cache/layer", "cache/layer/a", "cache/layer/a/x"]
        assert not (outside / "x").exists()

    def test_no_link_is_made_through_one(self, folder: Path) -> None:
        outside = folder.parents[1]
        with pytest.raises(LayerError, match="malformed"):
            extract(folder, link("a", str(outside)), link("a/x", "y"), link("a/sub/z", "y"))
        assert not (outside / "x").is_symlink()
        assert not (outside / "sub").exists()

    @pytest.mark.parametrize("target", ["", "a\0b", "x" * 5000])
    def test_malformed(self, folder: Path, target: str) -> None:
        with pytest.raises(LayerError, match="malformed"):
            extract(folder, link("a", target))


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), min_size=1, max_size=4).map(
    "/".join
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.builds(file, NAMES, st.binary(max_size=4)),
            st.builds(link, NAMES, st.one_of(NAMES, NAMES.map("/".__add__))),
        ),
        max_size=8,
        unique_by=lambda entry: entry[0],
    )
)
def test_whatever_is_in_it_nothing_appears_outside(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    root = tmp_path_factory.mktemp("layer")
    folder = root / "outside" / "cache" / "layer"
    folder.mkdir(parents=True)
    try:
        extract(folder, *entries)
    except LayerError:
        pass
    else:
        for path in folder.rglob("*"):
            if path.is_symlink():
                target = Path(os.path.realpath(path))
                assert target.is_relative_to(folder) or target == path
    assert [path.name for path in (root / "outside").iterdir()] == ["cache"]
    assert [path.name for path in (root / "outside" / "cache").iterdir()] == ["layer"]
    assert sorted(path.name for path in root.iterdir()) == ["layer.zip", "outside"]
