"""The recording in the README: drawn from frames, small, and complete in itself."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest.importorskip("pyte")

from tools.recording import OUTPUT, Frame, Row, draw, list_appearances, shorten

_ROWS = 25


def row(text: str, colour: str = "default") -> Row:
    return tuple((character, colour, False) for character in text)


def frame(moment: float, *lines: str) -> Frame:
    return moment, tuple(row(line) for line in [*lines, *[""] * (_ROWS - len(lines))])


def test_a_row_stands_until_it_changes() -> None:
    found, total = list_appearances([frame(0, "a"), frame(1, "a", "b"), frame(2, "c", "b")])
    told = [("".join(c[0] for c in one.cells), one.start, one.end) for one in found]
    assert told == [("a", 0, 2), ("c", 2, total), ("b", 1, total)]


def test_waits_are_shortened_and_nothing_else_is() -> None:
    frames = [frame(5, "a"), frame(5.5, "b"), frame(65, "c")]
    first, second, third = (moment for moment, _ in shorten(frames))
    assert (first, second) == (0, 0.5)
    assert 1 < third - second < 3


def test_what_it_draws_is_xml_with_all_that_was_said() -> None:
    said = ["<a> & 'b'", "$ plldb dev"]
    picture = ET.fromstring(draw([frame(0), frame(1, *said)]))
    texts = ["".join(one.itertext()) for one in picture.iter() if one.tag.endswith("}text")]
    assert texts == said


def test_that_of_the_readme_is_small_and_needs_nothing_else() -> None:
    text = OUTPUT.read_text("utf-8")
    assert len(text) < 100_000
    assert "(Pdb" in text
    assert not re.search(r"href|url\(|<script|@import|/tmp/|/home/|/root", text)
    assert f"docs/{OUTPUT.name}" in (Path(__file__).parents[2] / "README.md").read_text("utf-8")
