"""What the page is told of invocations, and how they are found."""

from __future__ import annotations

import json
from pathlib import Path

from plldb.inspector.listing import CUT, Search, describe, list_page, summarize
from plldb.replay.history import Limits
from tests.unit.inspector.inspected import Session


def find(session: Session, **search: str) -> list[str]:
    page = list_page(session.history, Search(**search), "", 100)
    return [one["id"] for one in page["invocations"]]


def test_the_newest_is_first(session: Session) -> None:
    first, second = session.invoke(1, 2), session.invoke(2, 3)
    assert find(session) == [second, first]


def test_pages(session: Session) -> None:
    ids = [session.invoke(number, 0) for number in range(5)][::-1]
    seen, before = [], ""
    while True:
        page = list_page(session.history, Search(), before, 2)
        assert page["matching"] == page["total"] == 5
        seen.append([one["id"] for one in page["invocations"]])
        before = page["next"]
        if not before:
            break
    assert seen == [ids[:2], ids[2:4], ids[4:]]
    assert list_page(session.history, Search(), "forgotten", 2)["invocations"] == []


def test_by_function_and_outcome(session: Session) -> None:
    good = session.invoke({"a": 1}, 1, "Greeter")
    bad = session.fail(session.start({"a": 2}), "KeyError", "'b'")
    running = session.start({"a": 3}).request_id
    assert find(session, function="Greeter") == [good]
    assert find(session, outcome="failed") == [bad]
    assert find(session, outcome="queued") == [running]
    assert find(session, function="Greeter", outcome="failed") == []
    assert list_page(session.history, Search(), "", 9)["functions"] == ["Adder", "Greeter"]


def test_by_any_text(session: Session) -> None:
    one = session.start('{"name": "J\\u00fcrgen"}')
    session.print(one, "greets somebody")
    session.answer(one, {"path": "C:\\temp"})
    bad = session.fail(session.start({"b": 2}), "KeyError", "no such Customer")
    assert find(session, text="JÜRGEN") == [one.request_id]
    assert find(session, text="Somebody") == [one.request_id]
    assert find(session, text="c:\\temp") == [one.request_id]
    assert find(session, text="no such customer") == [bad]
    assert find(session, text="line 3, in handler") == [bad]
    assert find(session, text=bad) == [bad]
    assert find(session, text="adder") == [bad, one.request_id]
    assert find(session, text="nowhere") == []


def test_what_is_long_is_cut_and_its_length_told(session: Session) -> None:
    text = json.dumps("x" * 6_000_000)
    id_ = session.invoke(text, text)
    invocation = session.get(id_)
    whole = describe(invocation)
    assert len(whole["event"]) == len(whole["answer"]) == CUT
    assert whole["eventCharacters"] == whole["answerCharacters"] == len(text)
    assert len(json.dumps(summarize(invocation))) < 1000


def test_of_much_output_the_end(session: Session) -> None:
    started = session.start(1)
    for number in range(1_200):
        session.print(started, f"line {number} {'x' * (5_000 if number == 1_100 else 0)}")
    whole = describe(session.get(session.answer(started, 1)))
    assert whole["earlierLines"] == 200
    assert [len(whole["log"]), whole["log"][-1]["line"].strip()] == [1_000, "line 1199"]
    assert max(len(one["line"]) for one in whole["log"]) < 5_000


def test_whose_payload_was_dropped_still_says_what_it_came_to(tmp_path: Path) -> None:
    session = Session(tmp_path, Limits(payload_bytes=1))
    bad = session.fail(session.start({"a": 1}), "KeyError", "'b'")
    session.invoke(1, 2)
    whole = describe(session.get(bad))
    assert not whole["hasPayload"]
    assert not whole["canReplay"]
    assert whole["event"] is None
    assert whole["error"]["errorType"] == "KeyError"
