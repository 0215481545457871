"""What a developer sees of invocations at a real terminal: a session with a real process in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pexpect
import pytest
from wcwidth import wcswidth

REPOSITORY = Path(__file__).parents[3]
SECONDS = 60
CODE = r"""
    import sys
    def handler(event, context):
        print("\x1b[31mred and " + "long " * 60 + "\x1b[0m end")
        print("漢字かな交じり文" * 20)
        print("\x1b]0;title\x07\x1b[2J\x1b[Hcleared?")
        print(" 10%\r 50%\r100%")
        sys.stdout.buffer.write(b"not \xff\xfe UTF-8\n")
        print("to stderr", file=sys.stderr)
        print("no newline", end="", flush=True)
        return {"statusCode": 200, "body": "well " * 100}
"""
SGR = re.compile(r"\x1b\[[0-9;]*m")
# What the list of what runs does to its own rows: erase them, and go up; the next row begins there.
LIST = re.compile(r"\r?\x1b\[(?:\?25[lh]|\d*A|2K)")


def start(folder: Path, columns: int, **environ: str) -> pexpect.spawn[str]:
    (folder / "app.py").write_text(textwrap.dedent(CODE), encoding="utf-8")
    without = {"NO_COLOR", "COLUMNS", "FORCE_COLOR", "COLORTERM"}
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    return pexpect.spawn(
        sys.executable,
        ["-m", "tests.unit.debugger.attach_program", str(folder), "none", str(SECONDS)],
        cwd=str(REPOSITORY),
        env={**inherited, "TERM": "xterm-256color", "HOME": str(folder), **environ},
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(50, columns),
    )


def see(folder: Path, columns: int, **environ: str) -> str:
    """All that the terminal was sent."""
    process = start(folder, columns, **environ)
    try:
        process.expect("✔ Greeter")
        seen = process.before + process.after
        process.sendintr()
        process.expect(pexpect.EOF)
        return str(seen + process.before)
    finally:
        process.close(force=True)


def read_rows(seen: str) -> list[str]:
    """What was shown at any time, without colours."""
    # Terminals show which key was pressed.
    seen = seen.replace("^C", "\n").replace("\r\n", "\n")
    return LIST.sub("\n", SGR.sub("", seen)).split("\n")


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize(
    "environ", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["colours", "NO_COLOR", "dumb"]
)
def test_output_at_a_terminal(tmp_path: Path, columns: int, environ: dict[str, str]) -> None:
    seen = see(tmp_path, columns, **environ)
    _, _, since = seen.partition("Ready: 1 function runs here.")
    rows = read_rows(since)
    # Nothing is broken by the terminal, and nothing commands it.
    assert max(map(wcswidth, rows)) <= columns
    assert all(row.isprintable() for row in rows)
    assert ("\x1b[31mred" in seen) is (environ == {})
    if environ:
        assert not SGR.search(seen)
    # All of it is there, beside the invocation and under its column.
    beside = [row for row in rows if "│" in row]
    (bar,) = {row.index("│") for row in beside}
    firsts = [row for row in beside if row[:bar].strip()]
    assert all("00000001" in row[:bar] for row in firsts)
    text = "".join(row[bar + 2 :] for row in beside)
    assert f"red and {'long ' * 60} end" in text
    assert "漢字かな交じり文" * 20 in text
    for part in ("cleared?", " 10% 50%100%", "not \ufffd\ufffd UTF-8", "to stderr", "no newline"):
        assert part in text
    # And what came of it.
    told = "\n".join(rows)
    assert re.search(r"\d\d:\d\d:\d\d ✔ Greeter  00000001  \d+ ms", told)
    assert re.search(r"1 → 200 well well.*…", told)


def test_output_in_a_file(tmp_path: Path) -> None:
    """There is no edge, and no colour."""
    (tmp_path / "app.py").write_text(textwrap.dedent(CODE), encoding="utf-8")
    command = [sys.executable, "-m", "tests.unit.debugger.attach_program", str(tmp_path)]
    environ = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    process = subprocess.Popen(
        [*command, "none", str(SECONDS)],
        cwd=REPOSITORY,
        env={**environ, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    with process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "✔ Greeter" in line:
                break
        process.send_signal(2)
        lines += process.stdout.readlines()
    assert any(f"│ red and {'long ' * 60} end\n" in line for line in lines)
    assert "\x1b" not in "".join(lines)
