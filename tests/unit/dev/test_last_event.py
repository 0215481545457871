"""The last recorded event of a function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plldb.dev.last_event import LastEvent, find_last_event
from plldb.errors import UsageError
from plldb.replay.masks import MASK
from plldb.replay.recording import RecordedFunction, Recording, render

ARN = "arn:aws:lambda:us-east-1:000000000000:function:shop-Orders-X1"


def record(folder: Path, file: str, logical_id: str, event: Any, at: str) -> None:
    function = RecordedFunction(logical_id, f"shop-{logical_id}-X1", "app.handler")
    recording = Recording(
        function, "id", event, {}, {}, "succeeded", times={"recordedAt": at}, answer=None
    )
    (folder / f"{file}.plldb.json").write_bytes(render(recording.to_document()))


def find(folder: Path, name: str, physical_name: str) -> LastEvent:
    return find_last_event(folder, name, physical_name, pytest.fail)


@pytest.mark.parametrize(
    ("name", "physical_name"),
    [
        ("Orders", "shop-Orders-X1"),
        ("Orders", "of-another-stack"),
        ("shop-Orders-X1", "shop-Orders-X1"),
        (ARN, ARN),
        (ARN, f"{ARN}:live"),
    ],
)
def test_it_is_the_latest_of_that_function(tmp_path: Path, name: str, physical_name: str) -> None:
    record(tmp_path, "a", "Orders", {"é": "last"}, "2026-11-26T10:00:02+00:00")
    record(tmp_path, "b", "Orders", {"n": 1}, "2026-11-26T10:00:01+00:00")
    record(tmp_path, "c", "Users", {"n": 2}, "2026-11-26T10:00:03+00:00")
    found = find(tmp_path, name, physical_name)
    assert found == LastEvent(tmp_path / "a.plldb.json", '{"é": "last"}'.encode(), False)


@pytest.mark.parametrize("event", [None, 0, "", [], {"a": [1.5, "\ud800"]}])
def test_any_event_comes_back(tmp_path: Path, event: Any) -> None:
    record(tmp_path, "a", "Orders", event, "")
    payload = find(tmp_path, "Orders", "o").payload
    assert json.loads(payload.decode("utf-8", "surrogatepass")) == event


def test_that_something_was_masked_is_known(tmp_path: Path) -> None:
    record(tmp_path, "a", "Orders", {"token": MASK}, "")
    assert find(tmp_path, "Orders", "o").is_masked


def test_what_is_no_recording_is_said_and_passed_over(tmp_path: Path) -> None:
    record(tmp_path, "a", "Orders", 1, "")
    (tmp_path / "b.plldb.json").write_text("{")
    warnings: list[str] = []
    assert find_last_event(tmp_path, "Orders", "o", warnings.append).payload == b"1"
    assert len(warnings) == 1
    assert "b.plldb.json" in warnings[0]


@pytest.mark.parametrize("folder", [".", "nowhere"])
def test_without_one_it_says_how_to_get_some(tmp_path: Path, folder: str) -> None:
    with pytest.raises(UsageError, match="no recording of Orders") as raised:
        find(tmp_path / folder, "Orders", "o")
    assert "--record" in str(raised.value.hint)
