"""What every session store does, whichever it is."""

from __future__ import annotations

from agent_platform.models import Session
from agent_platform.stores import SessionStore


def make_session(session_id: str, user_id: str) -> Session:
    return Session(
        session_id=session_id,
        user_id=user_id,
        device="laptop",
        created_at=1_800_000_000,
        expires_at=1_800_000_060,
    )


def check_store(store: SessionStore, prefix: str) -> None:
    """``prefix`` makes the ids of a store that others use as well."""
    mine, other = (make_session(f"{prefix}-{n}", f"{prefix}-ann") for n in (1, 2))
    bobs = make_session(f"{prefix}-3", f"{prefix}-bob")
    for session in (mine, other, bobs):
        store.add(session)
    assert store.find(mine.session_id) == mine
    assert store.find(f"{prefix}-4") is None
    found = store.list_of(mine.user_id)
    assert sorted(one.session_id for one in found) == [mine.session_id, other.session_id]
    assert store.remove(mine.session_id) is True
    assert store.remove(mine.session_id) is False
    assert store.find(mine.session_id) is None
    assert store.find(bobs.session_id) == bobs
