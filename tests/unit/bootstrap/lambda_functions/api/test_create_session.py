"""POST /sessions: a session for a good request, a 400 for every other, and nothing in between."""

from __future__ import annotations

import base64
import json
import re
import uuid
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import example, given
from hypothesis import strategies as st
from lambda_functions.api.create_session import SessionCreation, create_session
from lambda_functions.api.rest import dispatch
from lambda_functions.instrumentation.request import Instrumentation, wake_request
from lambda_functions.sessions.pending_cap import PendingCap
from lambda_functions.sessions.session import LIFETIME, Session, Status

from tests.memory_stores import MemorySessionStore
from tests.unit.fakes import FakeInstrumentation

NOW = 1_800_000_000.25
MAX_BYTES = 8192
HELPER_STACK = "plldb-helper"
CALLER = "arn:aws:iam::123456789012:user/someone"


class CountingStore(MemorySessionStore):
    def __init__(self) -> None:
        super().__init__()
        self.created: list[Session] = []

    def create(self, session: Session) -> None:
        self.created.append(session)
        super().create(session)


def creation_of(
    store: MemorySessionStore, cap: int = 1000, instrumentation: Instrumentation | None = None
) -> SessionCreation:
    instrumentation = instrumentation or FakeInstrumentation()
    return SessionCreation(store, PendingCap(store, cap), MAX_BYTES, HELPER_STACK, instrumentation)


def event(body: Any, *, base64_encoded: bool = False) -> dict[str, Any]:
    return {
        "body": body,
        "isBase64Encoded": base64_encoded,
        "requestContext": {"identity": {"userArn": CALLER}},
    }


def post(given: dict[str, Any]) -> tuple[int, dict[str, Any], CountingStore, dict[str, Any]]:
    store, record = CountingStore(), {}
    creation = creation_of(store)
    operation = dispatch({"POST /sessions": partial(create_session, creation=creation)})
    answer = operation(given | {"httpMethod": "POST", "resource": "/sessions"}, record, NOW)
    return answer["statusCode"], json.loads(answer["body"]), store, record


def named(name: Any) -> dict[str, Any]:
    return event(json.dumps({"stackName": name}))


def assert_bad_request(given: dict[str, Any]) -> None:
    status, body, store, record = post(given)
    assert status == 400
    assert body.keys() == {"message"}
    assert body["message"]
    assert store.created == []
    assert record["outcome"] == "bad_request"


