"""``plldb replay``: recorded invocations, run again by the code that is here, without any cloud."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plldb.cli.attach_options import DEBUGPY_ADDRESS, parse_debug_mode, post_mortem_option
from plldb.cli.command_base import Command
from plldb.cli.name_types import PathName
from plldb.cli.options import global_options, parse_assignments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plldb.cli.console import Console
    from plldb.debugger.children.invoker import Invoker, Outcome, OutputWritten, Progress
    from plldb.debugger.children.local_function import DebugMode, LocalFunction
    from plldb.replay.local_code import CodeHere
    from plldb.replay.recording import Recording
    from plldb.replay.verdict import Verdict


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, type=PathName(path_type=Path), metavar="FILE…")
@click.option(
    "--code",
    type=PathName(path_type=Path),
    metavar="DIR",
    help="Where the code is. By default the recorded folder, in this one or above the file.",
)
@click.option(
    "--python",
    metavar="PATH",
    help="The interpreter that runs the code, or its environment; the project's by default.",
)
@click.option(
    "--env",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable for the code, in place of the recorded one. Repeatable.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PLACE",
    help="A place that may differ: answer.headers.date, answer.items.*.id, **.timestamp. "
    "Repeatable.",
)
@click.option(
    "--pdb", is_flag=True, help="breakpoint(), ipdb, pudb and their like talk to this terminal."
)
@post_mortem_option
@click.option(
    "--debugpy",
    is_flag=False,
    flag_value=DEBUGPY_ADDRESS,
    metavar="[HOST:PORT]",
    help=f"Nothing runs before an IDE has attached, at {DEBUGPY_ADDRESS} by default.",
)
@global_options
def replay(
    files: tuple[Path, ...],
    code: Path | None,
    python: str | None,
    env: tuple[str, ...],
    ignore: tuple[str, ...],
    pdb: bool,
    post_mortem: bool,
    debugpy: str | None,
) -> None:
    """Run recorded invocations again, by the code that is here.

    \b
      plldb attach --stack-name my-stack --record recordings
      plldb replay recordings/*.plldb.json

    No cloud, no emulator and no network is needed, and the code gets no credentials. What differs
    from the recorded answer is shown, and the exit code is 1 then. Of a recorded failure, any
    answer is good: it has been mended.
    """
    if pdb and debugpy:
        raise click.UsageError("Choose one of --pdb and --debugpy.")
    variables = parse_assignments("--env", env)
    debug = parse_debug_mode(pdb, debugpy, wait_for_client=True, post_mortem=post_mortem)

    from plldb.cli.factory import make_factory
    from plldb.errors import ReplayError
    from plldb.replay.local_code import CodeHere

    factory = make_factory()
    file = factory.resolver.file
    here = CodeHere(Path.cwd(), file, code, variables, os.environ)
    ignored = (*ignore, *(() if file is None else file.record.ignore))
    run = _Replays(factory.console, here, python, debug, ignored)
    bad = sum(not run.replay(path) for path in files)
    if bad:
        raise ReplayError(
            f"{bad} of {len(files)} {'replay' if len(files) == 1 else 'replays'} came to something "
            "else than was recorded.",
            "What may differ, --ignore PLACE or 'ignore' in the recording leaves out.",
        )


class _Replays:
    """Replays files one after the other, and shows what each came to."""

    def __init__(
        self,
        console: Console,
        here: CodeHere,
        python: str | None,
        debug: DebugMode,
        ignore: tuple[str, ...],
    ) -> None:
        self._console = console
        self._here = here
        self._python = python
        self._debug = debug
        self._ignore = ignore

    def replay(self, path: Path) -> bool:
        """Whether it came to what was recorded. Raises SourceError."""
        from plldb.debugger.children.interpreter import find_interpreter
        from plldb.debugger.children.local_function import NO_DEBUGGER
        from plldb.replay.local_code import find_local_function, list_masked_variables
        from plldb.replay.recording import read_recording
        from plldb.replay.replaying import replay
        from plldb.replay.verdict import judge

        recording = read_recording(path)
        function = find_local_function(recording, path, self._here)
        for name in list_masked_variables(recording, self._here):
            self._console.warn(f"{path.name}: {name} was masked; give it with --env {name}=VALUE.")
        folders = [self._here.folder, function.code_dir]
        python = find_interpreter(self._python, folders, os.environ)
        lines = _Lines(self._console, function.logical_id)
        make_invoker = partial(self._make_invoker, python, function, lines)
        began = time.monotonic()
        outcome = replay(recording, function, make_invoker, self._debug != NO_DEBUGGER)
        verdict = judge(recording, outcome, self._ignore)
        self._show(path, recording, outcome, verdict, lines, time.monotonic() - began)
        return verdict.is_good

    def _make_invoker(self, python: Any, function: LocalFunction, lines: _Lines) -> Invoker:
        from plldb.debugger.children.invoker import Invoker
        from plldb.debugger.children.local_function import Debugpy

        invoker = Invoker(
            python=python,
            debug=self._debug,
            max_concurrency=1,
            on_output=lines.take,
            on_progress=lines.follow,
        )
        if isinstance(self._debug, Debugpy):
            try:
                host, port = invoker.assign_debug_address(function.logical_id)
            except BaseException:
                invoker.discard()
                raise
            self._console.note(f"{function.logical_id} waits for an editor at {host}:{port}.")
        return invoker

    def _show(
        self,
        path: Path,
        recording: Recording,
        outcome: Outcome,
        verdict: Verdict,
        lines: _Lines,
        seconds: float,
    ) -> None:
        name, milliseconds = recording.function.logical_id, round(seconds * 1000)
        data = {
            "file": str(path),
            "function": name,
            "requestId": recording.request_id,
            "isGood": verdict.is_good,
            "summary": verdict.summary,
            **_describe(outcome),
            "differences": [
                {"path": one.path, "recorded": one.recorded, "now": one.now}
                for one in verdict.differences
            ],
            "log": lines.kept,
            "milliseconds": milliseconds,
        }
        answer = "" if outcome.error or outcome.result is None else f"\n{outcome.result}"
        mark = "✔" if verdict.is_good else "✘"
        text = f"{mark} {name}  {path.name}  {milliseconds} ms  {verdict.explanation}{answer}"
        self._console.answer(data, text)


def _describe(outcome: Outcome) -> Mapping[str, Any]:
    from plldb.replay.invocation_document import parse_json

    if outcome.raw is not None:
        return {"answer": None, "answerBase64": outcome.raw, "error": None}
    answer = None if outcome.result is None else parse_json(outcome.result)
    return {"answer": answer, "error": outcome.error}


class _Lines:
    """What the code writes: shown as it comes, but while pdb has the terminal; in JSON, kept."""

    def __init__(self, console: Console, function: str) -> None:
        self._console = console
        self._function = function
        self._is_paused = False
        self._shown = 0
        self._lock = threading.Lock()
        self.kept: list[str] = []

    def take(self, line: OutputWritten) -> None:
        self.kept.append(line.text)
        self._show()

    def follow(self, progress: Progress) -> None:
        from plldb.debugger.children.invoker import RunState

        self._is_paused = progress.state is RunState.PAUSED
        self._show()

    def _show(self) -> None:
        from plldb.cli.terminal_text import make_line

        with self._lock:
            while self._shown < len(self.kept) and not self._is_paused:
                self._console.note(make_line(self.kept[self._shown], self._function))
                self._shown += 1
