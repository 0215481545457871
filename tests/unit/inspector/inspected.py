"""An inspector over a history that a test fills, and a real browser before it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Outcome, OutputWritten
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.children.runtime.frames import ErrorReport, make_error_report
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted, Legs
from plldb.inspector.address import Address
from plldb.inspector.keeping import Keeping
from plldb.inspector.reruns import OwnChildren
from plldb.inspector.server import Inspector
from plldb.replay.history import History, Invocation, Limits
from plldb.replay.masks import Masks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HERE = Interpreter(Path(sys.executable), sys.version_info[:3])
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CODE = """
    def handler(event, context):
        print("adds", event["a"], "and", event["b"])
        return {"sum": event["a"] + event["b"]}
"""


class Session:
    """What happens in a session, told by a test; ``inspector`` is over all of it."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.code = folder / "src"
        self.code.mkdir()
        self.write(CODE)
        self.history = History(["shop"], limits or Limits())
        self._number = 0

    def write(self, code: str) -> None:
        (self.code / "app.py").write_text(textwrap.dedent(code), encoding="utf-8")

    @contextmanager
    def inspected(self) -> Iterator[Inspector]:
        keeping = Keeping(self.folder, Masks())
        runner = OwnChildren(HERE, self.history.take)
        with Inspector(Address("127.0.0.1", 0), self.history, keeping, runner) as inspector:
            yield inspector

    def get(self, id_: str) -> Invocation:
        found = self.history.get(id_)
        assert found is not None
        return found

    def start(self, event: Any, function: str = "Adder") -> InvocationStarted:
        """An invocation arrives; ``event`` is a JSON value, or text as it is."""
        self._number += 1
        request_id = f"{self._number:08x}-1111-4222-8333-444455556666"
        now = time.time()
        local = LocalFunction(
            function, self.code, "app.handler", f"shop-{function}-1", {"TABLE": "t"}, timeout=20
        )
        text = event if isinstance(event, str) else json.dumps(event)
        context = {"aws_request_id": request_id, "function_name": f"shop-{function}-1"}
        started = InvocationStarted(function, request_id, now, now + 20, text, context, local)
        self.history.take(started)
        return started

    def print(self, started: InvocationStarted, text: str, stream: str = "stdout") -> None:
        self.history.take(
            OutputWritten(started.function, started.request_id, time.time(), stream, text)
        )

    def answer(self, started: InvocationStarted, answer: Any, legs: Legs | None = None) -> str:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return self.finish(started, Outcome(text, None), legs)

    def fail(
        self, started: InvocationStarted, kind: str, message: str, line: str = 'return event["b"]'
    ) -> str:
        trace = [f'  File "/var/task/app.py", line 3, in handler\n    {line}\n']
        report: ErrorReport = make_error_report(kind, message, trace)
        return self.finish(started, Outcome(None, report))

    def invoke(self, event: Any, answer: Any, function: str = "Adder") -> str:
        """One from its beginning to its end; its id."""
        return self.answer(self.start(event, function), answer)

    def finish(self, started: InvocationStarted, result: Outcome, legs: Legs | None = None) -> str:
        """Its id."""
        legs = legs or Legs(6.1, 0.2, 41.5, 8.4)
        error = "" if result.error is None else result.error["errorType"]
        outcome = "failed" if error else "succeeded"
        self.history.take(
            InvocationFinished(
                started.function,
                started.request_id,
                outcome,
                round(sum(filter(None, (legs.claim, legs.queue, legs.run, legs.answer))), 1),
                error,
                False,
                result,
                legs,
                started.arrived,
                started.deadline,
            )
        )
        return started.request_id


def find_chromium() -> str | None:
    named = os.environ.get("PLLDB_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _BROWSERS)), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium, without a window. On a developer's machine, a test that finds none is skipped."""
    executable = find_chromium()
    if executable is None:
        how = "no Chromium: install it (apt-get install chromium), or name it: PLLDB_TEST_CHROMIUM"
        if os.environ.get("CI") or os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(how)
        pytest.skip(how)
    from playwright.sync_api import sync_playwright

    # Its sandbox needs rights that containers do not give.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()
