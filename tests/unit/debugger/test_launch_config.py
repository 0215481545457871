"""Our entries come into launch.json and tasks.json, and nothing else of the files changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.cli.attach_view import AttachView
from plldb.cli.console import Console
from plldb.debugger.attachment import SessionCreated
from plldb.debugger.jsonc import Entry, put_entries
from plldb.debugger.launch_config import (
    make_attach_command,
    make_launch_config,
    make_launch_entries,
    make_task_entries,
    write_entries,
)
from plldb.debugger.protocol import Ready
from plldb.errors import SourceError

CONFIG = make_launch_config("Greeter", "shop", ("127.0.0.1", 5678))


def make_entry(config: dict[str, Any]) -> Entry:
    """One that is replaced as a whole."""
    return Entry(
        "configurations",
        "name",
        config,
        lambda old: [((k,), v) for k, v in config.items() if old.get(k) != v],
    )


def edit(text: str, config: dict[str, Any]) -> str:
    return put_entries(text, "0.2.0", [make_entry(config)])


def launch(text: str, addresses: dict[str, int], stack_name: str = "shop") -> str:
    """launch.json after an attach."""
    at = {function: ("127.0.0.1", port) for function, port in addresses.items()}
    return put_entries(text, "0.2.0", make_launch_entries(stack_name, at))


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


def stripped(text: str) -> Any:
    """What the file says: an independent, simpler reading of JSON with comments."""
    pattern = r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/'
    text = re.sub(pattern, lambda m: m[1] or " ", text.removeprefix("\ufeff"), flags=re.DOTALL)
    text = re.sub(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[\]}])', lambda m: m[1] or "", text)
    return json.loads(text)


class TestConfig:
    def test_what_vs_code_needs(self) -> None:
        assert CONFIG == {
            "name": "plldb: Greeter (shop)",
            "type": "debugpy",
            "request": "attach",
            "connect": {"host": "127.0.0.1", "port": 5678},
            "pathMappings": [
                {"localRoot": "${workspaceFolder}", "remoteRoot": "${workspaceFolder}"},
                {"localRoot": "/", "remoteRoot": "/"},
            ],
            "justMyCode": False,
        }

    @pytest.mark.parametrize("host", ["0.0.0.0", ""])
    def test_it_connects_to_an_address_that_can_be_connected_to(self, host: str) -> None:
        assert make_launch_config("x", "y", (host, 1))["connect"]["host"] == "127.0.0.1"

    def test_the_compound_attaches_and_starts_every_function(self) -> None:
        *configs, compound = make_launch_entries(
            "shop", {"A": ("127.0.0.1", 1), "Child/B": ("127.0.0.1", 2)}
        )
        names = ["plldb: A (shop)", "plldb: Child/B (shop)"]
        assert [entry.value["name"] for entry in configs] == names
        (task,) = make_task_entries("shop", ["plldb", "attach"])
        assert compound.value == {
            "name": "plldb: shop",
            "configurations": names,
            "preLaunchTask": task.value["label"],
            "stopAll": True,
        }


class TestTask:
    def test_it_runs_in_the_background_until_plldb_is_ready(self) -> None:
        (entry,) = make_task_entries("shop", ["plldb", "attach", "--stack-name=shop"])
        task = entry.value
        assert (task["command"], task["args"]) == ("plldb", ["attach", "--stack-name=shop"])
        assert task["isBackground"] is True
        assert task["options"] == {"cwd": "${workspaceFolder}"}
        assert task["problemMatcher"]["background"]["activeOnStart"] is True

    @pytest.mark.parametrize(
        ("event", "pattern"),
        [
            (SessionCreated("0f2e4a6c", "shop"), "beginsPattern"),
            (Ready(1, 0, 200), "endsPattern"),
            (Ready(12, 3, 200), "endsPattern"),
        ],
    )
    def test_its_patterns_match_what_plldb_says(
        self, event: Any, pattern: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (entry,) = make_task_entries("shop", ["plldb"])
        AttachView(Console("text")).show(event)
        (line,) = capsys.readouterr().out.splitlines()
        background = entry.value["problemMatcher"]["background"]
        for name in ("beginsPattern", "endsPattern"):
            assert bool(re.search(background[name], line)) == (name == pattern)

    def test_one_that_is_there_already_stays(self) -> None:
        once = put_entries("", "2.0.0", make_task_entries("shop", ["plldb", "attach"]))
        edited = once.replace('"attach"', '"attach", "--profile=dev"')
        assert put_entries(edited, "2.0.0", make_task_entries("shop", ["plldb"])) == edited

    @pytest.mark.parametrize(
        ("program", "found", "expected"),
        [
            ("/ws/.venv/bin/plldb", None, "${workspaceFolder}/.venv/bin/plldb"),
            ("/ws/.venv/bin/plldb", "/ws/.venv/bin/plldb", "${workspaceFolder}/.venv/bin/plldb"),
            ("/opt/tool/bin/plldb", "/opt/tool/bin/plldb", "plldb"),
            ("/opt/tool/bin/plldb", "/usr/bin/plldb", "/opt/tool/bin/plldb"),
            ("/opt/tool/bin/plldb", None, "/opt/tool/bin/plldb"),
            ("/ws2/bin/plldb", None, "/ws2/bin/plldb"),
        ],
    )
    def test_which_plldb(self, program: str, found: str | None, expected: str) -> None:
        assert make_attach_command(program, found, ["attach"], Path("/ws")) == [expected, "attach"]

    def test_paths_in_the_workspace_are_relative(self) -> None:
        given = [
            "--template=/ws/app/template.yaml",
            "--code=A=/ws/src",
            "--python=/opt/py",
            "--env-file=/srv/ws/env",
        ]
        assert make_attach_command("/p", None, given, Path("/ws"))[1:] == [
            "--template=${workspaceFolder}/app/template.yaml",
            "--code=A=${workspaceFolder}/src",
            "--python=/opt/py",
            "--env-file=/srv/ws/env",
        ]


class TestLaunchFile:
    def test_nothing_changes_where_nothing_is_new(self) -> None:
        once = launch(COMMENTED, {"A": 1, "B": 2})
        assert launch(once, {"A": 1, "B": 2}) == once

    def test_another_port_is_all_that_changes(self) -> None:
        once = launch(COMMENTED, {"A": 5678, "B": 5679})
        assert launch(once, {"A": 5678, "B": 6000}) == once.replace("5679", "6000")

    def test_what_the_developer_edited_stays(self) -> None:
        once = launch("", {"A": 5678})
        mine = (
            once.replace('"justMyCode": false', '"justMyCode": true, // mine\n"order": 1')
            .replace("127.0.0.1", "host.docker.internal")
            .replace('"remoteRoot": "/"', '"remoteRoot": "/elsewhere/"')
        )
        mine = mine.replace('"preLaunchTask": "plldb: attach shop",', "")
        assert launch(mine, {"A": 5678}) == mine
        assert launch(mine, {"A": 5679}) == mine.replace("5678", "5679")

    @pytest.mark.parametrize("connect", [None, 5678, {}, {"host": "127.0.0.1"}, {"port": "x"}])
    def test_a_broken_address_is_mended(self, connect: Any) -> None:
        config = {"name": "plldb: A (shop)", "connect": connect}
        (first, *_) = stripped(launch(json.dumps({"configurations": [config]}), {"A": 7}))[
            "configurations"
        ]
        assert first == {"name": "plldb: A (shop)", "connect": {"host": "127.0.0.1", "port": 7}}

    def test_the_compound_follows_the_functions(self) -> None:
        def compound(text: str) -> list[object]:
            (only,) = stripped(text)["compounds"]
            listed: list[object] = only["configurations"]
            return listed

        content = stripped(launch("", {"A": 1, "B": 2}))
        assert content["compounds"][0]["configurations"] == ["plldb: A (shop)", "plldb: B (shop)"]
        content["compounds"][0]["configurations"].insert(1, "Mine")
        mine = json.dumps(content)
        assert compound(launch(mine, {"B": 2, "C": 3})) == [
            "Mine",
            "plldb: B (shop)",
            "plldb: C (shop)",
        ]

    def test_another_stack_has_entries_of_its_own(self) -> None:
        one = launch("", {"A": 5678})
        both = stripped(launch(one, {"A": 5679}, "other"))
        ports = [config["connect"]["port"] for config in both["configurations"]]
        assert ports == [5678, 5679]
        assert len(both["compounds"]) == 2

    @given(
        st.lists(st.dictionaries(st.text("ABC", max_size=1), st.integers(1, 65535)), max_size=4),
        st.sampled_from(["", COMMENTED]),
    )
    def test_any_number_of_attaches(self, attaches: list[dict[str, int]], text: str) -> None:
        """The last one is right, and no entry is there twice."""
        for addresses in attaches:
            text = launch(text, addresses)
            assert launch(text, addresses) == text
            content: Any = stripped(text)
            ours = (
                {
                    config["name"]: config["connect"]["port"]
                    for config in content["configurations"]
                    if config["name"] != "Mine"
                }
                if addresses
                else {}
            )
            assert {f"plldb: {f} (shop)": p for f, p in addresses.items()}.items() <= ours.items()
            names = [config["name"] for config in content.get("configurations", [])]
            assert len(set(names)) == len(names)
            (compound,) = content["compounds"]
            assert sorted(compound["configurations"]) == sorted(
                f"plldb: {f} (shop)" for f in addresses
            )


class TestEdit:
    @pytest.mark.parametrize("text", ["", " \n"])
    def test_an_empty_file(self, text: str) -> None:
        assert json.loads(edit(text, CONFIG)) == {"version": "0.2.0", "configurations": [CONFIG]}

    def test_comments_and_formatting_stay(self) -> None:
        edited = edit(COMMENTED, CONFIG)
        for line in COMMENTED.splitlines():
            assert line in edited.splitlines()
        assert stripped(edited)["configurations"][1] == CONFIG
        assert edited.index("// the end") < edited.index("plldb: Greeter")
        assert '\n    {\n      "name": "plldb: Greeter (shop)"' in edited

    def test_editing_twice_changes_nothing(self) -> None:
        once = edit(COMMENTED, CONFIG)
        assert edit(once, CONFIG) == once

    def test_only_our_own_entry_is_replaced(self) -> None:
        once = edit(COMMENTED, CONFIG)
        other = {**CONFIG, "connect": {"host": "::1", "port": 6000}, "justMyCode": True}
        twice = edit(once, other)
        assert edit(twice, CONFIG) == once
        assert stripped(twice)["configurations"][1] == other

    def test_entries_of_several_functions(self) -> None:
        second = make_launch_config("Other", "shop", ("127.0.0.1", 5679))
        both = edit(edit(COMMENTED, CONFIG), second)
        assert stripped(both)["configurations"][1:] == [CONFIG, second]

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


def write(path: Path) -> bool:
    return write_entries(path, [make_entry(CONFIG)], path.parent)


class TestFile:
    def test_it_is_made_with_its_folder(self, tmp_path: Path) -> None:
        path = tmp_path / ".vscode" / "launch.json"
        assert write(path)
        assert json.loads(path.read_text())["configurations"] == [CONFIG]
        assert not write(path)

    def test_its_mode_stays_and_nothing_lies_about(self, tmp_path: Path) -> None:
        path = tmp_path / "launch.json"
        path.write_text("{}")
        path.chmod(0o600)
        write(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "launch.json").write_text("{}")
        link = tmp_path / "launch.json"
        link.symlink_to("real/launch.json")
        write(link)
        assert link.is_symlink()
        assert "plldb" in (tmp_path / "real" / "launch.json").read_text()

    def test_a_link_is_not_followed_out_of_the_workspace(self, tmp_path: Path) -> None:
        outside = tmp_path / "settings.json"
        outside.write_text("{}")
        link = tmp_path / "workspace" / "launch.json"
        link.parent.mkdir()
        link.symlink_to(outside)
        with pytest.raises(SourceError, match="out of") as raised:
            write(link)
        assert "configurations" in str(raised.value.hint)
        assert outside.read_text() == "{}"

    @pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
    def test_what_can_not_be_edited_stays(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "launch.json"
        path.write_bytes(content)
        with pytest.raises(SourceError) as raised:
            write(path)
        assert str(path) in raised.value.message
        assert raised.value.hint is not None
        assert json.loads(raised.value.hint.partition("\n")[2]) == {"configurations": [CONFIG]}
        assert path.read_bytes() == content

    def test_a_folder_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "launch.json").mkdir()
        with pytest.raises(SourceError, match="can't be edited"):
            write(tmp_path / "launch.json")
