"""Who may connect: whoever has a session that is pending, and nobody else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.sessions.session import (
    RefreshOffer,
    Session,
    Status,
    new_session,
    refresh_hash,
)
from lambda_functions.websocket.admission import authorize, refresh_hash_of, session_id_of

from tests.memory_stores import MemorySessionStore

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
    answer = authorize({"methodArn": ARN, "queryStringParameters": query}, record, NOW, store)
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


OFFER = RefreshOffer(refresh_hash("token"), int(NOW) + 60)
ATTACHED = replace(PENDING, status=Status.ACTIVE, connection_id="c", offer=OFFER)


class TestRefresh:
    def test_an_attached_session_with_its_token(self) -> None:
        given_query = query(ATTACHED) | {"refreshToken": "token"}
        effect, answer, record, store = ask(given_query, ATTACHED)
        assert (effect, record["outcome"], store.lookups) == ("Allow", "allowed", 1)
        event = {"requestContext": {"authorizer": answer["context"]}}
        assert session_id_of(event) == ATTACHED.session_id
        assert refresh_hash_of(event) == OFFER.token_hash
        assert '"token"' not in json.dumps([answer, record])

    def test_a_first_connection_has_no_such_thing(self) -> None:
        _, answer, _, _ = ask(query(PENDING), PENDING)
        assert refresh_hash_of({"requestContext": {"authorizer": answer["context"]}}) is None

    @pytest.mark.parametrize(
        ("session", "token"),
        [
            (ATTACHED, ""),
            (ATTACHED, "wrong"),
            (ATTACHED, OFFER.token_hash),
            (ATTACHED, "\ud800"),
            (ATTACHED, "x" * 100_000),
            (replace(ATTACHED, offer=None), "token"),
            (replace(ATTACHED, offer=replace(OFFER, expires=int(NOW))), "token"),
            (replace(ATTACHED, ttl=int(NOW)), "token"),
            (replace(ATTACHED, status=Status.CLOSED), "token"),
            (replace(ATTACHED, status=Status.PENDING), "token"),
            (PENDING, "token"),
            (PENDING, ""),
        ],
    )
    def test_everything_else_is_denied(self, session: Session, token: str) -> None:
        effect, answer, _, _ = ask(query(session) | {"refreshToken": token}, session)
        assert effect == "Deny"
        assert "context" not in answer

    def test_the_token_of_one_session_opens_no_other(self) -> None:
        other = replace(
            ATTACHED,
            session_id=new_session("app", "me", NOW).session_id,
            offer=RefreshOffer(refresh_hash("another"), int(NOW) + 60),
        )
        given_query = query(other) | {"refreshToken": "token"}
        assert ask(given_query, ATTACHED, other)[0] == "Deny"


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
