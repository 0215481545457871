"""Serves credentials to the children, as containers on AWS are served theirs.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html

Every SDK finds the server by two variables, and asks it again shortly before what it has ends. A
token of 256 random bits opens one provider's credentials. Nobody but who was given it gets them: it
listens on 127.0.0.1, and takes no request that names another host, as one from a web page would
whose name was made to lead here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from plldb.credentials import Credentials
from plldb.debugger.children.credential_keeper import CredentialKeeper
from plldb.errors import NotLentError, PlldbError

if TYPE_CHECKING:
    from plldb.aws import Target

logger = logging.getLogger(__name__)

# May block while credentials are renewed. Raises PlldbError if there are none.
Provider = Callable[[], Credentials]

_HOST = "127.0.0.1"
_PATH = "/credentials"
# What is said of credentials whose end nobody knows; an SDK asks again a quarter of an hour before.
_LIFETIME_SECONDS = 3600
# For a whole request to arrive.
_TIMEOUT_SECONDS = 10


def _ignore(_: PlldbError | None) -> None:
    pass


@contextmanager
def serving_target(
    target: Target, report: Callable[[PlldbError | None], None] = _ignore
) -> Iterator[dict[str, str]]:
    """Serves a target's credentials, and gives the variables by which children reach that target.

    Keys that a user has for good are among them, as Lambda has its own in the environment: not
    every SDK takes such from a server. ``report`` is as in ``CredentialKeeper``. Raises what
    ``load_credentials`` of the target raises.
    """
    with CredentialKeeper(target.load_credentials, report) as keeper, CredentialServer() as server:
        variables = target.endpoint_environment() | server.grant(keeper.current).environment
        keys = keeper.current()
        if keys.are_lasting:
            variables["AWS_ACCESS_KEY_ID"] = keys.access_key_id
            variables["AWS_SECRET_ACCESS_KEY"] = keys.secret_access_key
        yield variables


@dataclass(frozen=True)
class Grant:
    """Opens one provider's credentials to a process that has ``environment`` in its own."""

    uri: str
    token: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.uri,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self.token,
        }


class CredentialServer:
    """Listens on a free port from its making on; a context manager, which stops it at the end."""

    def __init__(self) -> None:
        # By the tokens' hashes: how long it takes to look one up tells nothing about another.
        self._providers: dict[bytes, Provider] = {}
        self._server = _Server((_HOST, 0), _make_handler(self._find_provider))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="credentials", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def grant(self, provider: Provider) -> Grant:
        token = secrets.token_urlsafe(32)
        self._providers[_hash(token)] = provider
        return Grant(f"http://{_HOST}:{self._server.server_port}{_PATH}", token)

    def revoke(self, grant: Grant) -> None:
        self._providers.pop(_hash(grant.token), None)

    def close(self) -> None:
        self._providers.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _find_provider(self, token: str) -> Provider | None:
        return self._providers.get(_hash(token))


class _Server(ThreadingHTTPServer):
    # A provider that waits for a login holds nobody up at the end.
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        logger.debug("a request for credentials broke off", exc_info=True)


def _make_handler(
    find_provider: Callable[[str], Provider | None],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_SECONDS

        def do_GET(self) -> None:  # the name that http.server looks for
            status, body = self._answer()
            content = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _answer(self) -> tuple[HTTPStatus, dict[str, str]]:
            if self.headers.get_all("Host") != [f"{_HOST}:{self.connection.getsockname()[1]}"]:
                return _refuse(HTTPStatus.FORBIDDEN, "Forbidden", "This host is not served.")
            if self.path != _PATH:
                return _refuse(HTTPStatus.NOT_FOUND, "NotFound", "There is nothing at this path.")
            provider = find_provider(self.headers.get("Authorization", ""))
            if provider is None:
                return _refuse(
                    HTTPStatus.UNAUTHORIZED, "Unauthorized", "The token opens nothing here."
                )
            try:
                return HTTPStatus.OK, _encode(provider())
            except NotLentError as error:
                return _refuse(HTTPStatus.BAD_REQUEST, "CredentialsUnavailable", error.message)
            except PlldbError:
                # The handler's caller may see this; why it is so is for the developer alone.
                text = "plldb has no valid AWS credentials now: its terminal says why."
                return _refuse(HTTPStatus.BAD_REQUEST, "CredentialsUnavailable", text)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _refuse(status: HTTPStatus, code: str, message: str) -> tuple[HTTPStatus, dict[str, str]]:
    """The SDK for JavaScript reads the names in capitals, those for Java and Rust the others."""
    return status, {"code": code, "message": message, "Code": code, "Message": message}


def _encode(credentials: Credentials) -> dict[str, str]:
    """SDKs insist on all four. An empty token is none: of a user's keys there is no other way."""
    end = credentials.expires_at
    end = time.time() + _LIFETIME_SECONDS if end is None else end
    return {
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "Token": credentials.session_token,
        "Expiration": datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
