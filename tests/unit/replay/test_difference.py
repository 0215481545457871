"""What differs between two JSON values is told place by place; nothing else is."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.replay.difference import Difference, compare, compare_members
from plldb.replay.masks import MASK

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def paths(*arguments: Any) -> list[str]:
    return [one.path for one in compare(*arguments)]


@pytest.mark.parametrize("depth", [150, 500, 950, 3000])
def test_however_deep_they_are(depth: int) -> None:
    left: Any = "a"
    right: Any = "b"
    for _ in range(depth // 2):
        left, right = [{"a": left}], [{"a": right}]
    (found,) = compare(left, right, "event")
    assert found == Difference("event" + ".0.a" * (depth // 2), '"a"', '"b"')
    (found,) = compare({"a": left}, {}, "event")
    assert (found.path, found.now) == ("event.a", None)
    assert found.recorded


@given(JSON)
def test_equal_values_have_none(value: Any) -> None:
    assert compare(value, copy.deepcopy(value), "answer") == []
    assert compare(json.dumps(value), json.dumps(value), "answer") == []


@given(JSON, st.data())
def test_unequal_ones_have_one(value: Any, data: st.DataObject) -> None:
    """One place of it is replaced, by text that is nowhere else."""
    changed = data.draw(_changed(value))
    assert compare(value, changed, "answer")
    assert compare(changed, value, "answer")


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict | list) and value and draw(st.booleans()):
        key = draw(st.sampled_from(range(len(value)) if isinstance(value, list) else [*value]))
        changed = copy.copy(value)
        changed[key] = draw(_changed(value[key]))
        return changed
    return "nowhere else it is"


def test_it_says_where() -> None:
    then = {"total": 3, "items": [{"id": 1}, {"id": 2}], "gone": None}
    now = {"total": 4, "items": [{"id": 1}], "new": "x"}
    assert compare(then, now, "answer") == [
        Difference("answer.total", "3", "4"),
        Difference("answer.items.1", '{"id": 2}', None),
        Difference("answer.gone", "null", None),
        Difference("answer.new", None, '"x"'),
    ]
    assert str(Difference("answer.total", "3", "4")) == "answer.total\n  - 3\n  + 4"


@pytest.mark.parametrize(
    ("then", "now"), [(1, True), (0, False), (None, False), ("1", 1), ([], {}), ("", None)]
)
def test_kinds_are_told_apart(then: Any, now: Any) -> None:
    assert paths(then, now, "answer") == ["answer"]


def test_it_looks_into_json_in_strings() -> None:
    then, now = json.dumps({"a": 1, "b": 2}), json.dumps({"a": 1, "b": 3})
    assert paths({"body": then}, {"body": now}, "answer") == ["answer.body.b"]
    # Written in another way it is another string.
    assert paths('{"a": 1}', '{"a":1}', "answer") == ["answer"]


def test_masked_values_do_not_count() -> None:
    then = {"token": MASK, "url": f"https://x/?token={MASK}&page=2", "body": f'{{"t":"{MASK}"}}'}
    now = {"token": 7, "url": "https://x/?token=abc&page=2", "body": '{"t": "abc"}'}
    assert not compare(then, now, "answer")
    assert paths(then, now | {"url": "https://x/?token=abc&page=3"}, "answer") == ["answer.url"]


@pytest.mark.parametrize(
    "pattern", ["answer.items.0.id", "answer.items.*.id", "**.id", "answer.**", "*.items.*.i*"]
)
def test_places_that_may_differ(pattern: str) -> None:
    then, now = {"items": [{"id": 1}]}, {"items": [{"id": 2}]}
    assert compare(then, now, "answer", [pattern]) == []
    assert compare(then, now, "answer", ["answer.items.*.name", "*.id"])


def test_of_values_with_names_one_that_a_side_lacks_differs() -> None:
    then, now = {"a": {"n": 1}, "raw": "ü"}, {"a": {"n": 2}, "json": [1]}
    assert compare_members(then, now, ["raw", "json"]) == [
        Difference("a.n", "1", "2"),
        Difference("raw", '"ü"', None),
        Difference("json", None, "[1]"),
    ]
    assert compare_members(then, now, ["a.n"])[0].path == "raw"


def test_long_values_are_cut() -> None:
    assert len(str(Difference("answer", '"' + "x" * 10_000, "1"))) < 300
