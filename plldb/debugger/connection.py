"""The session's WebSocket: moves frames between the network and ``SessionProtocol``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from plldb import __version__
from plldb.bootstrap.cloudformation.lambda_functions.messages import SESSION_ID_PARAMETER
from plldb.debugger.protocol import Ended, Event, SessionProtocol, State
from plldb.errors import ConnectionLostError, EndpointError, SessionError

# The authorizer and $connect may both have to start first.
_OPEN_SECONDS = 30
_CLOSE_SECONDS = 5
# API Gateway's largest message: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
_MAX_MESSAGE_BYTES = 128 * 1024
_ABNORMAL_CLOSURE = 1006


async def run_session(
    url: str, session_id: str, stop: asyncio.Event, report: Callable[[Event], None]
) -> Ended:
    """Connects, reports every event, and returns when the session ended as the user wished.

    ``stop`` asks for that. A used id is never tried again. Raises SessionError if the connection
    is refused, EndpointError if nobody answers, ConnectionLostError if it ends unasked.
    """
    async with await _open(url, session_id) as websocket:
        protocol = SessionProtocol()
        report(protocol.opened())
        stopping = asyncio.create_task(_stop(websocket, protocol, stop))
        try:
            ended = await _receive(websocket, protocol, report)
        finally:
            stopping.cancel()
    report(ended)
    if not ended.expected:
        raise ConnectionLostError(
            f"The session ended: {ended.reason}.", "Run 'plldb attach' again for a new session."
        )
    return ended


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


async def _receive(
    websocket: ClientConnection, protocol: SessionProtocol, report: Callable[[Event], None]
) -> Ended:
    """Reports what arrives until the session ends."""
    try:
        while True:
            event = protocol.received(await websocket.recv())
            if isinstance(event, Ended):
                return event
            report(event)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else _ABNORMAL_CLOSURE
        reason = closed.rcvd.reason if closed.rcvd else ""
        return protocol.connection_closed(code, reason)


async def _stop(
    websocket: ClientConnection, protocol: SessionProtocol, stop: asyncio.Event
) -> None:
    """Once asked to, closes the session; then the connection, if no answer comes in time."""
    await stop.wait()
    for frame in protocol.stop():
        await websocket.send(frame)
    await asyncio.sleep(_CLOSE_SECONDS)
    if protocol.state is State.CLOSING:
        await websocket.close()
