"""Who may connect: the debugger of a pending session, a function with a token, and nobody else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.invocations.invocation import Grant, token_key
from lambda_functions.sessions.session import Session, Status, new_session
from lambda_functions.websocket.admission import (
    Admission,
    authorize,
    is_function,
    session_id_of,
)

from tests.memory_stores import MemoryInvocationStore, MemorySessionStore

NOW = 1_800_000_000.0
ARN = "arn:aws:execute-api:us-east-1:123456789012:ws1/plldb/$connect"


class CountingStore(MemorySessionStore):
    def __init__(self, *sessions: Session) -> None:
        super().__init__()
        self.lookups = 0
        for session in sessions:
            self.create(session)

    def get(self, session_id: str) -> Session | None:
        self.lookups += 1
        return super().get(session_id)


class CountingTokens(MemoryInvocationStore):
    lookups = 0

    def grant_of(self, token_key: str) -> Grant | None:
        self.lookups += 1
        return super().grant_of(token_key)


def ask(
    query: dict[str, str] | None,
    *sessions: Session,
    store: Any = None,
    headers: dict[str, str] | None = None,
    tokens: Any = None,
) -> tuple[str, dict[str, Any], dict[str, Any], Any]:
    """The effect, the whole answer, the log record and the store of sessions."""
    store = store or CountingStore(*sessions)
    record: dict[str, Any] = {"level": "INFO"}
    event = {"methodArn": ARN, "queryStringParameters": query, "headers": headers}
    answer = authorize(event, record, NOW, Admission(store, tokens or MemoryInvocationStore()))
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Resource"] == ARN
    assert statement["Action"] == "execute-api:Invoke"
    return statement["Effect"], answer, record, store


PENDING = new_session("app", "me", NOW)


def query(session: Session) -> dict[str, str]:
    return {"sessionId": session.session_id}


class TestAllow:
    def test_a_pending_session(self) -> None:
        effect, answer, record, store = ask(query(PENDING), PENDING)
        assert effect == "Allow"
        assert answer["context"] == {"sessionId": PENDING.session_id}
        assert (record["outcome"], record["stackName"]) == ("allowed", "app")
        assert store.lookups == 1

    def test_the_other_routes_find_the_session_in_its_context(self) -> None:
        _, answer, _, _ = ask(query(PENDING), PENDING)
        event = {"requestContext": {"authorizer": answer["context"]}}
        assert session_id_of(event) == PENDING.session_id
        assert not is_function(event)

    def test_or_none_where_api_gateway_does_not_pass_it_on(self) -> None:
        for context in ({}, {"authorizer": None}, {"authorizer": {}}):
            event = {"requestContext": context}
            assert session_id_of(event) is None
            assert not is_function(event)

    def test_until_its_last_second(self) -> None:
        assert ask(query(PENDING), replace(PENDING, ttl=int(NOW) + 1))[0] == "Allow"


TOKEN = "ze36tmDpAy3BnZmLOw078vXYatgEKFsaUJy1wzC-OPY"


class TestFunctions:
    """They show the token, and the part of the session's id that may be shown."""

    def ask(
        self, headers: dict[str, str], query: dict[str, str] | None = None
    ) -> tuple[str, dict[str, Any], dict[str, Any], tuple[int, int]]:
        """The effect, the whole answer, the log record, and lookups of tokens and sessions."""
        tokens = CountingTokens()
        grant = Grant(PENDING.session_id, "app", PENDING.session_id[:8])
        tokens.add_token(token_key(TOKEN), grant, NOW)
        given_query = query or {"sessionId": PENDING.session_id[:8]}
        effect, answer, record, store = ask(given_query, PENDING, headers=headers, tokens=tokens)
        assert TOKEN not in json.dumps([answer, record])
        return effect, answer, record, (tokens.lookups, store.lookups)

    @pytest.mark.parametrize(
        ("name", "scheme"),
        [("Authorization", "Bearer"), ("authorization", "bearer"), ("AUTHORIZATION", "BEARER")],
    )
    def test_a_known_token(self, name: str, scheme: str) -> None:
        effect, answer, record, lookups = self.ask({name: f"{scheme} {TOKEN}"})
        assert (effect, lookups) == ("Allow", (1, 0))
        assert (record["client"], record["stackName"]) == ("function", "app")
        event = {"requestContext": {"authorizer": answer["context"]}}
        assert is_function(event)

    def test_it_admits_no_debugger(self) -> None:
        """Not even with a session that is pending."""
        _, answer, _, _ = self.ask({"Authorization": f"Bearer {TOKEN}"}, query(PENDING))
        assert session_id_of({"requestContext": {"authorizer": answer["context"]}}) is None

    @pytest.mark.parametrize(
        "value",
        ["Bearer", "Bearer ", "Bearer {token}x", "Bearer {token} x", "Bearer {TOKEN}", "Bearer ä"],
    )
    def test_another_one_is_denied_though_a_session_is_pending(self, value: str) -> None:
        shown = value.format(token=TOKEN, TOKEN=TOKEN.upper())
        effect, answer, record, lookups = self.ask({"Authorization": shown}, query(PENDING))
        assert (effect, lookups) == ("Deny", (1, 0))
        assert "context" not in answer
        assert record["reason"] == "unknown token"

    @pytest.mark.parametrize("value", ["", "Basic {token}", "{token}", "Bearer{token}"])
    def test_what_is_no_token_is_none(self, value: str) -> None:
        effect, _, _, lookups = self.ask({"Authorization": value.format(token=TOKEN)})
        assert (effect, lookups) == ("Deny", (0, 0))

    @given(st.text())
    def test_whatever_is_shown(self, token: str) -> None:
        assert self.ask({"Authorization": f"Bearer {token}"})[0] == "Deny"

    def test_a_failure_of_the_store_is_a_deny_and_an_error_in_the_log(self) -> None:
        class Broken(MemoryInvocationStore):
            def grant_of(self, token_key: str) -> Grant | None:
                raise ConnectionError

        headers = {"Authorization": f"Bearer {TOKEN}"}
        effect, answer, record, _ = ask({}, headers=headers, tokens=Broken())
        assert (effect, record["level"], "context" in answer) == ("Deny", "ERROR", False)


