"""Who may ask the inspector, and what a browser is told to allow.

Whoever knows the token may see everything and run code, and nobody else. The token is the first
part of each path, so that the browser needs no cookie, which it would send to every server of this
machine. What other pages can make a browser do is refused even with the token:

==================  ============================================================================
``Host``            a name of the inspector's own; else somebody's name may have been led here
                    (DNS rebinding)
``Origin``          the inspector's own, and it must be there with what changes anything
``Sec-Fetch-Site``  the inspector's own, or nobody's, as for an address that was typed. The page
                    itself may also be opened by a link: terminals live in browsers, too
==================  ============================================================================

What is refused gets the same few words whatever the reason.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from plldb.inspector.address import HTTP_PORT, Address

_TOKEN_BYTES = 32
# https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # Text can't become HTML by any mistake of the page's.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
HEADERS = {
    "content-security-policy": "; ".join(_POLICY),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    # The token is in the address.
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_REFUSAL = b"Open the address that plldb has shown in the terminal.\n"
_READING = ("GET", "HEAD")
_METHODS = (*_READING, "POST")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def make_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Guard:
    """An ASGI application around another one, which sees paths without the token."""

    def __init__(self, application: Application, address: Address, token: str) -> None:
        self._application = application
        self._hosts = {address.authority, replace(address, host="localhost").authority}
        self._default_port = f":{HTTP_PORT}" if address.port == HTTP_PORT else ""
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._admit(scope) if scope["type"] == "http" else None
        send = _with_headers(send)
        if path is None:
            await _refuse(send)
        else:
            await self._application(
                {**scope, "path": path, "raw_path": path.encode()}, receive, send
            )

    def _admit(self, scope: Scope) -> str | None:
        """The path behind the token; None for a request that is refused."""
        # First: what is compared takes as long whatever is wrong with the rest.
        token, slash, rest = scope["path"].removeprefix("/").partition("/")
        knows_token = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token)
        path = slash + rest
        is_ours = self._is_ours(scope["method"], path, _collect(scope["headers"]))
        return path if knows_token and slash and is_ours else None

    def _is_ours(self, method: str, path: str, headers: Mapping[str, list[str]]) -> bool:
        hosts = [one.lower().removesuffix(self._default_port) for one in headers.get("host", [])]
        if method not in _METHODS or len(hosts) != 1 or hosts[0] not in self._hosts:
            return False
        origins = headers.get("origin", [])
        if origins != [f"http://{hosts[0]}"] and (origins or method not in _READING):
            return False
        sites = headers.get("sec-fetch-site", [])
        return sites in ([], ["none"], ["same-origin"]) or (
            path == "/"
            and method in _READING
            and headers.get("sec-fetch-mode") == ["navigate"]
            and headers.get("sec-fetch-dest") == ["document"]
        )


def _collect(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, list[str]]:
    collected: dict[str, list[str]] = {}
    for name, value in headers:
        collected.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return collected


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_RAW_HEADERS]}
        await send(message)

    return send_with_headers


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})
