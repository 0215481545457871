"""Text for a terminal: what nobody has vouched for, in rows that fit.

What the user's code writes may hold anything. Its colours and the like (SGR: see ECMA-48, 8.3.117)
are kept, and end with the text. Whatever else would command the terminal, or turn the direction of
text around, is shown as a character that does nothing. No text is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rich.ansi import AnsiDecoder
from rich.cells import get_character_cell_size
from rich.text import Text

from plldb.cli.printable import UNPRINTABLE, make_printable

_SGR = r"\x1b\[[0-9;:]{0,64}m"
_SGR_OR_UNPRINTABLE = re.compile(f"({_SGR})|{UNPRINTABLE.pattern}")
_TABS_AND_WHAT_IS_NO_TEXT = re.compile(f"(\t|\n|{_SGR})")
# A carriage return alone goes back to write over what is there, as progress bars do.
_NEEDLESS_RETURNS, _RETURNS = re.compile(r"(?m)^\r+|\r+$"), re.compile(r"\r+")
_TAB_COLUMNS = 8
# A text beside a head has so many columns at least.
_LEAST_COLUMNS = 10
_ELLIPSIS = "…"
# They belong to the character before them: joiners, variation selectors, skin tones, the second
# letters of flags.
_JOINER = "\u200d"
_WIDE_VARIANT = "\ufe0f"
_MODIFIERS = range(0x1F3FB, 0x1F400)
_FLAGS = range(0x1F1E6, 0x1F200)


class Colours:
    """Text of one author: a colour that it does not end goes on in its next line."""

    def __init__(self) -> None:
        self._decoder = AnsiDecoder()

    def paint(self, text: str) -> Text:
        """What may be shown, with its colours; line ends of any kind are newlines."""
        if "\r" in text:
            text = _RETURNS.sub("\n", _NEEDLESS_RETURNS.sub("", text))
        shown = _SGR_OR_UNPRINTABLE.sub(_spare_sgr, text)
        if "\t" in shown:
            shown = "".join(_expand_tabs(shown))
        if "\x1b" not in shown and not self._decoder.style:
            return Text(shown)
        return self._decoder.decode_line(shown)


def _spare_sgr(match: re.Match[str]) -> str:
    return match[1] or "\N{REPLACEMENT CHARACTER}"


def _expand_tabs(text: str) -> Iterator[str]:
    """By the columns of the text, wherever it will stand."""
    column = 0
    for part in _TABS_AND_WHAT_IS_NO_TEXT.split(text):
        if part == "\t":
            spaces = _TAB_COLUMNS - column % _TAB_COLUMNS
            column += spaces
            yield " " * spaces
            continue
        if part == "\n":
            column = 0
        elif not part.startswith("\x1b"):
            column += measure(part)
        yield part


@dataclass(frozen=True)
class Line:
    """A text beside its head, in as many rows as it takes.

    ``heads`` say the same, the later ones in fewer columns. ``tell`` gives the text for a row of so
    many columns, or for one without an edge; it may have more of them, and gets more rows then.
    ``bar`` stands between, in each row. With ``may_move``, the text goes below the head where it
    would have few columns; so there is one head, and it is kept. Rows of a text without a head are
    as long as its lines: terminals break them so that they can be copied whole.
    """

    heads: tuple[Text, ...]
    tell: Callable[[int | None], Text]
    bar: Text = field(default_factory=Text)
    may_move: bool = False

    def lay_out(self, columns: int | None) -> Text:
        """Rows of so many columns at most; None for where there is no edge."""
        if not self.heads:
            return self.tell(None)
        if columns is not None and self.may_move:
            return self._lay_out_below(columns)
        head = self.heads[0] if columns is None else self._choose_head(columns)
        beside = measure(head.plain) + measure(self.bar.plain)
        width = None if columns is None else max(_LEAST_COLUMNS, columns - beside)
        rows = self._list_rows(width)
        indent = Text(" " * measure(head.plain)) + self.bar
        return Text("\n").join([head + self.bar + rows[0], *(indent + row for row in rows[1:])])

    def _choose_head(self, columns: int) -> Text:
        for head in self.heads:
            if measure(head.plain) + measure(self.bar.plain) <= columns // 2:
                return head
        return self.heads[-1]

    def _lay_out_below(self, columns: int) -> Text:
        head = self.heads[0]
        indent = measure(head.plain)
        if columns - indent >= max(_LEAST_COLUMNS, columns // 3):
            first, *rows = self._list_rows(columns - indent)
            above = [head + first]
        else:
            indent = 2
            above = [*split_rows(head, columns)]
            rows = self._list_rows(max(_LEAST_COLUMNS, columns - indent))
        below = [Text(" " * indent) + row for row in rows if row.plain]
        return Text("\n").join([*above, *below])

    def _list_rows(self, columns: int | None) -> list[Text]:
        return [*split_rows(self.tell(columns), columns)]

    def __str__(self) -> str:
        return self.lay_out(None).plain


def make_line(text: str, head: str = "") -> Line:
    """A line that somebody wrote, beside the name of who did."""
    painted = Colours().paint(text)
    heads = (join([(f"  {head}", "")]),) if head else ()
    return Line(heads, lambda _: painted, Text(" │ ") if head else Text())


# --- Rows -----------------------------------------------------------------------------------------


def split_rows(text: Text, columns: int | None) -> Iterator[Text]:
    """The text's lines, each in rows of so many columns at most. At least one, maybe empty."""
    for line in text.split("\n", allow_blank=True):
        if columns is None:
            yield line
        else:
            yield from line.divide(find_breaks(line.plain, columns))


