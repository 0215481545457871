"""The invocations that tests see, and waiting for them: with deadlines, and without sleeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plldb.debugger.children.invoker import Outcome
from plldb.dev.lambda_call import Failure
from plldb.replay.history import Invocation
from plldb.replay.short_forms import shorten_answer, shorten_event

_SHOWN_CHARACTERS = 200
_SHOWN_INVOCATIONS = 20


@dataclass(frozen=True)
class PlldbInvocation:
    """An invocation as far as it has come; it does not change.

    ``event`` and ``answer`` are as Python has JSON. ``state`` is "queued", "running" or "finished";
    ``outcome`` then "succeeded", "failed" (by ``failure``), or "abandoned": no answer from here
    counts, for the ``reason``. ``output`` are the lines that the code wrote to stdout and stderr,
    its log among them; ``context`` is what Lambda says of the invocation. ``duration_ms`` is until
    its caller could have the answer.
    """

    id: str
    request_id: str
    function: str
    state: str
    event: Any = field(repr=False)
    context: Mapping[str, Any] = field(repr=False)
    outcome: str | None = None
    answer: Any = field(default=None, repr=False)
    failure: Failure | None = None
    reason: str | None = None
    duration_ms: float | None = None
    output: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_finished(self) -> bool:
        return self.outcome is not None

    def __str__(self) -> str:
        what = self.failure or self.reason
        return f"{self.function} {self.outcome or self.state}{f' ({what})' if what else ''}"

    def describe(self) -> str:
        """In a line, with its event and its answer as far as they are short."""
        text = f"{self}: {_cut(shorten_event(json.dumps(self.event)))}"
        if self.outcome != "succeeded":
            return text
        return f"{text} → {_cut(shorten_answer(Outcome(json.dumps(self.answer), None)))}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def make_invocation(kept: Invocation) -> PlldbInvocation:
    """What a history keeps of one."""
    told = kept.to_document()
    error = told["error"]
    return PlldbInvocation(
        id=kept.id,
        request_id=kept.request_id,
        function=kept.function,
        state=kept.state.value,
        event=told["payload"],
        context=told["context"] or {},
        outcome=told["outcome"],
        answer=told["answer"],
        failure=None
        if error is None
        else Failure(error["errorType"], error["errorMessage"], tuple(error["stackTrace"])),
        reason=told["reason"],
        duration_ms=told["durationMs"],
        output=tuple(line.text for line in kept.output if line.stream != "plldb"),
    )


@dataclass(frozen=True)
class Wanted:
    """What a test waits for: ``count`` finished invocations, of a ``function`` if one is named, for
    each of which ``where`` is true.
    """

    count: int
    function: str | None
    where: Callable[[PlldbInvocation], bool]

    def choose(self, seen: list[PlldbInvocation]) -> list[PlldbInvocation]:
        __tracebackhide__ = True  # an error of ``where`` is the test's
        return [*filter(self._fits, seen)]

    def _fits(self, one: PlldbInvocation) -> bool:
        __tracebackhide__ = True
        is_named = self.function in (None, one.function)
        return is_named and one.is_finished and self.where(one)

    def explain_lack(
        self, seen: list[PlldbInvocation], skipped: Mapping[str, str], seconds: float
    ) -> str:
        """Why a test fails that did not get them."""
        if self.function is not None and self.function in skipped:
            return f"{self.function} does not run here: {skipped[self.function]}"
        what = f"invocation{'s' * (self.count != 1)}{f' of {self.function}' * bool(self.function)}"
        found = len(self.choose(seen))
        lines = [f"{found} of {self.count} {what} within {seconds:g} s. Seen:"]
        lines += [f"  {one.describe()}" for one in seen[-_SHOWN_INVOCATIONS:]] or ["  none"]
        lines += [f"{name} does not run here: {why}" for name, why in sorted(skipped.items())]
        return "\n".join(lines)
