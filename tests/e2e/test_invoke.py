"""``plldb invoke`` over real processes: answers, errors, logs, patience."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plldb.aws import Target

from .debugging import Debuggee, deployed, function
from .project import attach, deployed_project, detach
from .support import DEADLINE_SECONDS, PATIENT, Backend, Plldb, bucket_location, poll, random_name

_CODE = """
import json, os

def handler(event, context):
    print("got", json.dumps(event)[:100])
    if isinstance(event, dict) and "fail" in event:
        raise LookupError(event["fail"])
    return {"event": event, "alias": context.invoked_function_arn.rpartition(":")[2]}
"""


@pytest.fixture(scope="module")
def debuggee(target: Target) -> Iterator[Debuggee]:
    with deployed(target, {"Greeter": function(_CODE), "Other": function(_CODE)}) as stack:
        yield stack


def test_the_answer_is_all_of_stdout(plldb: Plldb, debuggee: Debuggee) -> None:
    command = ("invoke", "Greeter", "--stack-name", debuggee.name)
    done = plldb(*command, "--event", '{"n": 1}').succeeded()
    assert json.loads(done.stdout)["event"] == {"n": 1}
    assert 'got {"n": 1}' in done.stderr


@pytest.mark.parametrize("event", ["null", "0", '""', "[]", "false", '"7"'])
def test_falsy_events_arrive_as_they_are(plldb: Plldb, debuggee: Debuggee, event: str) -> None:
    done = plldb("invoke", "Greeter", "--stack-name", debuggee.name, "--event", event)
    assert json.loads(done.succeeded().stdout)["event"] == json.loads(event)


def test_by_its_name_or_arn_no_stack_is_needed(
    plldb: Plldb, debuggee: Debuggee, tmp_path: Path
) -> None:
    here = plldb.within(tmp_path)
    arn = debuggee.found("Greeter")["FunctionArn"]
    for name in (debuggee.physical["Greeter"], arn):
        done = here("invoke", name, "--sample", "sqs").succeeded()
        assert json.loads(done.stdout)["event"]["Records"][0]["eventSource"] == "aws:sqs"


def test_an_error_is_shown_with_its_log_and_the_exit_code_is_1(
    plldb: Plldb, debuggee: Debuggee
) -> None:
    event = '{"fail": "no such order"}'
    command = ("invoke", "Greeter", "--stack-name", debuggee.name, "--event", event)
    failed = plldb(*command)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "got" in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith("Error: Greeter failed: ")
    assert "no such order" in failed.stderr


def test_json_is_one_object(plldb: Plldb, debuggee: Debuggee) -> None:
    command = ("invoke", "Greeter", "--stack-name", debuggee.name, "--output", "json", "--event")
    good = plldb(*command, '{"n": 1}').succeeded().json
    assert good["function"] == "Greeter"
    assert good["answer"]["event"] == {"n": 1}
    assert good["error"] is None
    assert "got" in good["log"]
    bad = plldb(*command, '{"fail": "x"}').failed(1)
    assert bad.json["answer"] is None
    assert bad.json["error"]["errorMessage"] == "x"
    assert json.loads(bad.stderr)["error"].endswith(": x")


def test_large_events_and_answers_pass_whole(
    plldb: Plldb, debuggee: Debuggee, tmp_path: Path
) -> None:
    text = "ä" * 2_000_000
    (tmp_path / "event.json").write_text(json.dumps(text, ensure_ascii=False))
    done = plldb.within(tmp_path)(
        "invoke", "Greeter", "--stack-name", debuggee.name, "--event", "event.json"
    )
    assert json.loads(done.succeeded().stdout)["event"] == text


def test_an_event_comes_from_stdin(plldb: Plldb, debuggee: Debuggee) -> None:
    command = [sys.executable, "-m", "plldb", "invoke", "Other", "--stack-name", debuggee.name]
    done = subprocess.run(
        [*command, "--event", "-"],
        env=plldb.environment,
        input=b'{"piped": true}',
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout)["event"] == {"piped": True}


def test_another_version_and_none_at_all(plldb: Plldb, debuggee: Debuggee, target: Target) -> None:
    client, name = target.client("lambda"), debuggee.physical["Other"]
    version = client.publish_version(FunctionName=name)["Version"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    command = ("invoke", "Other", "--stack-name", debuggee.name, "--output", "json")
    answer = plldb(*command, "--qualifier", "live").succeeded().json
    assert answer["answer"]["alias"] == "live"
    assert answer["version"] == version
    missing = plldb(*command, "--qualifier", "nobody").failed(1)
    assert "ResourceNotFoundException" in json.loads(missing.stderr)["error"]


def test_it_does_not_wait_if_it_is_told_so(plldb: Plldb, debuggee: Debuggee) -> None:
    command = ("invoke", "Greeter", "--stack-name", debuggee.name, "--async", "--output", "json")
    assert plldb(*command).succeeded().json.keys() == {"function", "requestId"}


def test_near_names(plldb: Plldb, debuggee: Debuggee) -> None:
    failed = plldb("invoke", "Greter", "--stack-name", debuggee.name).failed(1)
    assert "Did you mean 'Greeter'?" in failed.stderr
    failed = plldb("invoke", "Greeter", "--stack-name", debuggee.name[:-1]).failed(1)
    assert f"Did you mean {debuggee.name!r}?" in failed.stderr


def test_a_nested_function_is_called_by_its_path_or_its_name(
    plldb: Plldb, target: Target, debuggee: Debuggee
) -> None:
    s3, cloudformation = target.client("s3"), target.client("cloudformation")
    bucket, name = random_name("templates"), random_name("nesting")
    s3.create_bucket(Bucket=bucket, **bucket_location(target.region))
    try:
        worker = function(_CODE, Role=debuggee.found("Greeter")["Role"])
        s3.put_object(
            Bucket=bucket, Key="child.json", Body=json.dumps({"Resources": {"Worker": worker}})
        )
        url = f"{s3.meta.endpoint_url}/{bucket}/child.json"
        child = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
        cloudformation.create_stack(
            StackName=name, TemplateBody=json.dumps({"Resources": {"Child": child}})
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1})
        for wanted in ("Child/Worker", "Worker"):
            done = plldb("invoke", wanted, "--stack-name", name, "--output", "json")
            assert done.succeeded().json["function"] == "Child/Worker"
    finally:
        cloudformation.delete_stack(StackName=name)
        s3.delete_object(Bucket=bucket, Key="child.json")
        s3.delete_bucket(Bucket=bucket)


def test_it_waits_while_the_function_is_debugged_and_calls_once(
    plldb: Plldb, backend: Backend, target: Target, tmp_path: Path
) -> None:
    """Longer than an SDK's patience would be, if that were a second."""
    with deployed_project(target, tmp_path / "project", ["Alpha"]) as project:
        calls, go_on = tmp_path / "calls", tmp_path / "go-on"
        project.write(
            "Alpha",
            f"""
            import pathlib, time

            def handler(event, context):
                with open({str(calls)!r}, "a") as file:
                    file.write("called\\n")
                while not pathlib.Path({str(go_on)!r}).exists():
                    time.sleep(0.05)
                return "went on"
            """,
        )
        with attach(plldb, project, *PATIENT) as attached:
            attached.wait_for("ready")
            with plldb.start("invoke", "Alpha", "--stack-name", project.stack_name) as process:
                try:
                    poll(calls.exists, "the local code was called")
                    assert process.poll() is None
                    go_on.touch()
                    stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
                finally:
                    process.kill()
            detach(attached)
    assert stdout == '"went on"\n', stderr
    assert calls.read_text() == "called\n"


def test_ctrl_c_ends_the_waiting(plldb: Plldb, target: Target) -> None:
    slow = function("import time\ndef handler(e, c):\n    time.sleep(20)", Timeout=60)
    with (
        deployed(target, {"Slow": slow}) as stack,
        plldb.start("invoke", "Slow", "--stack-name", stack.name, "-vv") as process,
    ):
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "lambda is at" in line:
                    break
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=15)
        finally:
            process.kill()
    assert process.returncode == 1
    assert "Traceback" not in stderr
