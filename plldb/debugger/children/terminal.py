"""The developer's terminal, and how a child has it while a debugger in it talks.

Each child has a pseudo-terminal of its own (a *line*), which controls its session. While the
terminal is lent, keys go to that line and its output goes to the terminal, so that signals, editing
and job control are those of the line: Ctrl-C reaches the child alone. The rest of the time, the
terminal is as the shell left it, and Ctrl-C is plldb's. Why it is no hand-over of the terminal
itself: docs/decisions/0008-a-terminal-for-the-child.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import signal
import stat
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plldb.debugger.children.runtime.frames import TERMINAL_MARK
from plldb.errors import SourceError

_CHUNK_BYTES = 64 * 1024
# Rows, columns, and both in pixels: tty_ioctl(4).
_SIZE = struct.Struct("HHHH")
_MOMENT_SECONDS = 0.1
# How often a program is asked to draw again that does not; each time it has twice as long.
_REQUESTS_TO_DRAW = 5
# Indexes of what ``tcgetattr`` gives.
_INPUT, _LOCAL, _CHARACTERS = 0, 3, 6
# DEC private modes, such as the alternate screen (1049) or the mouse, are switched on and off.
_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_LONGEST_MODE_BYTES = 32
# Those that are on by themselves: lines wrap, keys repeat, the cursor is shown.
_USUALLY_ON = {b"7", b"8", b"25"}
_ALTERNATE_SCREENS = {b"47", b"1047", b"1049"}


class Terminal:
    """Lent to one line at a time. Raises SourceError if there is none at ``path``."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = _open_terminal(path)
            # As the shell left it.
            self._settings = termios.tcgetattr(self._descriptor)
        except (OSError, termios.error) as error:
            raise SourceError(
                f"pdb needs a terminal, and there is none: {path}: {error.args[-1]}.",
                "Run it in a terminal, or attach an editor: --debugpy",
            ) from None
        self._borrower: Line | None = None
        # Whether the borrower was stopped by Ctrl-Z, and goes on when plldb does.
        self._is_suspended = False

    @property
    def is_lent(self) -> bool:
        return self._borrower is not None

    def open_line(self) -> Line:
        """Raises OSError if there are no more pseudo-terminals."""
        return Line(self._descriptor, self._settings, self._show)

    def lend(self, line: Line) -> None:
        """Until it is taken back, the line has the keys."""
        if self._borrower is line:
            return
        if not line.was_lent:
            # Typed before there was a prompt, it is for none.
            _flush_input(self._descriptor)
        line.was_lent = True
        self._borrower = line
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._pass_on_all_keys)
        loop.add_signal_handler(signal.SIGCONT, self._go_on)
        self._pass_on_all_keys()
        loop.add_reader(self._descriptor, self._read_keys)

    def take_back(self) -> None:
        """The debugger is done with it; what was typed meanwhile is kept for its next prompt."""
        if self._borrower is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        for number in (signal.SIGWINCH, signal.SIGCONT):
            loop.remove_signal_handler(number)
        line, self._borrower = self._borrower, None
        if self._is_suspended:
            self._is_suspended = False
            line.signal(signal.SIGCONT)
        self._show(line.screen.leave())
        if not line.screen.is_at_start_of_line:
            self._show(b"\r\n")
        _set_settings(self._descriptor, self._settings)

    def end_turn(self, line: Line) -> None:
        """An invocation has ended, or its child is about to: what was typed was for that one."""
        if self._borrower is line:
            self.take_back()
        if line.was_lent:
            _flush_input(self._descriptor)
            line.reset()

    def say(self, text: str) -> None:
        """A line for the developer; while it is lent, the debugger draws its prompt again."""
        encoded = text.encode()
        if self._borrower is None:
            self._show(encoded + b"\r\n")
        elif self._borrower.screen.is_full:
            # The last row, until something else is drawn there.
            self._show(b"\a\x1b7\x1b[999;1H\x1b[7m" + encoded + b"\x1b[0m\x1b[K\x1b8")
        else:
            self._show(b"\r\x1b[K" + encoded + b"\r\n")
            self._borrower.have_drawn_again()

    def close(self) -> None:
        """What was typed for a prompt that is gone is not for the shell."""
        self.take_back()
        _flush_input(self._descriptor)
        os.close(self._descriptor)

    def _pass_on_all_keys(self) -> None:
        """Also after a stop, of which the shell has its own settings of the terminal."""
        assert self._borrower is not None
        _set_settings(self._descriptor, _make_transparent(self._settings))
        self._borrower.take_size_of(self._descriptor)

    def _read_keys(self) -> None:
        line = self._borrower
        assert line is not None
        try:
            keys = os.read(self._descriptor, _CHUNK_BYTES)
        except OSError:
            keys = b""
        if not keys:  # the terminal is gone
            asyncio.get_running_loop().remove_reader(self._descriptor)
            return
        before, stop, _ = keys.partition(self._get_suspend_key())
        line.type(before if stop else keys)
        if stop:
            self._suspend(line)

    def _get_suspend_key(self) -> bytes:
        """Ctrl-Z, usually. It does not stop a child by itself: no shell looks after that."""
        key: bytes = self._settings[_CHARACTERS][termios.VSUSP]
        return key if key != b"\x00" else b"\x1a"

    def _suspend(self, line: Line) -> None:
        """Stops plldb's whole job, and what runs in the child, until the shell goes on with it."""
        self._show(line.screen.leave())
        self._show(b"\r\n")
        _set_settings(self._descriptor, self._settings)
        line.signal(signal.SIGSTOP)
        self._is_suspended = True
        # With several threads, this one may run a little further before the process is stopped.
        os.kill(0, signal.SIGTSTP)
        # Where there is no job control, nothing stops, and nobody says when to go on.
        asyncio.get_running_loop().call_later(_MOMENT_SECONDS, self._go_on)

    def _go_on(self) -> None:
        """The shell has put plldb into the foreground again."""
        line = self._borrower
        if line is None:
            return
        self._pass_on_all_keys()
        if self._is_suspended:
            self._is_suspended = False
            self._show(line.screen.enter_again())
            line.signal(signal.SIGCONT)
            line.have_drawn_again()

    def _show(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            while data:
                data = data[os.write(self._descriptor, data) :]


class Line:
    """A pseudo-terminal for one child, with the settings and the size of the developer's.

    What the child writes there is shown at once by ``show``. ``on_return`` is called when it says
    that it needs the terminal no more, and ``on_talk`` when it writes anything while it has not
    borrowed it, as a program that opens /dev/tty does.
    """

    def __init__(self, like: int, settings: list[Any], show: Callable[[bytes], None]) -> None:
        self._master, self.descriptor = os.openpty()
        self._settings = settings
        self._show = show
        self._unread = b""
        self._rest = b""
        self._size = bytes(_SIZE.size)
        # When it is smaller or has its whole size again; None while it keeps that.
        self._resizing: asyncio.TimerHandle | None = None
        self._has_written = False
        # The process that leads the session.
        self.pid = 0
        self.was_lent = False
        self.on_return: Callable[[], None] = lambda: None
        self.on_talk: Callable[[], None] = lambda: None
        self.screen = _Screen()
        os.set_blocking(self._master, False)
        _set_settings(self.descriptor, settings)
        self.take_size_of(like)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def type(self, keys: bytes) -> None:
        """Passes keys on; those for which there is no room yet wait."""
        if keys and not self._unread:
            asyncio.get_running_loop().add_writer(self._master, self._write)
        self._unread += keys

    def take_size_of(self, descriptor: int) -> None:
        """Its programs get SIGWINCH if that changes anything."""
        with contextlib.suppress(OSError):
            self._size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(_SIZE.size))
            # Its program may not have seen that it was smaller.
            if self._resizing is None:
                self._set_size(self._size)

    def have_drawn_again(self) -> None:
        """Its program draws its prompt or its screen again, as it does if the size has changed.

        readline does so only if it has, so there is a row less for a moment. It does not notice if
        another thread got the signal, or if both sizes came while it did not run: so it is asked
        again until something is drawn.
        """
        if self._resizing is not None:
            self._resizing.cancel()
        self._has_written = False
        self._shrink(1)

    def _shrink(self, request: int) -> None:
        self._resizing = None
        if self._has_written:
            self._set_size(self._size)
            return
        rows, *others = _SIZE.unpack(self._size)
        self._set_size(_SIZE.pack(max(1, rows - 1), *others))
        self._resize_later(self._grow, request)

    def _grow(self, request: int) -> None:
        self._resizing = None
        self._set_size(self._size)
        if not self._has_written and request < _REQUESTS_TO_DRAW:
            self._resize_later(self._shrink, request + 1)

    def _resize_later(self, resize: Callable[[int], None], request: int) -> None:
        seconds = _MOMENT_SECONDS * 2 ** (request - 1)
        self._resizing = asyncio.get_running_loop().call_later(seconds, resize, request)

    def _set_size(self, size: bytes) -> None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)

    def signal(self, number: signal.Signals) -> None:
        """To all that the child has started, too."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.pid:
                os.killpg(self.pid, number)

    def reset(self) -> None:
        """Nothing is left of an invocation: no typed keys, no settings."""
        self._unread = b""
        self.was_lent = False
        _flush_input(self.descriptor)
        _set_settings(self.descriptor, self._settings)
        self.screen = _Screen()

    def mute(self) -> None:
        """What the child still writes is for nobody: it is about to end."""
        self._show = lambda _: None

    def close(self) -> None:
        if self._resizing is not None:
            self._resizing.cancel()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        os.close(self._master)
        os.close(self.descriptor)

    def _write(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._unread = self._unread[os.write(self._master, self._unread) :]
        if not self._unread:
            asyncio.get_running_loop().remove_writer(self._master)

    def _read(self) -> None:
        try:
            data = self._rest + os.read(self._master, _CHUNK_BYTES)
        except OSError:
            return
        self._rest = b""
        while data:
            shown, mark, data = data.partition(TERMINAL_MARK)
            if not mark:
                shown, self._rest = _hold_back(shown, TERMINAL_MARK)
            if shown:
                self._has_written = True
                self.on_talk()
                self.screen.follow(shown)
                self._show(shown)
            if mark:
                self.on_return()


class _Screen:
    """What a program has made of the terminal by what it wrote."""

    def __init__(self) -> None:
        # Those that differ from how a terminal is by itself.
        self._modes: dict[bytes, bytes] = {}
        self._tail = b""
        self.is_at_start_of_line = True

    @property
    def is_full(self) -> bool:
        return not _ALTERNATE_SCREENS.isdisjoint(self._modes)

    def follow(self, data: bytes) -> None:
        self.is_at_start_of_line = data.endswith(b"\n")
        data = self._tail + data
        for match in _MODE.finditer(data):
            for mode in match[1].split(b";"):
                usual = b"h" if mode in _USUALLY_ON else b"l"
                if match[2] == usual:
                    self._modes.pop(mode, None)
                else:
                    self._modes[mode] = match[2]
        # A command may have been cut in two; one that is seen twice changes nothing.
        self._tail = data[-_LONGEST_MODE_BYTES:]

    def leave(self) -> bytes:
        """What makes the terminal usable for others."""
        opposite = {b"h": b"l", b"l": b"h"}
        commands = [b"\x1b[?" + mode + opposite[on] for mode, on in self._modes.items()]
        return b"".join(commands) + (b"\x1b[0m" if commands else b"")

    def enter_again(self) -> bytes:
        return b"".join(b"\x1b[?" + mode + on for mode, on in self._modes.items())


def forget_terminal() -> None:
    """If the terminal is gone, nobody need fail who writes to it or reads from it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        # One that is gone is a terminal no more.
        if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
            os.dup2(nothing, descriptor)
    os.close(nothing)


