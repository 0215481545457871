"""``plldb attach``: how a session begins, and every way in which it ends."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from .support import DEADLINE_SECONDS, Backend, Plldb


def only_session(backend: Backend, stack: str) -> dict[str, Any]:
    (session,) = backend.sessions_of(stack)
    return session


def connections(backend: Backend) -> Any:
    """A client for @connections, with all rights."""
    url = backend.helper.websocket_url.replace("ws", "http", 1)
    session = backend.target._session
    session._service_endpoint_mapping["apigatewaymanagementapi"] = url
    return session.client("apigatewaymanagementapi")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_session_before_it_exits_with_0(
    plldb: Plldb, backend: Backend, stack: str, number: signal.Signals
) -> None:
    with plldb.attach(stack) as attached:
        created = attached.wait_for("session.created")
        attached.wait_for("connected")
        session = only_session(backend, stack)
        assert session["Status"] == "ACTIVE"
        assert session["SessionId"].startswith(created["session"])

        attached.signal(number)

        assert attached.wait_for("closed")["expected"] is True
        assert attached.exit_code() == 0
        closed = only_session(backend, stack)
        assert closed["Status"] == "CLOSED"
        assert "ConnectionId" not in closed


def test_killed_without_a_word_the_backend_closes_the_session(
    plldb: Plldb, backend: Backend, stack: str
) -> None:
    with plldb.attach(stack) as attached:
        attached.wait_for("connected")
        attached.signal(signal.SIGKILL)

        backend.wait_for_status(only_session(backend, stack)["SessionId"], "CLOSED")


def test_two_developers_on_one_stack(plldb: Plldb, backend: Backend, stack: str) -> None:
    with plldb.attach(stack) as first, plldb.attach(stack) as second:
        first.wait_for("connected")
        second.wait_for("connected")
        assert [s["Status"] for s in backend.sessions_of(stack)] == ["ACTIVE", "ACTIVE"]

        first.signal(signal.SIGINT)
        assert first.exit_code() == 0
        assert sorted(s["Status"] for s in backend.sessions_of(stack)) == ["ACTIVE", "CLOSED"]

        second.signal(signal.SIGINT)
        assert second.exit_code() == 0
        assert [s["Status"] for s in backend.sessions_of(stack)] == ["CLOSED", "CLOSED"]


def test_messages_are_shown_and_junk_is_survived(
    plldb: Plldb, backend: Backend, stack: str
) -> None:
    with plldb.attach(stack) as attached:
        attached.wait_for("connected")
        connection = only_session(backend, stack)["ConnectionId"]
        client = connections(backend)
        for data in (b"junk", b"[1]", b"\x00\x1b[2J", b'{"type": 5}', b'{"type": "news", "x": 0}'):
            client.post_to_connection(ConnectionId=connection, Data=data)

        assert attached.wait_for("message")["message"] == {"type": "news", "x": 0}

        attached.signal(signal.SIGINT)
        assert attached.exit_code() == 0
        assert attached.errors().count("no message") == 4
        assert "\x1b" not in attached.errors()


def test_a_connection_that_the_server_closes_is_replaced_by_a_new_session(
    plldb: Plldb, backend: Backend, stack: str
) -> None:
    with plldb.attach(stack) as attached:
        attached.wait_for("connected")
        session = only_session(backend, stack)
        connections(backend).delete_connection(ConnectionId=session["ConnectionId"])

        assert "closed the connection" in attached.wait_for("reconnecting")["reason"]
        again = attached.wait_for("session.created")
        assert not session["SessionId"].startswith(again["session"])
        attached.wait_for("connected")
        backend.wait_for_status(session["SessionId"], "CLOSED")

        attached.signal(signal.SIGINT)
        assert attached.exit_code() == 0
        assert {one["Status"] for one in backend.sessions_of(stack)} == {"CLOSED"}


def test_each_attach_has_a_session_of_its_own(plldb: Plldb, backend: Backend, stack: str) -> None:
    for _ in range(2):
        with plldb.attach(stack) as attached:
            attached.wait_for("connected")
            attached.signal(signal.SIGINT)
            assert attached.exit_code() == 0

    assert len({s["SessionId"] for s in backend.sessions_of(stack)}) == 2


def test_text_output_reads_as_a_story(plldb: Plldb, backend: Backend, stack: str) -> None:
    with plldb.start("attach", "--stack-name", stack) as process:
        assert process.stdout is not None
        told = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)

    plldb.said += [*told, stdout, stderr]
    assert told[0].startswith("Session ")
    assert told[1:] == ["Attached. Press Ctrl-C to detach.\n"]
    assert stdout == "Detached.\n"
    interpreter, warning = stderr.splitlines()[:2]
    assert interpreter.startswith("Functions run under Python ")
    assert warning.startswith("Warning: no function will run here.")
    assert len(stderr.splitlines()) == 2
