"""A team's worth of debuggers and more, for a minute: nobody is refused, forgotten or swollen."""

from __future__ import annotations

from pathlib import Path

import pytest

from plldb.emulators.state import StateFile

from .load import Shape, run_load
from .support import Backend

# Pools and caches fill; a leak of a heartbeat's or a connection's size would show above it.
_FLAT = 1.15


@pytest.mark.needs("process")
def test_200_sessions_held_open_for_a_minute_lose_no_heartbeat(
    backend: Backend, home: Path
) -> None:
    running = StateFile(home).read()
    assert running is not None
    assert running.pid

    figures = run_load(backend.target, backend.helper, running.pid, Shape())

    assert figures.errors == []
    assert len(figures.created) == 1000
    assert len(figures.connected) == 200
    assert figures.sent == 200 * 6
    assert figures.lost == 0
    assert figures.growth < _FLAT, figures.sizes
