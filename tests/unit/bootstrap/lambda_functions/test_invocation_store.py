"""Both stores keep the same contract: an invocation is answered once, by its owner, in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from lambda_functions.dynamodb import DynamoDbSessionStore
from lambda_functions.invocation_table import DynamoDbInvocationStore
from lambda_functions.invocations import (
    RETENTION,
    Answer,
    Invocation,
    InvocationStore,
    State,
    new_token,
    token_key,
)
from lambda_functions.memory import MemoryInvocationStore
from lambda_functions.sessions import Status, new_session

from tests.unit.fakes import FakeDynamoDb, client_error

NOW = 1_800_000_000.0
MAKERS: dict[str, Callable[[], InvocationStore]] = {
    "memory": MemoryInvocationStore,
    "dynamodb": lambda: DynamoDbInvocationStore(FakeDynamoDb("RequestId"), "PLLDBDebugger"),
}
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
        assert store.record(invocation)
        assert store.get("r") == invocation

    def test_what_was_not_is_none(self, store: InvocationStore) -> None:
        assert store.get("r") is None

    def test_a_retry_under_the_same_id_waits_again(self, store: InvocationStore) -> None:
        store.record(WAITING)
        store.answer("r", "me", ANSWERS[0], NOW)
        assert store.record(WAITING)
        assert store.get("r") == WAITING

    def test_another_session_can_not_take_one_that_is_waited_for(
        self, store: InvocationStore
    ) -> None:
        store.record(WAITING)
        assert not store.record(replace(WAITING, session_id="other", owner="you"))
        assert store.get("r") == WAITING

    def test_but_may_have_the_retry_of_one_that_is_over(self, store: InvocationStore) -> None:
        store.record(WAITING)
        store.abandon("r", "session")
        assert store.record(replace(WAITING, session_id="other"))

    @pytest.mark.parametrize("answer", ANSWERS)
    def test_an_answer(self, store: InvocationStore, answer: Answer) -> None:
        store.record(WAITING)
        assert store.answer("r", "me", answer, NOW + 1)
        assert store.get("r") == replace(WAITING, state=State.ANSWERED, answer=answer)

    def test_the_second_changes_nothing(self, store: InvocationStore) -> None:
        store.record(WAITING)
        assert store.answer("r", "me", ANSWERS[0], NOW)
        assert not store.answer("r", "me", ANSWERS[1], NOW)
        store.abandon("r", "session")
        assert store.get("r") == replace(WAITING, state=State.ANSWERED, answer=ANSWERS[0])

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
        assert store.get("r") == replace(WAITING, state=State.ABANDONED)
        assert not store.answer("r", "me", ANSWERS[0], NOW)

    def test_a_token_opens_its_session(self, store: InvocationStore) -> None:
        one, two = new_token(), new_token()
        store.add_token(one, "first", NOW)
        store.add_token(two, "second", NOW)
        assert [store.session_of(token) for token in (one, two, new_token(), "")] == [
            "first",
            "second",
            None,
            None,
        ]

    def test_a_token_is_no_invocation(self, store: InvocationStore) -> None:
        token = new_token()
        store.add_token(token, "session", NOW)
        assert store.get(token_key(token)) is None


class TestDynamoDb:
    def test_each_operation_is_one_call(self) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")
        store.add_token("t", "s", NOW)
        store.session_of("t")
        store.record(WAITING)
        store.get("r")
        store.answer("r", "me", ANSWERS[0], NOW)
        store.abandon("r", "s")
        expected = ["PutItem", "GetItem", "PutItem", "GetItem", "UpdateItem", "UpdateItem"]
        assert client.calls == expected

    def test_no_token_is_stored_as_it_is(self) -> None:
        client = FakeDynamoDb("RequestId")
        token = new_token()
        DynamoDbInvocationStore(client, "t").add_token(token, "session", NOW)
        assert token not in str(client.items)

    def test_everything_is_deleted_after_a_day(self) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")
        store.add_token("t", "s", NOW)
        store.record(WAITING)
        assert {item["TTL"]["N"] for item in client.items.values()} == {str(int(NOW) + RETENTION)}

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
