"""Runs a command after each deployment: it fills tables, creates users.

It finds what was deployed in variables: ``PLLDB_STACK_NAME``, ``PLLDB_OUTPUT_TableName`` for the
output ``TableName``, and ``PLLDB_OUTPUTS`` with those of all stacks as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Self

from plldb.dev.command_runner import find_program, starting_tool
from plldb.errors import CommandError
from plldb.held_signals import holding_signals

logger = logging.getLogger(__name__)

_STOP_SECONDS = 1
# Of what a command said before it failed.
_LAST_LINES = 5


class Seed:
    """The command, with all variables that it has, and who hears its lines.

    It may be run by any thread. A context manager, which at its end stops a run that is under way,
    with all that it has started.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], show: Callable[[str], None]
    ) -> None:
        self._command = command
        self._environ = environ
        self._show = show
        self._lock = threading.Lock()
        self._is_closed = False
        self._process: subprocess.Popen[str] | None = None

    def run(self, outputs: Mapping[str, Mapping[str, str]] = MappingProxyType({})) -> None:
        """Returns at its end. ``outputs`` are those of each stack, in the order of deployment.

        Raises CommandError if it fails, or can't be run at all.
        """
        lines = []
        try:
            environ = {**self._environ, **name_outputs(outputs)}
            # Ctrl-C in the midst of it would leave a process that nobody knows.
            with holding_signals():
                process = self._start(environ)
            if process is None:
                return
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    lines.append(line.rstrip())
                    self._show(line.rstrip())
            code = process.wait()
        except BaseException as error:
            # Whoever interrupts it wants no more of it: what is about to start, neither.
            self._is_closed |= isinstance(error, KeyboardInterrupt)
            self._stop()
            if self._process is not None and self._process.stdout is not None:
                self._process.stdout.close()
            raise
        with self._lock:
            self._process = None
        logger.info("the seed has ended: %d", code)
        if code != 0 and not self._is_closed:
            said = "".join(f"\n  | {line}" for line in lines[-_LAST_LINES:])
            ended = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise CommandError(f"The seed has failed ({ended}).{said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        self._stop()

    def _start(self, environ: Mapping[str, str]) -> subprocess.Popen[str] | None:
        """None if all is at its end."""
        logger.info("running the seed: %s", self._command)
        program = find_program(self._command, environ)
        with self._lock, starting_tool(self._command, environ):
            if self._is_closed:
                return None
            self._process = subprocess.Popen(  # nosec B603 (the user's command)
                self._command,
                executable=program,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                # A group of its own: it is stopped whole, and in order.
                start_new_session=True,
            )
            return self._process

    def _stop(self) -> None:
        with self._lock:
            process = self._process
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            # Its group may be gone already.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
                return


def name_outputs(outputs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The variables that say what was deployed; of equal names, the last stack's counts."""
    variables = {
        f"PLLDB_OUTPUT_{name}": value for stack in outputs.values() for name, value in stack.items()
    }
    variables["PLLDB_OUTPUTS"] = json.dumps({name: dict(one) for name, one in outputs.items()})
    if outputs:
        variables["PLLDB_STACK_NAME"] = next(iter(outputs))
    return variables
