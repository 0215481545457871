"""What is known of invocations, as their events come, and within limits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.attachment import SessionCreated
from plldb.debugger.children.invoker import Outcome, OutputWritten, Progress, RunState
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.children.runtime.frames import make_error_report
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted, Legs
from plldb.replay.history import History, Invocation, Limits

ERROR = make_error_report("KeyError", "'total'", ["  File app.py, line 1"])
SECRET = "not-for-anybody"
LOCAL = LocalFunction("Greeter", Path("/code"), "app.handler", "f", {"DB_PASSWORD": SECRET})
NO_LEGS = {"claim": None, "queue": None, "run": None, "answer": None}


def started(id_: str = "r1", deadline: float = 9.0, **changes: Any) -> InvocationStarted:
    context = {"aws_request_id": id_, "other": SECRET}
    given = {"event": '{"n": 1}', "function": "Greeter", "context": context} | changes
    return InvocationStarted(
        request_id=id_, arrived=deadline - 5, deadline=deadline, local=LOCAL, **given
    )


def finished(
    id_: str = "r1", deadline: float = 9.0, result: Outcome | None = None, **changes: Any
) -> InvocationFinished:
    outcome = "abandoned" if result is None else "failed" if result.error else "succeeded"
    given = {"function": "Greeter", "outcome": outcome, "duration_ms": 12.5} | changes
    return InvocationFinished(
        request_id=id_, result=result, arrived=deadline - 5, deadline=deadline, **given
    )


def written(text: str, id_: str | None = "r1") -> OutputWritten:
    return OutputWritten("Greeter", id_, 5.5, "stdout", text)


def progress(state: RunState, id_: str = "r1", deadline: float = 9.0) -> Progress:
    return Progress(id_, "Greeter", deadline, state)


def history_of(*events: object, limits: Limits | None = None) -> History:
    history = History(["shop"], limits or Limits())
    for event in events:
        history.take(event)
    return history


def get(history: History, id_: str = "r1") -> Invocation:
    entry = history.get(id_)
    assert entry is not None
    return entry


class TestDocument:
    def test_a_whole_invocation(self) -> None:
        history = history_of(
            started(),
            progress(RunState.QUEUED),
            progress(RunState.RUNNING),
            written("hello"),
            finished(result=Outcome('{"total": 1}', None), legs=Legs(1, 2, 3, 4)),
        )
        document = get(history).to_document()
        assert document.pop("revision") == history.revision
        assert document == {
            "schema": 1,
            "id": "r1",
            "requestId": "r1",
            "function": "Greeter",
            "stackName": "shop",
            "replayOf": None,
            "state": "finished",
            "arrived": 4.0,
            "deadline": 9.0,
            "payload": {"n": 1},
            "context": {"aws_request_id": "r1"},
            "output": [{"time": 5.5, "stream": "stdout", "line": "hello"}],
            "outputLines": 1,
            "droppedLines": 0,
            "outcome": "succeeded",
            "durationMs": 12.5,
            "answer": {"total": 1},
            "error": None,
            "errorType": None,
            "errorMessage": None,
            "reason": None,
            "wasPaused": False,
            "legs": {"claim": 1, "queue": 2, "run": 3, "answer": 4},
            "hasPayload": True,
        }

    def test_the_members_are_the_same_however_far_it_has_come(self) -> None:
        abandoned = history_of(finished(error="the debugger detaches"))
        runs = history_of(started())
        done = history_of(started(), finished(result=Outcome(None, ERROR)))
        documents = [get(one).to_document() for one in (abandoned, runs, done)]
        assert documents[0].keys() == documents[1].keys() == documents[2].keys()
        assert documents[0]["reason"] == "the debugger detaches"
        assert documents[1]["outcome"] is None
        assert documents[2]["error"] == ERROR
        assert documents[2]["errorType"] == "KeyError"

    def test_a_summary_is_a_part_of_it_without_what_may_be_long(self) -> None:
        entry = get(history_of(started(), written("x"), finished(result=Outcome("1", None))))
        summary, document = entry.to_summary(), entry.to_document()
        assert summary.items() <= document.items()
        assert document.keys() - summary.keys() == {
            "payload",
            "context",
            "output",
            "answer",
            "error",
            "wasPaused",
            "legs",
        }

    def test_an_answer_that_is_no_json(self) -> None:
        document = get(history_of(finished(result=Outcome(None, None, raw="/w==")))).to_document()
        assert (document["answer"], document["answerBase64"]) == (None, "/w==")

    def test_nothing_that_is_secret_by_its_nature_is_in_it(self) -> None:
        entry = get(history_of(started(), finished(result=Outcome("1", None))))
        assert SECRET not in json.dumps(entry.to_document())
        assert SECRET not in repr(entry)

    def test_the_stack_is_the_first_part_of_a_name_where_there_are_several(self) -> None:
        history = History(["shop", "orders"])
        history.take(started(function="orders/Greeter"))
        assert get(history).stack == "orders"

    def test_a_replay_says_of_what(self) -> None:
        history = history_of(started(), started("r2", replay_of="r1"))
        assert get(history, "r2").to_document()["replayOf"] == "r1"


class TestStates:
    def test_they_follow_the_debugger_until_it_is_known_what_came_of_it(self) -> None:
        history = history_of(started())
        states = []
        for state in (RunState.QUEUED, RunState.RUNNING, RunState.PAUSED, RunState.FINISHED):
            history.take(progress(state))
            states.append(get(history).state)
        assert states == [RunState.QUEUED, RunState.RUNNING, RunState.PAUSED, RunState.RUNNING]
        history.take(finished())
        history.take(progress(RunState.RUNNING))
        assert get(history).state is RunState.FINISHED

    def test_a_further_try_under_the_same_id_is_one_of_its_own(self) -> None:
        history = history_of(
            started(),
            written("of the first"),
            finished(deadline=99.0, error="an earlier try of it runs here still"),
            finished(result=Outcome("1", None)),
            started(deadline=199.0),
            written("of the last"),
        )
        first, second, third = (get(history, id_) for id_ in ("r1", "r1.2", "r1.3"))
        assert first.finished is not None
        assert (first.finished.outcome, second.started) == ("succeeded", None)
        assert [line.text for line in third.output] == ["of the last"]

    def test_what_is_written_after_the_end_belongs_to_it_still(self) -> None:
        history = history_of(started(), finished(), written("late"))
        assert [line.text for line in get(history).output] == ["late"]

    def test_what_belongs_to_no_invocation_is_passed_over(self) -> None:
        history = history_of(
            written("while the code is loaded", None),
            written("unheard of", "r9"),
            progress(RunState.RUNNING, "r9"),
            SessionCreated("0a1b2c3d", "shop"),
        )
        assert history.list_all() == []


class TestChanges:
    def test_who_follows_is_told_of_each_and_not_of_what_is_none(self) -> None:
        history = History(["shop"])
        told: list[str] = []
        leave = history.follow(told.append)
        for event in (started(), progress(RunState.QUEUED), written("x"), finished()):
            history.take(event)
        assert told == ["r1", "r1", "r1"]
        leave()
        history.take(started("r2"))
        assert told == ["r1", "r1", "r1"]

    def test_those_since_a_revision_can_be_asked_for(self) -> None:
        history = history_of(started(), started("r2"))
        seen = history.revision
        assert [entry.id for entry in history.list_all()] == ["r1", "r2"]
        assert history.list_all(seen) == []
        history.take(written("x"))
        (changed,) = history.list_all(seen)
        assert (changed.id, changed.lines) == ("r1", 1)

    def test_an_entry_that_was_handed_out_stays_as_it_is(self) -> None:
        history = history_of(started(), written("1"))
        before = get(history)
        history.take(written("2"))
        assert len(before.output) == 1
        assert len(get(history).output) == 2


class TestLimits:
    def test_the_oldest_finished_payloads_go_first_and_that_is_said(self) -> None:
        history = history_of(limits=Limits(payload_bytes=50_000))
        history.take(started("runs", event=json.dumps("x" * 1000)))
        for number in range(20):
            history.take(started(str(number), event=json.dumps("x" * 5000)))
            history.take(written("said", str(number)))
            history.take(finished(str(number), result=Outcome(None, ERROR)))
        entries = history.list_all()
        assert len(entries) == 21
        assert get(history, "runs").has_payload
        kept = [entry.has_payload for entry in entries[1:]]
        assert kept == sorted(kept)
        assert 5 <= sum(kept) < 10
        oldest = get(history, "0").to_document()
        assert (oldest["payload"], oldest["error"], oldest["output"]) == (None, None, [])
        assert (oldest["errorType"], oldest["outcome"]) == ("KeyError", "failed")
        assert (oldest["outputLines"], oldest["droppedLines"]) == (1, 1)

    def test_of_too_many_invocations_the_oldest_finished_ones_are_forgotten(self) -> None:
        history = history_of(started("runs"), limits=Limits(invocations=10))
        for number in range(30):
            history.take(started(str(number)))
            history.take(finished(str(number)))
        ids = [entry.id for entry in history.list_all()]
        assert ids == ["runs", *map(str, range(21, 30))]
        assert history.get("3") is None

    def test_an_endless_output_loses_its_beginning_only(self) -> None:
        history = history_of(
            started("r2"), finished("r2"), started(), limits=Limits(output_bytes=50_000)
        )
        for number in range(1000):
            history.take(written(f"line {number}"))
        entry = get(history)
        assert entry.output[-1].text == "line 999"
        assert entry.lines == 1000
        assert 0 < entry.dropped_lines == 1000 - len(entry.output)
        assert get(history, "r2").has_payload

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["start", "write", "pause", "finish", "late"]),
                st.integers(0, 5),
                st.integers(0, 400),
            ),
            max_size=60,
        )
    )
    def test_they_hold_whatever_comes(self, steps: list[tuple[str, int, int]]) -> None:
        limits = Limits(invocations=3, payload_bytes=3000, output_bytes=1500)
        history = History(["shop"], limits)
        under_way: set[str] = set()
        for what, number, size in steps:
            id_ = str(number)
            match what:
                case "start":
                    history.take(started(id_, event=json.dumps("x" * size)))
                    under_way.add(id_)
                case "pause":
                    history.take(progress(RunState.PAUSED, id_))
                case "finish":
                    history.take(finished(id_, result=Outcome(json.dumps("x" * size), None)))
                    under_way.discard(id_)
                case _:
                    history.take(written("x" * size, id_))
            entries = [get(history, entry.id) for entry in history.list_all()]
            assert len(entries) <= max(limits.invocations, len(under_way))
            for entry in entries:
                assert sum(sys.getsizeof(line.text) for line in entry.output) <= 1500
                assert entry.lines == entry.dropped_lines + len(entry.output)
                assert json.dumps(entry.to_document())
            if not under_way:
                assert sum(map(_measure, entries)) <= limits.payload_bytes


def _measure(entry: Invocation) -> int:
    texts = [] if entry.started is None else [entry.started.event]
    if entry.finished is not None and entry.finished.result is not None:
        texts.append(entry.finished.result.result or "")
    return sum(map(sys.getsizeof, [*texts, *(line.text for line in entry.output)]))
