"""Answers go to stdout and everything else to stderr, in the output that was asked for."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.cli.console import Console, show_error
from plldb.diagnostic_log import logging_to
from plldb.errors import StackError
from plldb.option_names import Output

# A terminal does what these say; the last is half a character, which can't be sent to any.
HARMFUL = "a\x1b[2Jb\x07c\rd\x9b31me\u202ef\x00g\ud800h"
HARMLESS = "a\ufffd[2Jb\ufffdc\ufffdd\ufffd31me\ufffdf\ufffdg\ufffdh"


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


_WRITES_ONE = """
import signal
from plldb.cli.console import Console

signal.signal(signal.SIGUSR1, lambda *_: None)
print(flush=True)
Console("json").answer({"x": "x" * 2_000_000}, "text")
"""


def test_a_signal_takes_nothing_from_a_long_line() -> None:
    """Without a buffer, a write that it interrupts is a short one."""
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", _WRITES_ONE]
    with subprocess.Popen(command, env=unbuffered, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        read = b""
        while not read.endswith(b"\n"):
            process.send_signal(signal.SIGUSR1)
            read += os.read(process.stdout.fileno(), 50_000)
    assert json.loads(read) == {"x": "x" * 2_000_000}


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_reader_that_is_gone_is_an_error_like_any_other(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is under way ends in order: attach gives functions their handlers back."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    try:
        with pytest.raises(BrokenPipeError):
            Console(output).answer({}, "text")
    finally:
        with contextlib.suppress(BrokenPipeError):
            stream.close()


def test_without_a_terminal_somebody_else_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    taken: list[dict[str, Any]] = []
    console = Console("json")
    console.divert(taken.append)
    console.answer({"n": 1}, "one")
    console.warn("careful")
    assert taken == [{"n": 1}, {"warning": "careful"}]
    assert capsys.readouterr() == ("", "")


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for console in (Console("text"), Console("json")):
        with console.progress("wait…"):
            pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("output", ["text", "json"])
def test_who_can_not_be_asked_has_not_agreed(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert Console(output).confirm("sure?") is False  # type: ignore[arg-type]


class TestSecretInAThread:
    """Asked for at a terminal of its own. It is over once there is a file."""

    PROGRAM = """
import pathlib, sys, threading
from plldb.cli.console import Console

def ask():
    try:
        print("got", Console("text").ask_secret("code? ", pathlib.Path(sys.argv[1]).exists))
    except EOFError as error:
        print("nothing:", error)
        print("left:", input())

