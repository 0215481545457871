"""A speaker or a listener at the terminal, who sends heartbeats: ``python client.py --help``."""

from __future__ import annotations

import argparse
import json
import time
from urllib.parse import urlencode

import boto3
from broadcast.tokens import Identity, issue_token
from websockets.sync.client import connect

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
    token = issue_token(who, secret["SecretString"], int(time.time()) + _TOKEN_SECONDS)
    query = {"token": token}
    if options.listen is not None:
        query["sessionId"] = options.listen
    with connect(f"{options.url}?{urlencode(query)}", open_timeout=None) as connection:
        connection.send(json.dumps({"action": "heartbeat"}))
        while True:
            try:
                print(connection.recv(timeout=_HEARTBEAT_SECONDS), flush=True)
            except TimeoutError:
                connection.send(json.dumps({"action": "heartbeat"}))


if __name__ == "__main__":
    main()
