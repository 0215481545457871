"""``plldb logs`` of functions that have run, and that run meanwhile."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from plldb.aws import Target

from .debugging import Debuggee, deployed, function
from .support import DEADLINE_SECONDS, Plldb, poll, random_name

pytestmark = pytest.mark.needs("iam")  # the engines whose functions log to CloudWatch Logs

_CODE = """
import json
def handler(event, context):
    print(json.dumps({"level": "INFO", "message": "got", "what": event}))
"""
_GROUP = random_name("shared-group")


@pytest.fixture(scope="module")
def debuggee(target: Target) -> Iterator[Debuggee]:
    functions = {
        "Greeter": function(_CODE),
        "Silent": function(_CODE),
        "Shared": function(_CODE, LoggingConfig={"LogGroup": _GROUP}),
    }
    with deployed(target, functions) as stack:
        yield stack


def log(plldb: Plldb, debuggee: Debuggee, name: str, *options: str) -> str:
    return plldb("logs", name, "--stack-name", debuggee.name, *options).succeeded().stdout


def test_records_in_json_are_lines(plldb: Plldb, debuggee: Debuggee) -> None:
    mark = random_name("mark")
    debuggee.invoke("Greeter", mark)
    poll(lambda: f"INFO got  what={mark}" in log(plldb, debuggee, "Greeter"), "it was logged")


def test_for_programs_they_are_as_they_were(plldb: Plldb, debuggee: Debuggee) -> None:
    mark = random_name("mark")
    debuggee.invoke("Greeter", mark)

    def read() -> list[dict[str, object]]:
        lines = log(plldb, debuggee, "Greeter", "--output", "json").splitlines()
        return [one for one in map(json.loads, lines) if mark in one["message"]]

    (found,) = poll(read, "it was logged")
    assert found["record"] == {"level": "INFO", "message": "got", "what": mark}
    assert found.keys() == {"timestamp", "stream", "message", "record"}


def test_a_log_group_of_its_own_is_found(plldb: Plldb, debuggee: Debuggee) -> None:
    mark = random_name("mark")
    debuggee.invoke("Shared", mark)
    poll(lambda: mark in log(plldb, debuggee, "Shared"), "it was logged")


def test_a_function_that_never_ran(plldb: Plldb, debuggee: Debuggee) -> None:
    done = plldb("logs", "Silent", "--stack-name", debuggee.name, "--since", "1h").succeeded()
    assert done.stdout == ""
    assert "has logged nothing since 1h" in done.stderr


def test_older_events_are_left_out(plldb: Plldb, debuggee: Debuggee) -> None:
    debuggee.invoke("Greeter", "old")
    assert log(plldb, debuggee, "Greeter", "--since", "2099-01-01") == ""


def test_it_follows_each_event_once_until_ctrl_c(plldb: Plldb, debuggee: Debuggee) -> None:
    marks = [random_name("mark") for _ in range(3)]
    command = ("logs", "Greeter", "--stack-name", debuggee.name, "--follow", "--output", "json")
    seen: list[str] = []
    with plldb.start(*command) as process:
        try:
            assert process.stdout is not None
            for mark in marks:
                debuggee.invoke("Greeter", mark)
                for line in process.stdout:
                    seen.append(line)
                    if mark in line:
                        break
            process.send_signal(signal.SIGINT)
            rest, stderr = process.communicate(timeout=DEADLINE_SECONDS)
        finally:
            process.kill()
    assert (process.returncode, stderr) == (0, "")
    text = "".join(seen) + rest
    assert [text.count(mark) for mark in marks] == [2, 2, 2]  # in the message, and in its record


def test_wrong_spans_and_names(plldb: Plldb, debuggee: Debuggee) -> None:
    assert "neither" in plldb("logs", "Greeter", "--since", "soon").failed(2).stderr
    failed = plldb("logs", "Greter", "--stack-name", debuggee.name).failed(1)
    assert "Did you mean 'Greeter'?" in failed.stderr
