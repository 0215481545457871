"""Methods of values in templates, and how these are written: as Java has it.

https://velocity.apache.org/engine/1.7/user-guide.html
"""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.websocket.template_values import (
    Entry,
    JsonList,
    as_json,
    as_text,
    is_plain,
    method_of,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def call(value: Any, name: str, *arguments: Any) -> Any:
    method = method_of(value, name)
    assert method is not None
    return method(value, *arguments)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.5, "1.5"),
        ("it's", "it's"),
        (["a", None, [True]], "[a, null, [true]]"),
        ({"a": {"b": ["c"]}, "d": False}, "{a={b=[c]}, d=false}"),
        ({"a": JsonList([1, "x", {"é": None}])}, '{a=[1,"x",{"é":null}]}'),
        ([Entry("a", 1)], "[a=1]"),
    ],
)
def test_written(value: Any, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "name", "arguments", "result"),
    [
        ("a", "equals", ("a",), True),
        ("A", "equalsIgnoreCase", ("a",), True),
        ("abc", "length", (), 3),
        ("", "isEmpty", (), True),
        ("abc", "indexOf", ("x",), -1),
        ("abca", "lastIndexOf", ("a",), 3),
        ("abc", "substring", (1,), "bc"),
        ("abc", "substring", (0, 2), "ab"),
        ("aBc", "toUpperCase", (), "ABC"),
        (" a ", "trim", (), "a"),
        ("a.b.", "replace", (".", "-"), "a-b-"),
        ("a.b", "replaceAll", (".", "x"), "xxx"),
        ("ab", "replaceAll", ("(a)(b)", "$2$1\\$"), "ba$"),
        (r"it\'s", "replaceAll", (r"\\'", "'"), "it's"),
        ("aa", "replaceFirst", ("a", "b"), "ba"),
        ("a,b,,", "split", (",",), ["a", "b"]),
        ("", "split", (",",), [""]),
        ("a1", "matches", (r"\w\d",), True),
        ("a1b", "matches", (r"\w\d",), False),
        (["a"], "contains", ("a",), True),
        (["a"], "indexOf", ("b",), -1),
        (["a", "b"], "get", (1,), "b"),
        ([], "isEmpty", (), True),
        ({"a": 1}, "containsKey", ("a",), True),
        ({"a": 1}, "get", ("b",), None),
        ({"a": 1}, "getOrDefault", ("b", 2), 2),
        ({"a": 1}, "keySet", (), ["a"]),
        ({"a": 1}, "values", (), [1]),
        ({"a": 1}, "entrySet", (), [Entry("a", 1)]),
        ({"a": 1}, "size", (), 1),
        (Entry("a", 1), "getValue", (), 1),
        (1, "toString", (), "1"),
        (True, "toString", (), "true"),
    ],
)
def test_methods(value: Any, name: str, arguments: tuple[Any, ...], result: Any) -> None:
    assert call(value, name, *arguments) == result


def test_methods_that_change_a_list() -> None:
    items = ["a"]
    assert call(items, "add", "b") is True
    assert call(items, "add", 0, "c") is True
    assert call(items, "set", 1, "d") == "a"
    assert call(items, "addAll", ["e"]) is True
    assert (call(items, "remove", 0), call(items, "remove", "e")) == ("c", True)
    assert items == ["d", "b"]


def test_methods_that_change_a_map() -> None:
    entries = {"a": 1}
    assert call(entries, "put", "a", 2) == 1
    assert call(entries, "put", "b", 3) is None
    call(entries, "putAll", {"c": 4})
    assert call(entries, "remove", "a") == 2
    assert entries == {"b": 3, "c": 4}


def test_python_has_no_methods_in_templates() -> None:
    for value in ("a", ["a"], {"a": 1}, 1, 1.5, True):
        assert is_plain(value)
        assert method_of(value, "items") is method_of(value, "title") is None
    assert not is_plain(object())


@given(VALUES)
def test_whatever_is_written(value: Any) -> None:
    assert isinstance(as_text(value), str)
    assert json.loads(as_json(value)) == value
    assert as_text(JsonList([value])) == as_json([value])


@given(st.text(), st.text(min_size=1, max_size=1))
def test_splitting_at_a_letter(text: str, letter: str) -> None:
    parts = call(text, "split", re.escape(letter))
    assert letter.join(parts) == text.rstrip(letter)
