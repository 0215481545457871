"""Invocations that were written down: whatever ends a session, they can be read."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb.background.invocation_journal import InvocationJournal, JournalReader, list_attached
from plldb.background.json_lines import JsonLinesWriter
from plldb.background.known_invocations import abridge, choose, has_failed, is_of, summarize
from plldb.debugger.children.invoker import Outcome, OutputWritten, Progress, RunState
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.children.runtime.frames import make_error_report
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted
from plldb.errors import SessionError
from plldb.replay.history import History, Invocation
from plldb.replay.masks import Masks
from tests.unit.polling import poll

LOCAL = LocalFunction("Greeter", Path("/code"), "app.handler", "f", {"DB_PASSWORD": "s3cret-one"})
ERROR = make_error_report("KeyError", "'total'", ["  File app.py, line 1"])
ANSWER = Outcome('{"total": 1}', None)


class Session:
    """A session's history and journal, which take the same events."""

    def __init__(
        self,
        folder: Path,
        recordings: Path | None = None,
        history: History | None = None,
        **limits: int,
    ) -> None:
        self.history = history or History(["shop"])
        masks = Masks()
        self.journal = InvocationJournal(
            folder, self.history, masks.apply, recordings, ["shop"], **limits
        )

    def take(self, *events: object) -> None:
        for event in events:
            self.history.take(event)
            self.journal.take(event)

    def run(self, id_: str, arrived: float, outcome: Outcome | None = ANSWER) -> None:
        self.take(start(id_, arrived), finish(id_, arrived, outcome))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.__exit__()


class SlowHistory(History):
    """Whoever looks at what has not ended has it in the hand for a while."""

    def __init__(self, stacks: list[str]) -> None:
        super().__init__(stacks)
        self.is_looked_at = threading.Event()

    def get(self, id_: str) -> Invocation | None:
        found = super().get(id_)
        if found is not None and found.finished is None:
            self.is_looked_at.set()
            time.sleep(0.3)
        return found


def start(id_: str, arrived: float, event: str = '{"n": 1}') -> InvocationStarted:
    context = {"aws_request_id": id_}
    return InvocationStarted("Greeter", id_, arrived, arrived + 3, event, context, LOCAL)


def finish(id_: str, arrived: float, outcome: Outcome | None = ANSWER) -> InvocationFinished:
    kind = "abandoned" if outcome is None else "failed" if outcome.error else "succeeded"
    return InvocationFinished(
        "Greeter", id_, kind, 12.5, result=outcome, arrived=arrived, deadline=arrived + 3
    )


def progress(id_: str, arrived: float, state: RunState) -> Progress:
    return Progress(id_, "Greeter", arrived + 3, state)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "invocations"


@pytest.fixture
def reader(folder: Path) -> Iterator[JournalReader]:
    with JournalReader(folder, dict) as reader:
        yield reader


