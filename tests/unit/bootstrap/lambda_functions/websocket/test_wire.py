"""The messages that both sides share: spelled once, and no input breaks their parser."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import Action, ErrorCode


def test_a_request_is_what_the_server_parses() -> None:
    assert wire.parse(wire.close_message()) == {"action": Action.CLOSE}


def test_the_servers_messages_survive_the_wire() -> None:
    for message in (wire.closed(), *(wire.error(code, "why") for code in ErrorCode)):
        assert wire.parse(json.dumps(message)) == message


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
