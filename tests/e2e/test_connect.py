"""``$connect`` and ``$disconnect``: one session, one connection, once."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from .support import Backend, poll, reset


def test_connecting_activates_and_closing_closes(backend: Backend) -> None:
    session_id = backend.new_session()

    async def visit() -> None:
        async with backend.connect(session_id):
            item = backend.item(session_id)
            assert item["Status"] == "ACTIVE"
            assert item["ConnectionId"]

    asyncio.run(visit())

    assert "ConnectionId" not in backend.wait_for_status(session_id, "CLOSED")


def test_no_session_id_is_unauthorized(backend: Backend) -> None:
    assert backend.refusal(None) == 401


@pytest.mark.parametrize(
    "session_id",
    [str(uuid.uuid4()), "not-an-id", "x" * 4000, "é\n"],
    ids=["another", "no id", "long", "not ASCII"],
)
def test_an_unknown_id_is_refused(backend: Backend, session_id: str) -> None:
    assert backend.refusal(session_id) == 403


def test_an_expired_id_is_refused_though_its_item_is_still_there(backend: Backend) -> None:
    def find_refused() -> dict[str, Any] | None:
        """None if the table forgot it meanwhile, which it may do at any time."""
        session_id = backend.new_session()
        backend.set_ttl(session_id, int(time.time()) - 1)
        assert backend.refusal(session_id) == 403
        return backend.item(session_id) or None

    refused = poll(find_refused, "an item that is still there")

    assert refused["Status"] == "PENDING"


def test_a_used_id_is_refused_while_its_session_goes_on(backend: Backend) -> None:
    session_id = backend.new_session()

    async def visit() -> None:
        async with backend.connect(session_id):
            before = backend.item(session_id)
            assert await backend.try_connect(session_id) == 403
            assert backend.item(session_id) == before

    asyncio.run(visit())


def test_a_closed_id_is_refused(backend: Backend) -> None:
    session_id = backend.new_session()

    async def visit() -> None:
        async with backend.connect(session_id):
            pass

    asyncio.run(visit())
    backend.wait_for_status(session_id, "CLOSED")

    assert backend.refusal(session_id) == 403


def test_of_30_simultaneous_connects_exactly_one_wins(backend: Backend) -> None:
    async def race() -> str:
        """The session's id; nothing if nobody won since a busy helper stack has failed."""
        session_id = backend.new_session()
        answers = await asyncio.gather(*(backend.try_connect(session_id) for _ in range(30)))
        winners = [answer for answer in answers if isinstance(answer, ClientConnection)]
        refusals = [answer for answer in answers if isinstance(answer, int)]
        failures = [answer for answer in refusals if answer >= 500]
        assert set(refusals) <= {403, *failures}, answers
        if not winners and failures:
            return ""
        assert len(winners) == 1, answers
        for _ in failures:
            assert await backend.refused(session_id) == 403
        assert backend.item(session_id)["Status"] == "ACTIVE"
        await winners[0].close()
        return session_id

    backend.wait_for_status(poll(lambda: asyncio.run(race()), "somebody wins"), "CLOSED")


def test_an_abrupt_drop_closes_the_session(backend: Backend) -> None:
    session_id = backend.new_session()

    async def visit() -> None:
        websocket = await backend.connect(session_id)
        reset(websocket)
        await websocket.wait_closed()

    asyncio.run(visit())

    assert "ConnectionId" not in backend.wait_for_status(session_id, "CLOSED")


def test_50_sessions_at_once(backend: Backend) -> None:
    async def all_of_them() -> list[str]:
        ids = await asyncio.gather(
            *(asyncio.to_thread(backend.new_session, "crowd") for _ in range(50))
        )
        connections = await asyncio.gather(*(backend.connected(one) for one in ids))
        statuses = await asyncio.gather(*(asyncio.to_thread(backend.item, one) for one in ids))
        assert [item["Status"] for item in statuses] == ["ACTIVE"] * 50
        assert len({item["ConnectionId"] for item in statuses}) == 50
        await asyncio.gather(*(connection.close() for connection in connections))
        return list(ids)

    for session_id in asyncio.run(all_of_them()):
        backend.wait_for_status(session_id, "CLOSED")
