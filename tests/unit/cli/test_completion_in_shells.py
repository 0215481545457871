"""Completion as whoever presses TAB has it: in bash, zsh and fish, where they are installed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

DEADLINE_SECONDS = 40
_SHELLS = {
    "bash": ["--norc", "--noprofile"],
    "zsh": ["-f"],
    "fish": ["--no-config"],
}
_SETUP = {
    "bash": 'eval "$(plldb completion bash)"',
    "zsh": 'autoload -U compinit; compinit -u -D; eval "$(plldb completion zsh)"',
    "fish": "plldb completion fish | source",
}


@pytest.fixture(params=[shell for shell in _SHELLS if shutil.which(shell)])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[pexpect.spawn]:
    program = tmp_path / "bin" / "plldb"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m plldb "$@"\n')
    program.chmod(0o755)
    environ = os.environ | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PLLDB_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "TERM": "xterm",
    }
    child = pexpect.spawn(
        request.param,
        _SHELLS[request.param],
        env=environ,
        cwd=tmp_path,
        encoding="utf-8",
        timeout=DEADLINE_SECONDS,
        dimensions=(30, 120),
    )
    try:
        # What it echoes has the quotes, what it says has not.
        child.sendline(f"{_SETUP[request.param]}; echo rea''dy")
        child.expect("ready")
        yield child
    finally:
        child.close(force=True)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("plldb atta", "attach"),
        ("plldb local sta", "status"),
        ("plldb dev --write-l", "--write-launch-config"),
        ("plldb invoke F --sample eventb", "eventbridge"),
    ],
)
def test_tab_completes(shell: pexpect.spawn, typed: str, completed: str) -> None:
    shell.send(f"{typed}\t")
    shell.expect(re.escape(completed))
