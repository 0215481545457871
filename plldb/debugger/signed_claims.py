"""Claims that go straight to the helper stack's table, by requests that it has signed.

The invocation waits for its claim. So it is sent in the event loop, over a connection that is kept:
a thread that sends it by ``requests`` takes five times as long as that.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import SplitResult, unquote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.certificates import make_tls_context
from plldb.debugger.http_session import USER_AGENT

logger = logging.getLogger(__name__)

# The claim is made otherwise long before.
_CONNECT_SECONDS = 4.0
_ANSWER_SECONDS = 4.0
_PORTS = {"http": 80, "https": 443}


class _Line(NamedTuple):
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def is_open(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing())

    def drop(self) -> None:
        self.writer.transport.abort()


class SignedClaims:
    """Each is one conditional write, which the helper stack would do the same way if it were asked.

    ``reach`` turns a URL that the helper stack hands out into one that is reached from here;
    ``ca_bundle`` is a file with the certificates to trust. Use it from one event loop.
    """

    def __init__(
        self, reach: Callable[[str], str] = lambda url: url, ca_bundle: Path | None = None
    ) -> None:
        self._reach = reach
        self._ca_bundle = ca_bundle
        # Those that are not in use, by where they lead to.
        self._kept: dict[tuple[str, str], list[_Line]] = defaultdict(list)
        self._opening: set[asyncio.Task[_Line]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for opening in self._opening:
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for lines in self._kept.values():
            while lines:
                lines.pop().drop()
        # Which is done when the loop goes round.
        await asyncio.sleep(0)

    async def take(self, claim: SignedRequest) -> bool:
        """Whether the invocation is taken for sure; if not, it may be all the same.

        Whoever is cancelled while a connection is opened leaves it to the next one.
        """
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                status = await self._send(self._reach(claim["url"]), claim)
        except (OSError, EOFError, ValueError, LookupError, asyncio.LimitOverrunError) as error:
            logger.info("a claim was not answered: %s", type(error).__name__)
            return False
        milliseconds = (time.perf_counter() - began) * 1000
        logger.debug("a claim was answered with %d in %.1f ms", status, milliseconds)
        return status == HTTPStatus.OK

    async def _send(self, url: str, claim: SignedRequest) -> int:
        """The status of the answer, also if that leads elsewhere."""
        where, body = urlsplit(url), claim["body"].encode()
        kept = self._kept[where.scheme, where.netloc]
        line, is_free = _take_open(kept) or await self._open(url, where, kept), False
        try:
            headers = {"User-Agent": USER_AGENT, **claim["headers"], "Content-Length": len(body)}
            line.writer.write(_head(f"POST {where.path or '/'}", headers) + body)
            status, length = await _read_head(line.reader)
            if length is not None:
                await line.reader.readexactly(length)
                is_free = True
        finally:
            if is_free:
                kept.append(line)
            else:
                line.drop()
        return status

    async def _open(self, url: str, where: SplitResult, kept: list[_Line]) -> _Line:
        opening = asyncio.create_task(self._connect(url, where))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(partial(_keep, kept))
            raise

    async def _connect(self, url: str, where: SplitResult) -> _Line:
        host, port, tls = _host(where), where.port or _PORTS[where.scheme], self._tls(where)
        proxy = select_proxy(url, get_environ_proxies(url))
        async with asyncio.timeout(_CONNECT_SECONDS):
            if proxy is None:
                return _Line(*await asyncio.open_connection(host, port, ssl=tls))
            target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            line = await self._connect_to_proxy(proxy, target)
            try:
                if tls is not None:
                    await line.writer.start_tls(tls, server_hostname=host)
            except BaseException:
                line.drop()
                raise
            return line

    async def _connect_to_proxy(self, proxy: str, target: str) -> _Line:
        gate = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        port = gate.port or _PORTS[gate.scheme]
        line = _Line(*await asyncio.open_connection(_host(gate), port, ssl=self._tls(gate)))
        try:
            line.writer.write(_head(f"CONNECT {target}", _proxy_headers(gate, target)))
            status, _ = await _read_head(line.reader)
            if status != HTTPStatus.OK:
                raise ConnectionError("the proxy does not connect")
        except BaseException:
            line.drop()
            raise
        return line

    def _tls(self, where: SplitResult) -> ssl.SSLContext | None:
        return make_tls_context(self._ca_bundle) if where.scheme == "https" else None


def _take_open(kept: list[_Line]) -> _Line | None:
    while kept:
        line = kept.pop()
        if line.is_open:
            return line
        line.drop()
    return None


def _keep(kept: list[_Line], opened: asyncio.Task[_Line]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        kept.append(opened.result())


def _head(request: str, headers: Mapping[str, object]) -> bytes:
    lines = [f"{request} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, int | None]:
    """The status of an answer, and how long its body is; None if nothing may follow that."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip().lower()
    is_kept = first.startswith("HTTP/1.1") and headers.get("connection") != "close"
    length = headers.get("content-length") if is_kept else None
    return int(first.split(" ")[1]), None if length is None else int(length)


def _host(where: SplitResult) -> str:
    if not where.hostname:
        raise ValueError("a URL without a host")
    return where.hostname


def _proxy_headers(gate: SplitResult, target: str) -> dict[str, str]:
    headers = {"Host": target}
    if gate.username is not None:
        credentials = f"{unquote(gate.username)}:{unquote(gate.password or '')}".encode()
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    return headers
