"""The ports at which editors attach, one for each function.

plldb itself listens there, and passes on what comes to the debugpy of the function's child, which
listens at a port of its own, for this machine alone::

    editor ⇄ port of the function (for as long as plldb is attached) ⇄ debugpy in a child

So another plldb's port is noticed before an address is told to anybody, no child fails for want of
a port, and an editor may come before there is a child.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from plldb.errors import SourceError

logger = logging.getLogger(__name__)

Address = tuple[str, int]

_PORTS = 65536
_CHUNK_BYTES = 64 * 1024
# How long an editor may take to get what debugpy said last.
_CLOSING_SECONDS = 1.0


class EditorPorts:
    """Gives out ports at ``host`` from ``first_port`` on, but for those that are taken."""

    def __init__(self, host: str, first_port: int) -> None:
        self._host = host
        self._next_port = first_port
        # By the functions' logical ids.
        self._listeners: dict[str, socket.socket] = {}
        self._finders: dict[str, Callable[[], Awaitable[Address | None]]] = {}
        self._servers: list[asyncio.Server] = []
        self._editors: set[asyncio.Task[None]] = set()

    def assign(self, logical_id: str) -> Address:
        """The address for a function; it is taken from now on. An editor that connects waits.

        Raises SourceError if nobody can listen at that host, or no port is left.
        """
        if logical_id not in self._listeners:
            self._listeners[logical_id] = self._listen()
        return self._host, int(self._listeners[logical_id].getsockname()[1])

    def _listen(self) -> socket.socket:
        for port in range(self._next_port, _PORTS):
            try:
                listener = _listen_at(self._host, port)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    logger.info("port %d is taken", port)
                    continue
                raise SourceError(
                    f"No editor can attach at {self._host}:{port}: {error.strerror or error}.",
                    "Choose another address: --debugpy HOST:PORT",
                ) from error
            self._next_port = port + 1
            return listener
        raise SourceError(
            f"All ports of {self._host} are taken from {self._next_port} on.",
            "Choose a lower one: --debugpy HOST:PORT",
        )

    async def serve(
        self, logical_id: str, find_debugpy: Callable[[], Awaitable[Address | None]]
    ) -> None:
        """From now on, editors of a function get to the debugpy that ``find_debugpy`` finds.

        If that is None, they are hung up on.
        """
        self.assign(logical_id)
        is_served = logical_id in self._finders
        self._finders[logical_id] = find_debugpy
        if not is_served:
            serve = partial(self._serve_editor, logical_id)
            self._servers.append(
                await asyncio.start_server(serve, sock=self._listeners[logical_id])
            )

    def release(self) -> None:
        """Listens no more; instead of ``close`` where no editor has been served."""
        for listener in self._listeners.values():
            listener.close()

    async def close(self) -> None:
        """Listens no more. Editors get what is on its way to them."""
        for server in self._servers:
            server.close()
        self.release()
        if self._editors:
            await asyncio.wait(self._editors, timeout=_CLOSING_SECONDS)
        for task in self._editors:
            task.cancel()

    async def _serve_editor(
        self, logical_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._editors.add(task)
        task.add_done_callback(self._editors.discard)
        try:
            address = await self._finders[logical_id]()
            if address is not None:
                await _connect(reader, writer, address)
        except OSError as error:
            logger.info("the debugpy of %s can't be reached: %s", logical_id, error)
        finally:
            writer.close()


async def _connect(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address
) -> None:
    """Passes bytes on both ways until one end hangs up."""
    there_reader, there_writer = await asyncio.open_connection(*address)
    copies = {
        asyncio.create_task(_copy(reader, there_writer)),
        asyncio.create_task(_copy(there_reader, writer)),
    }
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        there_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


def _listen_at(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # As of here it is taken: of two that are bound at once, one fails.
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener
