"""What ``plldb attach`` shows, in JSON and to people."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from plldb.cli.attach_view import AttachView
from plldb.cli.console import Console
from plldb.debugger.attachment import (
    AttachEvent,
    Detaching,
    HelperStackDiffers,
    MoveFailed,
    NothingToDebug,
    OfStack,
    Reconnecting,
    SessionCreated,
)
from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Outcome, OutputWritten, Progress, RunState
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.children.runtime.frames import make_error_report
from plldb.debugger.deployed_layers.layer_supply import LayerDownload, LayerRemark
from plldb.debugger.held_functions import Changes
from plldb.debugger.invocation_runner import (
    InterpreterDiffers,
    InvocationFinished,
    InvocationStarted,
    Legs,
    NotPrepared,
    Prepared,
)
from plldb.debugger.protocol import (
    Changed,
    Connected,
    Ended,
    Expired,
    Instrumented,
    InvocationArrived,
    JunkArrived,
    MessageArrived,
    Ready,
    Replied,
    Restored,
    Resumed,
    Silent,
    Skipped,
    Taken,
    Warned,
)
from plldb.debugger.redeployment import (
    CodeNotFoundAgain,
    Deploying,
    Redeployed,
    Removed,
    Replaced,
)
from plldb.errors import CredentialsError

REQUEST_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
ERROR = make_error_report("KeyError", "'total'", ["  File app.py, line 1"])
NO_RESULT = {
    "answer": None,
    "error": None,
    "wasPaused": False,
    "legs": {"claim": None, "queue": None, "run": None, "answer": None},
}
# When the lines of output here are written, as the developer's clock says.
WRITTEN = 1.5
CLOCK = datetime.fromtimestamp(WRITTEN).strftime("%H:%M:%S")
SESSION_ID = "ffffffff-2222-4333-8444-5e6f708192a3"

# (event, its JSON, what the line for people has)
ANSWERS: list[tuple[AttachEvent, dict[str, Any], str]] = [
    (
        SessionCreated("0a1b2c3d", "app"),
        {"event": "session.created", "session": "0a1b2c3d", "stackName": "app"},
        "0a1b2c3d… for stack app",
    ),
    (Connected(), {"event": "connected"}, "Ctrl-C"),
    (
        Ready(2, 0, 50),
        {"event": "ready", "instrumented": 2, "skipped": 0},
        "Ready: 2 functions run here.",
    ),
    (Ready(2, 1, 50), {"event": "ready", "instrumented": 2, "skipped": 1}, "1 skipped"),
    (
        Instrumented("Greeter", {"variables": {"PASSWORD": "s3cret"}}),
        {"event": "instrumented", "function": "Greeter"},
        "Greeter runs here now",
    ),
    (
        Skipped("Greeter", "it is an image"),
        {"event": "skipped", "function": "Greeter", "reason": "it is an image"},
        "Greeter is skipped: it is an image",
    ),
    (
        Taken("Greeter", "arn:aws:iam::1:user/eve"),
        {"event": "taken", "function": "Greeter", "by": "arn:aws:iam::1:user/eve"},
        "taken over by arn:aws:iam::1:user/eve",
    ),
    (
        Instrumented("Greeter", {}, is_again=True),
        {"event": "instrumented", "function": "Greeter"},
        "Greeter runs here again, as it is deployed now",
    ),
    (Deploying(), {"event": "deploying"}, "The stack is being deployed"),
    (
        Redeployed(("Greeter", "Waver")),
        {"event": "redeployed", "functions": ["Greeter", "Waver"]},
        "Deployed again, and taken again in a moment: Greeter, Waver",
    ),
    (
        Replaced("Greeter", "app-Greeter-2"),
        {"event": "replaced", "function": "Greeter", "functionName": "app-Greeter-2"},
        "Greeter is another function now, app-Greeter-2, and runs here",
    ),
    (
        Removed("Greeter", "it was deleted"),
        {"event": "removed", "function": "Greeter", "reason": "it was deleted"},
        "Greeter is gone: it was deleted",
    ),
    (Restored("Greeter"), {"event": "restored", "function": "Greeter"}, "Greeter is restored"),
    (
        LayerDownload("Powertools:7", 12_345_678),
        {"event": "layer.download", "layer": "Powertools:7", "bytes": 12_345_678},
        "layer Powertools:7 is being fetched: 12.3 MB",
    ),
    (Resumed(), {"event": "resumed"}, "The session goes on over a new connection."),
    (
        Reconnecting(2, 0.75, "the connection broke"),
        {
            "event": "reconnecting",
            "attempt": 2,
            "delay": 0.75,
            "reason": "the connection broke",
        },
        "Disconnected: the connection broke. Attempt 2 in 0.8 s.",
    ),
    (
        Detaching((("Greeter", REQUEST_ID),), 25.4),
        {
            "event": "detaching",
            "running": [{"function": "Greeter", "requestId": REQUEST_ID}],
            "seconds": 25.4,
        },
        "in 25 s at most: Greeter 0a1b2c3d. Press Ctrl-C again to abandon it.",
    ),
    (
        MessageArrived({"type": "news"}),
        {"event": "message", "message": {"type": "news"}},
        "news",
    ),
    (
        InvocationFinished("Greeter", REQUEST_ID, "succeeded", 12.3, ""),
        {
            "event": "invocation",
            "requestId": REQUEST_ID,
            "function": "Greeter",
            "outcome": "succeeded",
            "durationMs": 12.3,
            "reason": None,
            **NO_RESULT,
        },
        "✔ Greeter  0a1b2c3d  12 ms",
    ),
    (
        InvocationFinished("Greeter", REQUEST_ID, "failed", 12.3, "ValueError"),
        {
            "event": "invocation",
            "requestId": REQUEST_ID,
            "function": "Greeter",
            "outcome": "failed",
            "durationMs": 12.3,
            "reason": None,
            **NO_RESULT,
        },
        "✘ Greeter  0a1b2c3d  12 ms  ValueError",
    ),
    (
        InvocationFinished("Greeter", REQUEST_ID, "abandoned", 1, "the function has run it"),
        {
            "event": "invocation",
            "requestId": REQUEST_ID,
            "function": "Greeter",
            "outcome": "abandoned",
            "durationMs": 1,
            "reason": "the function has run it",
            **NO_RESULT,
        },
        "- Greeter  0a1b2c3d  1 ms  abandoned: the function has run it",
    ),
    (
        Ended(True, True, "closed"),
        {"event": "closed", "expected": True, "reason": "closed"},
        "Detached.",
    ),
    (
        Ended(False, False, "the connection broke"),
        {"event": "closed", "expected": False, "reason": "the connection broke"},
        "the connection broke",
    ),
]
PYTHON = Interpreter(Path("/venv/bin/python"), (3, 11, 7))
WARNINGS: list[tuple[AttachEvent, str]] = [
    (
        NotPrepared("Greeter", "it has no debugpy"),
        "Greeter can't be run here, so its deployed code answers: it has no debugpy",
    ),
    (
        InterpreterDiffers("Greeter", "python3.13", PYTHON),
        "Greeter has the runtime python3.13, but /venv/bin/python is Python 3.11.7",
    ),
    (MoveFailed("nobody answers.", 0.5), "nobody answers. Next attempt in 0.5 s."),
    (Silent(60), "has said nothing for 60 s"),
    (NothingToDebug("There is no template."), "There is no template."),
    (HelperStackDiffers("plldb", "0.0.1"), "helper stack plldb is of plldb 0.0.1"),
    (CodeNotFoundAgain("no template"), "its code can't be found again: no template"),
    (JunkArrived("\ufffd"), "\ufffd"),
    (Warned("Greeter", "its alias is not debugged"), "Greeter: its alias is not debugged"),
    (LayerRemark("Greeter", "its layer x can't be had"), "Greeter: its layer x can't be had"),
]
QUIET: list[AttachEvent] = [
    # What follows tells of it.
    Expired(),
    Changed(Changes("1", False, ("app-Greeter",))),
    # Handled where they arrive.
    InvocationArrived(SESSION_ID, REQUEST_ID, "Greeter", 0, 0, {}, "{}", None),
    Replied(REQUEST_ID, None, {"type": "upload", "url": "https://x/?X-Amz-Signature=s3cret"}),
]


def output(function: str, stream: str, text: str, request_id: str) -> OutputWritten:
    return OutputWritten(function, request_id, WRITTEN, stream, text)


def progress(state: RunState, request_id: str = REQUEST_ID, **more: Any) -> Progress:
    return Progress(request_id, "Greeter", time.time() + 30, state, **more)


@pytest.mark.parametrize(("event", "data", "_"), ANSWERS, ids=lambda value: str(value)[:30])
def test_in_json_every_event_is_an_object_on_a_line(
    event: AttachEvent, data: dict[str, Any], _: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with AttachView(Console("json")) as view:
        view.show(event)
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert json.loads(line) == data
    assert captured.err == ""


@pytest.mark.parametrize(("event", "_", "text"), ANSWERS, ids=lambda value: str(value)[:30])
def test_for_people_it_is_a_line(
    event: AttachEvent, _: Any, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with AttachView(Console("text")) as view:
        view.show(event)
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert text in line
    assert "s3cret" not in line
    assert captured.err == ""


@pytest.mark.parametrize(("event", "text"), WARNINGS, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_warning_is_no_answer(
    event: AttachEvent, text: str, output: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    AttachView(Console(output)).show(event)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert text in (json.loads(line)["warning"] if output == "json" else line)


@pytest.mark.parametrize("event", QUIET, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("output", ["text", "json"])
def test_what_nobody_needs_to_see(
    event: AttachEvent, output: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    AttachView(Console(output)).show(event)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("output", ["text", "json"])
def test_what_runs_a_function_is_for_programs(
    output: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """People are told once for all functions, and of each in the log."""
    AttachView(Console(output)).show(Prepared("Greeter", PYTHON, Path("/code"), 30, "app.handler"))
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [json.loads(line) for line in captured.out.splitlines()] == [
        {
            "event": "prepared",
            "function": "Greeter",
            "handler": "app.handler",
            "python": "/venv/bin/python",
            "version": "3.11.7",
            "folder": "/code",
            "timeoutSeconds": 30,
        }
    ] * (output == "json")


def test_every_event_is_tested_here() -> None:
    tested = {type(event) for event, *_ in [*ANSWERS, *WARNINGS]} | {type(e) for e in QUIET}
    told_apart = {Prepared, InvocationStarted, OutputWritten, Progress}
    assert tested | told_apart == set(AttachEvent.__args__)


class TestOneOfSeveralStacks:
    @pytest.mark.parametrize(("event", "data", "text"), ANSWERS[:6], ids=lambda v: str(v)[:30])
    def test_says_which(
        self, event: AttachEvent, data: Any, text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        AttachView(Console("json")).show(OfStack("orders", event))
        assert json.loads(capsys.readouterr().out) == data | {"stackName": "orders"}
        AttachView(Console("text")).show(OfStack("orders", event))
        out = capsys.readouterr().out
        assert out.startswith("orders: ")
        assert text.strip() in out

    @pytest.mark.parametrize(("event", "text"), WARNINGS[:4], ids=lambda v: str(v)[:30])
    def test_warnings_do_so_too(
        self, event: AttachEvent, text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        AttachView(Console("text")).show(OfStack("orders", event))
        err = capsys.readouterr().err
        assert "orders: " in err
        assert text in err


@pytest.mark.parametrize("output", ["text", "json"])
def test_what_was_left_out_is_told_to_programs(
    output: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    AttachView(Console(output)).show(Skipped("Greeter", "--function", is_unchosen=True))
    assert ("--function" in capsys.readouterr().out) is (output == "json")


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_session_that_nobody_confirmed_is_a_warning_as_well(
    output: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    AttachView(Console(output)).show(Ended(True, False, "the connection broke"))
    assert "did not confirm" in capsys.readouterr().err


@pytest.mark.parametrize("outcome", ["failed", "abandoned"])
@pytest.mark.parametrize("output", ["text", "json"])
def test_so_is_a_deadline_that_passed_in_the_debugger(
    output: Any, outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event = InvocationFinished("Greeter", REQUEST_ID, outcome, 3000, "gone", was_paused=True)
    AttachView(Console(output)).show(event)
    captured = capsys.readouterr()
    assert "Greeter: its time was over while it was paused" in captured.err
    if output == "json":
        assert json.loads(captured.out)["wasPaused"] is True


class TestWholeInvocations:
    """Programs get the event, and the answer or the whole error; people get a line."""

    def test_what_starts(self, capsys: pytest.CaptureFixture[str]) -> None:
        function = LocalFunction("Greeter", Path("/code"), "app.handler", "stack-Greeter")
        event = InvocationStarted("Greeter", REQUEST_ID, 1.5, 9.5, '{"n": 1}', {}, function)
        AttachView(Console("text")).show(event)
        assert capsys.readouterr() == ("", "")
        AttachView(Console("json")).show(event)
        assert json.loads(capsys.readouterr().out) == {
            "event": "started",
            "requestId": REQUEST_ID,
            "function": "Greeter",
            "arrived": 1.5,
            "deadline": 9.5,
            "payload": {"n": 1},
            "context": {},
        }

    @pytest.mark.parametrize(
        ("result", "shown"),
        [
            (Outcome('{"n": 1}', None), {"answer": {"n": 1}, "error": None}),
            (Outcome("null", None), {"answer": None, "error": None}),
            (Outcome(None, ERROR), {"answer": None, "error": ERROR}),
            (Outcome(None, None, raw="/w=="), {"answerBase64": "/w=="}),
        ],
    )
    def test_what_was_answered(
        self, result: Outcome, shown: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        legs = Legs(1, 2, 3, 4)
        event = InvocationFinished("G", REQUEST_ID, "succeeded", 9, "", False, result, legs)
        AttachView(Console("json")).show(event)
        line = json.loads(capsys.readouterr().out)
        assert shown.items() <= line.items()
        assert line["legs"] == {"claim": 1, "queue": 2, "run": 3, "answer": 4}


class TestOutput:
    def test_lines_of_the_users_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        AttachView(Console("text")).show(
            output("Greeter", "stdout", "[bold]hello[/bold] :smile:", "request-1")
        )
        shown = capsys.readouterr().out
        assert shown == f"{CLOCK}   Greeter request- │ [bold]hello[/bold] :smile:\n"

    def test_in_json_with_their_stream(self, capsys: pytest.CaptureFixture[str]) -> None:
        AttachView(Console("json")).show(output("Greeter", "stderr", "hello", "request-1"))
        assert json.loads(capsys.readouterr().out) == {
            "event": "output",
            "function": "Greeter",
            "requestId": "request-1",
            "time": 1.5,
            "stream": "stderr",
            "line": "hello",
        }

    def test_they_can_not_command_the_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        view = AttachView(Console("text"))
        view.show(output("Greeter", "stdout", "\x1b]0;title\x07\x1b[2J\rgone", "request-1"))
        view.show(InvocationFinished("Greeter", REQUEST_ID, "failed", 1, "\x1b[2JError"))
        view.show(Warned("Greeter", "\x1b[2J"))
        captured = capsys.readouterr()
        for line in (captured.out + captured.err).splitlines():
            assert line.isprintable()

    def test_nor_are_they_changed_in_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        AttachView(Console("json")).show(
            output("Greeter", "stdout", "\x1b[31mred\ud800", "request-1")
        )
        line = capsys.readouterr().out
        assert json.loads(line)["line"] == "\x1b[31mred\ud800"
        assert line.isascii()
        assert "\x1b" not in line


class FakeConsole:
    """Keeps what is written to it in the order of writing, and the live list."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.is_json = False
        self.lists: list[Any] = []

    def answer(self, _: dict[str, Any], text: Any) -> None:
        self.written.append(str(text))

    def warn(self, text: str) -> None:
        self.written.append(f"warning: {text}")

    def note(self, text: str) -> None:
        self.written.append(f"note: {text}")

    def live(self, lines: Any) -> FakeConsole:
        self.lists.append(lines)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        self.lists.pop()


def view_of(console: FakeConsole, **options: Any) -> AttachView:
    return AttachView(console, **options)  # type: ignore[arg-type]


class TestLiveList:
    def test_it_has_what_is_under_way_with_the_time_that_is_left(self) -> None:
        console = FakeConsole()
        with view_of(console) as view:
            (lines,) = console.lists
            assert lines() == []
            view.show(progress(RunState.RUNNING, "first-1-and-more"))
            view.show(progress(RunState.QUEUED, "second-1"))
            view.show(progress(RunState.AWAITING_DEBUGGER, "third-1-"))
            first, second, third = lines()
            assert first.startswith("▶ Greeter  first-1-  running  ")
            assert first.endswith((" 30 s left", " 29 s left"))
            assert "queued" in second
            assert "awaiting debugger" in third
            view.show(progress(RunState.PAUSED, "first-1-and-more"))
            assert "paused" in lines()[0]
            view.show(progress(RunState.FINISHED, "first-1-and-more"))
            view.show(progress(RunState.FINISHED, "unheard-of"))
            assert len(lines()) == 2
        assert console.lists == []
        assert console.written == []

    def test_time_that_is_over_is_none_left(self) -> None:
        console = FakeConsole()
        with view_of(console) as view:
            view.show(Progress(REQUEST_ID, "Greeter", time.time() - 5, RunState.PAUSED))
            assert console.lists[0]()[0].endswith("  0 s left")

    def test_events_are_shown_above_it_while_an_editor_has_paused_something(self) -> None:
        console = FakeConsole()
        with view_of(console) as view:
            view.show(progress(RunState.PAUSED))
            view.show(output("Greeter", "stdout", "hello", "request-1"))
            assert console.written == [f"{CLOCK}   Greeter request- │ hello"]


