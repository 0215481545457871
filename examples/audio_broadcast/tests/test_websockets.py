"""A broadcast over real WebSockets: the functions run here, the tables are the emulator's."""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlencode

import pytest
from broadcast.tokens import Identity, issue_token
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from plldb.pytest_plugin.fixtures import AttachTo, PlldbAttached, PlldbInvocation, PlldbStack

ANN, BOB = Identity("ann", "speaker"), Identity("bob", "listener")
_SECONDS = 60.0


class Broadcast:
    """Clients of a deployed API."""

    def __init__(self, stack: PlldbStack) -> None:
        secrets = stack.client("secretsmanager")
        secret = secrets.get_secret_value(SecretId=stack.outputs["TokenKeyArn"])
        self._key = secret["SecretString"]
        self._url = stack.outputs["WebSocketUrl"]

    def connect(
        self, identity: Identity, expires_in: int = 600, **query: str
    ) -> AbstractContextManager[ClientConnection]:
        token = issue_token(identity, self._key, int(time.time()) + expires_in)
        parameters = urlencode({"token": token, **query})
        return connect(f"{self._url}?{parameters}", open_timeout=_SECONDS)


@pytest.fixture
def broadcast(attached: PlldbAttached) -> Broadcast:
    return Broadcast(attached.stack)


def _named(attached: PlldbAttached, construct: str) -> str:
    """A function's logical id, which ends with 8 characters of the CDK's."""
    return next(name for name in attached.stack.functions if name[:-8] == construct)


def _ask(connection: ClientConnection, **message: str) -> dict[str, Any]:
    connection.send(json.dumps(message))
    return _receive(connection)


def _connection_of(invocation: PlldbInvocation) -> str:
    return str(invocation.event["requestContext"]["connectionId"])


def _receive(connection: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(connection.recv(timeout=_SECONDS))
    return message


def test_a_session_from_its_begin_to_its_end(broadcast: Broadcast, attached: PlldbAttached) -> None:
    with broadcast.connect(ANN, language="de") as speaker:
        begun = _ask(speaker, action="heartbeat")
        assert begun["type"] == "heartbeat"
        assert 0 < begun["refreshIn"] < 7200
        with broadcast.connect(BOB, sessionId=begun["sessionId"]) as listener:
            joined = _ask(listener, action="heartbeat")
            assert joined["sessionId"] == begun["sessionId"]
            assert joined["connectionId"] != begun["connectionId"]
            speaker.close()
            assert _receive(listener) == {"type": "ended", "sessionId": begun["sessionId"]}
            with pytest.raises(ConnectionClosed):
                listener.recv(timeout=_SECONDS)
    left = attached.wait_for_invocations(2, _named(attached, "Disconnect"), seconds=_SECONDS)
    assert {one.outcome for one in left} == {"succeeded"}
    called = {one.function[:-8] for one in attached.invocations}
    assert called == {"Authorizer", "Connect", "Heartbeat", "Disconnect"}


def test_a_speaker_refreshes_and_the_session_goes_on(
    broadcast: Broadcast, attached: PlldbAttached
) -> None:
    with broadcast.connect(ANN) as old:
        begun = _ask(old, action="heartbeat")
        session_id = begun["sessionId"]
        with broadcast.connect(ANN, sessionId=session_id) as new:
            answer = _ask(new, action="refresh", replaces=begun["connectionId"])
            assert (answer["type"], answer["sessionId"]) == ("refreshed", session_id)
            with pytest.raises(ConnectionClosed):
                old.recv(timeout=_SECONDS)
            attached.wait_for_invocation(
                _named(attached, "Disconnect"),
                where=lambda one: _connection_of(one) == begun["connectionId"],
                seconds=_SECONDS,
            )
            with broadcast.connect(BOB, sessionId=session_id) as listener:
                assert _ask(listener, action="heartbeat")["sessionId"] == session_id


def test_nobody_replaces_anothers_connection(broadcast: Broadcast) -> None:
    with broadcast.connect(ANN) as speaker:
        begun = _ask(speaker, action="heartbeat")
        with broadcast.connect(BOB, sessionId=begun["sessionId"]) as listener:
            answer = _ask(listener, action="refresh", replaces=begun["connectionId"])
            assert (answer["type"], answer["status"]) == ("error", 404)


def test_who_has_no_good_token_is_not_let_in(broadcast: Broadcast, attached: PlldbAttached) -> None:
    with pytest.raises(InvalidHandshake), broadcast.connect(ANN, expires_in=-60):
        pass
    refused = attached.wait_for_invocation(_named(attached, "Authorizer"))
    assert refused.answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"


def test_who_joins_no_session_is_not_let_in(broadcast: Broadcast, attached: PlldbAttached) -> None:
    with pytest.raises(InvalidHandshake), broadcast.connect(BOB, sessionId="calm-otter-1000"):
        pass
    refused = attached.wait_for_invocation(_named(attached, "Connect"))
    assert refused.answer["statusCode"] == 404


def test_too_many_heartbeats_are_refused(plldb_attached: AttachTo, stack: PlldbStack) -> None:
    plldb_attached(stack, env={"MESSAGES_PER_MINUTE": "1"})
    # Nobody else counts as this one.
    with Broadcast(stack).connect(Identity("eve", "speaker")) as speaker:
        answers = [_ask(speaker, action="heartbeat") for _ in range(3)]
    assert answers[0]["type"] == "heartbeat"
    refused = [answer for answer in answers if answer["type"] == "error"]
    assert {answer["status"] for answer in refused} == {429}
