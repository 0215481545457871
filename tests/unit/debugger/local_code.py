"""A function's code in a folder, and real children that run it."""

from __future__ import annotations

import asyncio
import glob
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest

from plldb.debugger.children.interpreter import MINIMUM, Interpreter, check_interpreter
from plldb.debugger.children.invoker import Invoker, Outcome, OutputWritten, Progress
from plldb.debugger.children.local_function import LocalFunction
from plldb.errors import SourceError

T = TypeVar("T")

CONTEXT = {
    "aws_request_id": "request-1",
    "function_name": "stack-Greeter-1",
    "invoked_function_arn": "arn:aws:lambda:eu-west-1:123456789012:function:stack-Greeter-1",
}
HERE = Interpreter(Path(sys.executable), sys.version_info[:3])


@cache
def interpreters() -> list[Interpreter]:
    """One of each version of Python that this machine has and that the runtime is written for."""
    versions = [(3, minor) for minor in range(MINIMUM[1], 20)]
    root = os.environ.get("PYENV_ROOT") or str(Path.home() / ".pyenv")
    found = {HERE.version[:2]: HERE}
    for version in versions:
        name = f"python{version[0]}.{version[1]}"
        # What pyenv installed, before the slower script of the same name that chooses one of it.
        installed = sorted(glob.glob(f"{root}/versions/{version[0]}.{version[1]}*/bin/{name}"))  # noqa: PTH207
        for path in filter(None, [*installed, shutil.which(name)]):
            if version in found:
                break
            try:
                found[version] = check_interpreter(Path(path), "test")
            except SourceError:
                continue
    return [found[version] for version in sorted(found)]


every_python = pytest.mark.parametrize(
    "python", interpreters(), ids=lambda interpreter: interpreter.version_text
)


@dataclass
class Project:
    """``lines`` are what the function wrote: (logical id, stream, line). ``requests`` has the
    request that each of them belongs to.
    """

    folder: Path
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    requests: list[str | None] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)

    def write(self, code: str, name: str = "app.py") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        return path

    def function(self, handler: str = "app.handler", **changes: Any) -> LocalFunction:
        given = {"logical_id": "Greeter", "function_name": "stack-Greeter-1"} | changes
        return LocalFunction(code_dir=self.folder, handler=handler, **given)

    def output(self, stream: str = "stdout") -> list[str]:
        return [line for _, name, line in self.lines if name == stream]

    def invoker(self, **options: Any) -> Invoker:
        options.setdefault("python", HERE)
        options.setdefault("on_output", self._note_line)
        options.setdefault("on_progress", self.progress.append)
        # Enough for a child that ends in order, on a machine that has no time for it at first.
        options.setdefault("patience", 5.0)
        return Invoker(**options)

    def _note_line(self, line: OutputWritten) -> None:
        self.lines.append((line.function, line.stream, line.text))
        self.requests.append(line.request_id)

    def run(self, work: Callable[[Invoker], Awaitable[T]], **options: Any) -> T:
        """``work`` with an invoker of its own, which is closed after it."""

        async def main() -> T:
            async with self.invoker(**options) as invoker:
                return await work(invoker)

        return asyncio.run(main())

    def invoke(
        self,
        event: Any = None,
        *,
        handler: str = "app.handler",
        context: dict[str, Any] | None = None,
        seconds: float = 20,
        variables: dict[str, str] | None = None,
        **options: Any,
    ) -> Outcome:
        """One invocation in a child of its own."""
        function = self.function(handler, variables=variables or {})
        return self.run(
            lambda invoker: invoke(invoker, function, event, context=context, seconds=seconds),
            **options,
        )


def invoke(
    invoker: Invoker,
    function: LocalFunction,
    event: Any = None,
    *,
    context: dict[str, Any] | None = None,
    seconds: float = 20,
) -> Awaitable[Outcome]:
    text = json.dumps(event)
    return invoker.invoke(function, text, context or CONTEXT, time.time() + seconds)


def value(outcome: Outcome) -> Any:
    assert outcome.error is None, outcome.error
    assert outcome.result is not None
    return json.loads(outcome.result)


def error(outcome: Outcome) -> dict[str, Any]:
    assert outcome.result is None, outcome.result
    assert outcome.error is not None
    return outcome.error


def processes_in(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.readlink() == folder.resolve():
                found.append(int(path.parts[2]))
        except OSError:
            continue
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def has_exited(child: int) -> bool:
    """Whether a child of this process is over with all its threads, waited for or not.

    Its first thread may be over before the others.
    """
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
