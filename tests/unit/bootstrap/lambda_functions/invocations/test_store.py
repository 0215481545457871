"""Both stores keep the same contract: each step of an invocation is taken once, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import settings
from lambda_functions.invocations.dynamodb import DynamoDbClaims, DynamoDbInvocationStore
from lambda_functions.invocations.invocation import (
    RETENTION,
    TOKEN_RETENTION,
    Answer,
    Grant,
    Invocation,
    InvocationId,
    InvocationState,
    new_token,
    token_key,
)
from lambda_functions.invocations.store import InvocationStore, Recorded, Step

from tests.invocation_life import InvocationLife
from tests.memory_stores import MemoryInvocationStore
from tests.unit.fakes import FakeDynamoDb, client_error

NOW = 1_800_000_000.0


class _SigningClient(FakeDynamoDb):
    meta = SimpleNamespace(endpoint_url="https://dynamodb.here", region_name="eu-west-1")


class _ClaimsBySignedRequests(DynamoDbInvocationStore):
    """Claims as a debugger does, who sends what was signed and learns the status alone."""

    def __init__(self) -> None:
        self._table_itself = _SigningClient("RequestId")
        super().__init__(self._table_itself, "PLLDBDebugger")

    def claim(self, id: InvocationId, session_id: str, now: float) -> Step:
        credentials = Credentials("AKIAEXAMPLE", "secret", "token")
        claims = DynamoDbClaims(self._table_itself, "PLLDBDebugger", lambda: credentials)
        try:
            self._table_itself.update_item(**json.loads(claims.sign(id, session_id, now)["body"]))
        except ClientError:
            return Step(False, self.get(id.request_id))
        return Step(True, self.get(id.request_id))


MAKERS: dict[str, Callable[[], InvocationStore]] = {
    "memory": MemoryInvocationStore,
    "signed claims": _ClaimsBySignedRequests,
    "dynamodb": lambda: DynamoDbInvocationStore(FakeDynamoDb("RequestId"), "PLLDBDebugger"),
}
GRANT = Grant("session", "app", "sess")
ID = InvocationId("r", NOW + 60.123)
WAITING = Invocation(ID, "session", "token#1", "Fn", NOW, "c")
STARTED = replace(WAITING, state=InvocationState.STARTED, has_started=True)
ABANDONED = replace(WAITING, state=InvocationState.ABANDONED)
INLINE, UPLOADED = Answer('{"result": "ä"}'), Answer(body_key="payloads/plldb/0")
# Lambda's next try of the same invocation.
LATER = replace(WAITING, id=InvocationId("r", ID.deadline + 60), created_at=NOW + 60)
OTHERS = replace(WAITING, id=InvocationId("r", ID.deadline + 1), token_key="token#2")


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest) -> InvocationStore:
    return MAKERS[request.param]()


@pytest.fixture
def waiting(store: InvocationStore) -> InvocationStore:
    assert store.record(WAITING) is Recorded.NEW
    return store


@pytest.fixture
def started(waiting: InvocationStore) -> InvocationStore:
    assert waiting.claim(ID, "session", NOW) == Step(True, STARTED)
    return waiting


class TestRecord:
    def test_what_was_recorded_is_found_unchanged(self, waiting: InvocationStore) -> None:
        assert waiting.get("r") == WAITING

    def test_what_was_not_is_none(self, store: InvocationStore) -> None:
        assert store.get("r") is None

    @pytest.mark.parametrize("state", ["waiting", "started", "abandoned"])
    def test_the_same_one_sent_again_changes_nothing(
        self, waiting: InvocationStore, state: str
    ) -> None:
        if state == "started":
            waiting.claim(ID, "session", NOW)
        elif state == "abandoned":
            waiting.abandon(ID, "token#1")
        before = waiting.get("r")
        again = replace(WAITING, created_at=NOW + 1, connection_id="d")
        assert waiting.record(again) is Recorded.REPEATED
        assert waiting.get("r") == before

    @pytest.mark.parametrize("is_started", [False, True])
    def test_lambdas_next_try_takes_the_place_of_the_one_before(
        self, waiting: InvocationStore, is_started: bool
    ) -> None:
        """Its function was ended, or nobody would try again."""
        if is_started:
            waiting.claim(ID, "session", NOW)
        assert waiting.record(LATER) is Recorded.NEW
        assert waiting.get("r") == LATER

    def test_not_the_other_way_round(self, store: InvocationStore) -> None:
        store.record(LATER)
        assert store.record(WAITING) is Recorded.REFUSED
        assert store.get("r") == LATER

    def test_unless_the_later_one_is_over_for_a_timeout_may_have_been_lowered(
        self, store: InvocationStore
    ) -> None:
        store.record(LATER)
        store.abandon(LATER.id, "token#1")
        assert store.record(WAITING) is Recorded.NEW

    def test_one_of_another_token_is_not_to_be_had(self, waiting: InvocationStore) -> None:
        assert waiting.record(OTHERS) is Recorded.REFUSED
        assert waiting.get("r") == WAITING

    def test_unless_it_is_over_or_its_time_is(self, waiting: InvocationStore) -> None:
        late = replace(OTHERS, created_at=ID.deadline)
        assert waiting.record(late) is Recorded.NEW
        waiting.abandon(late.id, "token#2")
        assert waiting.record(WAITING) is Recorded.NEW


class TestBury:
    def test_what_comes_later_finds_itself_abandoned(self, store: InvocationStore) -> None:
        assert store.bury(WAITING) == Step(True, ABANDONED)
        assert store.record(WAITING) is Recorded.REPEATED
        assert store.get("r") == ABANDONED

    def test_what_came_before_is_abandoned(self, waiting: InvocationStore) -> None:
        assert waiting.bury(WAITING) == Step(True, ABANDONED)
        assert waiting.bury(WAITING) == Step(False, ABANDONED)

    def test_what_has_started_stays_so(self, started: InvocationStore) -> None:
        assert started.bury(WAITING) == Step(False, STARTED)

    def test_an_earlier_try_is_over(self, started: InvocationStore) -> None:
        assert started.bury(LATER).is_taken
        assert started.record(LATER) is Recorded.REPEATED

    @pytest.mark.parametrize("is_over", [False, True])
    @pytest.mark.parametrize("other", [LATER, OTHERS])
    def test_a_later_try_or_one_of_another_token_stands(
        self, store: InvocationStore, other: Invocation, is_over: bool
    ) -> None:
        """Its function may ask for it."""
        store.record(other)
        if is_over:
            store.abandon(other.id, other.token_key)
        before = store.get("r")
        assert store.bury(WAITING) == Step(False, before)
        assert store.get("r") == before

    def test_unless_its_time_is_over(self, store: InvocationStore) -> None:
        store.record(OTHERS)
        assert store.bury(replace(WAITING, created_at=OTHERS.id.deadline)).is_taken


class TestClaim:
    def test_it_is_started_and_may_be_claimed_again(self, started: InvocationStore) -> None:
        assert started.claim(ID, "session", NOW + 1) == Step(True, STARTED)
        assert started.get("r") == STARTED

    @pytest.mark.parametrize(
        ("id", "session", "now"),
        [
            (ID, "another", NOW),
            (LATER.id, "session", NOW),
            (ID, "session", ID.deadline),
            (ID, "session", ID.deadline + 1),
        ],
    )
    def test_not_by_another_session_not_another_try_and_not_late(
        self, waiting: InvocationStore, id: InvocationId, session: str, now: float
    ) -> None:
        assert waiting.claim(id, session, now) == Step(False, WAITING)

    @pytest.mark.parametrize("how", ["abandon", "decline", "lose", "answer", "expire"])
    def test_not_one_that_is_over(self, waiting: InvocationStore, how: str) -> None:
        end(waiting, how)
        before = waiting.get("r")
        assert waiting.claim(ID, "session", NOW) == Step(False, before)

    def test_not_one_that_is_unknown(self, store: InvocationStore) -> None:
        assert store.claim(ID, "session", NOW) == Step(False, None)


def test_a_signed_claim_is_one_request_that_shows_no_secret() -> None:
    credentials = Credentials("AKIAEXAMPLE", "the-secret", "a-token")
    claims = DynamoDbClaims(_SigningClient("RequestId"), "PLLDBDebugger", lambda: credentials)
    request = claims.sign(ID, "session", NOW)
    assert request["url"] == "https://dynamodb.here/"
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert headers["host"] == "dynamodb.here"
    assert headers["x-amz-target"] == "DynamoDB_20120810.UpdateItem"
    assert headers["x-amz-security-token"] == "a-token"
    assert "/eu-west-1/dynamodb/aws4_request" in headers["authorization"]
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert {"host", "x-amz-date", "x-amz-target"} <= {*signed.split(";")}
    assert "the-secret" not in json.dumps(request)
    assert "ReturnValue" not in request["body"], "nobody is told what stands there"


def end(store: InvocationStore, how: str) -> None:
    if how == "answer":
        store.claim(ID, "session", NOW)
    steps: dict[str, Callable[[], Any]] = {
        "abandon": lambda: store.abandon(ID, "token#1").is_taken,
        "decline": lambda: store.decline(ID, "session").is_taken,
        "lose": lambda: store.lose(ID, "token#1").is_taken,
        "answer": lambda: store.answer(ID, "session", INLINE, NOW).is_taken,
        "expire": lambda: store.expire("r", ID.deadline),
    }
    assert steps[how]()


class TestAnswer:
    @pytest.mark.parametrize("answer", [INLINE, UPLOADED, Answer("null"), Answer("")])
    def test_it_is_found_unchanged(self, started: InvocationStore, answer: Answer) -> None:
        expected = replace(STARTED, state=InvocationState.ANSWERED, answer=answer)
        assert started.answer(ID, "session", answer, NOW + 1) == Step(True, expected)
        assert started.get("r") == expected

    def test_the_first_one_counts(self, started: InvocationStore) -> None:
        first = started.answer(ID, "session", INLINE, NOW).invocation
        assert started.answer(ID, "session", UPLOADED, NOW) == Step(False, first)
        assert started.lose(ID, "token#1") == Step(False, first)

    @pytest.mark.parametrize(
        ("id", "session", "now"),
        [
            (ID, "another", NOW),
            (LATER.id, "session", NOW),
            (ID, "session", ID.deadline),
            (ID, "session", ID.deadline + 1),
        ],
    )
    def test_not_by_another_session_not_of_another_try_and_not_late(
        self, started: InvocationStore, id: InvocationId, session: str, now: float
    ) -> None:
        assert started.answer(id, session, INLINE, now) == Step(False, STARTED)

    def test_not_of_one_that_was_not_claimed(self, waiting: InvocationStore) -> None:
        assert waiting.answer(ID, "session", INLINE, NOW) == Step(False, WAITING)

    @pytest.mark.parametrize("how", ["abandon", "lose", "expire"])
    def test_not_of_one_that_is_over(self, waiting: InvocationStore, how: str) -> None:
        end(waiting, how)
        before = waiting.get("r")
        assert waiting.answer(ID, "session", INLINE, NOW) == Step(False, before)

    def test_not_of_one_that_is_unknown(self, store: InvocationStore) -> None:
        assert store.answer(ID, "session", INLINE, NOW) == Step(False, None)


class TestGivingUp:
    def test_what_waits_is_taken_back_by_its_function(self, waiting: InvocationStore) -> None:
        assert waiting.abandon(ID, "token#2") == Step(False, WAITING)
        assert waiting.abandon(LATER.id, "token#1") == Step(False, WAITING)
        assert waiting.abandon(ID, "token#1") == Step(True, ABANDONED)
        assert waiting.abandon(ID, "token#1") == Step(False, ABANDONED)

    def test_or_declined_by_its_debugger(self, waiting: InvocationStore) -> None:
        assert waiting.decline(ID, "another") == Step(False, WAITING)
        assert waiting.decline(LATER.id, "session") == Step(False, WAITING)
        assert waiting.decline(ID, "session") == Step(True, ABANDONED)

    def test_what_has_started_is_not(self, started: InvocationStore) -> None:
        assert started.abandon(ID, "token#1") == Step(False, STARTED)
        assert started.decline(ID, "session") == Step(False, STARTED)

    def test_unless_its_session_is_lost(self, started: InvocationStore) -> None:
        """That it had started stays known: it must not be run again."""
        assert started.lose(ID, "token#2") == Step(False, STARTED)
        lost = replace(STARTED, state=InvocationState.ABANDONED)
        assert started.lose(ID, "token#1") == Step(True, lost)
        assert started.get("r") == lost

    def test_what_was_never_there_stays_so(self, store: InvocationStore) -> None:
        for step in (store.abandon, store.lose):
            assert step(ID, "token#1") == Step(False, None)
        assert store.decline(ID, "session") == Step(False, None)
        assert store.get("r") is None


class TestFollow:
    def test_a_function_hears_where_it_is(self, started: InvocationStore) -> None:
        moved = replace(STARTED, connection_id="d")
        assert started.follow(ID, "token#1", "d") == Step(True, moved)
        assert started.get("r") == moved

    def test_not_another_one(self, started: InvocationStore) -> None:
        assert started.follow(ID, "token#2", "d") == Step(False, STARTED)
        assert started.follow(LATER.id, "token#1", "d") == Step(False, STARTED)

    def test_of_one_that_is_over_it_is_told_at_once(self, waiting: InvocationStore) -> None:
        waiting.abandon(ID, "token#1")
        assert waiting.follow(ID, "token#1", "d") == Step(False, ABANDONED)


class TestExpiry:
    def test_what_nobody_waits_for_any_more_is_found_and_expires(
        self, store: InvocationStore
    ) -> None:
        for number in range(5):
            store.record(replace(WAITING, id=InvocationId(f"r{number}", NOW + number)))
        store.claim(InvocationId("r2", NOW + 2), "session", NOW)
        store.claim(InvocationId("r1", NOW + 1), "session", NOW)
        store.answer(InvocationId("r1", NOW + 1), "session", INLINE, NOW)
        store.add_token("token#1", GRANT, NOW)
        assert sorted(store.stale(NOW + 3)) == ["r0", "r2", "r3"]
        expired = [store.expire(f"r{number}", NOW + 3) for number in range(6)]
        assert expired == [True, False, True, True, False, False]
        assert not store.expire("r0", NOW + 3)
        assert list(store.stale(NOW + 3)) == []
        found = [store.get("r0"), store.get("r2")]
        assert [one.state for one in found if one] == [InvocationState.EXPIRED] * 2
        assert [one.has_started for one in found if one] == [False, True]


ENDS: dict[str, Callable[[DynamoDbInvocationStore], object]] = {
    "answered": lambda store: store.answer(ID, "session", INLINE, NOW),
    "lost": lambda store: store.lose(ID, "token#1"),
    "expired": lambda store: store.expire("r", ID.deadline),
    "declined": lambda store: store.decline(WAITS.id, "session"),
    "abandoned": lambda store: store.abandon(WAITS.id, "token#1"),
    "buried": lambda store: store.bury(WAITS),
    "settled": lambda store: store.settle("token#1"),
}
WAITS = replace(WAITING, id=InvocationId("waits", NOW + 60))


@pytest.mark.parametrize("end", ENDS)
def test_what_is_over_is_in_no_index(end: str) -> None:
    """The reaper reads the index every few minutes, and pays for all that is in it."""
    client = FakeDynamoDb("RequestId")
    store = DynamoDbInvocationStore(client, "PLLDBDebugger")
    store.record(WAITING)
    store.claim(ID, "session", NOW)
    store.record(WAITS)
    store.add_token("token#1", GRANT, NOW)
    assert [key for key, item in client.items.items() if "Open" in item] == [*client.items]

    ENDS[end](store)

    (over,) = [key for key, item in client.items.items() if "Open" not in item]
    # An event that arrives twice changes nothing.
    ENDS[end](store)
    assert [key for key, item in client.items.items() if "Open" not in item] == [over]


class TestTokens:
    def test_each_opens_its_session(self, store: InvocationStore) -> None:
        one, two = token_key(new_token()), token_key(new_token())
        other = Grant("other", "elsewhere", "othe")
        store.add_token(one, GRANT, NOW)
        store.add_token(two, other, NOW)
        keys = (one, two, token_key(new_token()), token_key(""))
        assert [store.grant_of(key) for key in keys] == [GRANT, other, None, None]

    def test_or_the_one_that_replaced_it(self, store: InvocationStore) -> None:
        """Under the name that the functions know."""
        store.add_token("token#1", GRANT, NOW)
        store.grant_to("token#1", "heir", NOW)
        store.grant_to("token#unknown", "heir", NOW)
        assert store.grant_of("token#1") == replace(GRANT, session_id="heir")
        assert store.grant_of("token#unknown") is None

    def test_they_are_unsettled_until_somebody_settles_them(self, store: InvocationStore) -> None:
        store.record(WAITING)
        for key in ("token#a", "token#b"):
            store.add_token(key, GRANT, NOW)
        assert sorted(store.unsettled()) == [("token#a", GRANT), ("token#b", GRANT)]
        for key in ("token#a", "token#a", "token#unknown"):
            store.settle(key)
        assert list(store.unsettled()) == [("token#b", GRANT)]
        assert store.grant_of("token#a") == replace(GRANT, is_settled=True)
        assert store.grant_of("token#unknown") is None

    def test_none_is_an_invocation_and_no_invocation_is_one(self, store: InvocationStore) -> None:
        store.add_token("token#1", GRANT, NOW)
        store.record(WAITING)
        assert store.get("token#1") is None
        assert store.grant_of("r") is None

    def test_no_request_id_names_one(self) -> None:
        assert token_key("x").startswith("token#")


class BothStores(InvocationLife):
    @staticmethod
    def make_stores() -> list[InvocationStore]:
        return [make() for make in MAKERS.values()]


TestInvocationLife = BothStores.TestCase
TestInvocationLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


class TestDynamoDb:
    def test_each_operation_is_one_call(self) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")
        store.add_token("token#1", GRANT, NOW)
        store.grant_of("token#1")
        store.record(WAITING)
        store.get("r")
        assert client.calls == ["PutItem", "GetItem"] * 2
        store.record(WAITING)
        store.bury(LATER)
        assert client.calls[4:] == ["PutItem"] * 2
        store.grant_to("token#1", "heir", NOW)
        store.settle("token#1")
        store.claim(ID, "session", NOW)
        store.follow(ID, "token#1", "d")
        store.answer(ID, "session", INLINE, NOW)
        store.decline(ID, "session")
        store.abandon(ID, "token#1")
        store.lose(ID, "token#1")
        store.expire("r", NOW)
        assert client.calls[6:] == ["UpdateItem"] * 9

    def test_no_token_is_stored_as_it_is(self) -> None:
        client = FakeDynamoDb("RequestId")
        token = new_token()
        DynamoDbInvocationStore(client, "t").add_token(token_key(token), GRANT, NOW)
        assert token not in str(client.items)

    def test_nor_shown_by_python_nor_is_an_answer(self) -> None:
        assert "token#1" not in repr(WAITING)
        assert "ä" not in repr(INLINE)

    def test_invocations_are_deleted_soon_and_tokens_outlive_long_sessions(self) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")
        store.add_token("token#1", GRANT, NOW)
        store.record(WAITING)

        def ttls() -> list[int]:
            return [int(item["TTL"]["N"]) - int(NOW) for item in client.items.values()]

        assert ttls() == [TOKEN_RETENTION, RETENTION]
        assert (TOKEN_RETENTION, RETENTION) == (30 * 24 * 3600, 2 * 3600)
        # A session that is replaced again and again may live for longer than that.
        store.grant_to("token#1", "heir", NOW + 86_400)
        assert ttls() == [TOKEN_RETENTION + 86_400, RETENTION]

    @pytest.mark.parametrize("failing", ["put_item", "update_item"])
    def test_a_failure_that_is_no_condition_is_raised(self, failing: str) -> None:
        client = FakeDynamoDb("RequestId")
        store = DynamoDbInvocationStore(client, "t")

        def fail(**_: Any) -> None:
            raise client_error("ProvisionedThroughputExceededException")

        setattr(client, failing, fail)
        call: Callable[[], Any] = {
            "put_item": lambda: store.record(WAITING),
            "update_item": lambda: store.claim(ID, "session", NOW),
        }[failing]
        with pytest.raises(Exception, match="ProvisionedThroughput"):
            call()


class TestRepeatedRequests:
    """botocore repeats a request whose answer got lost; the work was done all the same."""

    @pytest.fixture
    def client(self) -> FakeDynamoDb:
        return FakeDynamoDb("RequestId")

    @pytest.fixture
    def store(self, client: FakeDynamoDb) -> DynamoDbInvocationStore:
        return DynamoDbInvocationStore(client, "t")

    def test_an_invocation_is_new(
        self, client: FakeDynamoDb, store: DynamoDbInvocationStore
    ) -> None:
        """Or nobody would tell the debugger of it."""
        client.lost_answers = 2
        assert store.record(WAITING) is Recorded.NEW
        assert store.record(WAITING) is Recorded.REPEATED

    def test_each_step_is_taken(self, client: FakeDynamoDb, store: DynamoDbInvocationStore) -> None:
        store.record(WAITING)
        for step in (
            lambda: store.claim(ID, "session", NOW),
            lambda: store.answer(ID, "session", INLINE, NOW),
        ):
            client.lost_answers = 2
            assert step().is_taken
        store.record(LATER)
        client.lost_answers = 1
        assert store.abandon(LATER.id, "token#1").is_taken
        assert not store.abandon(LATER.id, "token#1").is_taken

    def test_what_is_buried_is(self, client: FakeDynamoDb, store: DynamoDbInvocationStore) -> None:
        client.lost_answers = 1
        assert store.bury(WAITING) == Step(True, ABANDONED)
