"""An invocation becomes a recording, or a test."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from plldb.errors import ReplayError
from plldb.inspector.keeping import Keeping, find_test_folder
from plldb.replay.masks import MASK, Masks
from plldb.replay.recording import read_recording
from tests.unit.inspector.inspected import Session


def test_a_recording_without_secrets_for_oneself_alone(session: Session) -> None:
    event = {"a": 1, "password": "correct-horse"}
    one = session.get(session.invoke(event, {"sum": "correct-horse"}))
    path = Keeping(session.folder, Masks()).keep(one, "recording")
    assert path.parent == session.folder / "recordings"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    recording = read_recording(path)
    assert recording.event == {"a": 1, "password": MASK}
    assert recording.answer == {"sum": MASK}
    assert recording.function.code == "src"
    assert recording.function.stack == "shop"


def test_where_the_session_records(session: Session) -> None:
    keeping = Keeping(session.folder, Masks(), session.folder / "elsewhere")
    assert keeping.keep(session.get(session.invoke(1, 2)), "recording").parent.name == "elsewhere"


def test_a_test_has_a_name_that_was_free(session: Session) -> None:
    keeping, one = Keeping(session.folder, Masks()), session.get(session.invoke(1, 2))
    path = keeping.keep(one, "test", "adds-numbers")
    assert path == session.folder / "tests" / "recordings" / "adds-numbers.plldb.json"
    with pytest.raises(ReplayError, match="There is a adds-numbers"):
        keeping.keep(one, "test", "adds-numbers.plldb.json")


@pytest.mark.parametrize("name", ["../escape", "/etc/x", ".hidden", "a b", "ü", "x" * 101, "a\n"])
def test_a_name_leads_nowhere_else(session: Session, name: str) -> None:
    one = session.get(session.invoke(1, 2))
    with pytest.raises(ReplayError, match="can't be the name"):
        Keeping(session.folder, Masks()).keep(one, "test", name)
    assert not [*session.folder.rglob("*.plldb.json")]


def test_a_test_may_expect_the_error(session: Session) -> None:
    bad = session.get(session.fail(session.start({"a": 1}), "KeyError", "'b'"))
    keeping = Keeping(session.folder, Masks())
    assert read_recording(keeping.keep(bad, "test")).expect == "answer"
    assert read_recording(keeping.keep(bad, "test", "as-it-fails", "error")).expect == "error"


def test_what_has_not_ended_is_none(session: Session) -> None:
    running = session.get(session.start(1).request_id)
    with pytest.raises(ReplayError, match="not here"):
        Keeping(session.folder, Masks()).keep(running, "test")


def test_a_folder_that_can_not_be_is_said(session: Session) -> None:
    (session.folder / "tests").write_text("a file")
    with pytest.raises(ReplayError, match="can't be written"):
        Keeping(session.folder, Masks()).keep(session.get(session.invoke(1, 2)), "test")


@pytest.mark.parametrize(
    ("told", "there", "folder"),
    [
        (None, [], "tests"),
        (None, ["test"], "test"),
        (["checks"], ["checks", "tests"], "checks"),
        ("checks more", ["more"], "more"),
        (["gone"], ["tests"], "tests"),
        (7, [], "tests"),
    ],
)
def test_tests_go_where_pytest_looks(
    tmp_path: Path, told: object, there: list[str], folder: str
) -> None:
    if told is not None:
        text = f"[tool.pytest.ini_options]\ntestpaths = {json.dumps(told)}\n"
        (tmp_path / "pyproject.toml").write_text(text)
    for name in there:
        (tmp_path / name).mkdir()
    assert find_test_folder(tmp_path) == tmp_path / folder
