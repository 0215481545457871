"""What every test of the attached side can rely on: no pause between two requests of one call."""

from __future__ import annotations

import pytest
from urllib3 import Retry


@pytest.fixture(autouse=True)
def _retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retry, "sleep", lambda self, response=None: None)
