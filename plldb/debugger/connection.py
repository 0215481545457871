"""The session's WebSocket: moves bytes between the network and ``SessionProtocol``, on time."""

from __future__ import annotations

import asyncio
import logging
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
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import SESSION_ID_PARAMETER
from plldb.debugger.protocol import Ended, SessionEvent, SessionProtocol
from plldb.debugger.tasks import TaskSet, unless_stopped
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError, SessionError

logger = logging.getLogger(__name__)

# API Gateway's largest message: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
_MAX_MESSAGE_BYTES = 128 * 1024
_ABNORMAL_CLOSURE = 1006


class SessionConnection:
    """One WebSocket for one session. Use it from one event loop.

    ``report`` is told each event but the end, which is the result of ``run``.
    """

    def __init__(
        self,
        websocket: ClientConnection,
        protocol: SessionProtocol,
        report: Callable[[SessionEvent], None],
        timing: Timing,
    ) -> None:
        self._websocket = websocket
        self._protocol = protocol
        self._report = report
        self._timing = timing
        self._wake = asyncio.Event()
        self._turn = asyncio.Event()
        self._end: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        protocol.wake = self._wake.set

    @property
    def session_id(self) -> str:
        return self._protocol.session_id

    def send(self, frame: str) -> None:
        """Sends a message of ``wire``; it is lost if the session has ended."""
        self._protocol.send(frame)

    def stop(self) -> None:
        """Asks the server to close the session."""
        self._protocol.stop(_now())
        self._tell()

    async def run(self) -> Ended:
        """The end of the session, however it came. Cancelled, it hangs up at once."""
        self._protocol.opened(_now())
        self._tell()
        tasks = TaskSet(on_bug=self._fail)
        try:
            for work in (self._receive(), self._send_frames(), self._keep_time(), self._ping()):
                tasks.start(work)
            ended = await self._end
        except asyncio.CancelledError:
            self._websocket.transport.abort()
            raise
        finally:
            await tasks.cancel()
        await self._websocket.close()
        return ended

    async def retire(self) -> None:
        """Hangs up after a while, without a word: another session has taken over.

        What was being posted to this connection meanwhile still arrives.
        """
        await asyncio.sleep(self._timing.grace)
        await self._websocket.close()

    # --- Tasks ------------------------------------------------------------------------------------

    def _fail(self, bug: BaseException) -> None:
        if not self._end.done():
            self._end.set_exception(bug)

    def _tell(self) -> None:
        """Passes on what came of a call to the protocol."""
        for event in self._protocol.take_events():
            if not isinstance(event, Ended):
                self._report(event)
            elif not self._end.done():
                self._end.set_result(event)
        self._wake.set()
        self._turn.set()

    async def _receive(self) -> None:
        try:
            while True:
                frame = await self._websocket.recv()
                self._protocol.receive(frame, _now())
                self._tell()
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else _ABNORMAL_CLOSURE
            self._protocol.lose(code, closed.rcvd.reason if closed.rcvd else "")
            self._tell()

    async def _send_frames(self) -> None:
        # Whoever receives tells of the connection's end.
        with suppress(ConnectionClosed):
            while True:
                await self._wake.wait()
                self._wake.clear()
                for frame in self._protocol.take_frames():
                    # One whole frame: API Gateway's documentation knows no other.
                    await self._websocket.send(frame)

    async def _keep_time(self) -> None:
        while True:
            due = self._protocol.due
            delay = None if due is None else max(0.0, due - _now())
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    # Whatever happens may change what is due.
                    await self._turn.wait()
            self._turn.clear()
            if due is not None and _now() >= due:
                self._protocol.advance(_now())
                self._tell()

    async def _ping(self) -> None:
        """Finds out early that the network is dead.

        No text of AWS's promises that pings are answered: a missing pong counts only once there
        was one. The heartbeat is the sign of life that always counts.
        """
        has_ponged = False
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._timing.ping)
                pong = await self._websocket.ping()
                try:
                    async with asyncio.timeout(self._timing.ping):
                        await pong
                except TimeoutError:
                    if has_ponged:
                        break
                else:
                    has_ponged = True
        logger.info("Session %s: a ping was not answered.", shortened(self.session_id))
        self._websocket.transport.abort()


async def open_session(
    url: str,
    protocol: SessionProtocol,
    report: Callable[[SessionEvent], None],
    stop: asyncio.Event,
    timing: Timing,
) -> SessionConnection | None:
    """Connects; None if ``stop`` is set before. A used id is never tried again.

    Raises SessionError if the connection is refused, EndpointError if nobody answers.
    """
    parameters = {SESSION_ID_PARAMETER: protocol.session_id}
    # The session may be ACTIVE by now: one that opens in time can still be closed in order.
    websocket = await unless_stopped(_open(url, parameters, timing), stop, timing.closing)
    return None if websocket is None else SessionConnection(websocket, protocol, report, timing)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _open(url: str, parameters: dict[str, str], timing: Timing) -> ClientConnection:
    try:
        return await connect(
            f"{url}?{urlencode(parameters)}",
            open_timeout=timing.opening,
            close_timeout=timing.closing,
            # See SessionConnection._ping.
            ping_interval=None,
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
