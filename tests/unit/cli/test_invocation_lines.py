"""A line for each invocation, and what its code wrote beside it."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.cli.invocation_lines import InvocationLines
from plldb.cli.terminal_text import measure
from plldb.debugger.children.invoker import Outcome, OutputWritten, Progress, RunState
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.children.runtime.frames import make_error_report
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted

ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
LOCAL = LocalFunction("Greeter", Path("/code"), "app.handler", "f")
ARRIVED = 1e9
CLOCK = datetime.fromtimestamp(ARRIVED).strftime("%H:%M:%S")
LONG = {"items": list(range(1000))}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def line_of(
    event: Any,
    outcome: Outcome | None,
    columns: int | None,
    function: str = "Greeter",
    reason: str = "",
) -> list[str]:
    lines = InvocationLines()
    lines.start(InvocationStarted(function, ID, ARRIVED, 2e9, json.dumps(event), {}, LOCAL))
    kind = "abandoned" if outcome is None else "failed" if outcome.error else "succeeded"
    finished = InvocationFinished(
        function, ID, kind, 12.3, reason, result=outcome, arrived=ARRIVED, deadline=2e9
    )
    return lines.finish(finished).lay_out(columns).plain.split("\n")


def written(
    function: str, text: str, id_: str | None = ID, stream: str = "stdout"
) -> OutputWritten:
    return OutputWritten(function, id_, ARRIVED, stream, text)


class TestInvocation:
    @pytest.mark.parametrize("columns", [80, 120, 200, None])
    def test_it_is_a_row(self, columns: int | None) -> None:
        (row,) = line_of({"n": 1}, Outcome('{"total": 2}', None), columns)
        assert row == f'{CLOCK} ✔ Greeter  0a1b2c3d  12 ms  {{"n":1}} → {{"total":2}}'

    def test_in_a_narrow_terminal_what_came_is_below(self) -> None:
        first, second = line_of({"n": 1}, Outcome('{"total": 2}', None), 40)
        assert first.rstrip() == f"{CLOCK} ✔ Greeter  0a1b2c3d  12 ms"
        assert second == '  {"n":1} → {"total":2}'

    @pytest.mark.parametrize("columns", [80, 120, 200])
    def test_event_and_answer_have_what_room_there_is(self, columns: int) -> None:
        (both,) = line_of(LONG, Outcome(json.dumps(LONG), None), columns)
        assert columns - 1 <= measure(both) <= columns
        assert both.count("…") == 2
        (one,) = line_of(LONG, Outcome("1", None), columns)
        assert one.endswith("… → 1")
        assert columns - 1 <= measure(one) <= columns

    def test_an_error_is_told_whole_under_its_column(self) -> None:
        message = "there is no such order, and none like it, whatever one may look for here"
        error = make_error_report("KeyError", message, [])
        first, *rest = line_of(LONG, Outcome(None, error), 80)
        assert first.startswith(f"{CLOCK} ✘ Greeter  0a1b2c3d  12 ms  ")
        assert "… → KeyError:" in first
        assert rest
        assert all(row.startswith(" " * 36) for row in rest)
        said = " ".join(row.strip() for row in (first, *rest))
        assert said.endswith(f"→ KeyError: {message}")

    def test_so_is_why_one_was_abandoned(self) -> None:
        rows = line_of({}, None, 80, reason="the function has run it by itself")
        assert " ".join(row.strip() for row in rows).endswith(
            "- Greeter  0a1b2c3d  12 ms  {} → abandoned: the function has run it by itself"
        )

    def test_one_that_never_started_has_no_event(self) -> None:
        finished = InvocationFinished("Greeter", ID, "abandoned", 1, "it is late", arrived=ARRIVED)
        assert str(InvocationLines().finish(finished)).endswith("1 ms  abandoned: it is late")

    @given(JSON, JSON, st.integers(40, 200), st.text(max_size=20))
    def test_it_fits_and_commands_nothing(
        self, event: Any, answer: Any, columns: int, name: str
    ) -> None:
        outcomes = [
            Outcome(json.dumps(answer), None),
            Outcome(None, make_error_report("E", json.dumps(answer, ensure_ascii=False), [])),
        ]
        for outcome in outcomes:
            for row in line_of(event, outcome, columns, name):
                assert measure(row) <= columns
                assert not re.search(r"[\x00-\x1f\x7f-\x9f]", row)


class TestOutput:
    def test_it_carries_time_function_and_invocation(self) -> None:
        line = InvocationLines().write(written("Child/Greeter", "hello"))
        assert str(line) == f"{CLOCK}   Child/Greeter 0a1b2c3d │ hello"

    @pytest.mark.parametrize(
        ("columns", "head"),
        [
            (120, f"{CLOCK}   orders/Confirmation 0a1b2c3d │ "),
            (80, "  orders/Confirmation 0a1b2c3d │ "),
            (60, "…rs/Confirmation 0a1b2c3d │ "),
            (40, "0a1b2c3d │ "),
        ],
    )
    def test_in_narrow_terminals_the_invocation_stays(self, columns: int, head: str) -> None:
        line = InvocationLines().write(written("orders/Confirmation", "x" * 100))
        first, *rest = line.lay_out(columns).plain.split("\n")
        assert first.startswith(f"{head}x")
        indent = head.index("│")
        assert all(row.startswith(f"{' ' * indent}│ x") for row in rest)
        assert max(map(measure, (first, *rest))) == columns

    def test_what_is_written_while_code_is_loaded_has_none(self) -> None:
        line = InvocationLines().write(written("Greeter", "hello", None))
        assert str(line) == f"{CLOCK}   Greeter │ hello"

    def test_colours_go_on_within_an_invocation_and_not_in_others(self) -> None:
        lines = InvocationLines()
        styled = [
            bool(lines.write(one).tell(None).spans)
            for one in (
                written("Greeter", "\x1b[31mred"),
                written("Greeter", "still"),
                written("Greeter", "of plldb", stream="plldb"),
                written("Greeter", "of another", "another-"),
                written("Other", "of another function"),
                written("Greeter", "red again"),
            )
        ]
        assert styled == [True, True, False, False, False, True]
        lines.finish(InvocationFinished("Greeter", ID, "succeeded", 1, ""))
        assert not lines.write(written("Greeter", "late")).tell(None).spans


def test_what_is_under_way_has_its_event() -> None:
    lines = InvocationLines()
    progress = Progress(ID, "Greeter", 5.0, RunState.RUNNING)
    assert lines.describe(progress) == "▶ Greeter  0a1b2c3d  running  0 s left"
    lines.start(InvocationStarted("Greeter", ID, 1, 5.0, '{"n": 1}', {}, LOCAL))
    assert lines.describe(progress).endswith('0 s left  {"n":1}')
