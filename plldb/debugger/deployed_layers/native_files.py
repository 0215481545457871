"""What a compiled file was compiled for, and whether an interpreter on this machine can use it."""

from __future__ import annotations

import json
import mmap
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from plldb.debugger.children.interpreter import Interpreter
from plldb.errors import LayerError

_PATIENCE_SECONDS = 15.0
_QUESTION = """
import importlib.machinery, json, os, platform, sys
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (AttributeError, ValueError, OSError):
    libc = None
suffixes = importlib.machinery.EXTENSION_SUFFIXES
print(json.dumps([sys.platform, platform.machine(), libc, suffixes]))
"""
_SAME_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html, and its e_machine
_ELF = b"\x7fELF"
_BIG_ENDIAN = 2
_ELF_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
# Mach-O of one architecture, in either order of bytes, and of several.
_MACH_O = {
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),
    b"\xca\xfe\xba\xbe",
}
_SHARED_LIBRARY = re.compile(r".+\.(so(\.\d+)*|dylib|pyd)")
# https://peps.python.org/pep-3149/: what stands between the module's name and .so
_TAG = re.compile(r"\.(?P<tag>(cpython|pypy|graalpy|abi)[^.]*)\.so$")
_CPYTHON = re.compile(r"cpython-(\d)(\d+)")
_GLIBC = re.compile(rb"GLIBC_2\.(\d{1,3})\b")


@dataclass(frozen=True)
class Platform:
    """``system`` is sys.platform's. ``glibc`` is the minor version of glibc 2, None without it.
    ``suffixes`` are those of compiled modules.
    """

    system: str
    machine: str
    glibc: int | None
    suffixes: tuple[str, ...]
    python: str


def ask_platform(interpreter: Interpreter) -> Platform:
    """What an interpreter runs on. Raises LayerError if it does not say."""
    try:
        # The program is the user's choice; no shell reads it.
        answer = subprocess.run(  # nosec B603
            [interpreter.path, "-I", "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
        system, machine, libc, suffixes = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise LayerError(
            f"{interpreter.path} does not say what it runs on: {type(error).__name__}"
        ) from error
    glibc = re.fullmatch(r"glibc 2\.(\d+).*", libc or "")
    return Platform(
        system,
        _name_machine(machine),
        int(glibc[1]) if glibc else None,
        tuple(suffixes),
        "{}.{}".format(*interpreter.version),
    )


def is_compiled(path: Path) -> bool:
    """Whether a file is to be held against the platform: a shared library, or a program."""
    return bool(_SHARED_LIBRARY.fullmatch(path.name)) or _read_head(path)[:4] == _ELF


def find_misfit(path: Path, platform: Platform) -> str | None:
    """Why a compiled file can't be used: "it is compiled for …"; None if it can, or is none."""
    return (
        _find_wrong_python(path, platform)
        or _find_wrong_machine(_read_head(path), platform)
        or _find_newer_libc(path, platform)
    )


def _find_wrong_python(path: Path, platform: Platform) -> str | None:
    found = _TAG.search(path.name)
    if found is None or f".{found['tag']}.so" in platform.suffixes:
        return None
    version = _CPYTHON.match(found["tag"])
    what = f"Python {version[1]}.{version[2]}" if version else found["tag"]
    if version and what == f"Python {platform.python}":
        # The rest of the tag names the machine.
        return f"it is compiled for {found['tag'].partition('-')[2].partition('-')[2]}"
    return f"it is compiled for {what}, and runs under {platform.python} here"


def _find_wrong_machine(head: bytes, platform: Platform) -> str | None:
    here = f"{_name_system(platform.system)} on {platform.machine}"
    if head[:4] in _MACH_O:
        return None if platform.system == "darwin" else f"it is compiled for macOS, this is {here}"
    if head[:4] != _ELF or len(head) < 20:
        return None
    number = int.from_bytes(head[18:20], "big" if head[5] == _BIG_ENDIAN else "little")
    machine = _ELF_MACHINES.get(number, f"machine {number}")
    if (platform.system, platform.machine) == ("linux", machine):
        return None
    return f"it is compiled for Linux on {machine}, this is {here}"


def _find_newer_libc(path: Path, platform: Platform) -> str | None:
    if platform.system != "linux":
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] != _ELF:
            return None
        needed = max((int(minor) for minor in _GLIBC.findall(content)), default=None)
    if needed is None or (platform.glibc is not None and needed <= platform.glibc):
        return None
    here = "has none" if platform.glibc is None else f"has 2.{platform.glibc}"
    return f"it needs glibc 2.{needed}, this machine {here}"


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(20)


def _name_machine(machine: str) -> str:
    return _SAME_MACHINES.get(machine.lower(), machine.lower())


def _name_system(system: str) -> str:
    return {"linux": "Linux", "darwin": "macOS"}.get(system, system)
