"""For pytest: recordings of invocations are tests.

pytest loads this in every run, so it loads nothing by itself; ``collection`` does the work.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A test for each ``*.plldb.json``."""
    if not file_path.name.endswith(".plldb.json"):
        return None
    from plldb.pytest_plugin.collection import RecordingFile

    return RecordingFile.from_parent(parent, path=file_path)
