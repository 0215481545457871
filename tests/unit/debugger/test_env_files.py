"""Files of variables, as other tools have them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.env_files import read_env_file
from plldb.errors import UsageError


def found(folder: Path, text: str | bytes, name: str = ".env", **environ: str) -> Any:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_env_file(path, "--env-file", environ)


def refused(folder: Path, text: str | bytes, name: str = ".env") -> str:
    with pytest.raises(UsageError) as raised:
        found(folder, text, name)
    assert raised.value.hint
    assert raised.value.message.startswith(f"--env-file: {folder / name}")
    assert "secret" not in f"{raised.value.message} {raised.value.hint}"
    return raised.value.message


class TestDotenv:
    @pytest.mark.parametrize(
        ("text", "variables"),
        [
            ("", {}),
            ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
            ("# nothing\nexport A=1 # one\n\nB=", {"A": "1", "B": ""}),
            ("A='x # $y'\nB=\"two\\nlines\"", {"A": "x # $y", "B": "two\nlines"}),
            ('KEY="-----BEGIN\nabc\n-----END"', {"KEY": "-----BEGIN\nabc\n-----END"}),
            ("HOST=a\nURL=http://${HOST}:${PORT:-80}", {"HOST": "a", "URL": "http://a:80"}),
        ],
    )
    def test_what_it_says(self, tmp_path: Path, text: str, variables: dict[str, str]) -> None:
        assert found(tmp_path, text) == {None: variables}

    def test_a_name_alone_is_this_machines(self, tmp_path: Path) -> None:
        """As of docker's ``--env-file``."""
        assert found(tmp_path, "HERE\n", HERE="x") == {None: {"HERE": "x"}}
        assert "gives GONE no value" in refused(tmp_path, "A=secret\nGONE\n")

    def test_what_is_none_of_it(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        text = refused(tmp_path, "A=1\nB='secret\n")
        assert "line 2, can't be understood" in text
        assert not caplog.records

    @pytest.mark.parametrize("line", ["secret/+=", "secret/+", '"secret": 1', "-secret"])
    def test_a_value_of_several_lines_without_quotes(self, tmp_path: Path, line: str) -> None:
        said = refused(tmp_path, f"KEY=-----BEGIN\n{line}\n")
        assert said.endswith("line 2, can't be understood.")

    def test_no_text(self, tmp_path: Path) -> None:
        assert "is not UTF-8" in refused(tmp_path, b"A=\xff")


class TestJsonOfSam:
    def test_all_functions_and_one(self, tmp_path: Path) -> None:
        text = '{"Parameters": {"A": "1", "B": 2.5, "C": true}, "Greeter": {"A": "x"}}'
        assert found(tmp_path, text, "env.json") == {
            None: {"A": "1", "B": "2.5", "C": "true"},
            "Greeter": {"A": "x"},
        }

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "is no JSON"),
            ("[" * 100_000, "nested too deeply"),
            ("[]", "it is no object"),
            ('{"A": "secret"}', "A is no object"),
            ('{"Greeter": {"A": ["secret"]}}', "Greeter.A is neither"),
            ('{"Greeter": {"A": null}}', "Greeter.A is neither"),
        ],
    )
    def test_what_is_none_of_it(self, tmp_path: Path, text: str, said: str) -> None:
        assert said in refused(tmp_path, text, "env.json")


@pytest.mark.parametrize("name", ["env.JSON", "env.json5", ".env"])
def test_json_by_another_name(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, '{"Parameters": {"A": "secret"}}', name) == {None: {"A": "secret"}}
    assert "is no JSON" in refused(tmp_path, '{"Parameters": {"A": "secret"}', name)


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_env_file(tmp_path / ".env", "--env-file", {})
    with pytest.raises(UsageError, match="can't be read"):
        read_env_file(tmp_path, "--env-file", {})
