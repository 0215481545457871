"""What the user's code writes, in rows: whatever it is, nothing is lost, and nothing commanded."""

from __future__ import annotations

import io
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from wcwidth import wcswidth

from plldb.cli.printable import UNPRINTABLE
from plldb.cli.terminal_text import Colours, Line, cut, cut_front, find_breaks, make_line, measure

SGR = re.compile(r"\x1b\[[0-9;:]*m")
HEAD, BAR = "head", " │ "
FAMILY = "👩\u200d👩\u200d👧"
# Pieces of what code writes, commands among them.
PIECES = st.sampled_from(
    [
        *("\x1b[31m", "\x1b[1;38;5;208m", "\x1b[0m", "\x1b[m", "\x1b[38:2::1:2:3m", "\x1b[99m"),
        *(
            "\x1b[2J",
            "\x1b[H",
            "\x1b]0;title\x07",
            "\x1b]8;;http://x\x1b\\",
            "\x1bP+q\x1b\\",
            "\x1b[",
        ),
        *(
            "\x9b31m",
            "\x9d0;t\x9c",
            "\x1b(0",
            "\x1bc",
            "\x1b[?1049h",
            "\x1b[>4;2m",
            "\x1b[6n",
            "\x1b",
        ),
        *("\r", "\r\r", "\t", "\b", "\x00", "\x07", "\x0b", "\x7f", "\u2028", "\u202e", "\ud800"),
        *("e\u0301", "漢字", FAMILY, "❤\ufe0f", "👍🏽", "🇩🇪", "\u200d", "\ufe0f", " ", "   "),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8) | st.text(string.ascii_letters, max_size=30)).map(
    "".join
)
# What is no command, and has to be there in the end, in its order.
LETTERS = re.compile(r"[^\W_]")


def render(text: Text, *, colours: str | None = "truecolor") -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        force_terminal=True,
        color_system=colours,  # type: ignore[arg-type]
        soft_wrap=True,
        highlight=False,
        emoji=False,
    )
    console.print(text, markup=False)
    return file.getvalue()


def lay_out(text: str, columns: int | None, colours: str | None = "truecolor") -> str:
    painted = Colours().paint(text)
    line = Line((Text(HEAD),), lambda _: painted, Text(BAR))
    return render(line.lay_out(columns), colours=colours)


def strip_commands(text: str) -> str:
    return SGR.sub("", text)


@given(TEXTS, st.none() | st.integers(20, 200))
def test_nothing_but_colours_reaches_the_terminal(text: str, columns: int | None) -> None:
    shown = strip_commands(lay_out(text, columns))
    assert shown.endswith("\n")
    assert not UNPRINTABLE.search(shown)
    assert "\t" not in shown


@given(TEXTS, st.integers(20, 200))
def test_without_colours_nothing_at_all_does(text: str, columns: int) -> None:
    assert "\x1b" not in lay_out(text, columns, None)


@given(TEXTS, st.none() | st.integers(20, 200))
def test_no_text_is_lost(text: str, columns: int | None) -> None:
    shown = strip_commands(lay_out(text, columns))
    rows = [row.partition(BAR)[2] for row in shown.removesuffix("\n").split("\n")]
    letters = LETTERS.findall(SGR.sub("", text))
    assert LETTERS.findall("".join(rows)) == [one for one in letters if one.isprintable()]


@given(TEXTS, st.integers(20, 200))
@example(FAMILY * 40, 20)
@example("\x1b[31m" + "漢" * 100, 21)
def test_no_row_is_wider_than_the_terminal(text: str, columns: int) -> None:
    for row in strip_commands(lay_out(text, columns)).split("\n"):
        assert max(wcswidth(row), measure(row)) <= columns


@given(TEXTS, st.integers(20, 200))
def test_each_row_stands_under_the_column_and_ends_its_colours(text: str, columns: int) -> None:
    first, *others = lay_out(text, columns).removesuffix("\n").split("\n")
    assert strip_commands(first).startswith(HEAD + BAR)
    for row in others:
        assert strip_commands(row).startswith(" " * len(HEAD) + BAR)
    for row in (first, *others):
        codes = SGR.findall(row)
        assert not codes or codes[-1] == "\x1b[0m"


