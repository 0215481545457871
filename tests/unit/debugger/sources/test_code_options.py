"""Where the developer says that code is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.sources.code_options import find_most_specific, parse_code_options
from plldb.errors import UsageError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("src/one", "src/two"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_folders_by_name_and_pattern_and_for_all(project: Path) -> None:
    values = ["Child/One=src/one", "Orders*=src/two", f"{project}/src"]
    assert parse_code_options(values, project) == {
        "Child/One": project / "src/one",
        "Orders*": project / "src/two",
        "*": project / "src",
    }


@pytest.mark.parametrize("value", ["", "One=", "=src/one"])
def test_malformed(project: Path, value: str) -> None:
    with pytest.raises(UsageError, match="FUNCTION=DIR") as raised:
        parse_code_options([value], project)
    assert raised.value.hint


@pytest.mark.parametrize("value", ["One=src/three", "src/three", "x" * 5000])
def test_no_such_folder(project: Path, value: str) -> None:
    with pytest.raises(UsageError, match="there is no folder") as raised:
        parse_code_options([value], project)
    assert "Name the folder" in str(raised.value.hint)


@pytest.mark.parametrize("values", [["One=src/one", "One=src/two"], ["src/one", "src/two"]])
def test_twice(project: Path, values: list[str]) -> None:
    with pytest.raises(UsageError, match="twice"):
        parse_code_options(values, project)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OrdersGet", "OrdersGet"),
        ("OrdersPut", "Orders*"),
        ("Payments", "*"),
        ("Child/OrdersPut", "Child/*"),
        ("[odd]", "[odd]"),
    ],
)
def test_the_most_specific_one_wins(name: str, expected: str) -> None:
    folders = dict.fromkeys(["*", "Orders*", "O*", "OrdersGet", "Child/*", "[odd]"], Path())
    assert find_most_specific(folders, name) == expected


@given(st.lists(st.text("ab*?", min_size=1), unique=True), st.text("ab", min_size=1))
def test_a_name_is_the_most_specific_pattern_of_all(patterns: list[str], name: str) -> None:
    folders = dict.fromkeys([name, *patterns], Path())
    assert find_most_specific(folders, name) == name
