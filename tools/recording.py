"""Records the first minutes with plldb from a real run, for the README (``make recording``).

It writes docs/first-minutes.svg. In one terminal, ``plldb dev --pdb`` debugs the sample; in the
other, somebody calls its function. Both are shells at pseudo-terminals, whose keys are typed here
and whose output pyte makes screens of. Long waits are shortened. The SVG is animated by itself, and
needs no script and no font from anywhere.
"""

from __future__ import annotations

import os
import selectors
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

import pexpect
import pyte

from plldb.demo.story import SampleProject

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "docs" / "first-minutes.svg"
_COLUMNS = 96
_ROWS = (17, 8)
_PATIENCE_SECONDS = 60
_KEYS_AT_ONCE = 4
_KEY_SECONDS = 0.12
# What nothing moves for longer than that is shortened to it.
_LONGEST_STILL_SECONDS = 1.4
_LOOK_SECONDS = 0.05
_AT_THE_END_SECONDS = 4.0
_CALL = """plldb invoke Greeter --event '{"name": "you"}'"""

# --- The run ------------------------------------------------------------------------------------

# A cell: what stands there, its colour, whether it is bold. Rows of them, both terminals' in turn.
Cell = tuple[str, str, bool]
Row = tuple[Cell, ...]
Frame = tuple[float, tuple[Row, ...]]


class Terminals:
    """Two shells, and what their screens looked like at which time."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._hidden = str(folder.parent).encode()
        self.frames: list[Frame] = []
        self._started = time.monotonic()
        self._screens = [pyte.Screen(_COLUMNS, rows) for rows in _ROWS]
        self._streams = [pyte.ByteStream(screen) for screen in self._screens]
        self._shells = [
            pexpect.spawn(
                "bash",
                ["--norc", "--noprofile", "--noediting"],
                env={**environ, "PS1": "$ ", "TERM": "xterm-256color"},
                cwd=folder,
                dimensions=(rows, _COLUMNS),
            )
            for rows in _ROWS
        ]

    def close(self) -> None:
        for shell in self._shells:
            shell.close(force=True)

    def type(self, number: int, text: str) -> None:
        """As hands do, and Enter at the end."""
        for start in range(0, len(text), _KEYS_AT_ONCE):
            self._shells[number].send(text[start : start + _KEYS_AT_ONCE])
            self.watch(_KEY_SECONDS)
        self.watch(_KEY_SECONDS * 3)
        self._shells[number].send("\r")

    def interrupt(self, number: int) -> None:
        self._shells[number].sendintr()

    def wait_for(self, number: int, text: str) -> None:
        """Until it stands in the last lines of that screen. Raises TimeoutError."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while text not in self._tail(number):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{text!r} did not come:\n" + self._tail(number))
            self.watch(_LOOK_SECONDS)

    def watch(self, seconds: float) -> None:
        """Takes in what is written meanwhile."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for shell, stream in zip(self._shells, self._streams, strict=True):
                selector.register(shell.child_fd, selectors.EVENT_READ, stream)
            while (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    data = os.read(key.fd, 65536)
                    key.data.feed(data.replace(self._hidden, b"~"))
                self._take_frame()

    def _take_frame(self) -> None:
        rows = tuple(row for screen in self._screens for row in _read_rows(screen))
        if not self.frames or self.frames[-1][1] != rows:
            self.frames.append((time.monotonic() - self._started, rows))

    def _tail(self, number: int) -> str:
        lines = [line.rstrip() for line in self._screens[number].display]
        return "\n".join([line for line in lines if line][-6:])


def _read_rows(screen: pyte.Screen) -> Iterator[Row]:
    for y in range(screen.lines):
        line = screen.buffer[y]
        cells = [(_calm(line[x].data), line[x].fg, line[x].bold) for x in range(screen.columns)]
        while cells and cells[-1][0] == " ":
            cells.pop()
        yield tuple(cells)


def _calm(character: str) -> str:
    """A spinner's every turn would be another frame."""
    return "⠿" if "\u2800" <= character <= "\u28ff" else character


def record() -> list[Frame]:
    """The whole run, from an empty folder on. Raises TimeoutError if it goes another way."""
    with tempfile.TemporaryDirectory(prefix="plldb-recording-") as name:
        folder = Path(name).resolve()
        project = SampleProject.copy_to(folder / "sample")
        project.edit("    print(", "    breakpoint()\n    print(")
        # The project's own environment, as a developer has one.
        (project.folder / ".venv").symlink_to(Path(sys.prefix))
        home = folder / "home"
        terminals = Terminals(project.folder, _make_environment(home))
        try:
            _play(terminals)
            return terminals.frames
        finally:
            terminals.close()
            shutil.rmtree(home, ignore_errors=True)