class TestPdb:
    """While it has the terminal, nobody else writes to it."""

    def test_there_is_no_live_list(self) -> None:
        console = FakeConsole()
        with view_of(console, is_live=False):
            assert console.lists == []

    def test_who_is_paused_is_told_before_pdb_talks(self) -> None:
        console = FakeConsole()
        with view_of(console, is_live=False) as view:
            view.show(progress(RunState.PAUSED, waiting=2))
            (line,) = console.written
        assert "Greeter  0a1b2c3d  paused" in line
        assert "2 wait" in line
        assert "s left" in line

    def test_a_prompt_that_says_the_time_is_introduced_once(self) -> None:
        console = FakeConsole()
        with view_of(console, is_live=False) as view:
            for says_time in (True, True, False):
                view.show(replace(progress(RunState.PAUSED), says_time=says_time))
                view.show(progress(RunState.RUNNING))
            assert len(console.written) == 2
            view.show(replace(progress(RunState.PAUSED, "another"), says_time=True))
            assert len(console.written) == 3

    def test_who_waits_for_another_is_told(self) -> None:
        console = FakeConsole()
        with view_of(console, is_live=False) as view:
            view.show(progress(RunState.QUEUED))
            assert console.written == []
            view.show(progress(RunState.QUEUED, waiting=1, running=1))
            assert "waits for its turn, 1 wait" in console.written[0]

    def test_that_it_detaches_is_told_at_once(self) -> None:
        console = FakeConsole()
        with view_of(console, is_live=False) as view:
            view.show(progress(RunState.PAUSED))
            view.show(Detaching((("Greeter", REQUEST_ID),), 25))
            assert "Detaching" in console.written[-1]
            # That goes to pdb.
            assert "Press Ctrl-C" not in console.written[-1]

    def test_what_happens_meanwhile_is_shown_afterwards_in_order(self) -> None:
        console = FakeConsole()
        with view_of(console, is_live=False) as view:
            view.show(output("Greeter", "stdout", "before", "request-1"))
            view.show(progress(RunState.PAUSED))
            console.written.clear()
            view.show(progress(RunState.QUEUED, "another"))
            view.show(Warned("Greeter", "careful"))
            view.show(output("Other", "stdout", "meanwhile", "request-1"))
            view.show(Restored("Greeter"))
            assert console.written == []
            view.show(progress(RunState.RUNNING))
            view.show(output("Greeter", "stdout", "after", "request-1"))
            assert console.written == [
                "warning: Greeter: careful",
                f"{CLOCK}   Other request- │ meanwhile",
                "  Greeter is restored",
                f"{CLOCK}   Greeter request- │ after",
            ]

    @pytest.mark.parametrize("has_finished", [True, False])
    def test_nothing_is_lost_at_the_end(self, has_finished: bool) -> None:
        console = FakeConsole()
        with view_of(console, is_live=False) as view:
            view.show(progress(RunState.PAUSED))
            view.show(Ended(True, True, "closed"))
            if has_finished:
                view.show(progress(RunState.FINISHED))
        assert console.written[-1] == "Detached."


