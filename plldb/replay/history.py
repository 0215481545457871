"""The invocations of a session, as they are and as they were; in memory, within limits.

It is fed with the session's events, and keeps an entry for each invocation. Whoever shows or hands
on invocations reads them here, and needs to know nothing of the session.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from plldb.debugger.children.invoker import OutputWritten, Progress, RunState
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted
from plldb.replay.invocation_document import (
    describe_finish,
    describe_line,
    describe_start,
    find_reason,
)

# Changes when whoever reads the documents of one plldb can't read those of the other.
SCHEMA = 1
# What a line costs beside its text, roughly, in bytes.
_LINE_BYTES = 200
# Of an error's type and message, so much is kept when its invocation is one of the oldest.
_SHOWN_CHARACTERS = 1000


@dataclass(frozen=True)
class Limits:
    """How much a history keeps.

    ``payload_bytes`` is the memory for events, answers, errors and output of all invocations,
    ``output_bytes`` for the output of one.
    """

    invocations: int = 10_000
    payload_bytes: int = 256 * 1024 * 1024
    output_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True)
class Invocation:
    """An invocation as far as it has come.

    ``id`` is its request id; further tries that Lambda makes under the same one have a number
    behind it: ``….2``. ``state`` is FINISHED once it is known what came of it. ``arrived`` is in
    seconds since the epoch. ``started`` and ``finished`` are None for what
    has not come to that, or never did. ``revision`` is higher than that of any state of any
    invocation before. Of so many ``lines`` of output, the first ``dropped_lines`` are not kept.
    ``has_payload`` is false once event, answer, error and output were dropped, as those of the
    oldest are; then ``error_type`` and ``error_message`` remain, and ``started`` is None.
    """

    id: str
    request_id: str
    function: str
    stack: str
    arrived: float
    deadline: float
    state: RunState
    revision: int
    started: InvocationStarted | None = field(default=None, repr=False)
    finished: InvocationFinished | None = field(default=None, repr=False)
    output: tuple[OutputWritten, ...] = field(default=(), repr=False)
    lines: int = 0
    dropped_lines: int = 0
    has_payload: bool = True
    replay_of: str | None = None
    error_type: str | None = None
    error_message: str | None = None

    def to_document(self) -> dict[str, Any]:
        """All of it as a JSON object; docs/reference/invocations.md describes it."""
        started = {} if self.started is None else describe_start(self.started)
        finished = {} if self.finished is None else describe_finish(self.finished)
        output = [describe_line(line) for line in self.output]
        return self.to_summary() | _NOTHING_YET | {"output": output} | started | finished

    def to_summary(self) -> dict[str, Any]:
        """The same without what may be long, for lists."""
        finished = self.finished
        return {
            "schema": SCHEMA,
            "id": self.id,
            "requestId": self.request_id,
            "function": self.function,
            "stackName": self.stack,
            "replayOf": self.replay_of,
            "state": self.state.value,
            "arrived": self.arrived,
            "deadline": self.deadline,
            "outcome": None if finished is None else finished.outcome,
            "durationMs": None if finished is None else finished.duration_ms,
            "reason": None if finished is None else find_reason(finished),
            "errorType": self.error_type,
            "errorMessage": self.error_message,
            "outputLines": self.lines,
            "droppedLines": self.dropped_lines,
            "hasPayload": self.has_payload,
            "revision": self.revision,
        }


# Of an invocation that has not come to it, or whose payload was dropped.
_NOTHING_YET: dict[str, Any] = {
    "payload": None,
    "context": None,
    "answer": None,
    "error": None,
    "wasPaused": False,
    "legs": None,
}


class _Kept:
    """What is known of one invocation, while it changes. ``entry`` is without the output."""

    def __init__(self, entry: Invocation) -> None:
        self.entry = entry
        self.lines: deque[OutputWritten] = deque()
        self.line_bytes = 0
        self.payload_bytes = 0
        self._whole: Invocation | None = None

    def change(self, revision: int, **changes: Any) -> None:
        self.entry = replace(self.entry, revision=revision, **changes)
        self._whole = None

    def show(self) -> Invocation:
        if self._whole is None:
            self._whole = replace(self.entry, output=tuple(self.lines))
        return self._whole


class History:
    """Takes the events of a session to ``stacks``. Any thread may use it.

    Nothing of what is under way is forgotten but the beginning of a long output; of what has
    finished, first the payloads and then the whole, the oldest first.
    """

    def __init__(self, stacks: Sequence[str], limits: Limits = Limits()) -> None:
        self._stacks = stacks
        self._limits = limits
        self._lock = threading.RLock()
        self._listeners: list[Callable[[str], None]] = []
        self._revision = 0
        self._bytes = 0
        # By id, in the order of arrival.
        self._kept: dict[str, _Kept] = {}
        # The ids of tries under a request id, by their deadlines; the newest is the last.
        self._tries: dict[str, dict[float, str]] = {}
        # Ids in the order in which they have finished: of all, and of those with their payloads.
        self._finished: dict[str, None] = {}
        self._with_payload: dict[str, None] = {}

    # --- What goes in -----------------------------------------------------------------------------

    def take(self, event: object) -> None:
        """An event of any kind; those that are not about invocations are passed over."""
        with self._lock:
            changed: str | None
            match event:
                case InvocationStarted():
                    changed = self._start(event)
                case Progress():
                    changed = self._follow(event)
                case OutputWritten():
                    changed = self._write(event)
                case InvocationFinished():
                    changed = self._finish(event)
                case _:
                    return
            self._keep_limits()
            listeners = [] if changed is None else [*self._listeners]
        for listen in listeners:
            listen(changed or "")

    def follow(self, listen: Callable[[str], None]) -> Callable[[], None]:
        """Has ``listen`` called with the id of each invocation that has changed, in the thread that
        hands in the event; until what this returns is called.
        """
        with self._lock:
            self._listeners.append(listen)

        def leave() -> None:
            with self._lock:
                self._listeners.remove(listen)

        return leave

    def _start(self, event: InvocationStarted) -> str:
        kept = self._find_or_add(event.function, event.request_id, event.arrived, event.deadline)
        self._change(kept, started=event, replay_of=event.replay_of)
        self._weigh(kept, sys.getsizeof(event.event))
        return kept.entry.id

    def _follow(self, event: Progress) -> str | None:
        kept = self._find(event.request_id, event.deadline)
        # What comes of it is told by the event after it.
        state = RunState.RUNNING if event.state is RunState.FINISHED else event.state
        if kept is None or kept.entry.finished is not None or kept.entry.state is state:
            return None
        self._change(kept, state=state)
        return kept.entry.id

    def _write(self, event: OutputWritten) -> str | None:
        """What is written while code is loaded is no invocation's."""
        tries = self._tries.get(event.request_id or "", {})
        kept = self._kept.get(next(reversed(tries.values()), ""))
        if kept is None:
            return None
        if kept.entry.has_payload:
            self._add_line(kept, event)
        lines = kept.entry.lines + 1
        self._change(kept, lines=lines, dropped_lines=lines - len(kept.lines))
        return kept.entry.id

    def _finish(self, event: InvocationFinished) -> str:
        kept = self._find_or_add(event.function, event.request_id, event.arrived, event.deadline)
        error = None if event.result is None else event.result.error
        kind, message = ("", "") if error is None else (error["errorType"], error["errorMessage"])
        self._change(
            kept,
            finished=event,
            state=RunState.FINISHED,
            error_type=kind[:_SHOWN_CHARACTERS] or None,
            error_message=message[:_SHOWN_CHARACTERS] or None,
        )
        self._weigh(kept, _measure_result(event))
        self._finished[kept.entry.id] = self._with_payload[kept.entry.id] = None
        return kept.entry.id

    def _find(self, request_id: str, deadline: float) -> _Kept | None:
        return self._kept.get(self._tries.get(request_id, {}).get(deadline, ""))

    def _find_or_add(
        self, function: str, request_id: str, arrived: float, deadline: float
    ) -> _Kept:
        kept = self._find(request_id, deadline)
        if kept is None:
            tries = self._tries.setdefault(request_id, {})
            number = 1 + max((_read_number(one, request_id) for one in tries.values()), default=0)
            id_ = request_id if number == 1 else f"{request_id}.{number}"
            stack = find_stack_name(function, self._stacks)
            kept = _Kept(
                Invocation(id_, request_id, function, stack, arrived, deadline, RunState.QUEUED, 0)
            )
            tries[deadline] = id_
            self._kept[id_] = kept
        return kept

    def _change(self, kept: _Kept, **changes: Any) -> None:
        self._revision += 1
        kept.change(self._revision, **changes)

    # --- What is kept -----------------------------------------------------------------------------

    def _add_line(self, kept: _Kept, line: OutputWritten) -> None:
        kept.lines.append(line)
        self._weigh_output(kept, _measure_line(line))
        while kept.line_bytes > self._limits.output_bytes and kept.lines:
            self._weigh_output(kept, -_measure_line(kept.lines.popleft()))

    def _weigh_output(self, kept: _Kept, size: int) -> None:
        kept.line_bytes += size
        self._bytes += size

    def _weigh(self, kept: _Kept, size: int) -> None:
        kept.payload_bytes += size
        self._bytes += size

    def _keep_limits(self) -> None:
        while self._bytes > self._limits.payload_bytes and self._with_payload:
            self._drop_payload(self._kept[next(iter(self._with_payload))])
        while len(self._kept) > self._limits.invocations and self._finished:
            self._forget(self._kept[next(iter(self._finished))])

    def _drop_payload(self, kept: _Kept) -> None:
        entry = kept.entry
        self._with_payload.pop(entry.id, None)
        self._bytes -= kept.payload_bytes + kept.line_bytes
        kept.lines.clear()
        kept.payload_bytes = kept.line_bytes = 0
        finished = entry.finished and replace(entry.finished, result=None)
        self._change(
            kept, started=None, finished=finished, has_payload=False, dropped_lines=entry.lines
        )

    def _forget(self, kept: _Kept) -> None:
        entry = kept.entry
        self._drop_payload(kept)
        del self._kept[entry.id], self._finished[entry.id]
        tries = self._tries[entry.request_id]
        del tries[entry.deadline]
        if not tries:
            del self._tries[entry.request_id]

    # --- What comes out ---------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """That of the newest change."""
        return self._revision

    def get(self, id_: str) -> Invocation | None:
        """None if it is not known, or not any more."""
        with self._lock:
            kept = self._kept.get(id_)
            return None if kept is None else kept.show()

    def find_id(self, request_id: str, deadline: float) -> str | None:
        """That of the invocation with this deadline."""
        with self._lock:
            return self._tries.get(request_id, {}).get(deadline)

    def list_all(self, since: int = 0) -> list[Invocation]:
        """Those that have changed after a revision, in the order of their arrival, without their
        output.
        """
        with self._lock:
            return [one.entry for one in self._kept.values() if one.entry.revision > since]


def find_stack_name(function: str, stacks: Sequence[str]) -> str:
    """Of several stacks, functions are called STACK/Greeter."""
    stack = function.partition("/")[0]
    return stack if len(stacks) > 1 and stack in stacks else stacks[0]


def _read_number(id_: str, request_id: str) -> int:
    number = id_.removeprefix(request_id).removeprefix(".")
    return int(number) if number else 1


def _measure_line(line: OutputWritten) -> int:
    return sys.getsizeof(line.text) + _LINE_BYTES


def _measure_result(finished: InvocationFinished) -> int:
    result = finished.result
    if result is None:
        return 0
    texts = [result.result or "", result.raw or ""]
    if result.error is not None:
        error = result.error
        texts += [error["errorType"], error["errorMessage"], *error["stackTrace"]]
    return sum(map(sys.getsizeof, texts))
