"""``request.session``, as of Starlette's SessionMiddleware, kept by a store instead of a cookie.

    app.add_middleware(SessionMiddleware, store=open_store("sessions"), max_age=3600)

    request.session["user"] = {"name": "Ada"}
    request.session.clear()

- The cookie has an id of 256 random bits, and nothing else.
- What has changed is stored before the answer begins, nested values included. Of two requests that
  change a session at once, the last one wins; one that only reads changes nothing.
- A session lives for ``max_age`` seconds after its last change. When half of that time is over,
  any request prolongs it as well, so that reading keeps it alive.
- An emptied session is deleted, with its cookie. One that is cleared and filled again gets a new
  id, so that nobody is logged in under an id that was planted on them: clear it at a login.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arena.sessions.stores import SessionStore, StoredSession

_ID_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class Session(dict[str, Any]):
    """A dictionary that knows whether it was cleared, and whether Starlette gave it to somebody."""

    accessed = False
    cleared = False

    def mark_accessed(self) -> None:
        self.accessed = True

    def clear(self) -> None:
        self.cleared = True
        super().clear()


@dataclass(frozen=True)
class _Known:
    """A session that a request came with."""

    id: str
    stored: StoredSession


class SessionMiddleware:
    """Parameters are called as Starlette's; ``now`` is in seconds since the epoch."""

    def __init__(
        self,
        app: ASGIApp,
        store: SessionStore,
        session_cookie: str = "session_id",
        max_age: int = 60 * 60,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool = False,
        domain: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._store = store
        self._cookie = session_cookie
        self._max_age = max_age
        self._now = now
        self._attributes = [
            f"Path={path}",
            "HttpOnly",
            f"SameSite={same_site}",
            *(["Secure"] if https_only else []),
            *([f"Domain={domain}"] if domain is not None else []),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        known = await self._find(HTTPConnection(scope).cookies.get(self._cookie, ""))
        session = Session(json.loads(known.stored.data) if known else {})
        scope["session"] = session

        async def send_after_storing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                cookie = await self._keep(session, known)
                if cookie is not None:
                    headers.append("Set-Cookie", cookie)
                if session.accessed or cookie is not None:
                    headers.add_vary_header("Cookie")
            await send(message)

        await self._app(scope, receive, send_after_storing)

    async def _find(self, session_id: str) -> _Known | None:
        if not _ID.fullmatch(session_id):
            return None
        stored = await run_in_threadpool(self._store.load, session_id)
        if stored is None or stored.expires_at <= self._now():
            return None
        return _Known(session_id, stored)

    async def _keep(self, session: Session, known: _Known | None) -> str | None:
        """Stores what is to be stored; the cookie that says so, if there is something to say."""
        if known is not None and (session.cleared or not session):
            await run_in_threadpool(self._store.delete, known.id)
        if not session:
            return self._write_cookie("", 0) if known is not None else None
        data = json.dumps(session)
        if known is None or session.cleared:
            return await self._create(data)
        if data != known.stored.data:
            return await self._replace(data, known)
        if self._is_half_over(known.stored):
            return await self._prolong(known)
        return None

    async def _create(self, data: str) -> str:
        session_id = secrets.token_urlsafe(_ID_BYTES)
        stored = StoredSession(data, int(self._now()), self._end())
        await run_in_threadpool(self._store.create, session_id, stored)
        return self._write_cookie(session_id, self._max_age)

    async def _replace(self, data: str, known: _Known) -> str:
        stored = StoredSession(data, known.stored.created_at, self._end())
        was_there = await run_in_threadpool(self._store.replace, known.id, stored)
        return self._write_cookie_of(known, was_there)

    async def _prolong(self, known: _Known) -> str:
        was_there = await run_in_threadpool(self._store.prolong, known.id, self._end())
        return self._write_cookie_of(known, was_there)

    def _end(self) -> int:
        return int(self._now()) + self._max_age

    def _is_half_over(self, stored: StoredSession) -> bool:
        return stored.expires_at - self._now() < self._max_age / 2

    def _write_cookie_of(self, known: _Known, was_there: bool) -> str:
        if not was_there:
            return self._write_cookie("", 0)
        return self._write_cookie(known.id, self._max_age)

    def _write_cookie(self, value: str, max_age: int) -> str:
        return "; ".join([f"{self._cookie}={value}", f"Max-Age={max_age}", *self._attributes])
