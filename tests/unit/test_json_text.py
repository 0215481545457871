"""JSON that can be read can be written and looked through."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.json_text import DEEPEST, is_deep, read_json
from plldb.replay.invocation_document import parse_json


@given(st.integers(0, 30), st.integers(0, 30))
def test_levels_are_counted(depth: int, limit: int) -> None:
    assert is_deep(json.loads(_nest(depth)), limit) == (depth > limit)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 970, 985, 1000, 100_000])
def test_what_is_deeper_is_none_and_stays_the_text_that_it_is(depth: int) -> None:
    text = _nest(depth)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(text)
    assert parse_json(text) == text


def test_as_deep_as_may_be_it_is_a_value() -> None:
    assert json.dumps({"payload": parse_json(_nest(DEEPEST))}, indent=2)


def _nest(depth: int) -> str:
    """Lists and objects in turn, which have neighbours."""
    levels = [('{"a": 1, "b": ', "}") if level % 2 else ("[1, ", "]") for level in range(depth)]
    inner = "".join(before for before, _ in levels) + "0"
    return inner + "".join(after for _, after in levels[::-1])
