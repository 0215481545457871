"""What of a layer runs here is told by its files, and the rest by how it is installed."""

from __future__ import annotations

import os
import platform as this_platform
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.deployed_layers.native_files import Platform, ask_platform, find_misfit
from plldb.debugger.deployed_layers.suitability import (
    Suitability,
    examine_layer,
    link_suitable,
    name_suitable,
)
from plldb.errors import LayerError
from tests.unit.debugger.deployed_layers.archives import distribution, elf, write_files
from tests.unit.debugger.local_code import HERE, every_python

X86_64, AARCH64 = 62, 183
LINUX = Platform(
    "linux", "x86_64", 31, (".cpython-312-x86_64-linux-gnu.so", ".abi3.so", ".so"), "3.12"
)
MAC = Platform("darwin", "aarch64", None, (".cpython-312-darwin.so", ".abi3.so", ".so"), "3.12")
MACH_O = b"\xcf\xfa\xed\xfe" + bytes(40)


def in_python(**files: str | bytes) -> dict[str, str | bytes]:
    return {f"python/{name}": content for name, content in files.items()}


def examine(folder: Path, files: dict[str, str | bytes], platform: Platform = LINUX) -> Suitability:
    write_files(folder, files)
    return examine_layer(folder, "python3.12", platform)


@every_python
def test_every_interpreter_says_what_it_runs_on(python: Interpreter) -> None:
    platform = ask_platform(python)
    assert platform.system == sys.platform
    assert platform.machine in (this_platform.machine(), "aarch64")
    assert platform.python == "{}.{}".format(*python.version)
    assert ".so" in platform.suffixes


def test_its_own_modules_fit() -> None:
    own = ask_platform(HERE)
    folder = Path(sysconfig.get_config_var("DESTSHARED"))
    modules = list(folder.glob("*.so"))
    assert modules
    assert [find_misfit(path, own) for path in modules] == [None] * len(modules)


def test_a_program_that_is_no_interpreter(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="does not say"):
        ask_platform(replace(HERE, path=tmp_path / "python"))


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "content", "platform", "reason"),
        [
            ("m.cpython-312-x86_64-linux-gnu.so", elf(), LINUX, None),
            ("m.abi3.so", elf(), LINUX, None),
            ("m.so", elf(), LINUX, None),
            ("libm.so.6", elf(), LINUX, None),
            ("m.so", "INPUT(libm.so.6)", LINUX, None),
            ("m.so", b"", LINUX, None),
            ("m.so", elf(needs_glibc=31), LINUX, None),
            ("m.so", MACH_O, MAC, None),
            ("m.cpython-313-x86_64-linux-gnu.so", elf(), LINUX, "Python 3.13, and runs under 3.12"),
            ("m.cpython-39-x86_64-linux-gnu.so", elf(), LINUX, "Python 3.9, and runs under 3.12"),
            ("m.cpython-312-aarch64-linux-gnu.so", elf(AARCH64), LINUX, "for aarch64-linux-gnu"),
            ("m.pypy310-pp73-x86_64-linux-gnu.so", elf(), LINUX, "for pypy310-pp73"),
            ("m.abi3.so", elf(AARCH64), LINUX, "Linux on aarch64, this is Linux on x86_64"),
            ("m.so", elf(21, big_endian=True), LINUX, "machine 21"),
            ("m.so", MACH_O, LINUX, "compiled for macOS"),
            ("libm.so.6", elf(needs_glibc=34), LINUX, "needs glibc 2.34, this machine has 2.31"),
            ("m.so", elf(needs_glibc=2), replace(LINUX, glibc=None), "this machine has none"),
            ("m.so", elf(AARCH64), MAC, "Linux on aarch64, this is macOS on aarch64"),
            ("m.cpython-312-x86_64-linux-gnu.so", elf(), MAC, "for x86_64-linux-gnu"),
        ],
    )
    def test_what_they_were_compiled_for(
        self,
        tmp_path: Path,
        name: str,
        content: bytes | str,
        platform: Platform,
        reason: str | None,
    ) -> None:
        write_files(tmp_path, {name: content})
        if content == b"":
            with pytest.raises(ValueError, match="empty file"):
                find_misfit(tmp_path / name, platform)
            return
        found = find_misfit(tmp_path / name, platform)
        assert found is None if reason is None else reason in str(found)


