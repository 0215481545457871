"""Who may connect: whoever has a session that is pending, and nobody else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.authorizer import authorize, session_id_of
from lambda_functions.memory import MemorySessionStore
from lambda_functions.sessions import Session, Status, new_session

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


def ask(
    query: dict[str, str] | None, *sessions: Session, store: Any = None
) -> tuple[str, dict[str, Any], dict[str, Any], Any]:
    """The effect, the whole answer, the log record and the store."""
    store = store or CountingStore(*sessions)
    record: dict[str, Any] = {"level": "INFO"}
    answer = authorize({"methodArn": ARN, "queryStringParameters": query}, record, store, NOW)
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

    def test_until_its_last_second(self) -> None:
        assert ask(query(PENDING), replace(PENDING, ttl=int(NOW) + 1))[0] == "Allow"


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
        ids=lambda q: str(q)[:40],
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
