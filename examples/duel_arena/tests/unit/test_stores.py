"""Where sessions are kept, without a table."""

from __future__ import annotations

import pytest
from arena.sessions.stores import InMemorySessionStore, StoredSession, open_store


def stored(data: str = "{}", created_at: int = 0, expires_at: int = 3600) -> StoredSession:
    return StoredSession(data, created_at, expires_at)


def test_a_session_is_kept_replaced_and_deleted() -> None:
    store = InMemorySessionStore()
    assert store.load("a") is None
    store.create("a", stored())
    assert store.load("a") == stored()
    assert store.replace("a", stored('{"n": 1}'))
    assert store.load("a") == stored('{"n": 1}')
    assert store.prolong("a", 7200)
    assert store.load("a") == stored('{"n": 1}', expires_at=7200)
    store.delete("a")
    store.delete("a")
    assert store.load("a") is None


def test_what_was_deleted_does_not_come_back() -> None:
    store = InMemorySessionStore()
    assert not store.replace("a", stored())
    assert not store.prolong("a", 7200)
    assert store.load("a") is None


def test_memory_does_not_fill_up_with_what_has_expired() -> None:
    store = InMemorySessionStore()
    store.create("old", stored(expires_at=10))
    store.create("other", stored(expires_at=11))
    store.create("new", stored(created_at=10))
    assert [store.load(id) is not None for id in ("old", "other", "new")] == [False, True, True]


def test_without_a_table_they_are_in_memory() -> None:
    assert isinstance(open_store(None), InMemorySessionStore)


def test_if_the_table_can_not_be_had_they_are_in_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    assert isinstance(open_store("sessions"), InMemorySessionStore)
    assert "'sessions' can't be read" in caplog.text
