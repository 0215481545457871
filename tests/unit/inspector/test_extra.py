"""What serves the page is an extra, and nobody else loads it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plldb.errors import SourceError
from plldb.inspector import extra


def test_without_it_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("no_such_package", "uvicorn"))
    assert not extra.is_installed()
    with pytest.raises(SourceError) as caught:
        extra.require_installed()
    assert "pip install 'plldb[inspect]'" in caught.value.explanation
    assert "\n" not in caught.value.explanation


def test_attach_loads_it_only_when_asked() -> None:
    code = (
        "import sys, plldb.cli.attach_factory, plldb.cli.dev\n"
        "assert not {'starlette', 'uvicorn'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