class TestCreated:
    def test_the_answer_is_the_id_and_nothing_else(self) -> None:
        status, body, _, _ = post(named("my-stack"))
        assert status == 201
        assert body.keys() == {"sessionId"}
        assert str(uuid.UUID(body["sessionId"], version=4)) == body["sessionId"]

    def test_the_item(self) -> None:
        _, body, store, _ = post(named("my-stack"))
        (session,) = store.created
        assert session == Session(
            session_id=body["sessionId"],
            stack_name="my-stack",
            status=Status.PENDING,
            ttl=1_800_000_000 + LIFETIME,
            created_at="2027-01-15T08:00:00.250+00:00",
            owner=CALLER,
            connection_id=None,
        )
        assert LIFETIME == 3600

    def test_what_instruments_starts_before_it_is_asked_for_functions(self) -> None:
        instrumentation = FakeInstrumentation()
        creation = creation_of(MemorySessionStore(), 1, instrumentation)
        for status in (201, 429):
            answer = create_session(named("my-stack"), {}, NOW, creation)
            assert answer["statusCode"] == status
        assert instrumentation.requests == [wake_request()]

    @pytest.mark.parametrize(
        "failure",
        [
            ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke"),
            ConnectTimeoutError(endpoint_url="https://lambda"),
        ],
        ids=["refused", "unreachable"],
    )
    def test_a_session_does_not_depend_on_that(self, failure: Exception) -> None:
        def fail() -> None:
            raise failure

        instrumentation, record = FakeInstrumentation(), {}
        instrumentation.before_start = fail
        creation = creation_of(MemorySessionStore(), 1, instrumentation)
        assert create_session(named("my-stack"), record, NOW, creation)["statusCode"] == 201
        assert record["notWoken"] == type(failure).__name__

    def test_every_session_has_its_own_id(self) -> None:
        assert len({post(named("app"))[1]["sessionId"] for _ in range(100)}) == 100

    def test_the_answer_is_json_that_nobody_may_keep(self) -> None:
        answer = create_session(named("app"), {}, NOW, creation_of(MemorySessionStore()))
        assert answer["headers"] == {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
        }

    def test_the_log_knows_the_beginning_of_the_id_only(self) -> None:
        _, body, _, record = post(named("my-stack"))
        assert record == {
            "route": "POST /sessions",
            "outcome": "created",
            "sessionId": body["sessionId"][:8],
            "stackName": "my-stack",
        }

    def test_a_caller_without_arn_is_unknown(self) -> None:
        given = named("app") | {"requestContext": {"identity": {"userArn": None}}}
        assert post(given)[2].created[0].owner == "unknown"

    def test_a_base64_body_is_the_same(self) -> None:
        body = base64.b64encode(b'{"stackName": "app"}').decode()
        assert post(event(body, base64_encoded=True))[0] == 201

    @given(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,127}", fullmatch=True))
    def test_every_name_that_cloudformation_takes(self, name: str) -> None:
        status, _, store, _ = post(named(name))
        assert status == 201
        assert store.created[0].stack_name == name

    def test_other_keys_do_not_matter(self) -> None:
        assert post(event('{"stackName": "app", "more": [1]}'))[0] == 201

    def test_a_store_that_fails_is_an_error_and_no_answer(self) -> None:
        class Broken(MemorySessionStore):
            def create(self, session: Session) -> None:
                raise ConnectionError

        with pytest.raises(ConnectionError):
            create_session(named("app"), {}, NOW, creation_of(Broken()))


class TestTooMany:
    def test_a_stack_has_so_many_that_nobody_connected_to(self) -> None:
        store = MemorySessionStore()
        creation = creation_of(store, cap=3)
        for _ in range(3):
            assert create_session(named("app"), {}, NOW, creation)["statusCode"] == 201
        record: dict[str, Any] = {}
        answer = create_session(named("app"), record, NOW + 10, creation)
        assert answer["statusCode"] == 429
        assert json.loads(answer["body"])["message"]
        # Until the first of them expires.
        assert answer["headers"]["Retry-After"] == str(LIFETIME - 10)
        assert answer["headers"]["Content-Type"] == "application/json"
        assert (record["outcome"], record["level"]) == ("refused", "WARNING")
        assert create_session(named("other"), {}, NOW, creation)["statusCode"] == 201
        assert len(store.open_sessions("app", NOW)) == 3