class TestLayers:
    def test_pure_python_fits_everywhere(self, tmp_path: Path) -> None:
        files = in_python(**{"a.py": "", "b/__init__.py": "", "b/data.so.txt": "", "c.so": b""})
        assert examine(tmp_path, files) == Suitability(has_packages=True)

    def test_what_does_not_fit_is_named_with_its_requirement(self, tmp_path: Path) -> None:
        """All of it: the distribution that a file belongs to, not the others."""
        numpy = "numpy/_core.cpython-313-x86_64-linux-gnu.so"
        files: dict[str, str | bytes] = {
            "common.py": "",
            "requests/__init__.py": "",
            "numpy/__init__.py": "",
            numpy: elf(),
            "numpy.libs/libblas.so": elf(),
            **distribution("requests", "2.32.3", "requests/__init__.py", "__pycache__/x.pyc"),
            **distribution(
                "numpy",
                "2.1.0",
                "numpy/__init__.py",
                numpy,
                "numpy.libs/libblas.so",
                "../../bin/f2py",
                "__pycache__/y.pyc",
            ),
        }
        found = examine(tmp_path, in_python(**files))
        assert {str(path) for path in found.misfits} == {
            "python/numpy",
            "python/numpy.libs",
            "python/numpy-2.1.0.dist-info",
        }
        assert found.installable == ("numpy==2.1.0",)
        assert found.names == ["numpy"]
        assert found.reasons == ["it is compiled for Python 3.13, and runs under 3.12 here"]

    def test_without_what_pip_says_it_is_named_by_what_is_imported(self, tmp_path: Path) -> None:
        files = in_python(**{"_cffi.cpython-313-x86_64-linux-gnu.so": elf(), "a.py": ""})
        found = examine(tmp_path, files)
        assert found.names == ["_cffi"]
        assert found.installable == ()

    def test_packages_of_the_functions_runtime(self, tmp_path: Path) -> None:
        """Not those that lie there for other versions of Python."""
        place = "python/lib/python3.{}/site-packages/m/m.cpython-313-x86_64-linux-gnu.so"
        found = examine(tmp_path, {place.format(12): elf(), place.format(9): elf()})
        assert [str(path) for path in found.misfits] == ["python/lib/python3.12/site-packages/m"]
        assert found.has_packages

    def test_programs_and_libraries(self, tmp_path: Path) -> None:
        files = {"bin/tool": elf(AARCH64), "bin/script": "#!/bin/sh", "lib/libx.so.1": elf(AARCH64)}
        found = examine(tmp_path, {**files, "lib/liby.so": elf()})
        assert sorted(map(str, found.misfits)) == ["bin/tool", "lib/libx.so.1"]
        assert not found.has_packages

    def test_extensions_are_named(self, tmp_path: Path) -> None:
        found = examine(tmp_path, {"extensions/agent": elf(AARCH64), "agent/data": "x"})
        assert found == Suitability(extensions=("agent",))

    def test_metadata_that_makes_no_sense(self, tmp_path: Path) -> None:
        (tmp_path / "python" / "empty-1.0.dist-info").mkdir(parents=True)
        files = {
            "a-1.0.dist-info/METADATA": b"\xff\xfe",
            "a-1.0.dist-info/RECORD": b"\0\n/\n..\n",
            "m.so": elf(AARCH64),
        }
        assert examine(tmp_path, in_python(**files)).names == ["m"]


class TestLinks:
    def test_all_but_the_misfits_is_there(self, tmp_path: Path) -> None:
        layer, folder = tmp_path / "layer", tmp_path / "suitable"
        write_files(
            layer,
            {
                "python/a/__init__.py": "A = 1",
                "python/numpy/__init__.py": "",
                "python/lib/python3.12/site-packages/b.py": "B = 1",
                "python/lib/python3.12/site-packages/c/m.so": "",
                "data/file": "x",
            },
        )
        folder.mkdir()
        misfits = {
            Path("python/numpy"): "",
            Path("python/lib/python3.12/site-packages/c"): "it is compiled for …",
        }
        link_suitable(layer, misfits, folder)
        found = [
            os.path.relpath(Path(at, name), folder)
            for at, _, names in os.walk(folder, followlinks=True)
            for name in names
        ]
        assert sorted(found) == [
            "data/file",
            "python/a/__init__.py",
            "python/lib/python3.12/site-packages/b.py",
        ]

    def test_its_name_tells_what_is_left_out(self, tmp_path: Path) -> None:
        names = {
            name_suitable(Path("/layers", layer), {Path(misfit): "why"})
            for layer in ("a" * 64, "b" * 64)
            for misfit in ("python/x", "python/y")
        }
        assert len(names) == 4
