"""A speaker or a listener at the terminal, who sends heartbeats: ``python client.py --help``.

Before API Gateway ends its connection, it goes on with another one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any
from urllib.parse import urlencode

import boto3
from broadcast.tokens import Identity, issue_token
from websockets.sync.client import ClientConnection, connect

_TOKEN_SECONDS = 600
_HEARTBEAT_SECONDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the stack's output WebSocketUrl")
    parser.add_argument("key", help="the stack's output TokenKeyArn")
    parser.add_argument("--listen", metavar="SESSION", help="a session to listen to")
    options = parser.parse_args()
    who = Identity("ann", "speaker") if options.listen is None else Identity("bob", "listener")
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=options.key)
    with suppress(KeyboardInterrupt):
        Client(options.url, who, secret["SecretString"]).run(options.listen)


class Client:
    def __init__(self, url: str, who: Identity, key: str) -> None:
        self._url = url
        self._who = who
        self._key = key

    def run(self, session_id: str | None) -> None:
        """Until the session ends."""
        with ExitStack() as opened:
            connection = opened.enter_context(self._connect(session_id))
            while True:
                for message in self._beat(connection):
                    print(message, flush=True)
                    if message["type"] == "ended":
                        return
                    if message.get("refreshIn") == 0:
                        connection = opened.enter_context(self._connect(message["sessionId"]))
                        old = message["connectionId"]
                        connection.send(json.dumps({"action": "refresh", "replaces": old}))
                        break

    def _connect(self, session_id: str | None) -> AbstractContextManager[ClientConnection]:
        token = issue_token(self._who, self._key, int(time.time()) + _TOKEN_SECONDS)
        query = {"token": token} | ({} if session_id is None else {"sessionId": session_id})
        return connect(f"{self._url}?{urlencode(query)}", open_timeout=None)

    def _beat(self, connection: ClientConnection) -> Iterator[dict[str, Any]]:
        """Sends a heartbeat; whatever comes until it is time for the next one."""
        connection.send(json.dumps({"action": "heartbeat"}))
        until = time.monotonic() + _HEARTBEAT_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                yield json.loads(connection.recv(timeout=left))
            except TimeoutError:
                return


if __name__ == "__main__":
    main()