class TestBadRequest:
    @pytest.mark.parametrize(
        "body",
        [
            None,
            "",
            " ",
            "{",
            "nul",
            "null",
            "[]",
            '"my-stack"',
            "1",
            "true",
            "NaN",
            "{}",
            '{"stackName"}',
            "{'stackName': 'app'}",
            '{"stackname": "app"}',
            '{"stackName": "app"} more',
            '{"stackName": "app",}',
            "[" * 8000,
            "[" * 4000 + "]" * 4000,
            '{"a":' * 1600,
            '{"stackName": ' + "[" * 4000 + "]" * 4000 + "}",
            "1" * 8000,
            '{"stackName": ' + "1" * 5000 + "}",
            "\x00",
        ],
        ids=lambda body: repr(body)[:24],
    )
    def test_bodies_that_are_no_request(self, body: str | None) -> None:
        assert_bad_request(event(body))

    @pytest.mark.parametrize(
        "name",
        [
            None,
            "",
            " ",
            "1app",
            "-app",
            "my_stack",
            "my stack",
            "app\n",
            "äpp",
            "a" * 129,
            "arn:aws:cloudformation:us-east-1:1:stack/app/1",
            0,
            1,
            True,
            False,
            [],
            ["app"],
            {},
            "\ud800",
            "app\u0000",
            "\uff41pp",
            "a\u0661",
        ],
        ids=repr,
    )
    def test_names_that_no_stack_can_have(self, name: Any) -> None:
        assert_bad_request(named(name))

    def test_a_missing_name_is_told_from_a_wrong_one(self) -> None:
        assert "missing" in post(event("{}"))[1]["message"]
        assert "missing" not in post(named("1app"))[1]["message"]

    @pytest.mark.parametrize("raw", [b"\xff\xfe\xfd", b'{"stackName": "\xff"}', b"\x80", b""])
    def test_base64_of_what_is_no_text(self, raw: bytes) -> None:
        assert_bad_request(event(base64.b64encode(raw).decode(), base64_encoded=True))

    @pytest.mark.parametrize("body", ["%%%", "a", "ä", "===="])
    def test_what_claims_to_be_base64_and_is_not(self, body: str) -> None:
        assert_bad_request(event(body, base64_encoded=True))

    @pytest.mark.parametrize("body", ["\ud800", '{"stackName": "\udfff"}'])
    def test_half_of_a_character(self, body: str) -> None:
        """A lone surrogate is what JSON's escapes can smuggle into the event's body."""
        assert_bad_request(event(body))

    def test_an_event_without_a_body(self) -> None:
        given = event(None)
        del given["body"]
        assert_bad_request(given)

    def test_the_border_of_the_size_is_8_kb(self) -> None:
        padding = MAX_BYTES - len('{"stackName": "app", "x": ""}')
        fits = '{"stackName": "app", "x": "' + "x" * padding + '"}'
        assert post(event(fits))[0] == 201
        assert_bad_request(event(fits + " "))
        encoded = base64.b64encode(fits.encode()).decode()
        assert post(event(encoded, base64_encoded=True))[0] == 201

    def test_the_size_counts_bytes_and_not_characters(self) -> None:
        body = json.dumps({"stackName": "app", "x": "ä" * 5000}, ensure_ascii=False)
        assert len(body) < MAX_BYTES < len(body.encode())
        assert_bad_request(event(body))

    def test_the_helper_stack_itself_is_not_to_be_debugged(self) -> None:
        """Whoever debugs its functions has their rights, and sees the sessions of others."""
        assert_bad_request(named(HELPER_STACK))
        _, body, _, record = post(named(HELPER_STACK))
        assert "plldb's own helper stack" in body["message"]
        assert record["stackName"] == HELPER_STACK
        for other in (f"{HELPER_STACK}-2", HELPER_STACK.removesuffix("-helper")):
            assert post(named(other))[0] == 201

    def test_the_log_does_not_quote_the_body(self) -> None:
        _, _, _, record = post(event('{"stackName": "secret secret"}'))
        assert "secret" not in json.dumps(record)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("stackName"), inner),
)


class TestWhateverComes:
    """Never anything but 201 or 400, and nothing is stored with a 400."""

    def check(self, given_event: dict[str, Any]) -> None:
        status, body, store, record = post(given_event)
        json.dumps(record)
        if status == 201:
            assert body.keys() == {"sessionId"}
            (session,) = store.created
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,127}", session.stack_name)
        else:
            assert (status, body.keys(), store.created) == (400, {"message"}, [])

    @given(
        st.none()
        | st.text(st.characters(exclude_categories=()))
        | json_values.map(json.dumps)
        | st.dictionaries(st.just("stackName"), json_values).map(json.dumps)
    )
    @example("\ud800")
    def test_as_text(self, body: str | None) -> None:
        self.check(event(body))

    @given(st.binary() | json_values.map(lambda value: json.dumps(value).encode("utf-16")))
    def test_as_base64(self, raw: bytes) -> None:
        self.check(event(base64.b64encode(raw).decode(), base64_encoded=True))

    @given(st.text())
    def test_as_what_claims_to_be_base64(self, body: str) -> None:
        self.check(event(body, base64_encoded=True))
