"""Our entry comes into launch.json, and nothing else of the file changes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.launch_config import edit, make_launch_config, write_launch_config
from plldb.errors import SourceError

CONFIG = make_launch_config("Greeter", "127.0.0.1", 5678, Path("/project/greeter"))

COMMENTED = """\
{
  // Use IntelliSense to learn about possible attributes. "configurations": []
  "version": "0.2.0",
  "configurations": [
    {
      "name": "Mine", /* keep, [me] */
      "type": "debugpy", // "quoted"
      "url": "http://x//y",
    }, // after mine
    // the end
  ],
  "compounds": [],
}
"""


def stripped(text: str) -> object:
    """What the file says: an independent, simpler reading of JSON with comments."""
    pattern = r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/'
    text = re.sub(pattern, lambda m: m[1] or " ", text.removeprefix("\ufeff"), flags=re.DOTALL)
    text = re.sub(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[\]}])', lambda m: m[1] or "", text)
    return json.loads(text)


class TestConfig:
    def test_what_vs_code_needs(self) -> None:
        assert CONFIG == {
            "name": "plldb: Greeter",
            "type": "debugpy",
            "request": "attach",
            "connect": {"host": "127.0.0.1", "port": 5678},
            "pathMappings": [{"localRoot": "/project/greeter", "remoteRoot": "/project/greeter"}],
            "justMyCode": False,
        }

    @pytest.mark.parametrize("host", ["0.0.0.0", ""])
    def test_it_connects_to_an_address_that_can_be_connected_to(self, host: str) -> None:
        assert make_launch_config("x", host, 1, Path("/"))["connect"]["host"] == "127.0.0.1"


class TestEdit:
    @pytest.mark.parametrize("text", ["", " \n"])
    def test_an_empty_file(self, text: str) -> None:
        assert json.loads(edit(text, CONFIG)) == {"version": "0.2.0", "configurations": [CONFIG]}

    def test_comments_and_formatting_stay(self) -> None:
        edited = edit(COMMENTED, CONFIG)
        for line in COMMENTED.splitlines():
            assert line in edited.splitlines()
        assert stripped(edited)["configurations"][1] == CONFIG  # type: ignore[index]
        assert edited.index("// the end") < edited.index("plldb: Greeter")
        assert '\n    {\n      "name": "plldb: Greeter"' in edited

    def test_editing_twice_changes_nothing(self) -> None:
        once = edit(COMMENTED, CONFIG)
        assert edit(once, CONFIG) == once

    def test_only_our_own_entry_is_replaced(self) -> None:
        once = edit(COMMENTED, CONFIG)
        other = make_launch_config("Greeter", "127.0.0.1", 6000, Path("/elsewhere"))
        twice = edit(once, other)
        assert edit(twice, CONFIG) == once
        assert stripped(twice)["configurations"][1] == other  # type: ignore[index]

    def test_entries_of_several_functions(self) -> None:
        second = make_launch_config("Other", "127.0.0.1", 5679, Path("/other"))
        both = edit(edit(COMMENTED, CONFIG), second)
        assert stripped(both)["configurations"][1:] == [CONFIG, second]  # type: ignore[index]

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "{ }",
            '{"version": "0.2.0"}',
            '{"version": "0.2.0",}',
            '{\n\t// tabs\n\t"version": "0.2.0"\n}\n',
            '{"configurations": []}',
            '{"configurations": [ /* none */ ]}',
            '{"configurations": [\n]}',
            '{"configurations": [{"name": "x"}]}',
            '{"configurations": [{"name": "x"},]}',
            '{"configurations": [{"name": "x"} // last\n]}',
            '{"configurations": [1, null, "plldb: Greeter", {"name": 1}]}',
            '// first\n{"configurations": [{"name": "a\\"]}"}]} // last',
            '\ufeff{\r\n  "configurations": [\r\n    {"name": "é\\u00e9"}\r\n  ]\r\n}\r\n',
        ],
    )
    def test_whatever_the_file_looks_like(self, text: str) -> None:
        before, edited = stripped(text), edit(text, CONFIG)
        after = stripped(edited)
        assert isinstance(before, dict)
        before["configurations"] = [*before.get("configurations", []), CONFIG]
        assert after == before
        assert edit(edited, CONFIG) == edited
        assert edited.startswith("\ufeff") == text.startswith("\ufeff")
        if "\r\n" in text:
            assert edited.count("\n") == edited.count("\r\n")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("[]", "no JSON object"),
            ('{"configurations": {}}', "no list"),
            ('{\n"configurations": [\n', "line 3"),
            ('{"a": 1 "b": 2}', "line 1"),
            ("{,}", "line 1"),
            ('{"configurations": [,]}', "line 1"),
            ('{"a": tru}', "line 1"),
            ("{} x", "line 1"),
            ("<<<<<<< HEAD", "line 1"),
            ('{"a": "\\x"}', "line 1"),
        ],
    )
    def test_what_is_no_launch_json_is_refused(self, text: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            edit(text, CONFIG)

    @given(
        st.dictionaries(
            st.text().filter(lambda name: name != "configurations"),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            ),
        ),
        st.lists(st.dictionaries(st.text(), st.none() | st.text())),
        st.sampled_from([None, 2, "\t"]),
        st.booleans(),
    )
    def test_any_json(
        self,
        others: dict[str, object],
        entries: list[object],
        indent: int | str | None,
        ascii: bool,
    ) -> None:
        content = {**others, "configurations": entries}
        edited = edit(json.dumps(content, indent=indent, ensure_ascii=ascii), CONFIG)
        assert json.loads(edited) == {**others, "configurations": [*entries, CONFIG]}


class TestFile:
    def test_it_is_made_with_its_folder(self, tmp_path: Path) -> None:
        path = tmp_path / ".vscode" / "launch.json"
        assert write_launch_config(path, CONFIG)
        assert json.loads(path.read_text())["configurations"] == [CONFIG]
        assert not write_launch_config(path, CONFIG)

    def test_its_mode_stays_and_nothing_lies_about(self, tmp_path: Path) -> None:
        path = tmp_path / "launch.json"
        path.write_text("{}")
        path.chmod(0o600)
        write_launch_config(path, CONFIG)
        assert path.stat().st_mode & 0o777 == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "real.json").write_text("{}")
        link = tmp_path / "launch.json"
        link.symlink_to("real.json")
        write_launch_config(link, CONFIG)
        assert link.is_symlink()
        assert "plldb" in (tmp_path / "real.json").read_text()

    @pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
    def test_what_can_not_be_edited_stays(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "launch.json"
        path.write_bytes(content)
        with pytest.raises(SourceError) as raised:
            write_launch_config(path, CONFIG)
        assert str(path) in raised.value.message
        assert raised.value.hint is not None
        assert json.loads(raised.value.hint.partition("\n")[2]) == CONFIG
        assert path.read_bytes() == content

    def test_a_folder_in_its_place(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="can't be edited"):
            write_launch_config(tmp_path, CONFIG)
