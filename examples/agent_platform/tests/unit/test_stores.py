"""The stores in memory."""

from __future__ import annotations

from agent_platform.stores import MemorySessionStore
from session_store_contract import check_store, make_session


def test_sessions_are_kept() -> None:
    check_store(MemorySessionStore(), "memory")


def test_a_session_ends_at_its_time() -> None:
    session = make_session("1", "ann")
    assert session.is_valid(session.expires_at - 1)
    assert not session.is_valid(session.expires_at)
