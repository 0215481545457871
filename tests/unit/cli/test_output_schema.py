"""JSON output is as its schema says, and the schema says what there is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from plldb.background.known_invocations import summarize
from plldb.background.session_folder import SessionFolder
from plldb.background.session_record import STATES
from plldb.cli.background import describe
from plldb.cli.invocations import finalize
from plldb.debugger.children.invoker import Outcome, RunState
from plldb.replay.history import SCHEMA as INVOCATION_SCHEMA
from plldb.replay.history import History
from tests.output_schema import SCHEMA, check
from tests.unit.background.test_invocation_journal import ERROR, Session, finish, start
from tests.unit.background.test_session_folder import RECORD
from tests.unit.cli.test_attach_view import ANSWERS


def test_it_is_a_schema_with_a_version() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "urn:plldb:output:1"
    whole = SCHEMA["$defs"]["invocation"]["properties"]
    assert whole["schema"]["const"] == INVOCATION_SCHEMA
    assert whole["state"]["enum"] == [*(one.value for one in RunState), "lost"]
    assert SCHEMA["$defs"]["session"]["properties"]["state"]["enum"] == [*STATES]


@pytest.mark.parametrize(
    "data", [data for _, data, _ in ANSWERS], ids=[type(event).__name__ for event, _, _ in ANSWERS]
)
def test_events(data: dict[str, Any]) -> None:
    check("event", json.loads(json.dumps(data)))


def test_each_event_is_one_that_is_said() -> None:
    """Those of other sources than the view are named here."""
    said = {data["event"] for _, data, _ in ANSWERS}
    elsewhere = {
        "deployed",
        "launch.configuration",
        "launch.written",
        "credentials.renewed",
        "inspector",
        "output",
        "prepared",
        "started",
        "lost",
    }
    known = {one["properties"]["event"]["const"] for one in SCHEMA["$defs"]["event"]["oneOf"]}
    assert said <= known
    assert known <= said | elsewhere


RAW = Outcome(None, None, "AAEC")


@pytest.mark.parametrize("outcome", [Outcome('{"n": 1}', None), Outcome(None, ERROR), RAW, None])
def test_invocations(tmp_path: Path, outcome: Outcome | None) -> None:
    with Session(tmp_path / "invocations") as session:
        for event in (start("r1", 1.0), finish("r1", 1.0, outcome)):
            session.take(event)
            entry = session.history.get("r1")
            assert entry is not None
            document = finalize(json.loads(json.dumps(entry.to_document())))
            check("invocation", document)
            check("listedInvocation", summarize(document))


def test_what_is_not_in_the_schema_is_found() -> None:
    history = History(["shop"])
    history.take(start("r1", 1.0))
    entry = history.get("r1")
    assert entry is not None
    document = finalize(entry.to_document())
    for wrong in ({**document, "more": 1}, {**document, "legs": {"more": 1}}):
        with pytest.raises(ValidationError):
            check("invocation", wrong)
    del document["id"]
    with pytest.raises(ValidationError):
        check("invocation", document)


def test_sessions(tmp_path: Path) -> None:
    place = SessionFolder(tmp_path, tmp_path)
    for record in (
        RECORD,
        replace(RECORD, state="ended", exit_code=1, error="It broke.", hint="Mend it.", log="/x"),
    ):
        check("session", json.loads(json.dumps(describe(place, record, is_running=True))))
    check("noSession", {"running": False, "stopped": False})
