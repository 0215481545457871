"""The session's WebSocket: moves bytes between the network and ``SessionProtocol``, on time."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
)

from plldb import __version__
from plldb.bootstrap.cloudformation.lambda_functions.shared.constants import MAX_FRAME_BYTES
from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import SESSION_ID_PARAMETER
from plldb.certificates import make_tls_context
from plldb.debugger.protocol import Ended, SessionEvent, SessionProtocol
from plldb.debugger.tasks import TaskSet, unless_stopped
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError, SessionError
from plldb.network_refusals import find_vpc_refusal, refuse_by_proxy, refuse_certificate
from plldb.proxies import find_websocket_proxy

logger = logging.getLogger(__name__)

# API Gateway's largest message: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
_MAX_RECEIVED_BYTES = 128 * 1024
_ABNORMAL_CLOSURE = 1006


class SessionConnection:
    """One WebSocket for one session. Use it from one event loop.

    ``report`` is told each event, also the end, which is the result of ``run``.
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
        # There are frames to send; what is due next may have changed.
        self._wake = asyncio.Event()
        self._turn = asyncio.Event()
        self._end: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        protocol.wake = self._wake.set

    def send(self, frame: str) -> None:
        """Sends a message of ``wire``; it is lost if the connection is."""
        self._protocol.send(frame)

    def stop(self) -> None:
        """Asks the server to close the session."""
        self._protocol.stop(_now())
        self._tell()

    def instrument_again(self, functions: Iterable[str]) -> None:
        """Asks for functions that were deployed again, or are new."""
        self._protocol.instrument_again(functions, _now())
        self._tell()

    def retire(self) -> None:
        """Hangs up after a while: another session has taken over."""
        self._protocol.retire(_now())
        self._tell()

    async def run(self) -> Ended:
        """The end of the session, however it came. Cancelled, it hangs up at once."""
        tasks = TaskSet(on_bug=self._fail)
        try:
            self._protocol.opened(_now())
            self._tell()
            for work in (self._receive(), self._send_frames(), self._keep_time(), self._ping()):
                tasks.start(work)
            ended = await self._end
            await tasks.cancel()
            await self._say_farewell()
        finally:
            self._websocket.transport.abort()
            await tasks.cancel()
            await self._websocket.wait_closed()
        return ended

    # --- Tasks ------------------------------------------------------------------------------------

    def _fail(self, bug: BaseException) -> None:
        if not self._end.done():
            self._end.set_exception(bug)

    def _tell(self) -> None:
        """Passes on what came of a call to the protocol."""
        for event in self._protocol.take_events():
            self._report(event)
            if isinstance(event, Ended) and not self._end.done():
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
                await self._send_what_waits()

    async def _send_what_waits(self) -> None:
        while (frame := self._protocol.take_frame()) is not None:
            await self._websocket.send(split_message(frame))

    async def _keep_time(self) -> None:
        while True:
            due = self._protocol.due
            delay = None if due is None else max(0.0, due - _now())
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
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
                pong = asyncio.ensure_future(await self._websocket.ping())
                answered, _ = await asyncio.wait({pong}, timeout=self._timing.ping)
                if has_ponged and not answered:
                    break
                has_ponged = bool(answered)
            session = shortened(self._protocol.session_id)
            logger.info("session %s: a ping was not answered", session)
            self._websocket.transport.abort()

    async def _say_farewell(self) -> None:
        """Sends what waits, and hangs up; not longer than that makes sense."""
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(self._timing.hanging_up):
                await self._send_what_waits()
                await self._websocket.close()


def split_message(frame: str) -> str | list[str]:
    """One whole frame, where it fits one: of other forms, API Gateway's documentation says nothing.

    Messages are ASCII. All but those that name hundreds of functions are short enough.
    """
    if len(frame) <= MAX_FRAME_BYTES:
        return frame
    starts = range(0, len(frame), MAX_FRAME_BYTES)
    return [frame[start : start + MAX_FRAME_BYTES] for start in starts]


async def open_session(
    url: str,
    protocol: SessionProtocol,
    report: Callable[[SessionEvent], None],
    stop: asyncio.Event,
    timing: Timing,
    ca_bundle: Path | None = None,
) -> SessionConnection | None:
    """Connects; None if ``stop`` is set before. A used id is never tried again.

    ``ca_bundle`` is a file with the certificates to trust.

    Raises SessionError if the connection is refused, EndpointError if nobody answers.
    """
    parameters = {SESSION_ID_PARAMETER: protocol.session_id}
    # The session may be ACTIVE by now: one that opens in time can still be closed in order.
    websocket = await unless_stopped(
        open_websocket(url, parameters, timing, ca_bundle), stop, timing.closing
    )
    return None if websocket is None else SessionConnection(websocket, protocol, report, timing)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def open_websocket(
    url: str, parameters: dict[str, str], timing: Timing, ca_bundle: Path | None
) -> ClientConnection:
    """Connects as a debugger does. Raises SessionError if refused, EndpointError if unanswered."""
    try:
        return await connect(
            f"{url}?{urlencode(parameters)}",
            open_timeout=timing.opening,
            close_timeout=timing.hanging_up,
            **(_make_tls_options(url, ca_bundle) if url.startswith("wss://") else {}),
            # See SessionConnection._ping.
            ping_interval=None,
            # API Gateway has none.
            compression=None,
            max_size=_MAX_RECEIVED_BYTES,
            user_agent_header=f"plldb/{__version__}",
        )
    except InvalidProxyStatus as error:
        raise refuse_by_proxy(url, error.response.status_code) from None
    except InvalidStatus as error:
        # `from None`: the cause would quote the URL, and so the session's id.
        status, headers = error.response.status_code, dict(error.response.headers.raw_items())
        refusal = find_vpc_refusal(f"The WebSocket API at {url}", headers)
        raise refusal or _make_refusal_error(url, status) from None
    except ssl.SSLCertVerificationError as error:
        # It is a ValueError as well.
        raise refuse_certificate(url, error) from None
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


def _make_tls_options(url: str, ca_bundle: Path | None) -> dict[str, Any]:
    """Whose certificates are trusted: the server's, and those of a proxy that speaks TLS itself."""
    context = make_tls_context(ca_bundle)
    proxy = find_websocket_proxy(url)
    is_secure = proxy is not None and proxy.startswith("https://")
    return {"ssl": context, "proxy": proxy} | ({"proxy_ssl": context} if is_secure else {})


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
