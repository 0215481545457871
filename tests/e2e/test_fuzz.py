"""Whatever is sent, the answer is no server error and shows nothing of the inside.

Over 8,000 inputs: bodies, query strings, paths, headers and WebSocket messages, through the real
gateway, signed by a caller who may call everything.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lambda_functions.invocations.dynamodb import DynamoDbInvocationStore
from lambda_functions.invocations.invocation import Grant, new_token, token_key
from lambda_functions.websocket import wire
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from .support import DEADLINE_SECONDS, Backend, random_name

_ANY_HEALTH = list(HealthCheck)
# What a stack trace, an exception or a library would say.
_INSIDE = ("Traceback", 'File "', "botocore", "lambda_functions", "Runtime.", "Exception")


def inputs(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        # No shrinking by the hundreds: the first input that fails is worth a look as it is.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=_ANY_HEALTH,
    )


class Api:
    """The management API over one kept connection, as a caller with all rights."""

    def __init__(self, backend: Backend) -> None:
        self._url = backend.helper.management_api_url
        self._auth = backend.target.execute_api_auth()
        self._http = requests.Session()

    def send(self, method: str, path: str, **content: Any) -> requests.Response:
        return self._http.request(
            method, self._url + path, auth=self._auth, timeout=DEADLINE_SECONDS, **content
        )

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def api(backend: Backend) -> Iterator[Api]:
    api = Api(backend)
    yield api
    api.close()


def assert_refused_in_order(answer: requests.Response) -> None:
    assert answer.status_code < 500, (answer.request.method, answer.url, answer.text)
    for inside in _INSIDE:
        assert inside not in answer.text
    if answer.status_code >= 400:
        error = answer.json()
        # API Gateway itself writes it with a capital, or null, now and then.
        assert error.keys() & {"message", "Message"}, answer.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=12,
)
# Mostly nearly right: what is far off is refused at the first look.
NAMES = st.sampled_from(
    [
        "stackName",
        "requestId",
        "function",
        "deadline",
        "acceptBefore",
        "context",
        "event",
        "eventKey",
        "body",
        "bodyKey",
        "action",
        "functions",
        "whenAbsent",
        "takeOver",
        "asFunction",
        "credentials",
        "replaces",
        "sessionId",
        "token",
    ]
)
VALUES = JSON | st.sampled_from(
    ["s", "a" * 200, "payloads/x", "Fn", 1e308, -1, 2**70, {}, [], "\ud800", "\x00", "token#x"]
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)
BODIES = st.binary(max_size=200) | (JSON | OBJECTS).map(
    lambda value: json.dumps(value, ensure_ascii=True).encode()
)
TEXTS = st.text(min_size=1, max_size=60)
# What HTTP allows in a header, and clients let through.
TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_", min_size=1, max_size=30)
HEADER_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=200).map(
    str.strip
)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sessions"),
        ("DELETE", "/sessions"),
    ],
)
def test_bodies(api: Api, method: str, path: str) -> None:
    @given(body=BODIES)
    @inputs(600)
    def check(body: bytes) -> None:
        assert_refused_in_order(api.send(method, path, data=body))

    check()


@pytest.mark.parametrize(("method", "path"), [("GET", "/sessions"), ("DELETE", "/sessions")])
def test_query_strings(api: Api, method: str, path: str) -> None:
    names = st.sampled_from(["stackName", "limit", "nextToken"]) | TEXTS
    values = TEXTS | st.sampled_from(["", "0", "-1", "101", "1e9", "some-stack", "e30=", "W10="])

    @given(query=st.lists(st.tuples(names, values), max_size=5))
    @inputs(1000)
    def check(query: list[tuple[str, str]]) -> None:
        parameters = [(name, value.encode(errors="replace")) for name, value in query]
        assert_refused_in_order(api.send(method, path, params=parameters))

    check()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", ["/sessions/{}", "/{}"])
def test_paths(api: Api, method: str, path: str) -> None:
    part = TEXTS.map(lambda text: requests.utils.quote(text.encode(errors="replace"), safe=""))

    @given(part=part, query=st.sampled_from([{}, {"stackName": "some-stack"}]))
    @inputs(250)
    def check(part: str, query: dict[str, str]) -> None:
        assert_refused_in_order(api.send(method, path.format(part), params=query))

    check()


@pytest.mark.parametrize("path", ["/sessions", "/health"])
def test_headers(api: Api, path: str) -> None:
    own = st.sampled_from(["Accept", "X-Forwarded-For", "Cookie", "User-Agent", "Origin"])
    # The signer trips over quotation marks, before us; what is not signed has them, below.
    values = HEADER_VALUES.map(
        lambda text: text.translate({ord("'"): None, ord('"'): None}).strip()
    )

    @given(headers=st.dictionaries(own | TOKENS.map("X-{}".format), values, max_size=6))
    @inputs(600)
    def check(headers: dict[str, str]) -> None:
        assert_refused_in_order(api.send("GET", path, headers=headers))

    check()


# --- WebSocket messages -----------------------------------------------------------------------

# Of each action, mostly with what it needs.
ACTIONS = st.sampled_from([*(str(action) for action in wire.Action), "dance", "$default", "close "])
IDS = st.sampled_from(["6f2d8a52-2a0f-4f4b-9d0c-6f3a5d9f8f11", "some-request", "", "token#x", 7])
TIMES = st.sampled_from([0, -1, 1e300, 2**70, True, "soon"]) | st.integers(1, 2**33)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "requestId": IDS,
        "deadline": TIMES,
        "acceptBefore": TIMES,
        "function": st.sampled_from(["Fn", "no id", "", "é" * 300]),
        "context": st.just({}) | JSON,
        "event": st.just("1") | JSON,
        "body": st.sampled_from(['{"result": 1}', '{"error": 1}', "[" * 5000, "\ud800"]) | JSON,
        "replaces": IDS,
    },
)
BROKEN = st.text(min_size=1, max_size=200) | (JSON | OBJECTS).map(json.dumps)
# Of a wrong type, so that nothing is instrumented: that answers later, and in pieces.
NOT_INSTRUMENTING = {"takeOver": "perhaps"}


@pytest.mark.parametrize("end", ["debugger", "function"])
def test_messages(backend: Backend, end: str) -> None:
    """Each gets one answer, an orderly one, and the connection stays."""
    talk = Conversation(backend)
    mine = {"sessionId": talk.session_id}
    proof = {"token": talk.new_token()} if end == "function" else mine
    messages = st.one_of(
        BROKEN,
        st.builds(
            lambda action, parts, rest: rest | parts | {"action": action} | NOT_INSTRUMENTING,
            ACTIONS,
            PARTS,
            OBJECTS,
        )
        .map(lambda message: message | proof if len(message) % 5 else message)
        .filter(lambda message: _is_answered(message, mine))
        .map(json.dumps),
    )

    @given(message=messages)
    @inputs(1500)
    def check(message: str) -> None:
        answer = talk.answer_to(message.encode(errors="replace").decode())
        assert answer["type"] in list(wire.MessageType), answer
        if answer["type"] == "error":
            assert answer["code"] in list(wire.ErrorCode)
        for inside in _INSIDE:
            assert inside not in json.dumps(answer)

    try:
        check()
        assert talk.status() == "ACTIVE"
    finally:
        talk.end()


def _is_answered(message: dict[str, Any], mine: dict[str, Any]) -> bool:
    """Not what ends the session, nor what is not answered: an invocation that is not there is
    declined without a word."""
    closes = {"action": "close"} | mine
    return message["action"] != "decline" and not closes.items() <= message.items()


@pytest.mark.parametrize("route", ["$connect", "$disconnect"])
def test_a_message_that_calls_itself_a_connection_does_no_harm(
    backend: Backend, route: str
) -> None:
    """An engine may take it for the route of that name, which can only close its own session."""
    bystander, talk = Conversation(backend), Conversation(backend)
    try:
        talk.send(json.dumps({"action": route, "sessionId": bystander.session_id}))
        heartbeat = wire.heartbeat_message(bystander.session_id)
        assert bystander.answer_to(heartbeat)["type"] == "heartbeat"
        assert bystander.status() == "ACTIVE"
        assert talk.status() in ("ACTIVE", "CLOSED")
    finally:
        talk.end()
        bystander.end()


class Conversation:
    """One connection that is used from one test, message by message."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.session_id = backend.new_session(random_name("fuzzed"))
        self._runner = asyncio.Runner()
        self._websocket: ClientConnection = self._runner.run(self._open())
        backend.lengthen_lease(self.session_id)

    async def _open(self) -> ClientConnection:
        return await self._backend.connected(self.session_id)

    def new_token(self) -> str:
        """As instrumenting makes one."""
        store = DynamoDbInvocationStore(
            self._backend.target.client("dynamodb"), self._backend.helper.debugger_table
        )
        token = new_token()
        grant = Grant(self.session_id, "fuzzed", self.session_id[:8])
        store.add_token(token_key(token), grant, time.time())
        return token

    def status(self) -> str:
        return str(self._backend.item(self.session_id)["Status"])

    def send(self, message: str) -> None:
        self._runner.run(self._websocket.send(message))

    def answer_to(self, message: str) -> dict[str, Any]:
        async def ask() -> dict[str, Any]:
            try:
                await self._websocket.send(message)
                text = await asyncio.wait_for(self._websocket.recv(), DEADLINE_SECONDS)
            except ConnectionClosed as closed:
                raise AssertionError(f"it hung up at {message!a}: {closed}") from None
            except TimeoutError:
                raise AssertionError(f"no answer to {message!a}") from None
            answer = json.loads(text)
            assert isinstance(answer, dict)
            return answer

        return self._runner.run(ask())

    def end(self) -> None:
        self._runner.run(self._websocket.close())
        self._runner.close()
