"""``sam build``, where the SAM CLI is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from plldb.debugger.sources.sam import find_deployed_template
from plldb.errors import SourceError


def build(folder: Path, template: Path | None) -> Path:
    """Builds a SAM project, which says what it does in the terminal; returns the built template.

    Raises SourceError if it fails, or if there is no SAM CLI.
    """
    program = shutil.which("sam")
    if program is None:
        raise SourceError(
            "--build runs 'sam build', and the SAM CLI is not installed.",
            "pip install aws-sam-cli; or build with your own tool, and deploy what it made with "
            "--template.",
        )
    named = template or find_deployed_template(folder)
    if named is None:
        raise SourceError(f"There is no template to build in {folder}.", "Name it with --template.")
    output = (folder / named).parent / ".aws-sam" / "build"
    command = [program, "build", "--template-file", str(folder / named), "--build-dir", str(output)]
    # What it says is no answer of plldb's.
    done = subprocess.run(  # nosec B603 (no shell)
        command,
        cwd=folder,
        env={"SAM_CLI_TELEMETRY": "0"} | os.environ,
        stdin=subprocess.DEVNULL,
        stdout=2,
        check=False,
    )
    if done.returncode != 0:
        raise SourceError(
            f"'sam build' failed with exit code {done.returncode}.", "Mend what it says above."
        )
    return output / "template.yaml"
