"""A pytest that a test runs has plldb's plugin only: so it starts in a quarter of the time."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
