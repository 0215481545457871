"""What became here of a call is found among all that was written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plldb.background.invocation_journal import JournalReader
from plldb.background.invoked import Call, find_invoked
from plldb.background.json_lines import JsonLinesWriter

CALL = Call("Greeter", "r1", {"n": 1}, 100.0, 101.0, is_id_sure=False)


def describe(request_id: str, arrived: float = 100.5, **members: Any) -> dict[str, Any]:
    return {
        "id": request_id,
        "requestId": request_id,
        "function": "Greeter",
        "stackName": "shop",
        "state": "finished",
        "arrived": arrived,
        "replayOf": None,
        "payload": {"n": 1},
        "hasPayload": True,
    } | members


OTHERS = (
    describe("too-early", 99.0),
    describe("too-late", 102.0),
    describe("of-another-one", function="Other"),
    describe("with-another-event", payload={"n": 2}),
    describe("a-replay", replayOf="r0"),
)


class Journals:
    """What a session has written down; ``keep`` is what was asked for by whoever opened them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = JsonLinesWriter(folder / "1.jsonl", dict)
        self.keep: Callable[[dict[str, Any]], dict[str, Any]] = dict

    def write(self, *documents: dict[str, Any]) -> None:
        for one in documents:
            self._writer.put(one)

    def close(self) -> None:
        self._writer.close()

    def open(self, keep: Callable[[dict[str, Any]], dict[str, Any]]) -> JournalReader:
        self.keep = keep
        return JournalReader(self._folder, keep)


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[Journals]:
    journals = Journals(tmp_path)
    yield journals
    journals.close()


def test_all_of_it_is_told_by_its_request_id(journals: Journals) -> None:
    wanted = describe("r1", 99.0, function="shop/Greeter", answer=[1])
    journals.write(*OTHERS, wanted)
    assert find_invoked(journals.open, CALL) == wanted | {"recording": None}


def test_or_else_by_function_time_and_event(journals: Journals) -> None:
    journals.write(*OTHERS, describe("later", 100.9), describe("it", 100.5))
    found = find_invoked(journals.open, CALL)
    assert found is not None
    assert found["id"] == "it"


@pytest.mark.parametrize("event", [{"n": 1}, None])
def test_what_did_not_run_here_is_none_at_all(journals: Journals, event: Any) -> None:
    journals.write(*OTHERS)
    journals.close()
    call = Call("Greeter", "r1", event, 100.0, 101.0, is_id_sure=False)
    assert find_invoked(journals.open, call) is None


def test_its_end_is_waited_for(journals: Journals) -> None:
    journals.write(describe("r1", state="running"), {"id": "r1", "state": "paused"})
    journals.write(describe("r1", outcome="succeeded"))
    found = find_invoked(journals.open, CALL)
    assert found is not None
    assert (found["state"], found["outcome"]) == ("finished", "succeeded")


def test_of_others_nothing_long_is_held_in_memory(journals: Journals) -> None:
    journals.write(describe("r1"))
    assert find_invoked(journals.open, CALL) is not None
    for one in OTHERS:
        assert journals.keep(one) == {"id": one["id"], "state": "finished"}
