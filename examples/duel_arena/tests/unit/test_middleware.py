"""What a browser and the application see of sessions that the server keeps."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
import starlette.middleware.sessions
from arena.sessions.middleware import SessionMiddleware
from arena.sessions.stores import InMemorySessionStore, StoredSession
from httpx2 import Response
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

Endpoint = Callable[[Request], Awaitable[JSONResponse]]
Answer = Callable[[Endpoint], Response]

MAX_AGE = 100
ENOUGH_FOR_AN_ID = 43


class Browser:
    """Asks for steps of Python on its session: each answer has what is in it afterwards."""

    def __init__(self, middleware: Callable[..., Any], **options: Any) -> None:
        app = Starlette(
            routes=[Route("/", _run, methods=["POST"]), Route("/health", _say_ok)],
            middleware=[Middleware(middleware, **options)],
        )
        self.client = TestClient(app)

    def ask(self, **steps: Any) -> Response:
        return self.client.post("/", json=steps)

    def session(self) -> Any:
        return self.ask().json()


async def _run(request: Request) -> JSONResponse:
    session = request.session
    match await request.json():
        case {"set": values}:
            session.update(values)
        case {"append": [key, value]}:
            session[key].append(value)
        case {"pop": key}:
            session.pop(key, None)
        case {"clear": values}:
            session.clear()
            session.update(values)
    return JSONResponse(dict(session))


async def _say_ok(request: Request) -> JSONResponse:
    return JSONResponse("ok")


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000

    def __call__(self) -> float:
        return self.time


class Kept(InMemorySessionStore):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def create(self, session_id: str, session: StoredSession) -> None:
        self.writes += 1
        super().create(session_id, session)

    def replace(self, session_id: str, session: StoredSession) -> bool:
        self.writes += 1
        return super().replace(session_id, session)

    def prolong(self, session_id: str, expires_at: int) -> bool:
        self.writes += 1
        return super().prolong(session_id, expires_at)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Kept:
    return Kept()


@pytest.fixture
def open_browser(store: Kept, clock: Clock) -> Callable[..., Browser]:
    return partial(Browser, SessionMiddleware, store=store, max_age=MAX_AGE, now=clock)


@pytest.fixture
def browser(open_browser: Callable[..., Browser]) -> Browser:
    return open_browser()


@pytest.fixture
def answer(browser: Browser, store: Kept, clock: Clock) -> Answer:
    """Has an endpoint answer the browser."""

    def ask(endpoint: Endpoint) -> Response:
        options = {"store": store, "max_age": MAX_AGE, "now": clock}
        app = Starlette(
            routes=[Route("/", endpoint, methods=["POST"])],
            middleware=[Middleware(SessionMiddleware, **options)],
        )
        client = TestClient(app)
        client.cookies = browser.client.cookies
        return client.post("/")

    return ask


def cookie_of(response: Response) -> Morsel[str] | None:
    return SimpleCookie(response.headers.get("set-cookie", "")).get("session_id")


# --- As Starlette's -------------------------------------------------------------------------------


@pytest.fixture(params=["ours", "Starlette's"])
def either(request: pytest.FixtureRequest, browser: Browser) -> Browser:
    if request.param == "ours":
        return browser
    return Browser(starlette.middleware.sessions.SessionMiddleware, secret_key="secret")


def test_it_is_a_dictionary_that_lasts(either: Browser) -> None:
    assert either.session() == {}
    assert either.ask(set={"n": 1, "names": ["Ada"]}).json() == {"n": 1, "names": ["Ada"]}
    assert either.session() == {"n": 1, "names": ["Ada"]}
    either.ask(pop="n")
    assert either.session() == {"names": ["Ada"]}
    either.ask(clear={"new": True})
    assert either.session() == {"new": True}
    either.ask(clear={})
    assert either.session() == {}
    assert not either.client.cookies


def test_nobody_gets_a_cookie_for_nothing(either: Browser) -> None:
    assert "set-cookie" not in either.ask().headers


def test_caches_are_told_what_depends_on_the_cookie(either: Browser) -> None:
    assert either.ask().headers["vary"] == "Cookie"
    assert "vary" not in either.client.get("/health").headers


# --- The cookie -----------------------------------------------------------------------------------


def test_the_cookie_has_the_id_and_nothing_else(browser: Browser, store: Kept) -> None:
    cookie = cookie_of(browser.ask(set={"user": "Ada"}))
    assert cookie is not None
    assert len(cookie.value) == ENOUGH_FOR_AN_ID
    stored = store.load(cookie.value)
    assert stored is not None
    assert json.loads(stored.data) == {"user": "Ada"}


def test_scripts_and_other_sites_do_not_get_the_cookie(
    open_browser: Callable[..., Browser],
) -> None:
    cookie = cookie_of(open_browser(https_only=True).ask(set={"n": 1}))
    assert cookie is not None
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "lax", True)
    assert (cookie["path"], cookie["max-age"]) == ("/", str(MAX_AGE))


@pytest.mark.parametrize("id", ["", "x", "x" * ENOUGH_FOR_AN_ID, "é" * 3000, "../../etc/passwd"])
def test_an_id_that_is_none_begins_a_new_session(browser: Browser, id: str, store: Kept) -> None:
    response = browser.client.post(
        "/", json={"set": {"n": 1}}, headers=[(b"cookie", f"session_id={id}".encode())]
    )
    assert response.json() == {"n": 1}
    cookie = cookie_of(response)
    assert cookie is not None
    assert cookie.value != id


# --- Changes --------------------------------------------------------------------------------------


def test_a_change_deep_inside_is_stored(browser: Browser) -> None:
    browser.ask(set={"names": ["Ada"]})
    browser.ask(append=["names", "Grace"])
    assert browser.session() == {"names": ["Ada", "Grace"]}


def test_reading_writes_nothing(browser: Browser, store: Kept) -> None:
    browser.ask(set={"n": 1})
    assert "set-cookie" not in browser.ask().headers
    assert "set-cookie" not in browser.ask(set={"n": 1}).headers
    assert store.writes == 1


def test_a_session_that_is_cleared_and_filled_has_a_new_id(browser: Browser, store: Kept) -> None:
    before = cookie_of(browser.ask(set={"user": "nobody"}))
    after = cookie_of(browser.ask(clear={"user": "Ada"}))
    assert before is not None
    assert after is not None
    assert store.load(before.value) is None
    assert store.load(after.value) is not None


def test_a_session_that_is_ended_meanwhile_does_not_come_back(
    browser: Browser, answer: Answer, store: Kept
) -> None:
    """As by a logout in another window."""

    cookie = cookie_of(browser.ask(set={"n": 1}))
    assert cookie is not None

    async def change_what_is_ended(request: Request) -> JSONResponse:
        store.delete(cookie.value)
        request.session["n"] = 2
        return JSONResponse({})

    ended = cookie_of(answer(change_what_is_ended))
    assert ended is not None
    assert ended["max-age"] == "0"
    assert store.load(cookie.value) is None


def test_reading_does_not_undo_what_another_request_changes_meanwhile(
    browser: Browser, answer: Answer, store: Kept, clock: Clock
) -> None:
    cookie = cookie_of(browser.ask(set={"n": 1}))
    assert cookie is not None
    clock.time += MAX_AGE - 1

    async def read_what_is_changed(request: Request) -> JSONResponse:
        seen = request.session["n"]
        store.replace(cookie.value, StoredSession('{"n": 2}', 0, clock.time + 1))
        return JSONResponse(seen)

    assert answer(read_what_is_changed).json() == 1
    kept = store.load(cookie.value)
    assert kept is not None
    assert (kept.data, kept.expires_at) == ('{"n": 2}', clock.time + MAX_AGE)


# --- Time -----------------------------------------------------------------------------------------


def test_a_session_expires_though_the_table_still_has_it(
    browser: Browser, clock: Clock, store: Kept
) -> None:
    cookie = cookie_of(browser.ask(set={"n": 1}))
    clock.time += MAX_AGE
    assert browser.session() == {}
    assert cookie is not None
    assert store.load(cookie.value) is not None


@pytest.mark.parametrize("steps", [{}, {"set": {"n": 2}}], ids=["reading", "writing"])
def test_whoever_keeps_coming_keeps_the_session(
    browser: Browser, clock: Clock, steps: dict[str, Any]
) -> None:
    browser.ask(set={"n": 1})
    for _ in range(5):
        clock.time += MAX_AGE - 1
        response = browser.ask(**steps)
        cookie = cookie_of(response)
        assert response.json()["n"] in {1, 2}
        assert cookie is None or cookie["max-age"] == str(MAX_AGE)
    assert browser.session()


def test_when_it_began_stays_known(browser: Browser, clock: Clock, store: Kept) -> None:
    cookie = cookie_of(browser.ask(set={"n": 1}))
    began = clock.time
    clock.time += 10
    browser.ask(set={"n": 2})
    assert cookie is not None
    assert store.load(cookie.value) == StoredSession('{"n": 2}', began, clock.time + MAX_AGE)
