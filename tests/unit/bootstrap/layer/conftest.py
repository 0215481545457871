from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plldb_shim import channel, idle_connection, original, presigned, progress, tcp
from plldb_shim import websocket_client as client

_TIMED = (channel, idle_connection, presigned, progress, tcp, client)


@pytest.fixture(autouse=True)
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The function's code, in a folder of its own."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/till.py").write_text(
        textwrap.dedent("""
            def handler(event, context):
                if event == "fail":
                    raise KeyError("own")
                return {"own": event}
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(original, "_loaded", {})
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "broken")]:
        del sys.modules[name]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``patience(START_SECONDS=0.1)``: that much less of it, in whichever module has the name."""

    def change(**seconds: float) -> None:
        for name, value in seconds.items():
            (module,) = [one for one in _TIMED if hasattr(one, name)]
            monkeypatch.setattr(module, name, value)

    return change
