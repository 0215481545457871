"""What every test of the inspector can have: a session whose events it tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.inspector.inspected import Session


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)
