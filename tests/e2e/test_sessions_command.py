"""``plldb sessions``: who is attached, as each user sees it, and how it is ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from plldb.aws import Target

from .debugging import Debuggee, attached, deployed, function
from .support import (
    DEADLINE_SECONDS,
    Backend,
    Keys,
    Plldb,
    allowed,
    poll,
    random_name,
    signed_in,
    user,
)

_ACTIONS = (
    "execute-api:Invoke",
    "cloudformation:DescribeStacks",
    "cloudformation:ListStackResources",
)


def opened_by(backend: Backend, stack: str, keys: Keys) -> str:
    response = backend.post_sessions({"stackName": stack}, keys)
    assert response.status_code == 201, response.text
    return str(response.json()["sessionId"])


def listed(plldb: Plldb, *arguments: str) -> list[dict[str, Any]]:
    result = plldb("sessions", "list", "--output", "json", *arguments).succeeded()
    return [json.loads(line) for line in result.stdout.splitlines()]


def shown(sessions: list[dict[str, Any]]) -> dict[str, str]:
    return {one["session"]: one["status"] for one in sessions}


def test_who_is_attached_is_listed_with_all_that_may_be_told(
    plldb: Plldb, backend: Backend, stack: str
) -> None:
    async def look() -> tuple[str, list[dict[str, Any]], str]:
        session_id = backend.new_session(stack)
        async with backend.connect(session_id):
            of_all = await asyncio.to_thread(listed, plldb)
            text = await asyncio.to_thread(plldb, "sessions", "list", "--stack-name", stack)
            return session_id, of_all, text.succeeded().stdout

    session_id, of_all, text = asyncio.run(look())

    (view,) = [one for one in of_all if one["stackName"] == stack]
    item = backend.item(session_id)
    assert view == {
        "session": session_id[:8],
        "stackName": stack,
        "status": "ACTIVE",
        "owner": item["Owner"],
        "createdAt": item["CreatedAt"],
        "expiresAt": view["expiresAt"],
    }
    heading, row = text.splitlines()
    assert heading.split() == ["session", "stack", "status", "owner", "created", "expires"]
    assert row.split()[:4] == [session_id[:8], stack, "ACTIVE", item["Owner"]]
    assert row.rstrip().endswith("min")
    assert session_id not in json.dumps(of_all) + text


def test_that_nobody_is_attached_is_said(plldb: Plldb, backend: Backend, stack: str) -> None:
    text = plldb("sessions", "list", "--stack-name", stack).succeeded()

    assert (text.stdout, text.stderr.strip()) == ("", f"Nobody is attached to stack {stack}.")
    assert listed(plldb, "--stack-name", stack) == []


def test_closed_ones_are_listed_if_asked_for(plldb: Plldb, backend: Backend, stack: str) -> None:
    session_id = backend.new_session(stack)
    plldb("sessions", "close", session_id).succeeded()

    assert listed(plldb, "--stack-name", stack) == []
    of_stack = poll(lambda: listed(plldb, "--stack-name", stack, "--all"), "it is in the index")
    assert shown(of_stack) == {session_id[:8]: "CLOSED"}


@pytest.mark.needs("iam", "local")
def test_of_those_that_wait_each_user_sees_and_closes_their_own(
    plldb: Plldb, backend: Backend, stack: str
) -> None:
    rights = allowed(*_ACTIONS)
    with (
        user(backend.target, rights) as (_, keys_a),
        user(backend.target, rights) as (arn_b, keys_b),
    ):
        a, b = signed_in(plldb, keys_a), signed_in(plldb, keys_b)
        of_a, of_b = opened_by(backend, stack, keys_a), opened_by(backend, stack, keys_b)

        assert shown(listed(a, "--stack-name", stack)) == {of_a[:8]: "PENDING"}
        assert shown(listed(b, "--stack-name", stack)) == {of_b[:8]: "PENDING"}
        refused = a("sessions", "close", of_b[:8], "--stack-name", stack).failed()
        assert "no such session" in refused.stderr
        a("sessions", "close", "--all", "--yes", "--stack-name", stack).succeeded()
        assert backend.item(of_a)["Status"] == "CLOSED"
        assert backend.item(of_b)["Status"] == "PENDING"

        # Once attached, everybody sees it.
        async def attach() -> list[dict[str, Any]]:
            async with backend.connect(of_b):
                return await asyncio.to_thread(listed, a, "--stack-name", stack)

        (view,) = asyncio.run(attach())
        assert (view["session"], view["status"], view["owner"]) == (of_b[:8], "ACTIVE", arn_b)


@pytest.fixture
def debuggee(target: Target) -> Iterator[Debuggee]:
    with deployed(target, {"Fn": function()}) as stack:
        yield stack


@pytest.mark.parametrize("named_with_stack", [True, False])
def test_closing_ends_the_connection_says_by_whom_and_restores(
    plldb: Plldb, backend: Backend, debuggee: Debuggee, named_with_stack: bool
) -> None:
    stack_name = ["--stack-name", debuggee.name] if named_with_stack else []

    async def close() -> tuple[str, dict[str, Any], dict[str, Any]]:
        async with attached(backend, debuggee.name) as debugger:
            await debugger.instrument("Fn")
            result = await asyncio.to_thread(
                plldb,
                "sessions",
                "close",
                debugger.session_id[:8],
                *stack_name,
                "--output",
                "json",
            )
            *_, last = await debugger.until("closed")
            with suppress(ConnectionClosed):
                while True:
                    await debugger.receive()
            return debugger.session_id, result.succeeded().json, last

    session_id, answer, told = asyncio.run(close())

    owner = backend.item(session_id)["Owner"]
    assert (answer["session"], answer["status"]) == (session_id[:8], "CLOSED")
    assert told["reason"] == f"closed by {owner}"
    assert backend.item(session_id)["Status"] == "CLOSED"
    poll(lambda: not debuggee.is_held("Fn"), "Fn is restored")


def test_closing_again_changes_nothing(plldb: Plldb, backend: Backend, stack: str) -> None:
    session_id = backend.new_session(stack)
    named = ("sessions", "close", session_id, "--output", "json")

    first, second = plldb(*named).succeeded(), plldb(*named).succeeded()

    assert first.json == second.json
    assert second.json["status"] == "CLOSED"
    by_beginning = plldb("sessions", "close", session_id[:8], "--stack-name", stack).succeeded()
    assert f"Session {session_id[:8]} of stack {stack} is closed." in by_beginning.stdout


def test_closing_all_of_a_stack_leaves_the_others(
    plldb: Plldb, backend: Backend, stack: str
) -> None:
    of_stack = [backend.new_session(stack) for _ in range(3)]
    of_other = backend.new_session(random_name("other"))

    closed = plldb(
        "sessions", "close", "--all", "--yes", "--stack-name", stack, "--output", "json"
    ).succeeded()

    assert closed.json == {"stackName": stack, "closed": 3}
    assert {backend.item(one)["Status"] for one in of_stack} == {"CLOSED"}
    assert backend.item(of_other)["Status"] == "PENDING"
    again = plldb("sessions", "close", "--all", "--yes", "--stack-name", stack).succeeded()
    assert "had no open session" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("close", "00000000"), 1, "No attached session begins with 00000000"),
        (("close", "00000000", "--stack-name", "none"), 1, "no such session"),
        (("close", "00000000-0000-4000-8000-000000000000"), 1, "no such session"),
        (("close", "nonsense"), 2, "That is no session"),
        (("close", "0000"), 2, "That is no session"),
        (("close",), 2, "Name one session by its ID"),
        (("close", "00000000", "--all"), 2, "Name one session by its ID"),
        (("close", "--all"), 2, "--all takes --stack-name"),
        (("close", "--all", "--stack-name", "none"), 2, "Nothing was closed"),
        (("list", "--all"), 2, "--all takes --stack-name"),
        (("list", "--helper-stack", "not-there"), 1, "plldb bootstrap"),
    ],
)
def test_what_cannot_be_done_is_said(
    plldb: Plldb, backend: Backend, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    result = plldb("sessions", *arguments, timeout=DEADLINE_SECONDS).failed(exit_code)

    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""
