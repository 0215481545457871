"""Takes out of an installed environment what the emulator never reads, then compiles the rest.

Usage: slim.py PREFIX. Compiled code stays: the emulator's user can't write it, and without it the
start takes several seconds more.
"""

import compileall
import shutil
import sys
from pathlib import Path

UNUSED = (
    "amazon_kclpy/jars",  # Kinesis clients in Java
    "awscli/examples",
    "awscli/topics",
)


def main(prefix: Path) -> None:
    site_packages = next(prefix.glob("lib/python3*/site-packages"))
    for tests in [*site_packages.rglob("tests"), *site_packages.rglob("test")]:
        if tests.is_dir() and (tests / "__init__.py").exists():
            shutil.rmtree(tests)
    for name in UNUSED:
        shutil.rmtree(site_packages / name, ignore_errors=True)
    if not compileall.compile_dir(site_packages, quiet=2, workers=0):
        sys.stderr.write("some modules do not compile; they are templates\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
