"""An interrupt ends plldb, wherever it comes."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import signal, time, weakref
from plldb.cli.lost_interrupts import repeat_lost_interrupts

class Deleted:
    def __del__(self):
        {act}

def finish():
    {act}

class Thing:
    pass

signal.signal(signal.SIGTERM, signal.default_int_handler)
repeat_lost_interrupts()
try:
    {drop}
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""
_DROPS = ["Deleted()", "thing = Thing(); weakref.finalize(thing, finish); del thing"]


def run(act: str, drop: str, before: str = "") -> subprocess.CompletedProcess[str]:
    program = before + _PROGRAM.format(act=act, drop=drop)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )


@pytest.mark.parametrize("drop", _DROPS)
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_within_a_finalizer(drop: str, number: str) -> None:
    ended = run(f"signal.raise_signal(signal.{number})", drop)
    assert (ended.stdout, ended.stderr) == ("interrupted\n", "")


def test_where_ctrl_c_is_ignored() -> None:
    """As for what a shell script has started in the background."""
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    assert run("signal.raise_signal(signal.SIGTERM)", _DROPS[0], ignoring).stdout == "interrupted\n"


def test_other_errors_there_are_written_to_stderr() -> None:
    ended = run("1 / 0", f"{_DROPS[0]}; raise KeyboardInterrupt")
    assert ended.stdout == "interrupted\n"
    assert "ZeroDivisionError" in ended.stderr
