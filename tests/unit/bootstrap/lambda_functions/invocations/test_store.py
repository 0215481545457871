"""Both stores keep the same contract: an invocation is answered once, by its owner, in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from lambda_functions.invocations.dynamodb import DynamoDbInvocationStore
from lambda_functions.invocations.invocation import (
    RETENTION,
    TOKEN_RETENTION,
    Answer,
    Grant,
    Invocation,
    InvocationState,
    new_token,
    token_key,
)
from lambda_functions.invocations.store import InvocationStore, Recorded
from lambda_functions.sessions.dynamodb import DynamoDbSessionStore
from lambda_functions.sessions.session import Status, new_session

from tests.memory_stores import MemoryInvocationStore
from tests.unit.fakes import FakeDynamoDb, client_error

NOW = 1_800_000_000.0
MAKERS: dict[str, Callable[[], InvocationStore]] = {
    "memory": MemoryInvocationStore,
    "dynamodb": lambda: DynamoDbInvocationStore(FakeDynamoDb("RequestId"), "PLLDBDebugger"),
}
GRANT = Grant("session", "app")
WAITING = Invocation("r", "session", "me", "Fn", NOW, NOW + 60)
ANSWERS = [
    Answer(result="null"),
    Answer(result='"ä"'),
    Answer(result_key="payloads/plldb/0"),
    Answer(error={"errorType": "E", "errorMessage": "ä", "stackTrace": ["a", "b"]}),
]


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest) -> InvocationStore:
    return MAKERS[request.param]()


class TestContract:
    @pytest.mark.parametrize(
        "invocation",
        [WAITING, replace(WAITING, event='"x"'), replace(WAITING, event_key="payloads/plldb/1")],
    )
    def test_what_was_recorded_is_found_unchanged(
        self, store: InvocationStore, invocation: Invocation
    ) -> None:
        assert store.record(invocation) is Recorded.NEW
        assert store.get("r") == invocation

    def test_what_was_not_is_none(self, store: InvocationStore) -> None:
        assert store.get("r") is None

    def test_lambdas_retry_under_the_same_id_waits_again(self, store: InvocationStore) -> None:
        store.record(WAITING)
        store.answer("r", "me", ANSWERS[0], NOW)
        retry = replace(WAITING, deadline=WAITING.deadline + 60)
        assert store.record(retry) is Recorded.NEW
        assert store.get("r") == retry

    @pytest.mark.parametrize("is_answered", [False, True])
    def test_the_same_one_sent_again_changes_nothing(
        self, store: InvocationStore, is_answered: bool
    ) -> None:
        store.record(WAITING)
        if is_answered:
            store.answer("r", "me", ANSWERS[0], NOW)
        before = store.get("r")
        assert store.record(WAITING) is Recorded.REPEATED
        assert store.get("r") == before

    def test_another_session_can_not_take_one_that_is_waited_for(
        self, store: InvocationStore
    ) -> None:
        store.record(WAITING)
        other = replace(WAITING, session_id="other", owner="you", deadline=NOW + 99)
        assert store.record(other) is Recorded.REFUSED
        assert store.get("r") == WAITING

    def test_one_whose_time_is_over_stands_in_nobodys_way(self, store: InvocationStore) -> None:
        """Its function was ended before it could say so; Lambda's retry finds another session."""
        store.record(WAITING)
        late = WAITING.deadline + 1
        retry = replace(WAITING, session_id="other", created_at=late, deadline=late + 60)
        assert store.record(retry) is Recorded.NEW

    def test_tokens_are_unsettled_until_somebody_settles_them(self, store: InvocationStore) -> None:
        store.record(WAITING)
        for token in ("a", "b"):
            store.add_token(token, GRANT, NOW)
        assert sorted(store.unsettled()) == sorted((token_key(t), GRANT) for t in ("a", "b"))
        store.settle(token_key("a"))
        store.settle(token_key("unknown"))
        assert list(store.unsettled()) == [(token_key("b"), GRANT)]
        assert store.grant_of("a") == GRANT
        assert store.grant_of("unknown") is None

    def test_but_may_have_the_retry_of_one_that_is_over(self, store: InvocationStore) -> None:
        store.record(WAITING)
        store.abandon("r", "session")
        assert store.record(replace(WAITING, session_id="other")) is Recorded.NEW

    @pytest.mark.parametrize("answer", ANSWERS)
    def test_an_answer(self, store: InvocationStore, answer: Answer) -> None:
        store.record(WAITING)
        assert store.answer("r", "me", answer, NOW + 1)
        assert store.get("r") == replace(WAITING, state=InvocationState.ANSWERED, answer=answer)

    def test_the_second_changes_nothing(self, store: InvocationStore) -> None:
        store.record(WAITING)
        assert store.answer("r", "me", ANSWERS[0], NOW)
        assert not store.answer("r", "me", ANSWERS[1], NOW)
        store.abandon("r", "session")
        assert store.get("r") == replace(WAITING, state=InvocationState.ANSWERED, answer=ANSWERS[0])

    @pytest.mark.parametrize(
        ("owner", "now"), [("you", NOW), ("me", NOW + 60), ("me", NOW + 61), ("", NOW)]
    )
    def test_not_by_others_and_not_late(
        self, store: InvocationStore, owner: str, now: float
    ) -> None:
        store.record(WAITING)
        assert not store.answer("r", owner, ANSWERS[0], now)
        assert store.get("r") == WAITING

    def test_not_to_what_is_unknown(self, store: InvocationStore) -> None:
        assert not store.answer("r", "me", ANSWERS[0], NOW)
        store.abandon("r", "session")
        assert store.get("r") is None

    def test_abandoned(self, store: InvocationStore) -> None:
        store.record(WAITING)
        store.abandon("r", "another")
        assert store.get("r") == WAITING
        store.abandon("r", "session")
        assert store.get("r") == replace(WAITING, state=InvocationState.ABANDONED)
        assert not store.answer("r", "me", ANSWERS[0], NOW)

    def test_what_nobody_waits_for_any_more_is_found_and_expires(
        self, store: InvocationStore
    ) -> None:
        for number in range(5):
            store.record(replace(WAITING, request_id=f"r{number}", deadline=NOW + number))
        store.answer("r1", "me", ANSWERS[0], NOW)
        store.abandon("r2", "session")
        store.add_token("t", GRANT, NOW)
        assert sorted(store.stale(NOW + 3)) == ["r0", "r3"]
        assert [store.expire(f"r{number}", NOW + 3) for number in range(6)] == [
            True,
            False,
            False,
            True,
            False,
            False,
        ]
        found = store.get("r0")
        assert found is not None
        assert found.state is InvocationState.EXPIRED
        assert not store.expire("r0", NOW + 3)
        assert not store.answer("r0", "me", ANSWERS[0], NOW - 1)
        assert list(store.stale(NOW + 3)) == []
        other = replace(WAITING, request_id="r0", session_id="other")
        assert store.record(other) is Recorded.NEW

    def test_a_token_opens_its_session(self, store: InvocationStore) -> None:
        one, two = new_token(), new_token()
        store.add_token(one, Grant("first", "app"), NOW)
        store.add_token(two, Grant("second", "other"), NOW)
        assert [store.grant_of(token) for token in (one, two, new_token(), "")] == [
            Grant("first", "app"),
            Grant("second", "other"),
            None,
            None,
        ]

    def test_a_token_is_no_invocation(self, store: InvocationStore) -> None:
        token = new_token()
        store.add_token(token, GRANT, NOW)
        assert store.get(token_key(token)) is None


