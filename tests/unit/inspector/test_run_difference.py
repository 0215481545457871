"""What differs between two runs."""

from __future__ import annotations

import base64
from typing import Any

from plldb.debugger.children.invoker import Outcome
from plldb.inspector.run_difference import describe_difference
from tests.unit.inspector.inspected import Session


def compare(session: Session, left: str, right: str, *ignore: str) -> dict[str, Any]:
    return describe_difference(session.get(left), session.get(right), ignore)


def test_places_in_event_and_answer(session: Session) -> None:
    left = session.invoke({"a": 1}, {"sum": 3, "at": 1})
    right = session.invoke({"a": 2}, {"sum": 4, "at": 2})
    found = compare(session, left, right, "**.at")
    assert found["places"] == [
        {"path": "event.a", "left": "1", "right": "2"},
        {"path": "answer.sum", "left": "3", "right": "4"},
    ]
    assert not found["isSame"]


def test_the_same(session: Session) -> None:
    found = compare(session, session.invoke({"a": 1}, 2), session.invoke({"a": 1.0}, 2))
    assert found["isSame"]
    assert found["places"] == found["log"] == []


def test_an_answer_and_an_error(session: Session) -> None:
    left = session.invoke(1, {"sum": 3})
    right = session.fail(session.start(1), "KeyError", "'b'")
    assert [place["path"] for place in compare(session, left, right)["places"]] == [
        "answer",
        "error",
    ]


def test_answers_that_are_no_json(session: Session) -> None:
    ids = [
        session.finish(session.start(1), Outcome(None, None, False, base64.b64encode(raw).decode()))
        for raw in (b"\xff", b"\xfe")
    ]
    (place,) = compare(session, *ids)["places"]
    assert place["path"] == "answerBase64"


def test_output(session: Session) -> None:
    ids = []
    for lines in (["a", "b", "c"], ["a", "x", "c"]):
        started = session.start(1)
        for line in lines:
            session.print(started, line)
        ids.append(session.answer(started, 1))
    assert compare(session, *ids)["log"] == [
        {"side": " ", "line": "a"},
        {"side": "-", "line": "b"},
        {"side": "+", "line": "x"},
        {"side": " ", "line": "c"},
    ]


def test_what_is_too_much_is_counted(session: Session) -> None:
    left = session.invoke([1] * 600, "x" * 10_000)
    right = session.invoke([2] * 600, "y" * 10_000)
    found = compare(session, left, right)
    assert [len(found["places"]), found["morePlaces"]] == [500, 101]
    assert all(len(place["left"]) < 3_000 for place in found["places"])
