"""Sockets, opened and secured within a time. ``socket`` and ``ssl`` are loaded when needed."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

# For a connection: all addresses of the host, and TLS.
CONNECT_SECONDS = 2.0
# For what remains of opening a connection, however late it was that an address took it.
_SHORTEST_TIMEOUT = 0.05


def open_socket(host: str, port: int, seconds: float) -> socket:
    """A connection to one of a host's addresses, which share the time: one may be a black hole.

    What is left of the time is the timeout of what follows. Raises OSError.
    """
    import socket

    deadline = time.monotonic() + seconds
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as invalid:
        raise OSError("no name of a host: " + repr(invalid)) from None
    error: OSError = TimeoutError("timed out")
    for number, (*_, found) in enumerate(addresses):
        share = (deadline - time.monotonic()) / (len(addresses) - number)
        one: Any = found[:2]
        try:
            opened = socket.create_connection(one, max(share, _SHORTEST_TIMEOUT))
        except OSError as refused:
            error = refused
            continue
        # Nothing is sent in several small pieces that had better be one.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(max(deadline - time.monotonic(), _SHORTEST_TIMEOUT))
        return opened
    raise error


def secure(connection: socket, host: str) -> socket:
    """The same connection with TLS, as the system's authorities vouch for. Raises OSError."""
    import ssl

    return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def is_timeout(error: OSError) -> bool:
    """Whether a socket just had nothing to give within its timeout, which may be none."""
    import socket

    # Only who has loaded ssl can have seen its errors.
    ssl: Any = sys.modules.get("ssl")
    kinds: tuple[Any, ...] = (socket.timeout, BlockingIOError)
    return isinstance(error, (*kinds, ssl.SSLWantReadError) if ssl else kinds)