class TestCredentials:
    PROBLEM = CredentialsError("The SSO token has expired.", "Run 'aws sso login'.")

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        view = AttachView(Console("text"))
        view.show_credentials(self.PROBLEM)
        view.show_credentials(None)
        captured = capsys.readouterr()
        assert captured.err == "Warning: The SSO token has expired. Run 'aws sso login'.\n"
        assert captured.out == "The AWS credentials could be renewed again.\n"

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        view = AttachView(Console("json"))
        view.show_credentials(self.PROBLEM)
        view.show_credentials(None)
        captured = capsys.readouterr()
        warning = json.loads(captured.err)["warning"]
        assert warning == "The SSO token has expired. Run 'aws sso login'."
        assert json.loads(captured.out) == {"event": "credentials.renewed"}

    def test_nothing_is_shown_while_somebody_types(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Typing(Console):
            def ask_secret(self, question: str, is_over: Callable[[], bool] = bool) -> str:
                view.show(Connected())
                assert capsys.readouterr() == ("", "")
                return question[:6]

        view = AttachView(Typing("text"))
        assert view.ask("123456?") == "123456"
        assert "Ctrl-C" in capsys.readouterr().out

    def test_at_the_end_nobody_waits_for_an_answer(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        class Silent(Console):
            def ask_secret(self, question: str, is_over: Callable[[], bool] = bool) -> str:
                view.show(Connected())
                view.__exit__()
                return ""

        view = AttachView(Silent("text"))
        with view:
            view.ask("123456?")
            assert "Ctrl-C" in capsys.readouterr().out

    def test_pdb_is_not_interrupted(self) -> None:
        view = AttachView(Console("text"), is_live=False)
        view.show(Progress(REQUEST_ID, "Greeter", time.time() + 9, RunState.PAUSED))
        with pytest.raises(EOFError, match="debugger has the terminal"):
            view.ask("123456?")

    def test_nor_does_it_wait_for_an_answer(self) -> None:
        class Stopping(Console):
            def ask_secret(self, question: str, is_over: Callable[[], bool] = bool) -> str:
                assert not is_over()
                pause = Progress(REQUEST_ID, "Greeter", time.time() + 9, RunState.PAUSED)
                view.show(pause)
                assert is_over()
                raise EOFError

        view = AttachView(Stopping("text"), is_live=False)
        with pytest.raises(EOFError):
            view.ask("123456?")
