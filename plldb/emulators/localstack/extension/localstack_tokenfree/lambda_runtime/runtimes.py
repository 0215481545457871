"""Which functions run here: Python's under this Python, Node's where there is ``node``.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
"""

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).parent
PYTHON_BOOTSTRAP = _HERE / "bootstrap.py"
NODE_BOOTSTRAP = _HERE / "bootstrap.cjs"
FAMILIES = ("nodejs", "python")
_OLD_NODE = re.compile(r"AWS_Lambda_nodejs(\d|1[0-6])\..*")


def command_of(runtime: str) -> list[str] | None:
    """What runs functions of ``runtime``, without its arguments; None if nothing here does."""
    if runtime.startswith("python"):
        return [sys.executable, str(PYTHON_BOOTSTRAP)]
    if runtime.startswith("nodejs") and (node := shutil.which("node")):
        return [node, str(NODE_BOOTSTRAP)]
    return None


def refusal(runtime: str, package_type: str) -> str | None:
    """Why functions of this kind can't run here, with what to do, or None."""
    if package_type != "Zip":
        return "Functions in container images do not run here: deploy a zip file"
    if command_of(runtime) is not None:
        return None
    if runtime.startswith("nodejs"):
        return f"No node was found to run {runtime}: install it, or build the image WITH_NODE=1"
    return (
        f"Functions of runtime {runtime or '(none)'} do not run here: only Python's and Node's do"
    )


def node_path(layers: list[Path], environment: Mapping[str, str], shared: str) -> list[str]:
    """Folders of modules in the order in which Lambda looks through them; later layers win.

    Of AWS's SDK, version 3 is in ``shared``; beside that, in ``sdk-2``, is the one that Lambda has
    up to nodejs16.x: https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
    """
    folders = [str(layer / "nodejs" / "node_modules") for layer in reversed(layers)]
    old = _OLD_NODE.fullmatch(environment.get("AWS_EXECUTION_ENV", ""))
    version_2 = str(Path(shared).parent / "sdk-2" / "node_modules") if old and shared else ""
    return [*folders, *filter(None, [environment.get("NODE_PATH"), version_2, shared])]
