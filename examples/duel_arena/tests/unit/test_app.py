"""The application, with its sessions in memory."""

from __future__ import annotations

import pytest
from arena.app import create_app
from arena.sessions.stores import InMemorySessionStore
from fastapi.testclient import TestClient


@pytest.fixture
def visitor() -> TestClient:
    return TestClient(create_app(InMemorySessionStore()))


@pytest.fixture
def ada(visitor: TestClient) -> TestClient:
    assert visitor.post("/login", json={"name": "Ada"}).is_success
    return visitor


def test_it_is_well(visitor: TestClient) -> None:
    assert visitor.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/me", None),
        ("GET", "/ratings", None),
        ("POST", "/duels", {"left": "a", "right": "b"}),
        ("POST", "/duels/vote", {"winner": "left"}),
    ],
)
def test_strangers_are_sent_away(
    visitor: TestClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    assert visitor.request(method, path, json=body).status_code == 401


def test_a_visitor_is_known_until_they_leave(ada: TestClient) -> None:
    assert ada.get("/me").json() == {"name": "Ada"}
    assert ada.post("/logout").status_code == 204
    assert ada.get("/me").status_code == 401


def test_a_duel_that_is_voted_on_counts(ada: TestClient) -> None:
    assert ada.post("/duels", json={"left": "gold", "right": "tin"}).status_code == 201
    ranks = ada.post("/duels/vote", json={"winner": "right"}).json()
    assert ranks == [{"model": "tin", "rating": 1016}, {"model": "gold", "rating": 984}]
    assert ada.get("/ratings").json() == ranks


def test_a_duel_is_voted_on_once(ada: TestClient) -> None:
    ada.post("/duels", json={"left": "gold", "right": "tin"})
    assert ada.post("/duels/vote", json={"winner": "left"}).is_success
    assert ada.post("/duels/vote", json={"winner": "left"}).status_code == 409


def test_nobody_duels_with_themselves(ada: TestClient) -> None:
    assert ada.post("/duels", json={"left": "gold", "right": "gold"}).status_code == 422


def test_the_next_visitor_begins_anew(ada: TestClient) -> None:
    ada.post("/duels", json={"left": "gold", "right": "tin"})
    ada.post("/duels/vote", json={"winner": "left"})
    ada.post("/login", json={"name": "Grace"})
    assert ada.get("/ratings").json() == []
