"""From a session to the one that has its functions now."""

from __future__ import annotations

from lambda_functions.sessions.heirs import find_latest, line_of
from lambda_functions.sessions.session import Session, new_session

from tests.memory_stores import MemorySessionStore

NOW = 1_800_000_000.0


def family(size: int) -> tuple[MemorySessionStore, list[str]]:
    """Sessions, each the heir of the one before."""
    store = MemorySessionStore()
    sessions: list[Session] = []
    for number in range(size):
        session = new_session("app", "me", NOW)
        store.create(session)
        store.activate(session.session_id, f"c{number}", NOW)
        if sessions:
            store.appoint_heir(sessions[-1].session_id, session.session_id)
        sessions.append(session)
    return store, [session.session_id for session in sessions]


def names(line: list[Session]) -> list[str]:
    return [session.session_id for session in line]


def test_the_line_ends_with_whoever_has_no_heir() -> None:
    store, ids = family(4)
    for first in range(4):
        assert names(line_of(store, ids[first])) == ids[first:]
        assert find_latest(store, ids[first]) == store.get(ids[3])


def test_or_before_whoever_asks() -> None:
    store, ids = family(4)
    assert names(line_of(store, ids[0], until=ids[3])) == ids[:3]
    assert line_of(store, ids[3], until=ids[3]) == []


def test_there_is_none_of_what_is_not_there() -> None:
    store, _ = family(1)
    unknown = new_session("app", "me", NOW).session_id
    assert line_of(store, unknown) == []
    assert find_latest(store, unknown) is None


def test_an_heir_that_was_deleted_is_nobodys_latest() -> None:
    store, ids = family(2)
    store.appoint_heir(ids[1], new_session("app", "me", NOW).session_id)
    assert names(line_of(store, ids[0])) == ids
    assert find_latest(store, ids[0]) is None


def test_no_line_is_endless() -> None:
    """There are none: who replaces another is attached, and so has no heir."""
    store, ids = family(2)
    store.appoint_heir(ids[1], ids[0])
    assert len(line_of(store, ids[0])) == 100
    assert find_latest(store, ids[0]) is None