def by_id(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len(found) == len({one["id"] for one in found})
    return {one["id"]: one for one in found}


class TestWritten:
    def test_all_of_it_is_read_after_the_session_has_ended(
        self, folder: Path, reader: JournalReader
    ) -> None:
        with Session(folder) as session:
            session.take(start("r1", 1.0))
            session.take(OutputWritten("Greeter", "r1", 1.5, "stdout", "hello"))
            session.take(finish("r1", 1.0))
            session.run("r2", 2.0, Outcome(None, ERROR))
            expected = [session.history.get(one) for one in ("r1", "r2")]
        found = reader.read()
        assert [one.pop("recording") for one in found] == [None, None]
        assert found == [one.to_document() for one in expected if one is not None]
        assert reader.read() == []
        assert not reader.is_anybody_there

    def test_it_is_its_users_alone_and_without_secrets(self, folder: Path) -> None:
        with Session(folder) as session:
            session.take(start("r1", 1.0, '{"password": "correct-horse"}'))
            line = "it was correct-horse, Bearer abcdefgh, and s3cret-one"
            session.take(OutputWritten("Greeter", "r1", 1.5, "stdout", line))
            session.take(finish("r1", 1.0))
        (path,) = folder.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_text()
        for secret in ("correct-horse", "abcdefgh", "s3cret-one", "DB_PASSWORD"):
            assert secret not in text

    def test_states_are_seen_as_they_come(self, folder: Path) -> None:
        states = []
        with JournalReader(folder, dict) as reader, Session(folder) as session:
            for event in (
                start("r1", 1.0),
                progress("r1", 1.0, RunState.RUNNING),
                progress("r1", 1.0, RunState.PAUSED),
                progress("r1", 1.0, RunState.FINISHED),
                finish("r1", 1.0),
            ):
                session.take(event)
            session.journal.__exit__()
            states = [one["state"] for one in reader.read()]
        assert states == ["finished"], "of one look, the last state"

    def test_what_is_too_long_is_left_out(self, folder: Path, reader: JournalReader) -> None:
        with Session(folder) as session:
            session.take(start("r1", 1.0, json.dumps("x" * 300_000)), finish("r1", 1.0))
            session.take(start("r2", 2.0))
            for number in range(300):
                line = f"{number} {'x' * 1000}"
                session.take(OutputWritten("Greeter", "r2", 2.5, "stdout", line))
            session.take(finish("r2", 2.0, Outcome(json.dumps("x" * 300_000), None)))
            session.take(start("r3", 3.0, json.dumps("x" * 300_000)))
            session.take(finish("r3", 3.0, Outcome(None, ERROR)))
        found = by_id(reader.read())
        for one in found.values():
            assert (one["payload"], one["answer"], one["hasPayload"]) == (None, None, False)
        assert found["r1"]["outcome"] == "succeeded"
        assert found["r3"]["error"]["errorType"] == "KeyError"
        kept = found["r2"]["output"]
        assert kept[-1]["line"].startswith("299 ")
        assert 0 < len(kept) < 300
        assert (found["r2"]["outputLines"], found["r2"]["droppedLines"]) == (300, 300 - len(kept))

    def test_one_that_takes_its_time_is_seen_before_its_end(
        self, folder: Path, reader: JournalReader
    ) -> None:
        with Session(folder) as session:
            session.take(start("r1", 1.0), progress("r1", 1.0, RunState.RUNNING))
            seen = poll(reader.read)
            assert [(one["id"], one["state"]) for one in seen] == [("r1", "running")]
            session.take(progress("r1", 1.0, RunState.PAUSED))
            assert poll(reader.read)[0]["state"] == "paused"
            session.take(finish("r1", 1.0))
            assert poll(reader.read)[0]["state"] == "finished"
        assert reader.read() == []

    def test_one_that_a_session_has_left_is_lost(self, folder: Path, reader: JournalReader) -> None:
        with Session(folder) as session:
            session.take(start("r1", 1.0), progress("r1", 1.0, RunState.PAUSED))
            session.run("r2", 2.0)
        found = by_id(reader.read())
        assert (found["r1"]["state"], found["r2"]["state"]) == ("lost", "finished")
        assert (found["r1"]["payload"], found["r1"]["outcome"]) == ({"n": 1}, None)
        assert has_failed(found["r1"])
        assert reader.read() == []

    def test_while_the_session_goes_on_it_is_not(self, folder: Path, reader: JournalReader) -> None:
        with Session(folder) as session:
            session.take(start("r1", 1.0))
            session.take(progress("r1", 1.0, RunState.PAUSED))
            session.run("r2", 2.0)
            while "r2" not in (found := by_id(reader.read())):
                pass
            assert reader.is_anybody_there
            states = {one["state"] for one in found.values()}
            assert "lost" not in states

    def test_its_end_counts_though_it_comes_while_its_beginning_is_written(
        self, folder: Path, reader: JournalReader
    ) -> None:
        history = SlowHistory(["shop"])
        with Session(folder, history=history) as session:
            session.take(start("r1", 1.0))
            assert history.is_looked_at.wait(30)
            session.take(finish("r1", 1.0))
        assert by_id(reader.read())["r1"]["state"] == "finished"

    def test_it_is_bounded_and_keeps_the_newest(self, folder: Path, reader: JournalReader) -> None:
        with Session(folder, max_bytes=10_000) as session:
            for number in range(200):
                session.run(f"r{number}", float(number))
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000
        found = by_id(reader.read())
        assert "r199" in found
        assert "r0" not in found
        assert {one["state"] for one in found.values()} == {"finished"}

    def test_a_reader_follows_past_the_end_of_a_file(self, folder: Path) -> None:
        seen: dict[str, dict[str, Any]] = {}
        with Session(folder, max_bytes=6_000) as session, JournalReader(folder, dict) as reader:
            for number in range(20):
                session.run(f"r{number}", float(number))
                while f"r{number}" not in seen or seen[f"r{number}"]["state"] != "finished":
                    seen |= {one["id"]: one for one in reader.read()}
        assert len(seen) == 20
        assert len([*folder.iterdir()]) == 2

    def test_of_sessions_the_last_ones_are_kept(self, folder: Path, reader: JournalReader) -> None:
        for number in range(8):
            with Session(folder) as session:
                session.run(f"r{number}", float(number))
        assert set(by_id(reader.read())) == {f"r{number}" for number in range(3, 8)}

    def test_one_that_runs_is_kept_however_many_come_after_it(
        self, folder: Path, reader: JournalReader
    ) -> None:
        with Session(folder) as first:
            for number in range(8):
                with Session(folder) as session:
                    session.run(f"r{number}", float(number))
            first.run("of-the-first", 9.0)
        assert set(by_id(reader.read())) == {"of-the-first", *(f"r{n}" for n in range(3, 8))}

    def test_where_it_was_recorded_is_said(self, folder: Path, reader: JournalReader) -> None:
        with Session(folder, recordings=folder.parent / "recordings") as session:
            session.run("0a1b2c3d-2222", 1.0)
        (found,) = reader.read()
        assert found["recording"].endswith(
            "/recordings/Greeter-19700101T000001.000000Z-0a1b2c3d.plldb.json"
        )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(0, 100))
