"""The page's files, and what it asks for, as an application of starlette's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from plldb.errors import PlldbError, ReplayError
from plldb.inspector.feed import Feed
from plldb.inspector.keeping import Keeping
from plldb.inspector.listing import Search, describe, get_answer, get_event, list_page
from plldb.inspector.reruns import Reruns
from plldb.inspector.run_difference import describe_difference
from plldb.replay.history import History, Invocation

STATIC = Path(__file__).with_name("static")
_INDEX = "index.html"
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_LONGEST_PAGE = 500
# An event of 6 MB may need more as a string in JSON.
_MAX_BODY_BYTES = 16 * 1024 * 1024
_GONE = "It is not kept any more."


@dataclass(frozen=True)
class Site:
    """``ignore`` are places that may differ, beside those that are shown as differences."""

    history: History
    reruns: Reruns
    keeping: Keeping
    feed: Feed
    ignore: Sequence[str] = ()

    def make_application(self) -> Starlette:
        files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in _KINDS}
        return Starlette(
            routes=[
                Route("/", _make_file_endpoint(_INDEX, files[_INDEX])),
                *(
                    Route(f"/{name}", _make_file_endpoint(name, content))
                    for name, content in files.items()
                ),
                Route("/api/invocations", self._list),
                Route("/api/invocation", self._describe),
                Route("/api/payload", self._send_payload),
                Route("/api/difference", self._compare),
                Route("/api/changes", self._stream),
                Route("/api/replay", self._replay, methods=["POST"]),
                Route("/api/save", self._save, methods=["POST"]),
            ],
            exception_handlers={PlldbError: _explain},
        )

    # --- What is shown ----------------------------------------------------------------------------
    # What may take its time is done in a thread: the page goes on meanwhile.

    async def _list(self, request: Request) -> Response:
        asked = request.query_params
        search = Search(asked.get("function", ""), asked.get("outcome", ""), asked.get("text", ""))
        count = _read_limit(asked.get("limit", ""))
        page = await asyncio.to_thread(
            list_page, self.history, search, asked.get("before", ""), count
        )
        return _send_json(page)

    async def _describe(self, request: Request) -> Response:
        return _send_json(describe(self._find(request.query_params.get("id", ""))))

    async def _send_payload(self, request: Request) -> Response:
        """The whole of it, as the text that it is."""
        invocation = self._find(request.query_params.get("id", ""))
        match request.query_params.get("part"):
            case "event":
                return _send_text(get_event(invocation) or "")
            case "answer":
                return _send_text(get_answer(invocation) or "")
            case "log":
                return _send_text("\n".join(line.text for line in invocation.output))
        raise ReplayError("There is no such part.", "Reload the page.")

    async def _compare(self, request: Request) -> Response:
        left, right = (self._find(request.query_params.get(side, "")) for side in ("left", "right"))
        found = await asyncio.to_thread(describe_difference, left, right, self.ignore)
        return _send_json(found)

    async def _stream(self, _: Request) -> Response:
        return StreamingResponse(self.feed.read(), media_type="text/event-stream")

    # --- What is done -----------------------------------------------------------------------------

    async def _replay(self, request: Request) -> Response:
        body = await _read(request)
        event = body.get("event")
        if event is not None and not isinstance(event, str):
            raise ReplayError("The event has to be JSON, as text.", "Reload the page.")
        return _send_json({"id": self.reruns.start(self._find(body.get("id")), event)})

    async def _save(self, request: Request) -> Response:
        body = await _read(request)
        kind, name, expect = (str(body.get(key) or "") for key in ("kind", "name", "expect"))
        invocation = self._find(body.get("id"))
        path = await asyncio.to_thread(
            self.keeping.keep, invocation, kind, name, expect or "answer"
        )
        return _send_json({"path": str(path)})

    def _find(self, id_: object) -> Invocation:
        found = self.history.get(id_) if isinstance(id_, str) else None
        if found is None:
            raise ReplayError(_GONE, "Choose another one.")
        return found


def _read_limit(text: str) -> int:
    """How many to list: one at least, so that there is a last one."""
    try:
        return max(1, min(int(text or 100), _LONGEST_PAGE))
    except ValueError:
        return 100


def _make_file_endpoint(name: str, content: bytes) -> Callable[[Request], Awaitable[Response]]:
    media_type = _KINDS[Path(name).suffix]

    async def send_file(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return send_file


def _send_json(value: Any, status: int = 200) -> Response:
    """In ASCII: output may have half a character, which JSON can tell and UTF-8 can't."""
    return Response(json.dumps(value), status, media_type="application/json")


def _send_text(text: str) -> Response:
    return Response(text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8")


async def _read(request: Request) -> dict[str, Any]:
    """The object that was sent. Raises ReplayError."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ReplayError("That is no JSON.", "Reload the page.")
    body = bytearray()
    length = 0
    # To its end in any case: who still sends does not hear what is said.
    async for chunk in request.stream():
        length += len(chunk)
        if length <= _MAX_BODY_BYTES:
            body += chunk
    if length > _MAX_BODY_BYTES:
        raise ReplayError("That is too long.", "An event has 6 MB at most.")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ReplayError("That is no JSON object.", "Reload the page.")
    return value


async def _explain(_: Request, error: Exception) -> Response:
    assert isinstance(error, PlldbError)
    return _send_json({"error": error.message, "hint": error.hint}, 400)
