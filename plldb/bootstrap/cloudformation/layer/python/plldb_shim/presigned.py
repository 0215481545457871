"""Payloads that do not fit a message, in and out of a bucket by URLs that are signed already."""

from __future__ import annotations

from . import tcp

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from http.client import HTTPConnection
    from socket import socket
    from urllib.parse import SplitResult

# How long nothing may come or go.
TRANSFER_SECONDS = 30.0


def get(url: str, seconds: float) -> bytes:
    """Raises OSError."""
    return _fetch("GET", url, None, seconds)


def put(url: str, content: bytes, seconds: float) -> None:
    """Raises OSError."""
    _fetch("PUT", url, content, seconds)


def _fetch(method: str, url: str, content: bytes | None, seconds: float) -> bytes:
    from http.client import HTTPException
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = _connection(parts, min(tcp.CONNECT_SECONDS, seconds))
    try:
        connection.connect()
        connection.sock.settimeout(min(TRANSFER_SECONDS, seconds))
        connection.request(method, parts.path + "?" + parts.query, content)
        response = connection.getresponse()
        received = response.read()
    except HTTPException as error:
        raise ConnectionError(repr(error)) from None
    finally:
        connection.close()
    if response.status != 200:
        raise ConnectionError("the bucket answered " + str(response.status))
    return received


def _connection(parts: SplitResult, seconds: float) -> HTTPConnection:
    """http.client would give so long to each of the host's addresses."""
    from http.client import HTTPConnection, HTTPSConnection

    def create(address: tuple[str, int], timeout: float, _source: object = None) -> socket:
        return tcp.open_socket(*address, timeout)

    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    connection._create_connection = create  # type: ignore[attr-defined]
    return connection
