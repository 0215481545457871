"""What happens in the demo: a project, its caller, and what they tell."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.aws import Target, aws_errors
from plldb.debugger.attachment import SessionCreated
from plldb.debugger.protocol import Connected, Ended, Ready
from plldb.dev.lambda_call import Answer
from plldb.stacks import HelperStack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SAMPLE_STACK = "sample"
SAMPLE_FUNCTION = "Greeter"
SAMPLE_EVENT = b'{"name": "plldb"}'
_SAMPLE = Path(__file__).with_name("sample")

# Takes what a line is about, as JSON output names it, and the line.
Tell = Callable[[str, str], None]
# Invokes the function with an event, as somebody who knows nothing of plldb.
Call = Callable[[bytes], Answer]


@dataclass(frozen=True)
class SampleProject:
    """A developer's project: a template, and the code of its function beside it."""

    folder: Path

    @classmethod
    def copy_to(cls, folder: Path) -> SampleProject:
        """Copies the sample to a new folder; its runtime is that of the Python here."""
        shutil.copytree(_SAMPLE, folder)
        project = cls(folder)
        template = folder / "template.yaml"
        runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
        template.write_text(template.read_text("utf-8").replace("python3.13", runtime), "utf-8")
        return project

    @property
    def code(self) -> Path:
        return self.folder / "greeter" / "app.py"

    def edit(self, old: str, new: str) -> None:
        """Replaces a piece of the function's code, and saves the file, as a developer does."""
        self.code.write_text(self.code.read_text("utf-8").replace(old, new), "utf-8")


def describe_answer(answer: Answer) -> str:
    return answer.payload.decode("utf-8", "replace")


class Narrator:
    """Follows the session: tells its status, has the function called once it is ready, and presses
    Ctrl-C after that.
    """

    def __init__(
        self, target: Target, helper: HelperStack, project: SampleProject, call: Call, tell: Tell
    ) -> None:
        self._target = target
        self._helper = helper
        self._project = project
        self._call = call
        self._tell = tell
        self._thread = ThreadPoolExecutor(1)
        self._calls: Future[None] | None = None

    def follow(self, event: object) -> None:
        """Takes an event of the session."""
        match event:
            case SessionCreated():
                self._tell_status("POST /sessions has opened a session")
            case Connected():
                self._tell_status("the WebSocket is connected")
            case Ready():
                # In another thread, since this one answers the calls.
                self._calls = self._thread.submit(self._call_and_detach)
            case Ended():
                self._tell_status("the session has ended")

    def finish(self) -> None:
        """Once the session has ended. Raises what went wrong with the calls."""
        if self._calls is not None:
            self._calls.result()

    def _tell_status(self, text: str) -> None:
        status = read_session_status(self._target, self._helper)
        self._tell("status", f"{text}; the table says {status}")

    def _call_and_detach(self) -> None:
        try:
            self._make_calls()
        finally:
            self._tell("ctrl-c", "now Ctrl-C, as you would press it")
            os.kill(os.getpid(), signal.SIGINT)

    def _make_calls(self) -> None:
        tell, call = self._tell, self._call
        tell("answer", f"the same call: {describe_answer(call(SAMPLE_EVENT))}")
        self._project.edit("}!", "}, from your editor!")
        tell("edited", "app.py is edited and saved; nothing is deployed")
        tell("answer", f"the same call: {describe_answer(call(SAMPLE_EVENT))}")
        failed = call(b"{}")
        tell("failed", f"a call without a name: {describe_answer(failed)}")
        tell("trace", "and the function's log in the emulator has the trace of the code here:")
        for line in _extract_traceback(failed.log):
            tell("trace", f"  {line}")


def _extract_traceback(log: str) -> list[str]:
    lines = log.splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("Traceback")), len(lines))
    return [line for line in lines[start:] if not line.startswith(("END ", "REPORT "))]


def read_session_status(target: Target, helper: HelperStack) -> str:
    """The status of the sample stack's session, as the sessions table has it."""
    dynamodb: DynamoDBClient = target.client("dynamodb")
    with aws_errors("read the sessions table"):
        items = dynamodb.query(
            TableName=helper.sessions_table,
            IndexName="GSI-StackName",
            KeyConditionExpression="StackName = :stack",
            ExpressionAttributeValues={":stack": {"S": SAMPLE_STACK}},
        )["Items"]
    return ", ".join(item["Status"]["S"] for item in items)