def test_cut_anywhere_all_that_was_whole_is_read(tmp_path: Path, percent: int) -> None:
    folder = tmp_path / "cut"
    if not folder.exists():
        with Session(folder) as session:
            for number in range(3):
                session.run(f"r{number}", float(number))
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    try:
        os.truncate(path, len(whole) * percent // 100)
        lines = path.read_bytes().count(b"\n")
        with JournalReader(folder, dict) as reader:
            found = reader.read()
        # The first line is the session's, and each invocation has one.
        assert len(found) == max(0, lines - 1)
        assert {one["state"] for one in found} <= {"finished"}
    finally:
        path.write_bytes(whole)


JUNK = [
    {"id": 3},
    {"id": "x"},
    {"id": "r1", "state": 3},
    {"id": "r1", "requestId": "r1", "function": [], "state": "queued", "arrived": 1.0},
    {"id": "r1", "requestId": "r1", "function": "Greeter", "state": "queued", "arrived": "1.0"},
    {"journal": {}},
    {"journal": 1, "recordings": 3},
]


@pytest.mark.parametrize("junk", JUNK)
def test_junk_in_it_is_passed_over(folder: Path, junk: dict[str, Any]) -> None:
    folder.mkdir()
    with JsonLinesWriter(folder / "1.jsonl", dict) as writer:
        writer.put(junk)
        history = History(["shop"])
        for event in (start("r1", 1.0), finish("r1", 1.0)):
            history.take(event)
        entry = history.get("r1")
        assert entry is not None
        writer.put(entry.to_document())
        writer.put(junk)
    with JournalReader(folder, dict) as reader:
        (found,) = reader.read()
    assert (found["id"], found["state"]) == ("r1", "finished")


class TestChosen:
    FOUND = (
        {"id": "0a1b-1", "function": "A", "outcome": "succeeded"},
        {"id": "0a1b-1.2", "function": "A", "outcome": None, "state": "lost"},
        {"id": "0a2c", "function": "B", "outcome": "failed"},
    )

    @pytest.mark.parametrize(
        ("beginning", "id_"), [("0a1b-1", "0a1b-1"), ("0a1b-1.", "0a1b-1.2"), ("0a2", "0a2c")]
    )
    def test_by_its_id_or_its_beginning(self, beginning: str, id_: str) -> None:
        assert choose(self.FOUND, beginning)["id"] == id_

    def test_several_are_listed(self) -> None:
        with pytest.raises(SessionError) as raised:
            choose(self.FOUND, "0a")
        for line in ("0a1b-1  A  succeeded", "0a1b-1.2  A  lost", "0a2c  B  failed"):
            assert line in raised.value.message

    @pytest.mark.parametrize("beginning", ["", "zz"])
    def test_none_is_said(self, beginning: str) -> None:
        with pytest.raises(SessionError, match="No invocation") as raised:
            choose(self.FOUND, beginning)
        assert "0a2c" in str(raised.value.hint)
        with pytest.raises(SessionError):
            choose([], beginning)


def test_lists_have_the_beginnings_for_people_and_nothing_long_for_programs() -> None:
    document = {"id": "r1", "payload": {"n": "x" * 500}, "answer": [1], "output": ["line"]}
    assert summarize(document) == {"id": "r1"}
    shown = abridge(document)
    assert len(shown["shortEvent"]) == 60
    assert shown["shortAnswer"] == "[1]"


@pytest.mark.parametrize("name", ["Greeter", "shop/Greeter"])
def test_a_function_may_be_named_with_its_stack(name: str) -> None:
    for function in ("Greeter", "shop/Greeter"):
        assert is_of({"function": function, "stackName": "shop"}, name)
    assert not is_of({"function": "Other", "stackName": "shop"}, name)


def test_others_see_which_stacks_are_attached_to_here_and_no_longer_than_that(
    tmp_path: Path,
) -> None:
    assert list_attached(tmp_path) == []
    with Session(tmp_path) as session:
        assert list_attached(tmp_path) == ["shop"]
        with Session(tmp_path):
            session.run("a", 1.0)
            assert list_attached(tmp_path) == ["shop"]
    assert list_attached(tmp_path) == []
