"""A recording as pytest sees it: a file with one test, which replays it.

It is run by the interpreter of its project, in a process of its own, without credentials.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plldb import settings_file
from plldb.debugger.children.interpreter import find_interpreter
from plldb.debugger.children.invoker import Invoker
from plldb.errors import PlldbError
from plldb.replay.local_code import CodeHere, find_local_function
from plldb.replay.recording import Recording, read_recording
from plldb.replay.replaying import replay
from plldb.replay.verdict import judge

if TYPE_CHECKING:
    from plldb.debugger.children.invoker import OutputWritten


class ReplayFailed(Exception):  # noqa: N818
    """The replay came to something else; the message is for the developer as it is."""


class RecordingFile(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        try:
            recording = read_recording(self.path)
        except PlldbError as error:
            raise self.CollectError(error.explanation) from None
        name = recording.function.logical_id or recording.function.name
        yield RecordingTest.from_parent(self, name=name, recording=recording)


class RecordingTest(pytest.Item):
    def __init__(self, *, recording: Recording, **given: Any) -> None:
        super().__init__(**given)
        self._recording = recording

    def runtest(self) -> None:
        recording, root = self._recording, self.config.rootpath
        try:
            # The nearest to the recording: a repository may have several projects.
            file = settings_file.load(None, os.environ, self.path.parent)
            here = CodeHere(root, file, environ=os.environ)
            function = find_local_function(recording, self.path, here)
            python = find_interpreter(None, [function.code_dir, root], os.environ)
            lines: list[str] = []
            make_invoker = partial(
                Invoker, python=python, max_concurrency=1, on_output=partial(_keep, lines)
            )
            outcome = replay(recording, function, make_invoker)
        except PlldbError as error:
            raise ReplayFailed(error.explanation) from None
        if lines:
            self.add_report_section("call", "function output", "\n".join(lines))
        verdict = judge(recording, outcome, () if file is None else file.record.ignore)
        if not verdict.is_good:
            raise ReplayFailed(f"{function.logical_id} {verdict.explanation}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, ReplayFailed):
            return f"{excinfo.value}\n\nTo debug it: plldb replay {_shorten(self.path)} --pdb"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"replay of {self.name}"


def _keep(lines: list[str], line: OutputWritten) -> None:
    lines.append(line.text)


def _shorten(path: Path) -> str:
    return os.path.relpath(path)
