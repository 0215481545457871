"""The messages that both sides share: spelled once, and no input breaks their parser."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import Action, ErrorCode

SESSION = "8f5c1b7e-0000-4000-8000-000000000000"
SENT = {
    Action.ANSWER: wire.answer_message(SESSION, "r", 1.5, body='{"result": 1}'),
    Action.CLAIM: wire.claim_message(SESSION, "r", 1.5),
    Action.CLOSE: wire.close_message(SESSION),
    Action.DECLINE: wire.decline_message(SESSION, "r", 1.5),
    Action.HEARTBEAT: wire.heartbeat_message(SESSION),
    Action.INSTRUMENT: wire.instrument_message(SESSION, ["A*"]),
    Action.RESUME: wire.resume_message(SESSION, SESSION),
    Action.UPLOAD: wire.upload_message(SESSION, "r"),
    Action.WATCH: wire.watch_message(SESSION, "", {"app-Fn": "revision"}),
}
SENT_BY_A_FUNCTION = {
    Action.ABANDON: wire.abandon_message("token", "r", 1.5),
    Action.AWAIT: wire.await_message("token", "r", 1.5),
    Action.INVOKE: wire.invoke_message(
        "token", "r", "Fn", deadline=1.5, accept_before=1, context={}, event="{}"
    ),
}


@pytest.mark.parametrize("action", SENT)
def test_a_debuggers_message_names_its_action_and_its_session(action: Action) -> None:
    parsed = wire.parse(SENT[action])
    assert parsed is not None
    assert (parsed["action"], parsed["sessionId"]) == (action, SESSION)


@pytest.mark.parametrize("action", SENT_BY_A_FUNCTION)
def test_a_functions_message_names_its_action_and_shows_its_token(action: Action) -> None:
    parsed = wire.parse(SENT_BY_A_FUNCTION[action])
    assert parsed is not None
    assert (parsed["action"], parsed["token"]) == (action, "token")


def test_every_action_is_somebodys() -> None:
    assert {*Action} == {*SENT} | {*SENT_BY_A_FUNCTION}


def differing(one: str, other: str) -> tuple[set[str], set[str]]:
    """The fields that only one of two messages has."""
    fields, others = json.loads(one).keys(), json.loads(other).keys()
    return fields - others, others - fields


def test_a_payload_is_inline_or_an_upload() -> None:
    assert differing(
        wire.answer_message(SESSION, "r", 1.5, body="{}"),
        wire.answer_message(SESSION, "r", 1.5, body_key="key"),
    ) == ({"body"}, {"bodyKey"})
    assert differing(
        SENT_BY_A_FUNCTION[Action.INVOKE],
        wire.invoke_message(
            "token", "r", "Fn", deadline=1.5, accept_before=1, context={}, event_key="key"
        ),
    ) == ({"event"}, {"eventKey"})


def test_the_servers_messages_survive_the_wire() -> None:
    for message in (
        wire.closed(),
        wire.closed("why"),
        wire.invocation("r", "Fn", deadline=1.5, sent_at=0.5, context={}, event="{}"),
        wire.ready(1, 2, 3),
        *(wire.error(code, "why", "r") for code in ErrorCode),
    ):
        assert wire.parse(json.dumps(message)) == message


def test_the_description_names_every_word() -> None:
    """A maintainer reads it, and whoever writes another client."""
    assert wire.__doc__ is not None
    words = {*wire.__doc__.replace(":", " ").replace(",", " ").replace(";", " ").split()}
    assert {*map(str, wire.Action), *map(str, wire.MessageType)} <= words


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()))
def test_every_json_object_is_a_message(value: dict[str, object]) -> None:
    assert wire.parse(json.dumps(value)) == value
    assert wire.parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "junk", ["", " ", "[", "[" * 100_000, "{" * 100_000, '{"a":' * 50_000, "null", "[]", "1" * 9999]
)
def test_other_text_is_none(junk: str) -> None:
    assert wire.parse(junk) is None
    assert wire.parse(junk.encode()) is None


@given(st.binary() | st.text(st.characters(exclude_categories=())))
def test_anything_gives_a_message_or_none(frame: str | bytes) -> None:
    assert wire.parse(frame) is None or isinstance(wire.parse(frame), dict)
