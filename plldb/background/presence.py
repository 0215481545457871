"""A background session's own side: it keeps the record of itself true."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from plldb.background.session_record import SessionRecord
from plldb.debugger.attachment import Detaching, NothingToDebug, OfStack, SessionCreated
from plldb.debugger.protocol import Instrumented, Ready, Skipped, Taken
from plldb.debugger.redeployment import Removed

logger = logging.getLogger(__name__)


class Presence:
    """Follows a session's events, and has ``write`` keep what they make of ``record``.

    It is written when that may be of use to anybody: when its stacks are known, when all of them
    are ready, when that changes, and at the end. A record that can't be written is logged: it is no
    reason to end a session.
    """

    def __init__(self, record: SessionRecord, write: Callable[[SessionRecord], None]) -> None:
        self._record = record
        self._write = write
        # Stacks whose functions run here, as far as they can.
        self._settled: set[str] = set()

    def begin(self) -> None:
        """Raises OSError: nobody would find a session without a record."""
        self._write(self._record)

    def expect(self, stacks: Iterable[str]) -> None:
        """It is ready once all of these are."""
        self._change(stacks=tuple(stacks))

    def take(self, event: Any) -> None:
        stack = self._record.stacks[0] if self._record.stacks else ""
        if isinstance(event, OfStack):
            stack, event = event.stack_name, event.event
        known = self._record
        match event:
            case SessionCreated(_, name) if name not in known.stacks:
                self._change(stacks=(*known.stacks, name))
            case Instrumented(function):
                self._change(
                    functions=(*self._others(function), function), skipped=self._reasons(function)
                )
            case Skipped(function, reason) | Removed(function, reason):
                self._leave_out(function, reason)
            case Taken(function, by):
                self._leave_out(function, f"{by} has taken it over")
            case Ready() | NothingToDebug():
                self._settled.add(stack)
                if self._settled >= {*self._record.stacks}:
                    self._change(state="ready")
            case Detaching(running, seconds):
                names = tuple(function for function, _ in running)
                self._change(state="ending", running=names, seconds_left=seconds)

    def note_inspector(self, url: str) -> None:
        self._change(inspector=url)

    def end(self, exit_code: int, error: str | None = None, hint: str | None = None) -> None:
        """``error`` says why, if it is no success."""
        self._change(
            state="ended",
            ended_at=tell_time(),
            exit_code=exit_code,
            error=error,
            hint=hint,
            inspector=None,
        )

    def _others(self, function: str) -> tuple[str, ...]:
        return tuple(one for one in self._record.functions if one != function)

    def _reasons(self, function: str) -> dict[str, str]:
        """Why others are skipped."""
        return {name: why for name, why in self._record.skipped.items() if name != function}

    def _leave_out(self, function: str, reason: str) -> None:
        skipped = self._reasons(function) | {function: reason}
        self._change(functions=self._others(function), skipped=skipped)

    def _change(self, **changes: Any) -> None:
        before, self._record = self._record, replace(self._record, **changes)
        if self._record.state == "starting" and self._record.stacks == before.stacks:
            return  # whoever waits for it waits for all
        try:
            self._write(self._record)
        except OSError as error:
            logger.warning("the record of this session can't be written: %s", error.strerror)


def tell_time() -> str:
    """Now, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
