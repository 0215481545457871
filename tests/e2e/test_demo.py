"""``plldb demo``: the first thing that anybody runs."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from .support import SETUP_SECONDS, Attached, Plldb, clean_environment


@pytest.fixture
def plldb(tmp_path: Path) -> Plldb:
    temporary = {"PLLDB_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    return Plldb(clean_environment() | temporary)


def test_the_demo_shows_a_whole_life_and_leaves_nothing(plldb: Plldb, tmp_path: Path) -> None:
    result = plldb("demo").succeeded()

    story = result.stdout
    told = [story.index(f"the table says {status}") for status in ("PENDING", "ACTIVE", "CLOSED")]
    assert told == sorted(told)
    assert "from your editor!" in story
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("event", ["deployed", "edited"])
def test_whatever_ends_it_leaves_nothing(
    plldb: Plldb, tmp_path: Path, event: str, number: signal.Signals
) -> None:
    with Attached(plldb.start("demo", "--output", "json"), plldb.said) as demo:
        demo.wait_for(event, SETUP_SECONDS)
        demo.signal(number)
        demo.exit_code()
        assert "Traceback" not in demo.errors()
    assert nothing_is_left(tmp_path)


def test_what_is_set_for_other_commands_is_nothing_to_it(plldb: Plldb, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "plldb.toml").write_text("[attach]\npdb = true\n[dev]\nkeep = true")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_PROFILE": "nosuch"}
    plldb.with_environment(**nowhere).within(tmp_path / "here")("demo").succeeded()


def nothing_is_left(folder: Path) -> bool:
    running = [one for one in psutil.process_iter() if str(folder) in _environment_of(one)]
    return list(folder.iterdir()) == [] and not running


def _environment_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("TMPDIR"))
    except psutil.Error:
        return ""
