"""What serves the page is an extra, and nobody else loads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from plldb.cli.main import plldb
from plldb.errors import SourceError
from plldb.inspector import extra


def test_without_it_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("no_such_package", "uvicorn"))
    assert not extra.is_installed()
    with pytest.raises(SourceError) as caught:
        extra.require_installed()
    assert "pip install 'plldb[inspect]'" in caught.value.explanation
    assert "\n" not in caught.value.explanation


@pytest.mark.parametrize("command", [["attach", "shop"], ["dev"]])
def test_that_is_said_before_anything_is_done(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("no_such_package",))
    monkeypatch.setenv("PLLDB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(plldb, [*command, "--inspect"])
    assert isinstance(done.exception, SourceError)
    assert "no_such_package" in done.exception.message


def test_attach_loads_it_only_when_asked() -> None:
    code = (
        "import sys, plldb.cli.attach_factory, plldb.cli.dev\n"
        "assert not {'starlette', 'uvicorn'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
