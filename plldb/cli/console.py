"""The only place that writes to the terminal.

Answers go to stdout: text for people, or JSON with one object a line. What goes on meanwhile, and
errors, go to stderr.
"""

from __future__ import annotations

import io
import json
import logging
import os
import select
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from getpass import GetPassWarning, getpass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

from plldb.cli.printable import make_printable
from plldb.diagnostic_log import FORMAT
from plldb.errors import PlldbError
from plldb.json_text import read_json
from plldb.option_names import Output

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.live import Live
    from rich.status import Status
    from rich.text import Text

    from plldb.cli.terminal_text import Line

# Columns; a file or a pipe has no edge at which to break lines.
_UNLIMITED = 10_000
_USUAL = 80
# How often it is looked whether a question is over.
_LOOK_SECONDS = 0.1
_LONGEST_SECRET_BYTES = 4096


class Console:
    def __init__(self, output: Output) -> None:
        self._output = output
        # Takes what would be written, where there is no terminal.
        self._divert: Callable[[dict[str, Any]], None] | None = None
        # What moves on the terminal now.
        self._animations: list[Live | Status] = []
        self._stdout: RichConsole | None = None
        self._stderr: RichConsole | None = None
        if output == "text":
            _never_fail_on_a_character()
            from rich.console import Console as RichConsole

            # https://no-color.org: nothing but text, where rich alone would leave out colours only.
            colours: Any = None if os.environ.get("NO_COLOR") else "auto"
            make = partial(
                RichConsole, color_system=colours, highlight=False, soft_wrap=True, emoji=False
            )
            self._stdout, self._stderr = make(), make(stderr=True)

    @property
    def is_json(self) -> bool:
        return self._output == "json"

    @property
    def is_terminal(self) -> bool:
        """Whether answers are text that somebody sees as it comes."""
        return self._stdout is not None and self._stdout.is_terminal

    def answer(self, data: dict[str, Any], text: str | Line) -> None:
        """What the command was asked for: ``data`` as a line of JSON, or ``text``."""
        if self._divert is not None:
            self._divert(data)
        elif self._stdout is None:
            _write_whole(sys.stdout, (json.dumps(data) + "\n").encode())
        else:
            self._print(self._stdout, text)

    def pass_on(self, payload: bytes) -> None:
        """JSON that somebody else made: byte for byte, or laid out for people at a terminal."""
        if self._stdout is not None and self._stdout.is_terminal:
            self._stdout.print(make_printable(_lay_out(payload)), markup=False)
            return
        _write_whole(sys.stdout, payload if payload.endswith(b"\n") else payload + b"\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under their headings, for people only; as wide as it needs where no one watches."""
        if self._stdout is None:
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(Text(make_printable(cell), overflow="fold") for cell in row))
        if not self._stdout.is_terminal:
            self._stdout.width = _UNLIMITED
        self._stdout.print(table, soft_wrap=False)

    def title(self, text: str) -> None:
        """A heading, for people only."""
        if self._stdout is not None:
            self._stdout.print(f"\n{make_printable(text)}", style="bold", markup=False)

    def note(self, text: str | Line) -> None:
        """What goes on, for people only."""
        if self._stderr is not None:
            self._print(self._stderr, text, style="dim")

    def _print(self, console: RichConsole, text: str | Line, style: str | None = None) -> None:
        if isinstance(text, str):
            console.print(make_printable(text), markup=False, style=style)
            return
        columns = _find_columns(console.file) if console.file.isatty() else None
        # Terminals that do not know it say 0.
        laid_out = text.lay_out(_USUAL if columns == 0 else columns)
        console.print(laid_out, markup=False, style=style)

    def warn(self, text: str) -> None:
        """What the user should know, in either output."""
        if self._divert is not None:
            self._divert({"warning": text})
            return
        _write_to_stderr({"warning": text}, f"Warning: {text}", self.is_json)

    def divert(self, take: Callable[[dict[str, Any]], None]) -> None:
        """From now on, answers and warnings go to ``take`` as JSON has them."""
        self._divert = take

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[str], None]]:
        """A spinner while something takes its time, where there is a terminal to show it.

        What it gives says what is just being done, in the place of what it said before.
        """
        if self._stderr is None or not self._stderr.is_terminal:
            yield lambda _: None
            return
        from rich.markup import escape

        with self._stderr.status(escape(text)) as status, self._pausable(status):
            yield lambda more: status.update(escape(make_printable(f"{text}  {more}")))

    @contextmanager
    def live(self, lines: Callable[[], list[str]]) -> Iterator[None]:
        """Keeps ``lines()`` at the bottom of a terminal while answers scroll by above it."""
        if self._stdout is None or not self._stdout.is_terminal:
            yield
            return
        from rich.live import Live

        with (
            Live(
                get_renderable=lambda: _make_rows(lines()),
                console=self._stdout,
                refresh_per_second=4,
                transient=True,
            ) as live,
            self._pausable(live),
        ):
            yield

    @contextmanager
    def _pausable(self, animation: Live | Status) -> Iterator[None]:
        self._animations.append(animation)
        try:
            yield
        finally:
            self._animations.remove(animation)

    def ask_secret(self, question: str, is_over: Callable[[], bool] = lambda: False) -> str:
        """Asks in the terminal, and nothing moves there meanwhile.

        Raises EOFError without one, and in another thread than the main one once ``is_over``.
        """
        animations = list(self._animations)
        for animation in animations:
            animation.stop()
        try:
            return _read_secret(question, is_over)
        finally:
            for animation in animations:
                animation.start()

    def make_log_handler(self) -> logging.Handler:
        """Writes log records to stderr: lines that begin with the time, or JSON objects."""
        handler = _StderrHandler()
        handler.setFormatter(
            _JsonFormatter() if self.is_json else logging.Formatter(FORMAT, "%H:%M:%S")
        )
        return handler

    def confirm(self, question: str) -> bool:
        """Asks; whoever can't be asked has not agreed."""
        if self._stderr is None or not sys.stdin.isatty():
            return False
        from rich.prompt import Confirm

        return Confirm.ask(question, console=self._stderr, default=False)


