"""What ``plldb attach --debugpy`` says of editors, and writes for VS Code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plldb.cli.attach import attach
from plldb.cli.attach_editor import EditorOffer
from plldb.cli.console import Console
from plldb.cli.options import list_given
from plldb.debugger.children.local_function import Debugpy

GIVEN = ["--stack-name", "shop", "--debugpy", "--template", "app/template.yaml", "--env", "KEY=x"]
ADDRESSES = {"A": ("127.0.0.1", 5678), "B": ("127.0.0.1", 5679)}


@pytest.fixture(autouse=True)
def command_line() -> Iterator[None]:
    with attach.make_context("attach", [*GIVEN]):
        yield


def offer(output: Any, addresses: dict[str, tuple[str, int]] | None = None) -> EditorOffer:
    return EditorOffer(Console(output), "shop", addresses or ADDRESSES)


def test_what_was_given_is_given_again() -> None:
    options = ["--function=A*", "--function", "B", "--profile", "dev", "--wait-for-client", "-vv"]
    options += ["--no-as-function"]
    with attach.make_context("attach", [*options, *GIVEN, "--output=json", "--max-concurrency=3"]):
        assert sorted(list_given(("output", "env"))) == [
            "--debugpy=127.0.0.1:5678",
            "--function=A*",
            "--function=B",
            "--max-concurrency=3",
            "--no-as-function",
            "--profile=dev",
            "--stack-name=shop",
            "--template=app/template.yaml",
            "--verbose",
            "--verbose",
            "--wait-for-client",
            "attach",
        ]


class TestWritten:
    def test_the_task_attaches_again_and_says_no_secret(self, tmp_path: Path) -> None:
        offer("text").write(tmp_path)
        (task,) = json.loads((tmp_path / ".vscode" / "tasks.json").read_text())["tasks"]
        assert task["args"] == [
            "attach",
            "--stack-name=shop",
            "--template=app/template.yaml",
            "--debugpy=127.0.0.1:5678",
            "--write-launch-config",
        ]

    @pytest.mark.parametrize("is_beside", [True, False])
    def test_the_task_runs_the_plldb_that_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_beside: bool
    ) -> None:
        """Where it is installed for one user, no plldb is beside Python."""
        beside, in_path = tmp_path / "python" / "bin", tmp_path / "local" / "bin"
        for folder in (beside, in_path):
            folder.mkdir(parents=True)
        for folder in (beside,) * is_beside + (in_path,):
            (folder / "plldb").write_text("#!/bin/sh")
            (folder / "plldb").chmod(0o755)
        monkeypatch.setattr("sys.executable", str(beside / "python"))
        monkeypatch.setenv("PATH", str(in_path))
        workspace = tmp_path / "workspace"
        offer("text").write(workspace)
        (task,) = json.loads((workspace / ".vscode" / "tasks.json").read_text())["tasks"]
        assert task["command"] == (str(beside / "plldb") if is_beside else "plldb")

    def test_nothing_is_said_where_nothing_changed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        offer("text").write(tmp_path)
        (line,) = capsys.readouterr().out.splitlines()
        assert ".vscode/launch.json and .vscode/tasks.json" in line
        offer("text").write(tmp_path)
        assert capsys.readouterr() == ("", "")

    def test_another_port_is_written(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        offer("text").write(tmp_path)
        moved = ADDRESSES | {"B": ("127.0.0.1", 6000)}
        capsys.readouterr()
        offer("text", moved).write(tmp_path)
        (line,) = capsys.readouterr().out.splitlines()
        assert "launch.json" in line
        assert "tasks.json" not in line
        assert "6000" in (tmp_path / ".vscode" / "launch.json").read_text()


class TestShown:
    def test_for_people_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        offer("text").show()
        text = capsys.readouterr().out
        content = json.loads(text[text.index("{") :])
        assert content.keys() == {"configurations"}
        names = [config["name"] for config in content["configurations"]]
        assert names == ["plldb: A (shop)", "plldb: B (shop)"]

    @pytest.mark.parametrize("is_written", [True, False])
    def test_for_programs_each_function_and_its_port(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_written: bool
    ) -> None:
        for _ in range(2):
            capsys.readouterr()
            offer("json").write(tmp_path) if is_written else offer("json").show()
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [event["event"] for event in events] == ["launch.configuration"] * 2
        ports = {one["function"]: one["configuration"]["connect"]["port"] for one in events}
        assert ports == {"A": 5678, "B": 5679}


class TestTakenPorts:
    def test_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        offer("text").warn_of_taken_ports(Debugpy())
        assert capsys.readouterr() == ("", "")

    def test_who_is_elsewhere_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        offer("text", ADDRESSES | {"B": ("127.0.0.1", 5681)}).warn_of_taken_ports(Debugpy())
        said = capsys.readouterr().err
        assert "5678" in said
        assert "B at 5681" in said
        assert "A at" not in said
