"""The session's WebSockets: move frames between the network and ``SessionProtocol``."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
)

from plldb import __version__
from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import (
    REFRESH_TOKEN_PARAMETER,
    SESSION_ID_PARAMETER,
)
from plldb.debugger.protocol import (
    Ended,
    RefreshFailed,
    RefreshGranted,
    SessionEvent,
    SessionProtocol,
    SessionState,
    Silent,
)
from plldb.debugger.tasks import TaskSet, unless_stopped
from plldb.debugger.timing import Backoff, Timing
from plldb.errors import EndpointError, PlldbError, SessionError

logger = logging.getLogger(__name__)

# API Gateway's largest message: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
_MAX_MESSAGE_BYTES = 128 * 1024
_MAX_FRAME_BYTES = 32 * 1024
_MAX_BYTES_PER_CHARACTER = 4  # in UTF-8
_ABNORMAL_CLOSURE = 1006
# Many clients that attached together do not come back together.
_REFRESH_JITTER = 0.1
_TIMING = Timing()


async def run_session(
    url: str,
    session_id: str,
    stop: asyncio.Event,
    report: Callable[[SessionEvent], None],
    first_message: str | None = None,
    timing: Timing = _TIMING,
) -> Ended:
    """Connects, reports every event but the end, and returns that, however it came.

    ``stop`` asks for it. ``first_message`` is a ``wire.instrument_message``. A used id is never
    tried again. Raises SessionError if the connection is refused, EndpointError if nobody answers.
    """
    opening = _open(url, {SESSION_ID_PARAMETER: session_id}, timing)
    # The session may be ACTIVE by now: one that opens in time can still be closed in order.
    websocket = await unless_stopped(opening, stop, grace=timing.closing)
    if websocket is None:
        return Ended(expected=True, confirmed=False, reason="stopped before it was connected")
    session = _Session(url, session_id, report, timing)
    logger.info("Session %s is connected to %s.", shortened(session_id), url)
    ended = await session.run(websocket, stop, first_message)
    logger.info("Session %s has ended: %s", shortened(session_id), ended.reason)
    return ended


class _Session:
    """Keeps a session alive, moves it to new connections in time, and ends it when asked to."""

    def __init__(
        self, url: str, session_id: str, report: Callable[[SessionEvent], None], timing: Timing
    ) -> None:
        self._url = url
        self._session_id = session_id
        self._report = report
        self._timing = timing
        self._protocol = SessionProtocol()
        self._websockets: list[ClientConnection] = []
        self._tasks = TaskSet(on_bug=self._fail)
        self._end: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._activity = asyncio.Event()
        self._token: asyncio.Future[str] | None = None
        self._move = asyncio.Lock()

    async def run(
        self, websocket: ClientConnection, stop: asyncio.Event, first_message: str | None
    ) -> Ended:
        self._report(self._protocol.opened())
        try:
            self._receive_from(websocket)
            if first_message is not None and not stop.is_set():
                await self._send(self._protocol.instrument(first_message))
                self._tasks.start(self._watch_instrumenting())
            for work in (self._stop(stop), self._keep_alive(), self._refresh_in_time()):
                self._tasks.start(work)
            return await self._end
        except asyncio.CancelledError:
            for each in self._websockets:
                each.transport.abort()
            raise
        finally:
            closing = (each.close() for each in self._websockets)
            await asyncio.gather(self._tasks.cancel(), *closing, return_exceptions=True)

    # --- Tasks ----------------------------------------------------------------

    def _fail(self, bug: BaseException) -> None:
        if not self._end.done():
            self._end.set_exception(bug)

    def _finish(self, ended: Ended | None) -> None:
        if ended is not None and not self._end.done():
            self._end.set_result(ended)

    def _receive_from(self, websocket: ClientConnection) -> int:
        """Another connection to receive from; its number."""
        self._websockets.append(websocket)
        number = len(self._websockets) - 1
        self._tasks.start(self._receive(number, websocket))
        return number

    async def _receive(self, number: int, websocket: ClientConnection) -> None:
        try:
            while not self._end.done():
                self._handle_frame(await websocket.recv(), number)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else _ABNORMAL_CLOSURE
            reason = closed.rcvd.reason if closed.rcvd else ""
            self._finish(self._protocol.connection_closed(number, code, reason))

    def _handle_frame(self, frame: str | bytes, number: int) -> None:
        event = self._protocol.received(frame, number)
        match event:
            case Ended():
                self._finish(event)
            case RefreshGranted(token):
                if self._token is not None and not self._token.done():
                    self._token.set_result(token)
            case _:
                self._report(event)
        self._activity.set()

    async def _send(self, frames: list[str]) -> None:
        # Whoever receives from it tells of its end.
        with suppress(ConnectionClosed):
            for frame in frames:
                await self._websockets[self._protocol.current].send(_split_into_frames(frame))

    async def _keep_alive(self) -> None:
        """API Gateway drops a connection that is idle for 10 minutes, a session lives one hour."""
        while True:
            await asyncio.sleep(self._timing.heartbeat)
            await self._send([wire.heartbeat_message()])

    async def _watch_instrumenting(self) -> None:
        while not self._protocol.is_ready:
            if not await self._hears_within(self._timing.silence):
                self._report(Silent(self._timing.silence))
                return

    async def _stop(self, stop: asyncio.Event) -> None:
        """Once asked to, closes the session; then the connection, if the server falls silent."""
        await stop.wait()
        with suppress(TimeoutError):
            # To the connection that has the session, not to the one that is losing it.
            async with asyncio.timeout(self._timing.closing), self._move:
                pass
        await self._send(self._protocol.stop())
        while self._protocol.state is SessionState.CLOSING:
            if not await self._hears_within(self._timing.closing):
                await self._websockets[self._protocol.current].close()
                return

    async def _hears_within(self, seconds: float) -> bool:
        """Whether anything arrives."""
        self._activity.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._activity.wait()
        except TimeoutError:
            return False
        return True

    # --- Moving to a new connection -------------------------------------------

    async def _refresh_in_time(self) -> None:
        """API Gateway ends every connection after 2 hours."""
        while True:
            jitter = _REFRESH_JITTER * random.random()  # nosec B311  # noqa: S311 - no secret
            age = self._timing.refresh * (1 - jitter)
            await asyncio.sleep(age)
            backoff = Backoff(self._timing.first_retry, self._timing.longest_retry, random.random)
            while (problem := await self._refresh()) is not None:
                delay = backoff.delay(elapsed=0) or 0.0
                logger.info("The connection could not be replaced: %s", problem)
                self._report(RefreshFailed(problem, delay))
                await asyncio.sleep(delay)

    async def _refresh(self) -> str | None:
        """Moves the session to a new connection; why not, if it fails."""
        while not self._protocol.is_ready:
            await self._hears_within(self._timing.silence)
        try:
            token = await self._ask_for_token()
            async with self._move:
                if self._protocol.state is SessionState.ATTACHED:
                    await self._move_with(token)
        except PlldbError as error:
            return error.message
        except TimeoutError:
            return "the helper stack does not answer"
        return None

    async def _ask_for_token(self) -> str:
        self._token = asyncio.get_running_loop().create_future()
        await self._send(self._protocol.request_refresh())
        async with asyncio.timeout(self._timing.answer):
            return await self._token

    async def _move_with(self, token: str) -> None:
        self._protocol.moving()
        parameters = {SESSION_ID_PARAMETER: self._session_id, REFRESH_TOKEN_PARAMETER: token}
        try:
            websocket = await _open(self._url, parameters, self._timing)
        except PlldbError:
            self._finish(self._protocol.not_moved())
            raise
        logger.info("Session %s moves to a new connection.", shortened(self._session_id))
        old = self._websockets[self._protocol.current]
        self._report(self._protocol.moved(self._receive_from(websocket)))
        self._tasks.start(self._retire(old))

    async def _retire(self, websocket: ClientConnection) -> None:
        """What was being posted to it when the session moved still arrives."""
        await asyncio.sleep(self._timing.grace)
        await websocket.close()


def _split_into_frames(message: str) -> list[str]:
    """The message in pieces that each fit into a frame."""
    step = _MAX_FRAME_BYTES // _MAX_BYTES_PER_CHARACTER
    return [message[start : start + step] for start in range(0, len(message), step)]


async def _open(url: str, parameters: dict[str, str], timing: Timing) -> ClientConnection:
    try:
        return await connect(
            f"{url}?{urlencode(parameters)}",
            open_timeout=timing.opening,
            close_timeout=timing.closing,
            ping_interval=timing.ping,
            ping_timeout=timing.ping,
            max_size=_MAX_MESSAGE_BYTES,
            user_agent_header=f"plldb/{__version__}",
        )
    except InvalidStatus as error:
        # `from None`: the cause would quote the URL, and so the session's id.
        raise _make_refusal_error(url, error.response.status_code) from None
    except (InvalidURI, ValueError):
        # Of a redirect, or of the stack's outputs; both exceptions would quote the id.
        raise EndpointError(
            f"The WebSocket API at {url} is, or leads to, no WebSocket URL.",
            "Run 'plldb bootstrap' to repair the API.",
        ) from None
    except (InvalidProxy, ImportError) as error:
        # It goes through the system's proxies; those of SOCKS take a package more. The proxy's
        # URL may hold a password.
        reason = error.msg if isinstance(error, InvalidProxy) else str(error)
        raise EndpointError(
            f"The WebSocket API at {url} can't be reached through a proxy: {reason}.",
            "Mend the proxy settings of this system or HTTPS_PROXY, name the host in NO_PROXY, "
            "or, for SOCKS: pip install python-socks",
        ) from None
    except (InvalidHandshake, OSError, TimeoutError) as error:
        raise EndpointError(
            f"The WebSocket API at {url} does not answer: {str(error) or 'timed out'}.",
            "Check the network and --region, or the emulator: plldb local status",
        ) from None


def _make_refusal_error(url: str, status: int) -> SessionError:
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