class TestDeny:
    @pytest.mark.parametrize(
        "session",
        [
            replace(PENDING, status=Status.ACTIVE, connection_id="c"),
            replace(PENDING, status=Status.CLOSED),
            replace(PENDING, ttl=int(NOW)),
            replace(PENDING, ttl=int(NOW) - 86_400),
            replace(PENDING, status=Status.ACTIVE, ttl=0),
        ],
        ids=["active", "closed", "expires now", "expired and not yet deleted", "both"],
    )
    def test_a_session_in_any_other_state(self, session: Session) -> None:
        effect, answer, record, _ = ask(query(session), session)
        assert effect == "Deny"
        assert "context" not in answer
        assert (record["outcome"], record["level"]) == ("denied", "WARNING")

    def test_an_unknown_session(self) -> None:
        effect, _, record, _ = ask(query(PENDING))
        assert (effect, record["reason"]) == ("Deny", "unknown")

    @pytest.mark.parametrize(
        "given_query",
        [
            None,
            {},
            {"sessionId": ""},
            {"sessionId": "x"},
            {"sessionId": PENDING.session_id.upper()},
            {"sessionId": PENDING.session_id + " "},
            {"sessionId": PENDING.session_id + "\n"},
            {"sessionId": f"{{{PENDING.session_id}}}"},
            {"sessionid": PENDING.session_id},
            {"sessionId": PENDING.session_id.replace("-", "")},
            {"sessionId": "x" * 100_000},
        ],
        # Named, since what is in them differs in each process that collects the tests.
        ids=[
            "no query",
            "empty query",
            "empty",
            "short",
            "upper case",
            "space at the end",
            "line break at the end",
            "in braces",
            "lower case name",
            "no hyphens",
            "long",
        ],
    )
    def test_what_can_not_be_an_id_costs_no_lookup(
        self, given_query: dict[str, str] | None
    ) -> None:
        effect, _, _, store = ask(given_query, PENDING)
        assert (effect, store.lookups) == ("Deny", 0)

    @given(st.text())
    def test_whatever_is_sent(self, text: str) -> None:
        effect, answer, _, _ = ask({"sessionId": text}, PENDING)
        assert effect == "Deny"
        assert answer["principalId"]

    def test_a_failure_of_the_store_is_a_deny_and_an_error_in_the_log(self) -> None:
        class Broken(MemorySessionStore):
            def get(self, session_id: str) -> Session | None:
                raise ConnectionError(f"no table for {session_id}")

        effect, answer, record, _ = ask(query(PENDING), store=Broken())
        assert effect == "Deny"
        assert "context" not in answer
        assert (record["level"], record["error"]) == ("ERROR", "ConnectionError")
        assert PENDING.session_id not in json.dumps([answer, record])


@pytest.mark.parametrize("known", [True, False])
def test_no_whole_id_is_shown_to_anyone_but_the_other_routes(known: bool) -> None:
    _, answer, record, _ = ask(query(PENDING), *([PENDING] if known else []))
    answer.pop("context", None)
    assert PENDING.session_id not in json.dumps([answer, record])
    assert record["sessionId"] == PENDING.session_id[:8]
