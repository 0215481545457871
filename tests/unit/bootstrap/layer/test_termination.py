"""An emulator stops the process of a function that is updated, and waits two seconds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import plldb_shim
import pytest
from plldb_shim import channel, remote, termination, variables

from tests.unit.polling import poll

from .function import Context, variables_of
from .helper_stack import (
    HANG_UP,
    HelperStack,
    Message,
    Script,
    ServerConnection,
    absent,
    accepted,
    answer,
    answering,
    helper_stack,
    invoked,
    silent,
    started,
)
from .simulation import simulated

SHIM = Path(plldb_shim.__file__).parent

# What would end its waiting without the signal is too far away to be taken for it, and what it has
# to say comes out, however slow this machine is.
PROGRAM = """
import plldb_shim, time
from plldb_shim import channel, progress, termination
class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self): return 600000
progress.ACCEPT_SECONDS = progress.START_SECONDS = progress.AWAIT_SECONDS = 120
channel.STOPPING_SECONDS, termination._LAST_SECONDS = {seconds}
print("ready", flush=True)
input()
try:
    print(plldb_shim.handler("x", Context()), flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
print("over", flush=True)
time.sleep(60)
"""
LONG, SHORT = 30, 2.5


@contextmanager
def process(
    own_code: Path,
    url: str,
    body: str = "def handler(event, context): return 'own'",
    *,
    stopping: float = LONG,
    last: float = LONG,
) -> Iterator[subprocess.Popen[str]]:
    (own_code / "shop/till.py").write_text(textwrap.dedent(body))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(seconds=(stopping, last))],
        env={
            "PYTHONPATH": f"{SHIM.parent}{os.pathsep}{own_code}",
            "AWS_ENDPOINT_URL": "http://localhost",
            **variables_of(url),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def read_until(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    while process.stdout.readline() != f"{line}\n":
        assert process.poll() is None


def outcome(process: subprocess.Popen[str]) -> str:
    """What the invocation ended with."""
    assert process.stdout is not None
    lines = [*takewhile(lambda line: line != "over\n", process.stdout)]
    return lines[-1].rstrip("\n")


@contextmanager
def stopped_while_it_asks(
    own_code: Path, respond: Script, **seconds: float
) -> Iterator[tuple[HelperStack, subprocess.Popen[str]]]:
    """The process has been told to end, after it had sent its invocation."""
    with helper_stack(respond) as stack, process(own_code, stack.url, **seconds) as one:
        begin(one)
        poll(lambda: stack.actions() == ["invoke"])
        one.send_signal(signal.SIGTERM)
        yield stack, one


def test_between_invocations_it_ends_at_once(own_code: Path) -> None:
    with process(own_code, "ws://127.0.0.1:1/") as one:
        one.send_signal(signal.SIGTERM)
        assert one.wait(timeout=20) == 0


def test_and_says_goodbye(own_code: Path) -> None:
    with helper_stack(invoked(answer(2))) as stack, process(own_code, stack.url) as one:
        begin(one)
        read_until(one, "2")
        one.send_signal(signal.SIGTERM)
        assert one.wait(timeout=20) == 0
        poll(lambda: stack.closes == [1000])


@pytest.mark.parametrize("words", [[], [accepted()]], ids=len)
def test_one_that_waits_is_abandoned_and_runs_here(own_code: Path, words: list[Message]) -> None:
    script = answering({"invoke": [words], "abandon": [[absent()]]})
    with stopped_while_it_asks(own_code, script) as (stack, one):
        assert outcome(one) == "own"
    assert stack.actions() == ["invoke", "abandon"]


@pytest.mark.parametrize("word", ["started", "none"])
def test_one_that_a_debugger_may_run_does_not_run_here(own_code: Path, word: str) -> None:
    reply = [started()] if word == "started" else []
    script = answering({"invoke": [[accepted()]], "abandon": [reply]})
    with stopped_while_it_asks(own_code, script, stopping=SHORT) as (stack, one):
        assert outcome(one) == "PlldbDebuggerLost"
    assert stack.actions() == ["invoke", "abandon"]


def test_one_that_is_known_to_run_elsewhere_is_not_asked_for(own_code: Path) -> None:
    def respond(message: Message, connection: ServerConnection) -> Sequence[Message]:
        connection.send(started())
        # Whoever answers this has read what came before.
        connection.ping()
        return []

    with helper_stack(respond) as stack, process(own_code, stack.url, stopping=SHORT) as one:
        begin(one)
        poll(lambda: stack.pongs)
        one.send_signal(signal.SIGTERM)
        assert outcome(one) == "PlldbDebuggerLost"
    assert stack.actions() == ["invoke"]


def test_an_answer_that_just_comes_is_taken(own_code: Path) -> None:
    script = answering({"invoke": [[accepted()]], "abandon": [[started(), answer(2)]]})
    with stopped_while_it_asks(own_code, script) as (_, one):
        assert outcome(one) == "2"


def test_also_over_a_connection_that_breaks_just_then(own_code: Path) -> None:
    script = answering({"invoke": [[accepted()]], "abandon": [HANG_UP], "await": [[absent()]]})
    with stopped_while_it_asks(own_code, script) as (stack, one):
        assert outcome(one) == "own"
    assert stack.actions() == ["invoke", "abandon", "await"]


def test_one_that_was_not_sent_runs_here(own_code: Path) -> None:
    """The helper stack takes its time to admit the function."""
    is_over = threading.Event()

    class Slow(HelperStack):
        def _run(self, connected: socket.socket) -> None:
            with connected:
                self.messages.append({"action": "connect"})
                is_over.wait(20)

    stack = Slow(silent)
    with stack.running(), process(own_code, stack.url) as one:
        try:
            begin(one)
            poll(lambda: stack.actions() == ["connect"])
            one.send_signal(signal.SIGTERM)
            assert outcome(one) == "own"
        finally:
            is_over.set()


def test_one_whose_own_handler_runs_may_end(own_code: Path) -> None:
    body = """
        import time
        def handler(event, context):
            print("running", flush=True)
            time.sleep(0.5)
            return "own"
    """
    with helper_stack(invoked(absent())) as stack, process(own_code, stack.url, body) as one:
        begin(one)
        read_until(one, "running")
        one.send_signal(signal.SIGTERM)
        assert outcome(one) == "own"


def test_one_that_is_answered_meanwhile_may_be_told(own_code: Path) -> None:
    """And then the process ends, though the connection is still there."""

    def respond(message: Message, connection: ServerConnection) -> Sequence[Message]:
        return [accepted(), started()]

    with stopped_while_it_asks(own_code, respond, last=3) as (stack, one):
        stack.push(answer(3))
        assert outcome(one) == "3"
        assert one.wait(timeout=20) != 0


@pytest.mark.parametrize(
    "answers",
    [
        {"invoke": [[]]},
        {"invoke": [[accepted()]]},
        {"invoke": [[accepted()]], "abandon": [[started()]]},
        {"invoke": [[started()]]},
    ],
    ids=lambda answers: "-".join(str(len(words[0])) for words in answers.values()),
)
def test_all_of_it_fits_into_the_two_seconds(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[list[Message]]]
) -> None:
    """Whenever it is told: once it listens, it finds out by itself."""
    told_at = 0.8
    with simulated(monkeypatch, answering(answers)) as (_, clock):
        with pytest.raises(remote.ReportedError):
            channel.ask({}, Context(), variables.TAKEN, lambda: clock.passed >= told_at)
        assert clock.passed - told_at + termination._LAST_SECONDS < 1.9
