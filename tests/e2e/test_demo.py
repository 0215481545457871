"""``plldb demo``: the first thing that anybody runs."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from .support import Plldb, clean_environment


@pytest.fixture
def plldb(tmp_path: Path) -> Plldb:
    temporary = {"PLLDB_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    return Plldb(clean_environment() | temporary)


def test_the_demo_shows_a_whole_life_and_leaves_nothing(plldb: Plldb, tmp_path: Path) -> None:
    result = plldb("demo").succeeded()

    story = result.stdout
    told = [story.index(f"the table says {status}") for status in ("PENDING", "ACTIVE", "CLOSED")]
    assert told == sorted(told)
    assert list(tmp_path.iterdir()) == []
    assert [p for p in psutil.process_iter() if str(tmp_path) in _environment_of(p)] == []


def _environment_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("TMPDIR"))
    except psutil.Error:
        return ""