thread = threading.Thread(target=ask)
thread.start()
thread.join()
"""

    @pytest.fixture
    def program(self, tmp_path: Path) -> Iterator[Any]:
        arguments = ["-c", self.PROGRAM, str(tmp_path / "over")]
        process = pexpect.spawn(sys.executable, arguments, encoding="utf-8", timeout=20)
        process.expect(r"code\? ")
        yield process
        process.close(force=True)

    def test_is_what_is_typed(self, program: Any) -> None:
        program.sendline("123456")
        program.expect("got 123456\r\n")

    def test_is_not_waited_for_once_a_debugger_has_the_keys(
        self, program: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "over").touch()
        program.expect("nothing: a debugger has the terminal now")
        program.sendline("for pdb")
        program.expect("left: for pdb\r\n")


def test_an_error_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(StackError("gone", "look"), as_json=False)
    assert capsys.readouterr() == ("", "Error: gone\nHint: look\n")


def test_an_error_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(StackError("gone", "look"), as_json=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err) == {"error": "gone", "hint": "look"}


class TestLog:
    def log(self, output: str) -> None:
        console = Console(output)  # type: ignore[arg-type]
        with logging_to(console.make_log_handler(), logging.INFO):
            logging.getLogger("plldb.x").info("hello %s", "\x1b[2J")
            logging.getLogger("plldb.x").debug("not this")

    def test_text_is_lines_with_the_time_on_stderr(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.log("text")
        captured = capsys.readouterr()
        assert captured.out == ""
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d\.\d{3} INFO    plldb\.x: hello \\x1b\[2J\n", captured.err
        )

    def test_json_is_one_object_a_line_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.log("json")
        captured = capsys.readouterr()
        assert captured.out == ""
        record = json.loads(captured.err)
        assert datetime.fromisoformat(record.pop("time")).tzinfo is not None
        assert record == {"log": "hello \\x1b[2J", "level": "info", "logger": "plldb.x"}

    def test_where_stderr_is_at_the_moment(self) -> None:
        """While something live is shown, that has put itself in its place."""
        handler, now = Console("text").make_log_handler(), io.StringIO()
        with logging_to(handler, logging.INFO), contextlib.redirect_stderr(now):
            logging.getLogger("plldb.x").info("hello")
        assert now.getvalue().endswith("hello\n")


class TestWhatATerminalTakesForACommand:
    def test_it_is_made_harmless_for_people(self, capsys: pytest.CaptureFixture[str]) -> None:
        console = Console("text")
        console.answer({}, HARMFUL)
        console.title(HARMFUL)
        console.note(HARMFUL)
        console.warn(HARMFUL)
        show_error(StackError(HARMFUL, HARMFUL), as_json=False)
        captured = capsys.readouterr()
        assert captured.out == f"{HARMLESS}\n\n{HARMLESS}\n"
        assert captured.err == (
            f"{HARMLESS}\nWarning: {HARMLESS}\nError: {HARMLESS}\nHint: {HARMLESS}\n"
        )

    def test_and_spelled_out_in_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        console = Console("json")
        console.answer({"line": HARMFUL}, "")
        console.warn(HARMFUL)
        show_error(StackError(HARMFUL), as_json=True)
        captured = capsys.readouterr()
        assert json.loads(captured.out) == {"line": HARMFUL}
        for line in (captured.out + captured.err).splitlines():
            assert line.isascii()
            assert line.isprintable()

    @given(text=st.text(st.characters(exclude_categories=())))
    def test_whatever_is_printed(self, text: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            Console("text").answer({}, text)
        printed = stdout.getvalue().removesuffix("\n")
        assert not [c for c in printed if unicodedata.category(c) in ("Cc", "Cs") and c != "\n"]
        printed.encode()

    @pytest.mark.parametrize("text", ["naïve 日本語 😀", "क्‍ष", "می\u200cخواهم", "a\nb"])  # noqa: RUF001
    def test_text_stays_as_it_is(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        Console("text").answer({}, text)
        assert capsys.readouterr().out == text + "\n"


class TestWhatIsPassedOn:
    @pytest.mark.parametrize("output", ["text", "json"])
    @pytest.mark.parametrize("payload", [b'{"n": 1.50}', b"\x89PNG\x00", b"a\r\nb\n"])
    def test_is_what_it_was(
        self, output: Output, payload: bytes, capsysbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        Console(output).pass_on(payload)
        written = capsysbinary.readouterr().out
        assert written in (payload, payload + b"\n")
        assert written.endswith(b"\n")

    @pytest.mark.parametrize(
        ("payload", "shown"),
        [
            ('{"n": [1, "é"]}', '{\r\n  "n": [\r\n    1,\r\n    "é"\r\n  ]\r\n}\r\n'),
            ('{"n": 1.50}', '{"n": 1.50}\r\n'),
            ("\x1b[31m", "\N{REPLACEMENT CHARACTER}[31m\r\n"),
        ],
    )
    def test_is_laid_out_at_a_terminal_but_not_changed(self, payload: str, shown: str) -> None:
        code = (
            "from plldb.cli.console import Console\n"
            f"Console('text').pass_on({payload.encode()!r})\n"
        )
        child = pexpect.spawn(sys.executable, ["-c", code], timeout=40, encoding="utf-8")
        child.expect_exact(shown)
        child.expect(pexpect.EOF)
        child.close()
