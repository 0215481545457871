"""Answers go to stdout and everything else to stderr, in the output that was asked for."""

from __future__ import annotations

import io
import json

import pytest

from plldb.cli.attach import show_event
from plldb.cli.console import Console, show_error
from plldb.debugger.attach import Event, SessionCreated
from plldb.debugger.protocol import Connected, Ended, JunkArrived, MessageArrived
from plldb.errors import StackError

EVENTS: list[tuple[Event, str]] = [
    (SessionCreated("0a1b2c3d", "app"), "session.created"),
    (Connected(), "connected"),
    (MessageArrived({"type": "x"}), "message"),
    (Ended(True, True, "closed"), "closed"),
    (Ended(False, False, "lost"), "closed"),
]


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console("text")
    console.note("going on")
    console.answer({"a": 1}, "the [bold]answer[/bold]")
    console.warn("careful")
    captured = capsys.readouterr()
    assert captured.out == "the [bold]answer[/bold]\n"
    assert captured.err == "going on\nWarning: careful\n"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console("json")
    console.note("going on")
    console.title("title")
    console.answer({"a": "\n"}, "text")
    console.answer({"b": 2}, "text")
    console.warn("careful")
    captured = capsys.readouterr()
    assert [json.loads(line) for line in captured.out.splitlines()] == [{"a": "\n"}, {"b": 2}]
    assert json.loads(captured.err) == {"warning": "careful"}


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for console in (Console("text"), Console("json")):
        with console.progress("wait…"):
            pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("output", ["text", "json"])
def test_who_can_not_be_asked_has_not_agreed(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert Console(output).confirm("sure?") is False  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "is_json"),
    [
        (["plldb"], False),
        (["plldb", "--output", "json", "x"], True),
        (["plldb", "x", "--output=json"], True),
        (["plldb", "--output", "json", "x", "--output", "text"], False),
        (["plldb", "x", "--output"], False),
    ],
)
def test_an_error_in_the_output_that_was_asked_for_last(
    capsys: pytest.CaptureFixture[str], arguments: list[str], is_json: bool
) -> None:
    show_error(StackError("gone", "look"), arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    if is_json:
        assert json.loads(captured.err) == {"error": "gone", "hint": "look"}
    else:
        assert captured.err == "Error: gone\nHint: look\n"


@pytest.mark.parametrize(("event", "name"), EVENTS, ids=lambda value: str(value)[:20])
def test_every_event_of_a_session_is_one_json_object(
    capsys: pytest.CaptureFixture[str], event: Event, name: str
) -> None:
    show_event(Console("json"), event)
    assert json.loads(capsys.readouterr().out)["event"] == name


@pytest.mark.parametrize(("event", "name"), EVENTS, ids=lambda value: str(value)[:20])
def test_and_one_line_for_people(
    capsys: pytest.CaptureFixture[str], event: Event, name: str
) -> None:
    show_event(Console("text"), event)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_junk_is_a_warning_and_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    show_event(Console("json"), JunkArrived("\ufffd"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\ufffd" in json.loads(captured.err)["warning"]
