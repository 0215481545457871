"""Invocations in lines for people: what a terminal of any width shows of them."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text

from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.cli.terminal_text import Colours, Line, cut, cut_front, join, measure
from plldb.replay.short_forms import shorten_answer, shorten_event

if TYPE_CHECKING:
    from plldb.debugger.children.invoker import OutputWritten, Progress
    from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted

_MARKS = {"succeeded": ("✔", "green"), "failed": ("✘", "red"), "abandoned": ("-", "yellow")}
_BAR_STYLES = {"stderr": "red", "plldb": "yellow"}
_ARROW = " → "
# Columns of a function's name where there are few, and where there are enough.
_SHORT_NAME, _LONGEST_NAME = 16, 64
# Of event and answer together, in a file.
_WITHOUT_EDGE = 160
# Invocations whose colours are known.
_REMEMBERED = 1000


class InvocationLines:
    """Takes the events of invocations in their order, and makes a line of each that is shown."""

    def __init__(self) -> None:
        # By request id and deadline, of what is under way.
        self._events: dict[tuple[str, float], str] = {}
        # By function and request id.
        self._colours: dict[tuple[str, str], Colours] = {}

    def start(self, event: InvocationStarted) -> None:
        """Nothing is shown: there is the list of what runs."""
        self._events[event.request_id, event.deadline] = shorten_event(event.event)

    def write(self, event: OutputWritten) -> Line:
        """A line of output, beside the time, the function and the invocation, as there is room.

        Colours go on within an invocation.
        """
        text = self._find_colours(event).paint(event.text)
        id_ = shortened(event.request_id or "")
        of_id = f" {id_}" if id_ else ""
        clock = _tell_time(event.time)
        short = cut_front(event.function, _SHORT_NAME)
        heads = (
            [(f"{clock}   {event.function}", "dim"), (of_id, "dim")],
            [(f"  {event.function}", "dim"), (of_id, "dim")],
            [(f"{short}{of_id}", "dim")],
            [(id_ or short, "dim")],
        )
        bar = join([(" │ ", _BAR_STYLES.get(event.stream, "dim"))])
        return Line(tuple(map(join, heads)), lambda _: text, bar)

    def _find_colours(self, event: OutputWritten) -> Colours:
        if event.request_id is None or event.stream == "plldb":
            return Colours()
        # Something may be written after the end.
        if len(self._colours) > _REMEMBERED:
            del self._colours[next(iter(self._colours))]
        return self._colours.setdefault((event.function, event.request_id), Colours())

    def finish(self, event: InvocationFinished) -> Line:
        """How it ended, in colour, and what came of what."""
        self._colours.pop((event.function, event.request_id), None)
        short = self._events.pop((event.request_id, event.deadline), "")
        mark, colour = _MARKS[event.outcome]
        name, id_ = cut_front(event.function, _LONGEST_NAME), shortened(event.request_id)
        ended = event.arrived + event.duration_ms / 1000 if event.arrived else time.time()
        head = join(
            [
                (f"{_tell_time(ended)} ", "dim"),
                (f"{mark} {name}  {id_}  {event.duration_ms:.0f} ms", colour),
                ("  ", ""),
            ]
        )
        return Line((head,), partial(_tell_what_came, event, short, colour), may_move=True)

    def describe(self, progress: Progress) -> str:
        """What is under way: its state, and the time that is left to answer it."""
        left = max(0, progress.deadline - time.time())
        short = self._events.get((progress.request_id, progress.deadline), "")
        return (
            f"▶ {progress.function}  {shortened(progress.request_id)}  {progress.state.value}"
            f"  {left:.0f} s left" + (f"  {short}" if short else "")
        )

    def clear(self) -> None:
        self._events.clear()
        self._colours.clear()


def _tell_what_came(
    event: InvocationFinished, short: str, colour: str, columns: int | None
) -> Text:
    """Event and answer are cut to fit in a row; what went wrong is told whole."""
    columns = columns or _WITHOUT_EDGE
    if event.outcome == "abandoned":
        came = f"abandoned: {event.error}"
    elif event.result is not None:
        came = shorten_answer(event.result)
    else:
        came = event.error or ""
    if event.outcome == "succeeded":
        short, came = _fit(short, came, columns - len(_ARROW))
        colour = ""
    else:
        short = cut(short, columns // 2)
    arrow = _ARROW if short and came else ""
    return join([(short, ""), (arrow, "dim"), (came, colour)])


def _fit(event: str, answer: str, columns: int) -> tuple[str, str]:
    """Each has half of the columns, and what the other one leaves."""
    half = columns // 2
    event = cut(event, max(half, columns - measure(answer)))
    return event, cut(answer, columns - measure(event))


def _tell_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
