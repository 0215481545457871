"""A session id is a credential: no log and no output ever shows one whole."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import pytest
from lambda_functions.websocket import wire

from .support import Backend, Plldb, ask, function_logs, function_records


def invoke_websocket_functions(backend: Backend, session_id: str) -> None:
    """As API Gateway would, but through Lambda: not every engine logs what a WebSocket invokes."""
    functions = backend.target.client("lambda")
    context = {"connectionId": "L0SM9cOFvHcCIhw=", "authorizer": {"sessionId": session_id}}
    for kind in ("CONNECT", "MESSAGE", "DISCONNECT"):
        event = {"requestContext": context | {"eventType": kind}, "body": session_id}
        functions.invoke(
            FunctionName=backend.function_name("WebSocketFunction"), Payload=json.dumps(event)
        )


def live_through_everything(plldb: Plldb, backend: Backend, stack: str) -> None:
    """A session of each fate, so that every log line there is gets written."""
    session_id = backend.new_session()

    async def visit() -> None:
        async with backend.connect(session_id) as websocket:
            await ask(websocket, "junk")
            await ask(websocket, json.dumps({"action": session_id}))
            await backend.try_connect(session_id)
            await ask(websocket, wire.close_message(session_id))

    asyncio.run(visit())
    backend.refusal(session_id)
    backend.post_sessions({"stackName": 1})
    invoke_websocket_functions(backend, backend.new_session())
    with plldb.attach(stack, "-vv") as attached:
        attached.wait_for("connected")
        attached.signal(signal.SIGINT)
        attached.exit_code()


def kept_logs(plldb: Plldb) -> str:
    folder = Path(plldb.environment["PLLDB_HOME"]) / "logs"
    return "\n".join(path.read_text("utf-8") for path in folder.iterdir())


@pytest.mark.needs("local")
def test_no_session_id_is_whole_in_any_log_or_output(
    plldb: Plldb, backend: Backend, stack: str, request: pytest.FixtureRequest
) -> None:
    began, before = time.time(), set(backend.all_session_ids())
    live_through_everything(plldb, backend, stack)

    # Other tests name sessions in paths, which an engine may log.
    ids = set(backend.all_session_ids()) - before
    assert len(ids) > 1
    for place, text in {
        "the functions' logs": function_logs(backend, began),
        "the emulator's log": request.getfixturevalue("emulator_log"),
        "the command line": "\n".join(plldb.said),
        "the logs that plldb attach keeps": kept_logs(plldb),
    }.items():
        assert text, place
        assert [one for one in ids if one in text] == [], place


def test_each_invocation_writes_one_json_line(plldb: Plldb, backend: Backend, stack: str) -> None:
    began = time.time()
    live_through_everything(plldb, backend, stack)

    lines = function_records(backend, began)
    outcomes = {(line["route"], line["outcome"]) for line in lines}
    assert outcomes >= {
        ("POST /sessions", "created"),
        ("POST /sessions", "bad_request"),
        ("authorizer", "allowed"),
        ("authorizer", "denied"),
        ("$connect", "connected"),
        ("message", "not_json"),
        ("$disconnect", "closed"),
    }
    for line in lines:
        assert {"level", "route", "outcome", "durationMs", "requestId"} <= set(line)
    requests = [line["requestId"] for line in lines]
    assert len(requests) == len(set(requests))
