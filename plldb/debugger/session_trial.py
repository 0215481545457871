"""Opens a session as ``plldb attach`` does, touches no function, and closes it again.

What is found out is what no emulator and no document can tell of a helper stack on AWS: how long
each step takes from here, whether messages pass that come in several frames, and whether pings are
answered, of which AWS's documentation says nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.connection import open_websocket, split_message
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError, PlldbError

_HEARTBEATS = 5
# Well over a frame, which may have 32 KB, and under a message, which may have 128.
_LARGE_BYTES = 100_000
_PONG_SECONDS = 5.0


class SessionApi(Protocol):
    """What is asked of the management API."""

    def create_session(self, stack_name: str) -> str: ...

    def close_session(self, session_id: str, stack_name: str | None = None) -> object: ...

    def close_sessions(self, stack_name: str) -> object: ...


@dataclass(frozen=True)
class SessionTrial:
    """How long each step took, in seconds; ``heartbeats`` in the order in which they were sent."""

    creating: float
    connecting: float
    heartbeats: tuple[float, ...]
    large_message: float
    closing: float
    answers_pings: bool


def try_session(
    api: SessionApi,
    url: str,
    stack_name: str | None,
    timing: Timing,
    ca_bundle: Path | None = None,
) -> SessionTrial:
    """``url`` is the WebSocket API's; without a stack's name, it is a session of one that is not.

    Raises AccessDeniedError, EndpointError or SessionError, whatever step it is; the session is
    closed in any case, also by Ctrl-C. If this process is killed, its connection ends, and with it
    the session, or else the session expires, since nobody has connected to it. No function knows of
    it.
    """
    creating, session_id = _Stopwatch(), None
    name = stack_name or f"plldb-doctor-{uuid.uuid4().hex[:8]}"
    try:
        with creating:
            session_id = api.create_session(name)
        return asyncio.run(_talk(url, session_id, creating.seconds, timing, ca_bundle))
    except KeyboardInterrupt:
        if session_id is None and stack_name is None:
            # It may be there, and nobody was told its id. No other is of a stack of that name.
            with suppress(PlldbError):
                api.close_sessions(name)
        raise
    finally:
        # It is closed already, if all went well.
        if session_id is not None:
            with suppress(PlldbError):
                api.close_session(session_id, name)


async def _talk(
    url: str, session_id: str, creating: float, timing: Timing, ca_bundle: Path | None
) -> SessionTrial:
    connecting, large, closing = _Stopwatch(), _Stopwatch(), _Stopwatch()
    with connecting:
        parameters = {wire.SESSION_ID_PARAMETER: session_id}
        websocket = await open_websocket(url, parameters, timing, ca_bundle)
    try:
        with _explaining(url):
            heartbeats = [await _beat(websocket, session_id, timing) for _ in range(_HEARTBEATS)]
            with large:
                padded = json.dumps({"action": "none", "padding": "x" * _LARGE_BYTES})
                await _ask(websocket, padded, wire.MessageType.ERROR, timing)
            answers_pings = await _answers_pings(websocket)
            with closing:
                close = wire.close_message(session_id)
                await _ask(websocket, close, wire.MessageType.CLOSED, timing)
    finally:
        with suppress(ConnectionClosed):
            await websocket.close()
    return SessionTrial(
        creating=creating,
        connecting=connecting.seconds,
        heartbeats=tuple(heartbeats),
        large_message=large.seconds,
        closing=closing.seconds,
        answers_pings=answers_pings,
    )


async def _beat(websocket: ClientConnection, session_id: str, timing: Timing) -> float:
    watch = _Stopwatch()
    with watch:
        message = wire.heartbeat_message(session_id)
        await _ask(websocket, message, wire.MessageType.HEARTBEAT, timing)
    return watch.seconds


async def _ask(
    websocket: ClientConnection, message: str, expected: wire.MessageType, timing: Timing
) -> None:
    await websocket.send(split_message(message))
    async with asyncio.timeout(timing.answer):
        answer: Any = json.loads(await websocket.recv())
    kind = answer.get("type") if isinstance(answer, dict) else None
    if kind != expected:
        raise EndpointError(
            f"The helper stack answered {kind!r} where {expected.value!r} was expected.",
            "Its log group says why; 'plldb bootstrap' brings it up to date.",
        )


async def _answers_pings(websocket: ClientConnection) -> bool:
    pong = asyncio.ensure_future(await websocket.ping())
    answered, _ = await asyncio.wait({pong}, timeout=_PONG_SECONDS)
    return bool(answered)


@contextmanager
def _explaining(url: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise EndpointError(
            f"The helper stack behind {url} did not answer in time.",
            "Its log group says whether the message came.",
        ) from None
    except ConnectionClosed as error:
        # Its text has the close code and reason, and no id.
        raise EndpointError(
            f"{url} closed the connection: {error}.", "Its log group may say why."
        ) from None


class _Stopwatch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
