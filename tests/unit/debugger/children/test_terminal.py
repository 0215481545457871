"""What the developer's terminal does for a child, with programs that are slow to notice."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from plldb.debugger.children.terminal import Line, Terminal
from tests.unit.polling import until


@pytest.fixture
def path() -> Iterator[Path]:
    """A terminal's."""
    master, slave = pty.openpty()
    yield Path(os.ttyname(slave))
    os.close(master)
    os.close(slave)


def rows(line: Line) -> int:
    return os.get_terminal_size(line.descriptor).lines


def test_a_program_that_does_not_draw_is_asked_again(path: Path) -> None:
    async def work() -> None:
        terminal = Terminal(path)
        line = terminal.open_line()
        whole = rows(line)
        line.have_drawn_again()
        for _ in range(2):
            await until(lambda: rows(line) != whole)
            await until(lambda: rows(line) == whole)
        line.close()
        terminal.close()

    asyncio.run(work())
