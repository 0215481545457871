"""The session's WebSocket: moves frames between the network and ``SessionProtocol``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from plldb import __version__
from plldb.bootstrap.cloudformation.lambda_functions import messages
from plldb.bootstrap.cloudformation.lambda_functions.messages import SESSION_ID_PARAMETER
from plldb.debugger.protocol import Ended, Event, SessionProtocol, State
from plldb.errors import ConnectionLostError, EndpointError, SessionError

# The authorizer and $connect may both have to start first.
_OPEN_SECONDS = 30
# Without a word from the server; restoring many functions takes longer, but tells of each.
_CLOSE_SECONDS = 10
_HEARTBEAT_SECONDS = 5 * 60
# API Gateway's largest message: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
_MAX_MESSAGE_BYTES = 128 * 1024
_MAX_FRAME_BYTES = 32 * 1024
_MAX_BYTES_PER_CHARACTER = 4  # in UTF-8
_ABNORMAL_CLOSURE = 1006


async def run_session(
    url: str,
    session_id: str,
    stop: asyncio.Event,
    report: Callable[[Event], None],
    first_message: str | None = None,
) -> Ended:
    """Connects, reports every event, and returns when the session ended as the user wished.

    ``stop`` asks for that. A used id is never tried again. Raises SessionError if the connection
    is refused, EndpointError if nobody answers, ConnectionLostError if it ends unasked.
    """
    websocket = await _open_unless_stopped(url, session_id, stop)
    if websocket is None:
        ended = Ended(expected=True, confirmed=False, reason="stopped before it was connected")
        report(ended)
        return ended
    async with websocket:
        session = _Session(websocket, report)
        ended = await session.run(stop, first_message)
    report(ended)
    if not ended.expected:
        raise ConnectionLostError(
            f"The session ended: {ended.reason}.", "Run 'plldb attach' again for a new session."
        )
    return ended


class _Session:
    """One open connection: receives, keeps it alive, and closes it when asked to."""

    def __init__(self, websocket: ClientConnection, report: Callable[[Event], None]) -> None:
        self._websocket = websocket
        self._report = report
        self._protocol = SessionProtocol()
        self._activity = asyncio.Event()

    async def run(self, stop: asyncio.Event, first_message: str | None) -> Ended:
        self._report(self._protocol.opened())
        tasks = [asyncio.create_task(self._stop(stop)), asyncio.create_task(self._keep_alive())]
        try:
            return await self._receive(None if stop.is_set() else first_message)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, first_message: str | None) -> Ended:
        """Reports what arrives until the session ends."""
        try:
            if first_message is not None:
                await self._websocket.send(_frames(first_message))
            while True:
                event = self._protocol.received(await self._websocket.recv())
                self._activity.set()
                if isinstance(event, Ended):
                    return event
                self._report(event)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else _ABNORMAL_CLOSURE
            reason = closed.rcvd.reason if closed.rcvd else ""
            return self._protocol.connection_closed(code, reason)

    async def _keep_alive(self) -> None:
        """API Gateway drops a connection that is idle for 10 minutes, a session lives one hour."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            await self._websocket.send(messages.heartbeat_request())

    async def _stop(self, stop: asyncio.Event) -> None:
        """Once asked to, closes the session; then the connection, if the server falls silent."""
        await stop.wait()
        for frame in self._protocol.stop():
            await self._websocket.send(frame)
        while self._protocol.state is State.CLOSING:
            self._activity.clear()
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._activity.wait()
            except TimeoutError:
                await self._websocket.close()
                return


def _frames(message: str) -> list[str]:
    """The message in pieces that each fit into a frame."""
    step = _MAX_FRAME_BYTES // _MAX_BYTES_PER_CHARACTER
    return [message[start : start + step] for start in range(0, len(message), step)]


async def _open_unless_stopped(
    url: str, session_id: str, stop: asyncio.Event
) -> ClientConnection | None:
    opening = asyncio.create_task(_open(url, session_id))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        # The session may be ACTIVE by now: one that opens in time can still be closed in order.
        await asyncio.wait({opening}, timeout=_CLOSE_SECONDS)
        if stop.is_set() and (not opening.done() or opening.exception() is not None):
            return None
        return await opening
    finally:
        stopping.cancel()
        opening.cancel()
        await asyncio.gather(opening, stopping, return_exceptions=True)


async def _open(url: str, session_id: str) -> ClientConnection:
    try:
        return await connect(
            f"{url}?{urlencode({SESSION_ID_PARAMETER: session_id})}",
            open_timeout=_OPEN_SECONDS,
            close_timeout=_CLOSE_SECONDS,
            max_size=_MAX_MESSAGE_BYTES,
            user_agent_header=f"plldb/{__version__}",
        )
    except InvalidStatus as error:
        # `from None`: the cause would quote the URL, and so the session's id.
        raise _refusal(url, error.response.status_code) from None
    except (InvalidURI, ValueError):
        # Of a redirect, or of the stack's outputs; both exceptions would quote the id.
        raise EndpointError(
            f"The WebSocket API at {url} is, or leads to, no WebSocket URL.",
            "Run 'plldb bootstrap' to repair the API.",
        ) from None
    except (InvalidHandshake, OSError, TimeoutError) as error:
        raise EndpointError(
            f"The WebSocket API at {url} does not answer: {str(error) or 'timed out'}.",
            "Check the network and --region, or the emulator: plldb local status",
        ) from None


def _refusal(url: str, status: int) -> SessionError:
    what = f"The WebSocket API at {url} refused the connection with {status}"
    match status:
        case 401:
            return SessionError(
                f"{what}: it saw no session id.", "Run 'plldb bootstrap' to repair the API."
            )
        case 403:
            return SessionError(
                f"{what}: the session is unknown to it, expired or used already.",
                "Run 'plldb attach' again for a new session.",
            )
        case 429:
            return SessionError(f"{what}: too many connections.", "Wait a moment, then try again.")
    return SessionError(f"{what}.", "The log group /plldb/<helper stack> says why.")
