"""Code that stands in a template can be edited, and no edit is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from plldb.debugger.inline_code import write_inline_code
from plldb.debugger.sources.project import CodeSource
from plldb.errors import SourceError
from tests.unit.fakes import Answer, local_server

TEXT = "def handler(event, context):\r\n    return 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".plldb" / "inline" / "app" / "Child" / "Greeter"


def write(folder: Path, text: str) -> str:
    return write_inline_code(CodeSource(folder, "index.handler", inline=text))


def test_code_that_lies_in_a_folder_is_left_alone(tmp_path: Path) -> None:
    assert write_inline_code(CodeSource(tmp_path)) == ""
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_as_it_stands_there(folder: Path) -> None:
    assert str(folder / "index.py") in write(folder, TEXT)
    assert write(folder, TEXT) == ""
    assert (folder / "index.py").read_bytes() == TEXT.encode()


def test_a_file_that_nobody_has_edited_follows_the_template(folder: Path) -> None:
    write(folder, TEXT)
    assert str(folder / "index.py") in write(folder, TEXT + "x = 1\n")
    assert (folder / "index.py").read_bytes() == (TEXT + "x = 1\n").encode()


def test_an_edit_stays(folder: Path) -> None:
    write(folder, TEXT)
    (folder / "index.py").write_text("edited")
    for _ in range(2):
        assert "was edited" in write(folder, TEXT)
    assert (folder / "index.py").read_text() == "edited"


def test_of_two_edits_neither_is_lost(folder: Path) -> None:
    write(folder, TEXT)
    (folder / "index.py").write_text("edited")
    for _ in range(2):
        assert "index.py.new" in write(folder, "another")
    assert (folder / "index.py").read_text() == "edited"
    assert (folder / "index.py.new").read_text() == "another"


@pytest.mark.parametrize("how", ["deleted", "taken over"])
def test_and_one_of_them_is_chosen(folder: Path, how: str) -> None:
    test_of_two_edits_neither_is_lost(folder)
    if how == "deleted":
        (folder / "index.py").unlink()
    else:
        (folder / "index.py").write_text("another")
    assert "edited" not in write(folder, "another")
    assert (folder / "index.py").read_text() == "another"
    assert not (folder / "index.py.new").exists()


def test_a_file_of_before_counts_as_edited(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "index.py").write_text("mine")
    assert "was edited" in write(folder, TEXT)
    assert (folder / "index.py").read_text() == "mine"


def test_git_does_not_see_it(folder: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    write(folder, TEXT)
    git = ["git", "-C", tmp_path, "status", "--porcelain"]
    assert subprocess.run(git, check=True, capture_output=True).stdout == b""


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / ".plldb").write_text("a file")
    folder = tmp_path / ".plldb" / "inline" / "app" / "Greeter"
    with pytest.raises(SourceError, match=r"can't be written to .*index\.py") as raised:
        write(folder, TEXT)
    assert "--code" in str(raised.value.hint)


def test_code_of_a_custom_resource_finds_what_it_answers_with(folder: Path) -> None:
    with local_server(lambda _: Answer()) as server:
        write(folder, f"import cfnresponse\nURL = {server.url!r}\n{CUSTOM_RESOURCE}")
        subprocess.run([sys.executable, "index.py"], cwd=folder, check=True)
    (request,) = server.requests
    body = json.loads(request.body)
    assert (request.method, body["Status"], body["Data"]) == ("PUT", "SUCCESS", {"a": 1})
    assert body["PhysicalResourceId"] == "stream"


CUSTOM_RESOURCE = """
from types import SimpleNamespace
event = {"ResponseURL": URL, "StackId": "s", "RequestId": "r", "LogicalResourceId": "l"}
context = SimpleNamespace(log_stream_name="stream")
cfnresponse.send(event, context, cfnresponse.SUCCESS, {"a": 1})
"""