class _StderrHandler(logging.StreamHandler[Any]):
    """Looks for stderr each time: while something live is shown, that is what keeps clear of it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = "\n".join(filter(None, (record.getMessage(), record.exc_text, record.stack_info)))
        return json.dumps(
            {
                "log": text,
                "level": record.levelname.lower(),
                "logger": record.name,
                "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            }
        )


def _read_secret(question: str, is_over: Callable[[], bool]) -> str:
    """Hides what is typed in the main thread alone: elsewhere nobody would undo that at the end."""
    if threading.current_thread() is threading.main_thread():
        with warnings.catch_warnings():
            # Without a terminal it reads from stdin, and says that it can't hide that.
            warnings.simplefilter("ignore", GetPassWarning)
            return getpass(question)
    try:
        with Path("/dev/tty").open("r+b", buffering=0) as terminal:
            terminal.write(make_printable(question).encode())
            line = _read_line(terminal.fileno(), is_over)
    except OSError:
        line = b""
    if not line.strip():
        raise EOFError("nobody has typed one.")
    return line.decode(errors="replace").strip()


def _read_line(terminal: int, is_over: Callable[[], bool]) -> bytes:
    """Whole, as terminals give them. Raises EOFError if somebody else has the terminal by now."""
    os.set_blocking(terminal, False)
    while not is_over():
        select.select([terminal], [], [], _LOOK_SECONDS)
        # Whoever has the terminal now has the keys, too.
        if not is_over():
            with suppress(BlockingIOError):
                return os.read(terminal, _LONGEST_SECRET_BYTES)
    raise EOFError("a debugger has the terminal now.")


def _make_rows(lines: Sequence[str]) -> Text:
    """One for each line, whose end is cut off where there is no room."""
    from rich.text import Text

    rows = "\n".join(map(make_printable, lines))
    return Text(rows, no_wrap=True, overflow="ellipsis")


def _find_columns(terminal: IO[str]) -> int:
    """As many as there are now, unless COLUMNS says another number; rich takes a dumb terminal to
    have 80.
    """
    said = os.environ.get("COLUMNS", "")
    try:
        return int(said) if said.isdecimal() else os.get_terminal_size(terminal.fileno()).columns
    except OSError:
        return 0


def _lay_out(payload: bytes) -> str:
    text = payload.decode("utf-8", "replace")
    try:
        value = read_json(text)
    except ValueError:
        return text
    # A number that is written in another way would be another one for some readers.
    return json.dumps(value, indent=2, ensure_ascii=False) if _is_same(value, text) else text


def _is_same(value: Any, text: str) -> bool:
    """Whether nothing but white space gets lost by reading and writing it."""
    strip = str.maketrans("", "", " \t\r\n")
    forms = (json.dumps(value, ensure_ascii=False), json.dumps(value))
    return text.translate(strip) in [form.translate(strip) for form in forms]


def read_stdin(limit: int = -1) -> bytes:
    """To its end, or as many bytes."""
    return sys.stdin.buffer.read(limit)


def _never_fail_on_a_character() -> None:
    """A terminal that is not UTF-8 shows "?" for what it has not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def show_error(error: PlldbError, as_json: bool) -> None:
    """One line and a hint."""
    text = f"Error: {error.message}" + (f"\nHint: {error.hint}" if error.hint else "")
    _write_to_stderr({"error": error.message, "hint": error.hint}, text, as_json)


def give_up_stdout() -> None:
    """After it refused what was written: Python would try again with what is left, at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_abort(as_json: bool) -> None:
    """Somebody has pressed Ctrl-C, and nothing more was to be done."""
    _write_to_stderr({"error": "Aborted.", "hint": None}, "Aborted!", as_json)


def _write_whole(stream: TextIO, line: bytes) -> None:
    """All of it. With PYTHONUNBUFFERED, a write that a signal interrupts is a short one, whose rest
    a text stream would drop.
    """
    stream.flush()
    left = memoryview(line)
    while left:
        left = left[stream.buffer.write(left) :]
    stream.buffer.flush()


def _write_to_stderr(data: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        _write_whole(sys.stderr, (json.dumps(data) + "\n").encode())
        return
    sys.stderr.write(make_printable(text) + "\n")
    sys.stderr.flush()