class TestDynamoDb:
    def test_each_operation_is_one_call(self) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")
        store.add_token("t", GRANT, NOW)
        store.grant_of("t")
        store.record(WAITING)
        store.get("r")
        store.answer("r", "me", ANSWERS[0], NOW)
        store.abandon("r", "s")
        store.expire("r", NOW)
        expected = ["PutItem", "GetItem"] * 2 + ["UpdateItem"] * 3
        assert client.calls == expected

    def test_no_token_is_stored_as_it_is(self) -> None:
        client = FakeDynamoDb("RequestId")
        token = new_token()
        DynamoDbInvocationStore(client, "t").add_token(token, GRANT, NOW)
        assert token not in str(client.items)

    def test_invocations_are_deleted_after_a_day_and_tokens_outlive_long_sessions(self) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")
        store.add_token("t", GRANT, NOW)
        store.record(WAITING)
        ttls = [int(item["TTL"]["N"]) - int(NOW) for item in client.items.values()]
        assert ttls == [TOKEN_RETENTION, RETENTION]
        assert (TOKEN_RETENTION, RETENTION) == (30 * 24 * 3600, 24 * 3600)

    @pytest.mark.parametrize("failing", ["put_item", "update_item"])
    def test_a_failure_that_is_no_condition_is_raised(self, failing: str) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")

        def fail(**_: Any) -> None:
            raise client_error("ProvisionedThroughputExceededException")

        setattr(client, failing, fail)
        failing_call = {
            "put_item": lambda: store.record(WAITING),
            "update_item": lambda: store.answer("r", "me", ANSWERS[0], NOW),
        }[failing]
        with pytest.raises(Exception, match="ProvisionedThroughput"):
            failing_call()


class TestRepeatedRequests:
    """botocore repeats a request whose answer got lost; the work was done all the same."""

    def test_an_answer_counts(self) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")
        store.record(WAITING)
        client.lost_answers = 2
        assert store.answer("r", "me", ANSWERS[0], NOW)
        assert not store.answer("r", "me", ANSWERS[1], NOW)

    def test_an_invocation_is_recorded_once(self) -> None:
        """And handed over: who can't tell whether it was the first has to."""
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")
        client.lost_answers = 1
        assert store.record(WAITING) is Recorded.REPEATED
        assert store.get("r") == WAITING

    def test_a_session_is_created(self) -> None:
        client = FakeDynamoDb()
        store = DynamoDbSessionStore(client, "t")
        session = new_session("app", "me", NOW)
        client.lost_answers = 2
        store.create(session)
        assert store.get(session.session_id) == session

    def test_a_session_is_taken_and_closed(self) -> None:
        client = FakeDynamoDb()
        store = DynamoDbSessionStore(client, "t")
        session = new_session("app", "me", NOW)
        store.create(session)
        client.lost_answers = 1
        assert store.activate(session.session_id, "c", NOW)
        assert not store.activate(session.session_id, "c", NOW)
        client.lost_answers = 1
        closed = store.close(session.session_id, "c")
        assert closed is not None
        assert closed.status is Status.CLOSED
        assert store.close(session.session_id, "c") is None