def _open_terminal(path: Path) -> int:
    """macOS can't wait for /dev/tty, but for what it stands for, unless that is another user's."""
    if path == Path("/dev/tty") and sys.platform == "darwin":
        for descriptor in (0, 2, 1):
            with contextlib.suppress(OSError):
                return os.open(os.ttyname(descriptor), os.O_RDWR | os.O_NOCTTY)
    return os.open(path, os.O_RDWR | os.O_NOCTTY)


def _set_settings(descriptor: int, settings: list[Any]) -> None:
    with contextlib.suppress(termios.error):  # the terminal is gone
        # At once: macOS would wait until what was written is read, which only this thread may do.
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)


def _flush_input(descriptor: int) -> None:
    with contextlib.suppress(termios.error):
        termios.tcflush(descriptor, termios.TCIFLUSH)


def _make_transparent(settings: list[Any]) -> list[Any]:
    """Every key is passed on at once, as it is, and nothing is shown by itself.

    How output is treated stays: what plldb itself writes meanwhile must begin at the left.
    """
    made = [*settings[:_CHARACTERS], [*settings[_CHARACTERS]]]
    made[_INPUT] &= ~(
        termios.BRKINT
        | termios.ICRNL
        | termios.INLCR
        | termios.IGNCR
        | termios.ISTRIP
        | termios.IXON
    )
    made[_LOCAL] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    made[_CHARACTERS][termios.VMIN], made[_CHARACTERS][termios.VTIME] = 1, 0
    return made


def _hold_back(data: bytes, mark: bytes) -> tuple[bytes, bytes]:
    """Without an end that may be the beginning of the mark; and that end."""
    for size in range(min(len(mark) - 1, len(data)), 0, -1):
        if data.endswith(mark[:size]):
            return data[:-size], data[-size:]
    return data, b""