def find_breaks(text: str, columns: int) -> list[int]:
    """Where rows begin, but the first: after a space in the second half of a row, or anywhere.

    Takes no longer than the text is long.
    """
    breaks: list[int] = []
    start = used = 0
    after_space = 0
    for at, character in enumerate(text):
        width = _measure_at(text, at)
        if used + width > columns and at > start:
            is_late = after_space - start > (at - start) // 2
            end = after_space if is_late else _keep_together(text, start, at)
            breaks.append(end)
            used = measure(text[end:at])
            start = end
        used += width
        if character == " ":
            after_space = at + 1
    return breaks


def _keep_together(text: str, start: int, at: int) -> int:
    """Not within what is one character for whoever reads it."""
    end = at
    while end > start and _continues(text, end):
        end -= 1
    return end if end > start else at


def _continues(text: str, at: int) -> bool:
    character = text[at]
    is_mark = _measure_character(character) == 0 or ord(character) in _MODIFIERS
    is_flag = ord(character) in _FLAGS and ord(text[at - 1]) in _FLAGS
    return is_mark or is_flag or text[at - 1] == _JOINER


def measure(text: str) -> int:
    """Columns, rather too many than too few: terminals differ in what they join."""
    if text.isascii():
        return len(text)
    return sum(_measure_at(text, at) for at in range(len(text)))


def _measure_at(text: str, at: int) -> int:
    character = text[at]
    if character == _WIDE_VARIANT:
        return 1 if at and _measure_character(text[at - 1]) == 1 else 0
    return _measure_character(character)


@lru_cache(maxsize=8192)
def _measure_character(character: str) -> int:
    if character.isascii():
        return 1
    if ord(character) in _MODIFIERS or ord(character) in _FLAGS:
        return 2
    return get_character_cell_size(character)


def cut(text: str, columns: int) -> str:
    """In so many columns at most, with an ellipsis in place of what is missing."""
    if len(text) <= columns and measure(text) <= columns:
        return text
    kept = text[:columns]
    while measure(kept) > columns - 1:
        kept = kept[:-1]
    return kept.rstrip() + _ELLIPSIS


def cut_front(text: str, columns: int) -> str:
    """The same for names, whose end tells more."""
    return cut(text[::-1], columns)[::-1]


def join(pieces: Sequence[tuple[str, str]]) -> Text:
    """Texts with their styles, in a row; none of them commands anything."""
    return Text.assemble(*((_put_in_a_row(text), style) for text, style in pieces))


def _put_in_a_row(text: str) -> str:
    return make_printable(text).replace("\t", " ").replace("\n", " ")