def _make_environment(home: Path) -> dict[str, str]:
    """Of a developer who has plldb on the PATH, and nothing else that matters here."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL") if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {"LANG": "C.UTF-8", **kept, "PATH": path, "PLLDB_HOME": str(home)}


def _play(terminals: Terminals) -> None:
    above, below = 0, 1
    terminals.watch(0.5)
    terminals.type(above, "plldb dev --pdb")
    terminals.wait_for(above, "Ready: 1 function runs here")
    terminals.watch(0.8)
    terminals.type(below, _CALL)
    terminals.wait_for(above, "(Pdb")
    terminals.watch(0.8)
    for command in ("event", "n", "event['name'] = 'everybody'", "c"):
        terminals.type(above, command)
        terminals.watch(0.8)
    terminals.wait_for(below, "✔ Greeter")
    terminals.watch(1)
    terminals.type(below, "sed -i 's/}!/}, without a deployment!/; /breakpoint/d' greeter/app.py")
    terminals.watch(0.6)
    terminals.type(below, "clear; " + _CALL)
    terminals.wait_for(below, "✔ Greeter")
    terminals.watch(1)
    terminals.interrupt(above)
    terminals.wait_for(above, "ministack is stopped")
    terminals.watch(0.5)


# --- The picture --------------------------------------------------------------------------------

_CELL_WIDTH, _LINE_HEIGHT = 7.8, 17
_MARGIN, _GAP = 14, 16
_BACKGROUND, _FOREGROUND, _EDGE = "#11161c", "#d5dbe1", "#2f3a45"
_COLOURS = {
    "default": _FOREGROUND,
    "black": "#5c6773",
    "red": "#f2777a",
    "green": "#8fcf7f",
    "brown": "#e6c07b",
    "yellow": "#e6c07b",
    "blue": "#7aa6da",
    "magenta": "#c397d8",
    "cyan": "#70c0b1",
}
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


@dataclass(frozen=True)
class Appearance:
    """What stands in a row from ``start`` to ``end``, in seconds of the picture's own time."""

    number: int
    cells: Row
    start: float
    end: float


def shorten(frames: list[Frame]) -> list[Frame]:
    """The same with waits of a bearable length, from 0 on."""
    shortened, now = [], 0.0
    for number, (moment, rows) in enumerate(frames):
        if number:
            now += min(moment - frames[number - 1][0], _LONGEST_STILL_SECONDS)
        shortened.append((now, rows))
    return shortened


def list_appearances(frames: list[Frame]) -> tuple[list[Appearance], float]:
    """Row by row, what stands there how long; and how long all of it takes."""
    total = frames[-1][0] + _AT_THE_END_SECONDS
    found = []
    for number in range(sum(_ROWS)):
        moments = [(moment, rows[number]) for moment, rows in frames]
        for cells, group in groupby(moments, key=lambda one: one[1]):
            start = next(group)[0]
            found.append(Appearance(number, cells, start, total))
    # Each ends where the next one of its row begins.
    ended = [
        Appearance(one.number, one.cells, one.start, after.start)
        if after is not None and after.number == one.number
        else one
        for one, after in zip(found, [*found[1:], None], strict=True)
    ]
    return [one for one in ended if one.cells], total


def draw(frames: list[Frame]) -> str:
    """The SVG. Where nothing is animated, it shows the moment before the end of the debugging."""
    appearances, total = list_appearances(shorten(frames))
    width = round(_COLUMNS * _CELL_WIDTH + 2 * _MARGIN)
    heights = [rows * _LINE_HEIGHT + 2 * _MARGIN for rows in _ROWS]
    height = sum(heights) + _GAP
    poster = _choose_poster(appearances)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" font-family="{_FONT}" font-size="13" fill="{_FOREGROUND}">',
        "<title>plldb dev in one terminal, plldb invoke in another</title>",
        *_draw_windows(width, heights),
        f'<rect width="0" height="0"><animate id="m" attributeName="x" begin="0s;m.end" '
        f'dur="{total:.2f}s" values="0"/></rect>',
        *(_draw_row(one, total, poster) for one in appearances),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _choose_poster(appearances: list[Appearance]) -> float:
    """When the first answer has come: both terminals have something to show then."""
    answers = [
        one
        for one in appearances
        if one.number >= _ROWS[0] and "✔ Greeter" in "".join(cell[0] for cell in one.cells)
    ]
    return min((one.start for one in answers), default=0.0) + 0.01


def _draw_windows(width: int, heights: list[int]) -> Iterator[str]:
    top = 0
    for height in heights:
        yield (
            f'<rect y="{top}" width="{width}" height="{height}" rx="7" fill="{_BACKGROUND}" '
            f'stroke="{_EDGE}"/>'
        )
        top += height + _GAP


def _draw_row(one: Appearance, total: float, poster: float) -> str:
    below = one.number >= _ROWS[0]
    top = 2 * _MARGIN + _GAP if below else 0
    y = _MARGIN + top + one.number * _LINE_HEIGHT + 13
    spans = "".join(_draw_spans(one.cells))
    if one.start <= poster < one.end:
        state = ""
        times = [(0.0, one.start, "hidden"), (one.end, total, "hidden")]
    else:
        state = ' visibility="hidden"'
        times = [(one.start, one.end, "visible")]
    sets = "".join(
        f'<set attributeName="visibility" to="{to}" begin="m.begin+{start:.2f}s" '
        f'dur="{end - start:.2f}s"/>'
        for start, end, to in times
        if end - start > 0.005
    )
    return f'<text y="{y:.0f}" xml:space="preserve"{state}>{spans}{sets}</text>'


def _draw_spans(cells: Row) -> Iterator[str]:
    x = 0
    for (colour, bold), group in groupby(cells, key=lambda cell: cell[1:]):
        text = "".join(cell[0] for cell in group)
        if text.strip():
            look = _COLOURS.get(colour, f"#{colour}" if len(colour) == 6 else _FOREGROUND)
            fill = "" if look == _FOREGROUND else f' fill="{look}"'
            weight = ' font-weight="bold"' if bold else ""
            left = _MARGIN + x * _CELL_WIDTH
            # Whatever the font, columns stay columns.
            yield (
                f'<tspan x="{left:.0f}" textLength="{len(text) * _CELL_WIDTH:.0f}"{fill}{weight}>'
                f"{escape(text)}</tspan>"
            )
        x += len(text)


def main() -> None:
    picture = draw(record())
    OUTPUT.write_text(picture, encoding="utf-8")
    print(f"{OUTPUT.relative_to(ROOT)}: {len(picture.encode()) // 1024} KB")


if __name__ == "__main__":
    main()
