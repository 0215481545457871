"""What a connected debugger may send, and what comes back."""

from __future__ import annotations

import asyncio
import json

import pytest
from lambda_functions.websocket import wire

from .support import Backend, ask


def conversation(backend: Backend, *sent: str | list[str]) -> list[dict[str, object]]:
    """The answers to these messages, over one connection that is alive at the end."""
    session_id = backend.new_session()

    async def talk() -> list[dict[str, object]]:
        async with backend.connect(session_id) as websocket:
            answers = [await ask(websocket, message) for message in sent]
            assert backend.item(session_id)["Status"] == "ACTIVE"
            return answers

    return asyncio.run(talk())


@pytest.mark.parametrize("junk", ["", "hello", "{", "[1]", "null", '"close"', "[" * 5000])
def test_what_is_no_json_object_gets_an_error_and_no_hang_up(backend: Backend, junk: str) -> None:
    answers = conversation(backend, junk or " ", "still there?")

    assert [(answer["type"], answer["code"]) for answer in answers] == [("error", "not_json")] * 2


@pytest.mark.parametrize("message", [{}, {"action": "dance"}, {"action": 7}, {"action": None}])
def test_an_unknown_action_gets_an_error_that_names_the_known_ones(
    backend: Backend, message: dict[str, object]
) -> None:
    (answer,) = conversation(backend, json.dumps(message))

    assert (answer["type"], answer["code"]) == ("error", "unknown_action")
    assert "close" in str(answer["message"])


def test_a_message_of_100_kb_is_taken(backend: Backend) -> None:
    """In frames of 32 KB at most, which is API Gateway's limit for each."""
    message = json.dumps({"action": "dance", "padding": "x" * 100_000})
    frames = [message[start : start + 30_000] for start in range(0, len(message), 30_000)]

    (answer,) = conversation(backend, frames)

    assert answer["code"] == "unknown_action"


@pytest.mark.parametrize("action", ["heartbeat", "close", "instrument", "resume", "claim"])
@pytest.mark.parametrize("proof", [{}, {"sessionId": 7}, {"sessionId": "s"}, {"token": 7}])
def test_a_message_that_does_not_show_whose_it_is_is_refused(
    backend: Backend, action: str, proof: dict[str, object]
) -> None:
    (answer,) = conversation(backend, json.dumps({"action": action} | proof))

    assert (answer["type"], answer["code"]) == ("error", "bad_request")


def test_close_closes_the_session_before_it_answers(backend: Backend) -> None:
    session_id = backend.new_session()
    close = wire.close_message(session_id)

    async def talk() -> None:
        async with backend.connect(session_id) as websocket:
            assert await ask(websocket, close) == {"type": "closed"}
            closed = backend.item(session_id)
            assert closed["Status"] == "CLOSED"
            assert "ConnectionId" not in closed
            assert await ask(websocket, close) == {"type": "closed"}
            assert backend.item(session_id) == closed, "closing twice changed something"

    asyncio.run(talk())
