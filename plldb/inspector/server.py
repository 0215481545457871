"""Serves the inspector in a thread of its own, so that it answers whatever the session does."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

import uvicorn

from plldb.inspector.address import Address, listen
from plldb.inspector.feed import Feed
from plldb.inspector.guard import Guard, make_token
from plldb.inspector.reruns import Reruns
from plldb.inspector.site import Site

if TYPE_CHECKING:
    from plldb.inspector.keeping import Keeping
    from plldb.inspector.reruns import Runner
    from plldb.replay.history import History

logger = logging.getLogger(__name__)

# A page that still takes its answer; one that listens has been told that it is over.
_ENDING_SECONDS = 1
_KEEP_ALIVE_SECONDS = 30


class Inspector:
    """Serves from its making until it is left, as a context manager. ``url`` is its secret.

    ``runner`` runs replays; the other arguments are as in ``Site``. Raises SourceError if nothing
    can listen at the address.
    """

    def __init__(
        self,
        address: Address,
        history: History,
        keeping: Keeping,
        runner: Runner,
        ignore: Sequence[str] = (),
    ) -> None:
        self._listener, self.address = listen(address)
        self._token = make_token()
        self._history = history
        self._keeping = keeping
        self._runner = runner
        self._ignore = ignore
        self._stop: Future[Callable[[], None]] = Future()
        self._thread = threading.Thread(target=self._serve, name="inspector", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Whoever knows it can see everything, and run code."""
        return f"http://{self.address.authority}/{self._token}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends replays and connections; returns once all that is over."""
        self._stop.result()()
        self._thread.join()

    def _serve(self) -> None:
        try:
            asyncio.run(self._run(self._listener))
        except BaseException as bug:
            # Whoever closes it gets to see it.
            if not self._stop.done():
                self._stop.set_exception(bug)
            logger.exception("the inspector has ended")

    async def _run(self, listener: socket.socket) -> None:
        feed, reruns = Feed(self._history), Reruns(self._history, self._runner)
        site = Site(self._history, reruns, self._keeping, feed, self._ignore)
        guard = Guard(site.make_application(), self.address, self._token)
        server = uvicorn.Server(_configure(guard))
        loop = asyncio.get_running_loop()
        feeding = asyncio.create_task(feed.run())

        def stop() -> None:
            server.should_exit = True
            feeding.cancel()

        self._stop.set_result(lambda: _call(loop, stop))
        try:
            await server.serve(sockets=[listener])
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await reruns.close()


def _configure(application: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        # The address has the token in it.
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_ENDING_SECONDS,
    )


def _call(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    # It may have ended by itself.
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop)
