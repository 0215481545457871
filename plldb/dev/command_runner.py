"""Runs a tool as if its user had typed it: ``plldb exec``."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

from plldb.errors import CommandError

# As shells have it: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html
_NOT_FOUND = 127
_CANNOT_BE_RUN = 126
# Of these, a terminal tells the whole foreground: the tool decides what they mean.
_FOR_ALL = (signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# Python ignores these, and what is ignored stays so in another program.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def find_ipv4_address(host: str) -> str | None:
    with suppress(OSError):
        return socket.gethostbyname(host)
    return None


def become(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replaces this process by the tool's, which so has its terminal, its signals, its exit code.

    Raises CommandError if it can't be started.
    """
    with starting_tool(command, environ):
        kept = {number: signal.signal(number, signal.SIG_DFL) for number in _IGNORED_BY_PYTHON}
        try:
            os.execvpe(command[0], [*command], environ)  # noqa: S606  # nosec B606 (the user's command)
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)


def run_beside(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the tool while this process goes on; returns its exit code, -N if signal N ended it.

    The tool stays in the foreground of the terminal. Raises CommandError if it can't be started.
    """
    program = find_program(command, environ)
    with _Signals() as signals:
        with starting_tool(command, environ):
            process = subprocess.Popen(command, executable=program, env=environ)  # nosec B603
        signals.pass_on_to(process)
        return process.wait()


def find_program(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """What `become` finds on the PATH of the tool: subprocess would look on that of plldb."""
    return shutil.which(command[0], path=environ.get("PATH")) or command[0]


def end_as(exit_code: int) -> int:
    """The exit code to end with, for one of ``run_beside``; or ends by the tool's signal.

    A shell that runs a script goes on after a tool that took Ctrl-C as an answer, and not after one
    that Ctrl-C ended: https://www.cons.org/cracauer/sigint.html
    """
    if exit_code >= 0:
        return exit_code
    number = -exit_code
    with suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


class _Signals:
    """Leaves a terminal's signals to the tool, and passes on those that were meant for plldb.

    It is entered before there is a tool: what comes until then is passed on afterwards.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __enter__(self) -> Self:
        handlers = dict.fromkeys(_PASSED_ON, self._pass_on) | dict.fromkeys(_FOR_ALL, _leave)
        # One that is ignored, as under nohup, stays so.
        self._before = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pass_on_to(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


def _leave(*_: object) -> None:
    pass


@contextmanager
def starting_tool(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Turns whatever keeps a tool from being started into a CommandError."""
    name = command[0]
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        hint = _explain_not_found(command, environ)
        raise CommandError(f"There is no command {name!r}.", hint, exit_code=_NOT_FOUND) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(
            f"{name!r} can't be run: {reason}.",
            "Name a program, or a script that is executable and begins with #!.",
            exit_code=_CANNOT_BE_RUN,
        ) from None


def _explain_not_found(command: Sequence[str], environ: Mapping[str, str]) -> str:
    name = command[0]
    if " " in name.strip() and len(command) == 1:
        return f"Give its words one by one, or: plldb exec -- sh -c {name!r}"
    if os.sep in name:
        path = Path(name)
        return (
            "The program that its first line names is missing."
            if path.exists()
            else (f"There is nothing at {path.absolute()}.")
        )
    likely = get_close_matches(name, _list_programs(environ), n=1)
    guess = f"Did you mean {likely[0]!r}? " if likely else ""
    return f"{guess}Install it, or put its folder on the PATH."


def _list_programs(environ: Mapping[str, str]) -> list[str]:
    names: set[str] = set()
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        with suppress(OSError):
            names |= {entry.name for entry in os.scandir(folder or ".")}
    return sorted(names)
