"""``plldb sessions``: which session is meant, and how one is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from plldb.cli.console import Console
from plldb.cli.main import plldb
from plldb.cli.sessions import find_stack_name, format_row
from plldb.debugger.api_client import SessionView
from plldb.errors import SessionError

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def view(session: str = "11112222", stack_name: str = "app", **changes: str) -> SessionView:
    values = {
        "status": "ACTIVE",
        "owner": "arn:ada",
        "created_at": "2026-01-01T11:43:00.123+00:00",
        "expires_at": "2026-01-01T12:43:00+00:00",
    }
    return SessionView(session, stack_name, **(values | changes), holds=())


class TestWhichIsMeant:
    @pytest.mark.parametrize("beginning", ["11112222", "11112222-3333", "11112222-3333-4444-8"])
    def test_the_one_that_begins_so(self, beginning: str) -> None:
        assert find_stack_name(beginning, [view("00000000", "b"), view()]) == "app"

    def test_none_does(self) -> None:
        with pytest.raises(SessionError, match="No attached session begins with 33334444") as no:
            find_stack_name("33334444-5555", [view()])
        assert "--stack-name" in (no.value.hint or "")

    def test_several_of_one_stack_are_told_apart_by_the_server(self) -> None:
        assert find_stack_name("11112222", [view(), view()]) == "app"

    def test_several_of_different_stacks_are_named(self) -> None:
        with pytest.raises(SessionError, match=r"several stacks .*: a, b"):
            find_stack_name("11112222", [view(stack_name="b"), view(stack_name="a")])


class TestRow:
    def test_times_are_told_from_now(self) -> None:
        assert format_row(view(), NOW) == (
            "11112222",
            "app",
            "ACTIVE",
            "arn:ada",
            "17 min ago",
            "in 43 min",
        )

    @pytest.mark.parametrize(
        ("time", "text"),
        [
            ("2026-01-01T12:00:00+00:00", "0 s ago"),
            ("2026-01-01T12:00:59+00:00", "in 59 s"),
            ("2026-01-01T13:00:00+00:00", "in 1 h"),
            ("2025-12-30T11:00:00+00:00", "2 d ago"),
            ("some day", "some day"),
            ("2026-01-01T12:00:00", "2026-01-01T12:00:00"),
        ],
    )
    def test_in_one_unit(self, time: str, text: str) -> None:
        assert format_row(view(expires_at=time), NOW)[-1] == text

    def test_a_closed_one_expires_no_more(self) -> None:
        assert format_row(view(status="CLOSED"), NOW)[-1] == "-"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["close"], "Name one session by its ID"),
        (["close", "11112222", "--all"], "Name one session by its ID"),
        (["close", "--all"], "--all takes --stack-name"),
        (["close", "1111"], "That is no session"),
        (["close", "nonsense"], "That is no session"),
        (["close", "1" * 37], "That is no session"),
        (["list", "--all"], "--all takes --stack-name"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_done(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(plldb, ["sessions", *arguments])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_a_session_id_that_is_wrong_is_not_repeated() -> None:
    """It may be a right one with one character too many."""
    done = CliRunner().invoke(plldb, ["sessions", "close", "11112222-3333-4444-8555-666677778888x"])
    assert "3333" not in done.output


class TestTable:
    def test_lines_are_as_long_as_they_must_where_nobody_watches(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Console("text").table(("a", "b"), [("x" * 100, "y [bold]z[/bold]"), ("1", "\x1b[2J")])
        heading, first, second = (line.rstrip() for line in capsys.readouterr().out.splitlines())
        assert heading == f"a{' ' * 101}b"
        assert first == f"{'x' * 100}  y [bold]z[/bold]"
        assert second == f"1{' ' * 101}\ufffd[2J"

    def test_json_has_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        Console("json").table(("a",), [("b",)])
        assert capsys.readouterr().out == ""