class TestColours:
    def test_they_are_the_users(self) -> None:
        assert render(Colours().paint("\x1b[31mred\x1b[0m not")) == "\x1b[31mred\x1b[0m not\n"

    def test_they_go_on_in_the_next_row(self) -> None:
        rows = lay_out("\x1b[32m" + "x" * 40, 30).splitlines()
        assert len(rows) == 2
        assert all("\x1b[32m" in row for row in rows)

    def test_they_go_on_in_the_next_line_of_the_same_author(self) -> None:
        colours = Colours()
        assert "\x1b[31m" in render(colours.paint("\x1b[31mred"))
        assert render(colours.paint("still")) == "\x1b[31mstill\x1b[0m\n"
        assert render(Colours().paint("not")) == "not\n"

    @pytest.mark.parametrize(
        "command", ["\x1b[2J", "\x1b]0;title\x07", "\x1b[>4;2m", "\x9b31m", f"\x1b[{'1' * 100}m"]
    )
    def test_other_commands_are_shown_without_their_effect(self, command: str) -> None:
        shown = render(Colours().paint(f"a{command}b"))
        assert shown.startswith("a\ufffd")
        assert "\x1b" not in shown


class TestRows:
    def test_a_carriage_return_begins_one(self) -> None:
        """A terminal would write over what was there; here it can be read."""
        assert strip_commands(lay_out("\r10%\r 20%\r\n", 80)).split("\n")[:2] == [
            f"{HEAD}{BAR}10%",
            f"    {BAR} 20%",
        ]

    def test_tabs_go_by_the_columns_of_the_text(self) -> None:
        assert make_line("a\t\x1b[31mbc\x1b[0m\td").lay_out(80).plain == "a       bc      d"

    def test_words_stay_whole_where_there_is_a_space_not_far(self) -> None:
        assert find_breaks("one two three", 8) == [8]
        assert find_breaks("o netwothree", 8) == [8]

    def test_characters_of_several_code_points_stay_whole(self) -> None:
        assert find_breaks(f"aaaa{FAMILY}bcd", 8) == [4, 11]
        assert find_breaks("abcdef🇩🇪", 8) == [6]
        assert find_breaks("abcde\u0301f", 5) == [6]

    def test_text_without_a_head_is_left_to_the_terminal(self) -> None:
        assert make_line("word " * 100).lay_out(40).plain == "word " * 100

    def test_heads_take_half_of_the_columns_at_most(self) -> None:
        heads = tuple(map(Text, ("the longest head", "a shorter one", "short")))
        line = Line(heads, lambda _: Text("text"), Text(BAR))
        shown = [line.lay_out(columns).plain for columns in (200, 40, 36, 10)]
        assert shown == [f"{heads[at]}{BAR}text" for at in (0, 0, 1, 2)]

    def test_a_text_that_may_move_goes_below_where_there_is_little_room(self) -> None:
        line = Line((Text("a head of some size  "),), lambda _: Text("some text"), may_move=True)
        assert line.lay_out(60).plain == "a head of some size  some text"
        assert line.lay_out(25).plain == "a head of some size  \n  some text"

    def test_a_megabyte_is_a_matter_of_seconds(self) -> None:
        """No time limit is promised: each row is looked at once, or this would take hours."""
        shown = make_line("x" * 500_000 + " y" * 250_000, "head").lay_out(80).plain
        assert shown.count("x") == 500_000


@given(st.text(), st.integers(5, 50))
def test_what_is_cut_says_so_and_fits(text: str, columns: int) -> None:
    for short, end in (
        (cut(text, columns), text.startswith),
        (cut_front(text, columns), text.endswith),
    ):
        assert measure(short) <= columns
        if short != text:
            assert "…" in short
            assert end(short.strip("…")) or short.strip("… ") in text
