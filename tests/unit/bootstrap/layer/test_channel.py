"""What a function and the helper stack say to each other, and where an invocation runs then."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import plldb_shim
import pytest
from lambda_functions.websocket import wire
from plldb_shim import (
    channel,
    constants,
    function_context,
    idle_connection,
    tcp,
    variables,
    websocket_client,
)

from tests.unit.fakes import Answer, Request, local_server
from tests.unit.polling import poll

from .function import TOKEN, Context, instrumented, reported, variables_of
from .helper_stack import (
    ASKED,
    HANG_UP,
    REQUEST_ID,
    HelperStack,
    Message,
    ServerConnection,
    absent,
    accepted,
    answer,
    answering,
    full_port,
    gone,
    helper_stack,
    invoked,
    silent,
    started,
)
from .simulation import Clock, simulated

Patience = Callable[..., None]

OWN = {"own": 1}
LOST = "plldb: the debugger went away while it ran this invocation"


def call(event: Any = 1, seconds: float = 30) -> Any:
    return plldb_shim.handler(event, Context(seconds))


def wait_until_it_is_known_here() -> None:
    """That the connection which nobody uses has ended: then there is something to read."""
    kept = channel._idle._connection
    assert kept is not None
    assert select.select([kept._socket], [], [], 20)[0]


CREDENTIALS = {
    "accessKeyId": "ASIAEXAMPLE",
    "secretAccessKey": "the-secret",
    "sessionToken": "the-session-token" * 60,
}


class TestMessages:
    """The contract is the docstring of ``wire``."""

    def test_an_invocation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = time.time()
        monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-a-b;Sampled=1")
        with instrumented(monkeypatch, invoked(answer(2))) as stack:
            assert call({"a": [1]}, seconds=900) == 2
        (message,) = stack.messages
        assert before + 898 < message.pop("deadline") < time.time() + 899.1
        assert before + 1.9 < message.pop("acceptBefore") < time.time() + 2.1
        assert message == {
            "action": "invoke",
            "token": TOKEN,
            "requestId": REQUEST_ID,
            "function": "Fn",
            "context": {
                "function_name": "app-Fn",
                "function_version": "$LATEST",
                "invoked_function_arn": Context.invoked_function_arn,
                "memory_limit_in_mb": "128",
                "log_group_name": "/aws/lambda/app-Fn",
                "log_stream_name": "stream",
                "tenant_id": "blue",
                "client_context": None,
                "identity": {"cognito_identity_id": None, "cognito_identity_pool_id": None},
                "trace_id": "Root=1-a-b;Sampled=1",
                "w3c": {"traceparent": "00-a-b-01"},
            },
            "event": '{"a": [1]}',
        }

    def test_nothing_is_accepted_later_than_the_function_can_wait(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with simulated(monkeypatch, invoked(answer(2))) as (stack, _):
            assert call(seconds=2) == 2
        (message,) = stack.messages
        assert message["acceptBefore"] == message["deadline"]

    def test_the_handshake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with instrumented(monkeypatch, invoked(answer(2))) as stack:
            call()
        (handshake,) = stack.handshakes
        assert handshake.path == "/_aws/execute-api/id/plldb?sessionId=12345678"
        assert handshake.headers["authorization"] == f"Bearer {TOKEN}"
        assert handshake.headers["host"] == f"localhost:{stack.port}"

    def test_they_are_the_contracts(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        patience(START_SECONDS=0.02, AWAIT_SECONDS=0.02)
        contract: dict[str, set[str]] = {
            "upload": {"requestId"},
            "invoke": {
                *("requestId", "function", "deadline", "acceptBefore", "context"),
                *("event", "eventKey", "credentials"),
            },
            "abandon": {"requestId", "deadline"},
            "await": {"requestId", "deadline"},
        }
        with local_server(lambda _: Answer(200)) as bucket:
            upload = wire.upload(REQUEST_ID, "k", f"{bucket.url}/k?s=1")
            script = {
                "upload": [[upload]],
                "invoke": [[accepted()]],
                "abandon": [[started()]],
                "await": [[answer(2)]],
            }
            monkeypatch.setattr(function_context, "_CREDENTIALS", CREDENTIALS)
            wanted = {constants.AS_FUNCTION: "true"}
            with instrumented(monkeypatch, answering(script), **wanted) as stack:
                assert call("x" * 100_000) == 2
                assert call("x") == 2
        assert set(stack.actions()) == contract.keys() <= set(wire.Action)
        sent: dict[str, set[str]] = {}
        for message in stack.messages:
            sent.setdefault(message.pop("action"), set()).update(message)
        assert sent == {action: fields | {"token"} for action, fields in contract.items()}
        documented = wire.__doc__ or ""
        assert all(name in documented for fields in sent.values() for name in fields)

    def test_credentials_go_with_each_event_if_they_are_wanted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(function_context, "_CREDENTIALS", CREDENTIALS)
        wanted = {constants.AS_FUNCTION: "true"}
        with instrumented(monkeypatch, invoked(answer(2)), **wanted) as stack:
            # What the function's own handler has made of its environment does not count.
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
            assert [call(), call()] == [2, 2]
        assert [one["credentials"] for one in stack.messages] == [CREDENTIALS] * 2

    @pytest.mark.parametrize("is_wanted", [False, True])
    def test_otherwise_nothing_is_said_of_them(
        self, monkeypatch: pytest.MonkeyPatch, is_wanted: bool
    ) -> None:
        found = CREDENTIALS | ({"secretAccessKey": ""} if is_wanted else {})
        monkeypatch.setattr(function_context, "_CREDENTIALS", found)
        wanted = {constants.AS_FUNCTION: "true"} if is_wanted else {}
        with instrumented(monkeypatch, invoked(answer(2)), **wanted) as stack:
            assert call() == 2
        assert "credentials" not in stack.messages[0]

    def test_the_words_are_the_contracts(self) -> None:
        from plldb_shim import progress

        assert set(progress.WORDS) <= set(wire.MessageType)

    def test_whoever_reads_them_reads_numbers_alike(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The deadline is a part of what names an invocation."""
        script = {"invoke": [HANG_UP], "await": [[absent()]]}
        with instrumented(monkeypatch, answering(script)) as stack:
            assert call() == OWN
        invoke, wait = stack.messages
        assert invoke["deadline"] == wait["deadline"]


class TestRefusal:
    """Nothing of the invocation can run at a debugger: the function runs it."""

    def test_by_the_helper_stack(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with instrumented(monkeypatch, invoked(absent("it is asleep"))) as stack:
            assert call() == OWN
        assert stack.actions() == ["invoke"]
        expected = "plldb: no debugger attached, running the original handler: it is asleep\n"
        assert capsys.readouterr().out == expected

    def test_or_the_caller_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        script = invoked(absent("it is asleep"))
        with instrumented(monkeypatch, script, PLLDB_WHEN_ABSENT="error"):
            shown = reported("x")
        assert shown["errorType"] == "PlldbNoDebugger"
        assert shown["errorMessage"] == "plldb: no debugger attached: it is asleep"

    def test_by_silence_after_two_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with simulated(monkeypatch, silent) as (stack, clock):
            assert call() == OWN
        assert clock.passed == pytest.approx(2.5, abs=0.01)
        assert stack.actions() == ["invoke", "abandon"]

    def test_a_silent_connection_is_not_used_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        script = {"invoke": [[], [answer(2)]]}
        with simulated(monkeypatch, answering(script)) as (stack, _):
            assert call() == OWN
            assert call() == 2
        assert len(stack.handshakes) == 2

    def test_if_the_word_was_lost_it_comes_once_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The helper stack had recorded the invocation: a debugger may have begun."""

        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            return [started(), answer(2)] if message["action"] == "abandon" else []

        with simulated(monkeypatch, respond) as (stack, _):
            assert call() == 2
        assert stack.actions() == ["invoke", "abandon"]

    def test_by_a_debugger_that_does_not_begin_within_five_seconds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = {"invoke": [[accepted()]], "abandon": [[absent()]]}
        with simulated(monkeypatch, answering(script)) as (stack, clock):
            assert call() == OWN
        assert clock.passed == pytest.approx(5, abs=0.01)
        assert stack.actions() == ["invoke", "abandon"]

    def test_not_by_slowness_if_callers_are_to_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            clock.after(50, lambda: stack.push(accepted()))
            clock.after(51, lambda: stack.push(answer(2)))
            return []

        with simulated(monkeypatch, respond, PLLDB_WHEN_ABSENT="wait") as (stack, clock):
            before = clock.time()
            assert call(seconds=900) == 2
        (invoke,) = stack.messages
        assert invoke["acceptBefore"] > before + 59

    def test_but_by_a_minute_of_silence_which_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with simulated(monkeypatch, silent, PLLDB_WHEN_ABSENT="wait") as (_, clock):
            shown = reported({}, Context(900))
        assert shown["errorType"] == "PlldbNoDebugger"
        assert "did not accept the invocation in time" in shown["errorMessage"]
        assert 60 <= clock.passed < 62

    def test_while_it_waits_its_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A debugger declines what it has no room for."""
        with instrumented(monkeypatch, invoked(accepted(), absent())) as stack:
            assert call() == OWN
        assert stack.actions() == ["invoke"]

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 426])
    def test_of_the_connection(self, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
        with instrumented(monkeypatch, invoked(answer(2)), PLLDB_WHEN_ABSENT="error") as stack:
            stack.refusals.append(status)
            shown = reported()
        assert shown["errorType"] == "PlldbNoDebugger"
        assert str(status) in shown["errorMessage"]
        assert len(stack.handshakes) == 1

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_not_by_one_that_is_busy_for_a_moment(
        self, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        with simulated(monkeypatch, invoked(answer(2))) as (stack, _):
            stack.refusals.append(status)
            assert call() == 2
        assert len(stack.handshakes) == 2

    @pytest.mark.parametrize("status", [429, 500])
    def test_but_by_one_that_stays_busy(self, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
        with simulated(monkeypatch, invoked(answer(2))) as (stack, clock):
            stack.refusals += [status] * 1000
            assert call() == OWN
        assert 2 < len(stack.handshakes) < 10
        assert channel.BUSY_SECONDS <= clock.passed < 2 * channel.BUSY_SECONDS

    @pytest.mark.parametrize(
        "url",
        [
            *("", "nonsense", "https://localhost:1/plldb", "ws://", "ws://localhost:x/plldb"),
            *("ws://127.0.0.1:1/plldb", "ws://no such host/", f"ws://{'x' * 64}.example/"),
        ],
    )
    def test_by_nobody_there(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        with instrumented(monkeypatch, silent, PLLDB_WEBSOCKET_URL=url):
            assert call() == OWN

    def test_by_a_host_that_takes_no_connection(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        patience(CONNECT_SECONDS=0.2)
        with (
            full_port() as port,
            instrumented(monkeypatch, silent, PLLDB_WEBSOCKET_URL=f"ws://127.0.0.1:{port}/plldb"),
        ):
            assert call() == OWN

    def test_by_a_host_that_does_not_answer(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        patience(HANDSHAKE_SECONDS=0.2)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"ws://127.0.0.1:{listening.getsockname()[1]}/plldb"
            with instrumented(
                monkeypatch, silent, PLLDB_WEBSOCKET_URL=url, PLLDB_WHEN_ABSENT="error"
            ):
                shown = reported()
        assert shown["errorType"] == "PlldbNoDebugger"
        assert "does not answer" in shown["errorMessage"]

    @pytest.mark.parametrize("event", ["x", "x" * 30_000])
    def test_too_little_time_to_ask_anybody(
        self, monkeypatch: pytest.MonkeyPatch, event: str
    ) -> None:
        with instrumented(monkeypatch, invoked(answer(1))) as stack:
            assert call(event, seconds=0.9) == {"own": event}
            monkeypatch.setitem(variables.TAKEN, constants.WHEN_ABSENT, "error")
            shown = reported(event, Context(0.9))
        assert shown["errorType"] == "PlldbNoDebugger"
        assert "time" in shown["errorMessage"]
        assert stack.handshakes == []


class TestAnswer:
    @pytest.mark.parametrize(
        "words",
        [
            [answer(2)],
            [accepted(), answer(2)],
            [accepted(), started(), answer(2)],
            # Whatever order they come in, and however often.
            [started(), accepted(), answer(2)],
            [accepted(), accepted(), started(), started(), answer(2), answer(2), accepted()],
        ],
        ids=lambda words: "-".join(word["type"] for word in words),
    )
    def test_in_any_order_of_words(
        self, monkeypatch: pytest.MonkeyPatch, words: list[Message]
    ) -> None:
        with instrumented(monkeypatch, invoked(*words)) as stack:
            assert call() == 2
        assert stack.actions() == ["invoke"]

    @pytest.mark.parametrize(
        "noise",
        [
            wire.answer("another", ASKED, body='{"result": 3}'),
            wire.absent("another", ASKED, "no"),
            wire.gone("another", ASKED),
            # Of an earlier try of the same invocation.
            wire.gone(REQUEST_ID, 1.0),
            wire.absent(REQUEST_ID, 1.0, "no"),
            wire.upload(REQUEST_ID, "k", "http://127.0.0.1:1/"),
            wire.error(wire.ErrorCode.BAD_REQUEST, "no"),
            # API Gateway's own, when a function of the helper stack failed.
            {"message": "Internal server error", "connectionId": "c", "requestId": "r"},
            {"message": "Internal server error", "requestId": REQUEST_ID},
            {"type": "of tomorrow", "requestId": REQUEST_ID},
            {"type": ["absent"], "requestId": REQUEST_ID},
            ["absent"],
            7,
        ],
        ids=str,
    )
    def test_whatever_else_comes(self, monkeypatch: pytest.MonkeyPatch, noise: Any) -> None:
        words = [noise, accepted(), noise, started(), noise, answer(2)]
        with instrumented(monkeypatch, invoked(*words)):
            assert call() == 2

    def test_noise_is_no_word(self, monkeypatch: pytest.MonkeyPatch, patience: Patience) -> None:
        patience(ACCEPT_SECONDS=0.2)
        noise = {"type": "of tomorrow", "requestId": REQUEST_ID}
        with instrumented(monkeypatch, answering({"invoke": [[noise]], "abandon": [[noise]]})):
            assert call() == OWN

    @pytest.mark.parametrize(
        ("words", "result"), [([accepted(), answer(2)], 2), ([7, absent("no")], OWN)], ids=str
    )
    def test_what_has_come_counts_however_late_it_is_read(
        self, monkeypatch: pytest.MonkeyPatch, words: list[Any], result: Any
    ) -> None:
        """The environment may have been starved of time."""
        receive = websocket_client.WebSocket.receive

        def be_late(self: websocket_client.WebSocket, until: float) -> str | None:
            clock.sleep(max(until - clock.monotonic(), 0) + 1)
            return receive(self, until)

        monkeypatch.setattr(websocket_client.WebSocket, "receive", be_late)
        with simulated(monkeypatch, invoked(*words)) as (stack, clock):
            assert call() == result
        assert stack.actions() == ["invoke"]

    def test_what_comes_right_after_a_look_is_looked_for_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The environment may be starved of time once it has seen that there is nothing."""
        receive = websocket_client.WebSocket.receive

        def be_late_afterwards(self: websocket_client.WebSocket, until: float) -> str | None:
            text = receive(self, until)
            if text is None:
                clock.sleep(1)
            return text

        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            clock.after(2.3, lambda: stack.push(accepted()))
            clock.after(2.4, lambda: stack.push(answer(2)))
            return []

        monkeypatch.setattr(websocket_client.WebSocket, "receive", be_late_afterwards)
        with simulated(monkeypatch, respond) as (stack, clock):
            assert call() == 2
        assert stack.actions() == ["invoke"]

    def test_text_that_is_not_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            with connection._lock:
                for text in (b"", b"{", b"null"):
                    connection._protocol.send_text(text)
                one = answer(2) | {"deadline": message["deadline"]}
                connection._protocol.send_binary(json.dumps(one).encode())
            connection._flush()
            return []

        with instrumented(monkeypatch, respond):
            assert call() == 2

    def test_at_long_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Asked at five seconds; then every half minute, until there is one."""
        script = {
            "invoke": [[accepted()]],
            "abandon": [[started()]],
            "await": [[started()], [started()], [answer(2)]],
        }
        with simulated(monkeypatch, answering(script)) as (stack, clock):
            assert call(seconds=900) == 2
        assert stack.actions() == ["invoke", "abandon", "await", "await", "await"]
        assert clock.passed == pytest.approx(5 + 3 * 30, abs=0.01)

    def test_one_that_came_just_before_the_question(self, monkeypatch: pytest.MonkeyPatch) -> None:
        script = {"invoke": [[accepted()]], "abandon": [[answer(2)]]}
        with simulated(monkeypatch, answering(script)):
            assert call() == 2

    def test_once_started_nothing_is_abandoned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        script = {"invoke": [[accepted(), started(), accepted()]], "await": [[answer(2)]]}
        with simulated(monkeypatch, answering(script)) as (stack, _):
            assert call(seconds=900) == 2
        assert stack.actions() == ["invoke", "await"]

    def test_nor_asked_for_before_it_is_time_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            clock.after(29, lambda: stack.push(answer(2)))
            return [started(), accepted()]

        with simulated(monkeypatch, respond) as (stack, clock):
            assert call(seconds=900) == 2
        assert stack.actions() == ["invoke"]
        assert clock.passed == pytest.approx(29, abs=0.01)

    @pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"results": 1}', "null"])
    def test_that_makes_no_sense(self, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
        """The debugger has run the invocation: the function must not run it as well."""
        with instrumented(monkeypatch, invoked(wire.answer(REQUEST_ID, ASKED, body=body))):
            assert reported()["errorType"] == "PlldbDebuggerLost"


class TestLoss:
    """The debugger may have run the invocation, and there is no answer: an error."""

    @pytest.mark.parametrize("word", ["gone", "absent"])
    @pytest.mark.parametrize("asked_at", ["invoke", "abandon", "await"])
    def test_of_the_debugger(
        self, monkeypatch: pytest.MonkeyPatch, word: str, asked_at: str
    ) -> None:
        script = {
            "invoke": [[accepted()]],
            "abandon": [[started()]],
            "await": [[started()]],
        }
        said = gone() if word == "gone" else absent()
        script[asked_at] = [[started(), said]]
        with simulated(monkeypatch, answering(script)):
            shown = reported({}, Context(900))
        assert (shown["errorType"], shown["errorMessage"]) == ("PlldbDebuggerLost", LOST)

    def test_of_one_that_was_not_known_to_have_begun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with instrumented(monkeypatch, invoked(accepted(), gone())):
            assert reported()["errorType"] == "PlldbDebuggerLost"

    def test_but_one_that_never_began_may_be_run_here(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = {"invoke": [HANG_UP], "await": [[accepted(), absent()]]}
        with instrumented(monkeypatch, answering(script)):
            assert call() == OWN

    @pytest.mark.parametrize("words", [[accepted()], [started()]], ids=["accepted", "started"])
    def test_of_time(self, monkeypatch: pytest.MonkeyPatch, words: list[Message]) -> None:
        with simulated(monkeypatch, invoked(*words)):
            context = Context(8)
            shown = reported({}, context)
            assert shown["errorType"] == "PlldbTimeout"
            assert context.get_remaining_time_in_millis() == pytest.approx(1000, abs=10)

    def test_of_time_before_there_was_a_word(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The helper stack may have accepted it all the same."""
        with simulated(monkeypatch, silent):
            assert reported({}, Context(1.3))["errorType"] == "PlldbTimeout"

    def test_of_the_helper_stack(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with simulated(monkeypatch, answering({"invoke": [HANG_UP]})) as (stack, _):
            stack.refusals += [101] + [500] * 10_000
            context = Context(30)
            assert reported({}, context)["errorType"] == "PlldbTimeout"
            assert context.get_remaining_time_in_millis() == pytest.approx(1000, abs=10)
        assert len(stack.handshakes) > 3

    @pytest.mark.parametrize("status", [401, 403])
    def test_of_the_right_to_ask(self, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
        """The session is lost and its functions are restored, or the helper stack is destroyed."""
        with simulated(monkeypatch, answering({"invoke": [HANG_UP]})) as (stack, clock):
            stack.refusals += [101] + [status] * 10_000
            shown = reported({}, Context(900))
        assert shown["errorType"] == "PlldbDebuggerLost"
        assert "does not know this function" in shown["errorMessage"]
        latest = channel.DENIED_SECONDS + channel.LONGEST_PAUSE_SECONDS
        assert channel.DENIED_SECONDS <= clock.passed <= latest + 0.01

    def test_not_of_the_right_to_ask_for_a_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A session that is lost has a while to come back."""
        script = {"invoke": [HANG_UP], "await": [[answer(2)]]}
        with simulated(monkeypatch, answering(script)) as (stack, clock):
            stack.refusals += [101, *[403] * 15, 500, *[403] * 15]
            assert call(seconds=900) == 2
        assert clock.passed > channel.DENIED_SECONDS


class TestReconnecting:
    """While an invocation waits, its connection breaks: whoever comes back asks what became."""

    @pytest.mark.parametrize("before", [[], [accepted()], [accepted(), started()]], ids=len)
    @pytest.mark.parametrize("resets", [False, True])
    def test_the_answer_comes_over_the_new_one(
        self, monkeypatch: pytest.MonkeyPatch, before: list[Message], resets: bool
    ) -> None:
        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            if message["action"] == "await":
                return [started(), answer(2)]
            for word in before:
                connection.send(word)
            connection.hang_up(resets=resets)
            return []

        with instrumented(monkeypatch, respond) as stack:
            assert call() == 2
        assert stack.actions() == ["invoke", "await"]

    def test_after_two_hours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """API Gateway closes a connection then, in good order."""

        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            if message["action"] == "await":
                return [answer(2)]
            connection.close()
            return []

        with instrumented(monkeypatch, respond) as stack:
            assert call() == 2
        assert stack.actions() == ["invoke", "await"]

    def test_it_is_done_at_once(self, monkeypatch: pytest.MonkeyPatch, patience: Patience) -> None:
        patience(FIRST_PAUSE_SECONDS=60, LONGEST_PAUSE_SECONDS=60)
        script = {"invoke": [HANG_UP], "await": [[answer(2)]]}
        with instrumented(monkeypatch, answering(script)):
            assert call() == 2

    def test_it_is_again_if_there_was_a_word_meanwhile(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        patience(FIRST_PAUSE_SECONDS=60, LONGEST_PAUSE_SECONDS=60)

        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            if len(stack.handshakes) == 4:
                return [answer(2)]
            connection.send(started())
            raise HANG_UP

        with instrumented(monkeypatch, respond) as stack:
            assert call() == 2

    def test_and_then_with_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        script = {"invoke": [HANG_UP], "await": [HANG_UP]}
        with simulated(monkeypatch, answering(script)) as (stack, _):
            assert reported({}, Context(30))["errorType"] == "PlldbTimeout"
        assert 6 < len(stack.handshakes) < 15

    def test_what_arrived_and_never_was_there_runs_here(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = {"invoke": [HANG_UP], "await": [[absent()]]}
        with instrumented(monkeypatch, answering(script)) as stack:
            assert call() == OWN
        assert stack.actions() == ["invoke", "await"]

    def test_silence_proves_nothing_after_a_break(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``accepted`` may have gone to the connection that broke."""
        script = {
            "invoke": [HANG_UP],
            "abandon": [[], [], [started(), answer(2)]],
            "await": [[]],
        }
        with simulated(monkeypatch, answering(script)) as (stack, _):
            assert call(seconds=900) == 2
        assert stack.actions().count("abandon") == 3

    @pytest.mark.parametrize(
        ("words", "question"), [([accepted()], "abandon"), ([started()], "await")]
    )
    def test_a_question_without_an_answer_means_that_the_connection_is_dead(
        self, monkeypatch: pytest.MonkeyPatch, words: list[Message], question: str
    ) -> None:
        """Half-open: what is sent goes nowhere, and nobody says so."""

        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            if message["action"] == "invoke":
                return words
            return [] if connection is stack.connections[0] else [answer(2)]

        with simulated(monkeypatch, respond) as (stack, _):
            assert call(seconds=900) == 2
        assert stack.actions()[:3] == ["invoke", question, "await"]
        assert len(stack.handshakes) == 2

    def test_a_server_that_is_started_again(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        patience(FIRST_PAUSE_SECONDS=0.01)
        attempts: list[str] = []
        dial = websocket_client.dial

        def count(url: str, *arguments: Any) -> Any:
            attempts.append(url)
            return dial(url, *arguments)

        monkeypatch.setattr(websocket_client, "dial", count)
        stack = HelperStack(invoked(accepted(), started()))
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(call()))
        with stack.running():
            monkeypatch.setattr(variables, "TAKEN", variables_of(stack.url))
            thread.start()
            poll(lambda: stack.actions() == ["invoke"])
        stack.respond = answering({"await": [[started(), answer(2)]]})
        poll(lambda: len(attempts) > 2)
        with stack.running():
            thread.join()
            channel.hang_up()
        assert results == [2]
        assert stack.actions() == ["invoke", "await"]

    def test_an_accepted_one_is_still_abandoned_in_time(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        """``await`` alone would leave it with a debugger that is silent."""
        patience(START_SECONDS=0.2)

        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            if message["action"] == "invoke":
                connection.send(accepted())
                raise HANG_UP
            return [absent()] if message["action"] == "abandon" else [accepted()]

        with instrumented(monkeypatch, respond) as stack:
            assert call() == OWN
        assert stack.actions() == ["invoke", "await", "abandon"]


class TestKeptConnection:
    def test_there_is_one_handshake_for_all_invocations(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = {"invoke": [[answer(n)] for n in range(5)]}
        with instrumented(monkeypatch, answering(script)) as stack:
            assert [call() for _ in range(5)] == list(range(5))
        assert len(stack.handshakes) == 1

    def test_also_if_an_invocation_ends_badly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = {"errorType": "E", "errorMessage": "m", "stackTrace": []}
        script = {
            "invoke": [
                [absent()],
                [wire.answer(REQUEST_ID, ASKED, body=json.dumps({"error": error}))],
                [gone()],
                [answer(2)],
            ]
        }
        with instrumented(monkeypatch, answering(script)) as stack:
            assert call() == OWN
            assert reported()["errorType"] == "E"
            assert reported()["errorType"] == "PlldbDebuggerLost"
            assert call() == 2
        assert len(stack.handshakes) == 1

    def test_answers_that_come_late_are_nobodys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lambda may try again under the same id."""
        script = {"invoke": [[started()], [answer("second")]]}
        with simulated(monkeypatch, answering(script)) as (stack, _):
            assert reported({}, Context(20))["errorType"] == "PlldbTimeout"
            stack.push(answer("first"))
            stack.push(gone())
            assert call() == "second"
        assert len(stack.handshakes) == 1

    def test_pings_that_came_meanwhile_are_answered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with simulated(monkeypatch, invoked(answer(2))) as (stack, _):
            call()
            stack.connections[-1].ping(b"there?")
            call()
            assert stack.pongs == [b"there?"]
        assert len(stack.handshakes) == 1

    @pytest.mark.parametrize("end", ["close", "hang_up", "reset"])
    def test_one_that_has_ended_is_opened_again_first(
        self, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        with instrumented(monkeypatch, invoked(answer(2))) as stack:
            call()
            (connection,) = stack.connections
            if end == "close":
                connection.close()
            else:
                connection.hang_up(resets=end == "reset")
            wait_until_it_is_known_here()
            assert call() == 2
        assert stack.actions() == ["invoke", "invoke"]
        assert len(stack.handshakes) == 2

    def test_one_that_turns_out_dead_is_opened_again_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What could not be sent is not there, and may be sent once more."""
        with instrumented(monkeypatch, invoked(answer(2))) as stack:
            call()
            send = websocket_client.WebSocket.send
            failures = [BrokenPipeError()]

            def fail(self: websocket_client.WebSocket, text: str) -> None:
                if failures:
                    raise failures.pop()
                send(self, text)

            monkeypatch.setattr(websocket_client.WebSocket, "send", fail)
            assert call() == 2
            assert len(stack.handshakes) == 2
            failures += [BrokenPipeError(), BrokenPipeError()]
            assert call() == OWN
            assert len(stack.handshakes) == 3

    def test_one_that_nobody_used_for_minutes_is_not_trusted(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        assert idle_connection.IDLE_SECONDS == 120
        patience(IDLE_SECONDS=-1)
        with instrumented(monkeypatch, invoked(answer(2))) as stack:
            call()
            assert call() == 2
        assert len(stack.handshakes) == 2

    @pytest.mark.parametrize("clock", ["time", "monotonic"])
    @pytest.mark.parametrize("skip", [-1000, 1000])
    def test_whichever_clock_stood_still(
        self, monkeypatch: pytest.MonkeyPatch, clock: str, skip: float
    ) -> None:
        """An environment is frozen between invocations, and its clock may be put back."""
        real = getattr(time, clock)

        class Time:
            sleep, time, monotonic = time.sleep, time.time, time.monotonic

        changed = Time()
        with instrumented(monkeypatch, invoked(answer(2))) as stack:
            call()
            setattr(changed, clock, lambda: real() + skip)
            monkeypatch.setattr(idle_connection, "time", changed)
            assert call() == 2
        assert len(stack.handshakes) == (2 if skip > 0 else 1)

    def test_two_invocations_at_once_have_one_each(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        """On AWS there are none; here, none gets the other's answer."""
        patience(ACCEPT_SECONDS=20)

        def respond(message: Message, connection: ServerConnection) -> list[Message]:
            both.wait(20)
            return [answer(json.loads(message["event"]))]

        both = threading.Barrier(2)
        results: list[Any] = []
        with instrumented(monkeypatch, respond) as stack:
            threads = [
                threading.Thread(target=lambda n=n: results.append(call(n))) for n in range(2)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(results) == [0, 1]
        assert len(stack.handshakes) == 2


class Bucket:
    """What was PUT and what there is to GET; the next answers may be failures."""

    def __init__(self) -> None:
        self.stored: dict[str, str] = {}
        self.requests: list[Request] = []
        self.failures: list[int] = []
        self.url = ""

    def respond(self, request: Request) -> Answer:
        self.requests.append(request)
        if self.failures:
            return Answer(self.failures.pop(0))
        if request.method == "PUT":
            self.stored[request.path] = request.body
            return Answer(200)
        return Answer(200, self.stored[request.path])

    def upload(self) -> Message:
        return wire.upload(REQUEST_ID, "k", f"{self.url}/k?signature=s")

    def answer(self) -> Message:
        return wire.answer(REQUEST_ID, ASKED, body_url=f"{self.url}/result?signature=s")


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    with local_server(bucket.respond) as server:
        bucket.url = server.url
        yield bucket


class TestLargeOnes:
    def test_go_through_the_bucket(self, monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
        large = "ä" * 2_000_000
        bucket.stored["/result"] = json.dumps({"result": large})
        script = {"upload": [[bucket.upload()]], "invoke": [[accepted(), bucket.answer()]]}
        with instrumented(monkeypatch, answering(script)) as stack:
            assert call(large) == large
        assert json.loads(bucket.stored["/k"]) == large
        assert len(bucket.stored["/k"]) > 6_000_000
        upload, invoke = stack.messages
        assert (upload["action"], invoke["eventKey"]) == ("upload", "k")
        assert "event" not in invoke
        assert len(stack.handshakes) == 1
        for request in bucket.requests:
            assert "authorization" not in request.headers, "the token is the helper stack's only"

    @pytest.mark.parametrize("wanted", [{}, {constants.AS_FUNCTION: "true"}], ids=["", "role"])
    @pytest.mark.parametrize("kind", ["plain", '"', "ä", "\\"])
    def test_only_those_whose_whole_message_is_too_large(
        self, monkeypatch: pytest.MonkeyPatch, bucket: Bucket, kind: str, wanted: dict[str, str]
    ) -> None:
        """What is not of the event stays in the message: none of it is stored."""
        monkeypatch.setattr(function_context, "_CREDENTIALS", CREDENTIALS)
        script = {"upload": [[bucket.upload()]], "invoke": [[answer(2)]]}
        with instrumented(monkeypatch, answering(script), **wanted) as stack:
            for size in range(500, 30_000, 500):
                assert call(kind * (size // len(kind))) == 2
        sizes = [len(json.dumps(message)) for message in stack.messages if "context" in message]
        assert 24_000 < max(sizes) <= 28_000
        assert bucket.stored
        assert CREDENTIALS["secretAccessKey"] not in str(bucket.stored)

    def test_one_that_could_not_be_stored_runs_here(
        self, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
    ) -> None:
        bucket.failures.append(403)
        large = "x" * 100_000
        with instrumented(
            monkeypatch, answering({"upload": [[bucket.upload()]]}), PLLDB_WHEN_ABSENT="error"
        ) as stack:
            shown = reported(large)
        assert shown["errorType"] == "PlldbNoDebugger"
        assert "403" in shown["errorMessage"]
        assert stack.actions() == ["upload"]

    def test_one_that_may_not_be_stored_is_not_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        no_upload = absent("it has no room")
        # No deadline is known where an upload is asked for.
        del no_upload["deadline"]
        script = answering({"upload": [[no_upload]]})
        with instrumented(monkeypatch, script, PLLDB_WHEN_ABSENT="error"):
            shown = reported("x" * 100_000)
        assert shown["errorMessage"] == "plldb: no debugger attached: it has no room"

    def test_nobody_says_where_to_store_it(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        patience(UPLOAD_SECONDS=0.2)
        large = "x" * 100_000
        with instrumented(monkeypatch, silent):
            assert call(large) == {"own": large}

    def test_a_kept_connection_may_turn_out_dead(
        self, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
    ) -> None:
        script = {
            "upload": [HANG_UP, [bucket.upload()]],
            "invoke": [[answer(1)], [answer(2)]],
        }
        with instrumented(monkeypatch, answering(script)) as stack:
            assert call() == 1
            assert call("x" * 100_000) == 2
        assert stack.actions() == ["invoke", "upload", "upload", "invoke"]

    def test_a_bucket_that_fails_for_a_moment_is_asked_again(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience, bucket: Bucket
    ) -> None:
        """The debugger has run the invocation: the function must not run it as well."""
        patience(FIRST_PAUSE_SECONDS=0.01)
        bucket.stored["/result"] = '{"result": 2}'
        bucket.failures += [503, 403, 500]
        script = {"invoke": [[bucket.answer()]], "await": [[bucket.answer()]]}
        with instrumented(monkeypatch, answering(script)) as stack:
            assert call() == 2
        # With another signature each time.
        assert stack.actions() == ["invoke", "await", "await", "await"]

    def test_but_not_for_ever(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience, bucket: Bucket
    ) -> None:
        patience(FIRST_PAUSE_SECONDS=0.001)
        bucket.failures += [503] * 100
        script = {"invoke": [[bucket.answer()]], "await": [[bucket.answer()]]}
        with instrumented(monkeypatch, answering(script)):
            shown = reported()
        assert shown["errorType"] == "PlldbDebuggerLost"
        assert "503" in shown["errorMessage"]
        assert len(bucket.requests) == channel.FETCH_ATTEMPTS

    def test_a_bucket_that_is_not_there(
        self, monkeypatch: pytest.MonkeyPatch, patience: Patience
    ) -> None:
        patience(FIRST_PAUSE_SECONDS=0.001)
        nowhere = wire.answer(REQUEST_ID, ASKED, body_url="http://127.0.0.1:1/k?s=1")
        script = {"invoke": [[nowhere]], "await": [[nowhere]]}
        with instrumented(monkeypatch, answering(script)):
            assert reported()["errorType"] == "PlldbDebuggerLost"


class TestAddresses:
    """A host may have several, of which some lead nowhere."""

    def resolve(self, monkeypatch: pytest.MonkeyPatch, *ports: int) -> str:
        """The URL of a host whose addresses are these ports of this machine."""
        resolve = socket.getaddrinfo

        def addresses(host: str, *args: Any, **options: Any) -> list[Any]:
            if host != "many.example":
                return resolve(host, *args, **options)
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*kind, ("127.0.0.1", port)) for port in ports]

        monkeypatch.setattr(socket, "getaddrinfo", addresses)
        return "ws://many.example/plldb"

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        """Connections to port 9 are waited for in vain, and that alone takes time."""
        clock = Clock()
        connect = socket.create_connection

        def wait(address: tuple[str, int], seconds: float) -> socket.socket:
            if address[1] != 9:
                return connect(address, seconds)
            clock.sleep(seconds)
            raise TimeoutError

        monkeypatch.setattr(tcp, "time", clock)
        monkeypatch.setattr(socket, "create_connection", wait)
        return clock

    def test_all_of_them_together_get_the_time_of_one(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        url = self.resolve(monkeypatch, *[9] * 5)
        with instrumented(monkeypatch, silent, PLLDB_WEBSOCKET_URL=url):
            assert call() == OWN
        assert clock.passed == pytest.approx(tcp.CONNECT_SECONDS, abs=0.01)

    def test_one_that_works_is_found_behind_those_that_do_not(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        with helper_stack(invoked(answer(2))) as works:
            url = self.resolve(monkeypatch, 9, 1, works.port)
            with instrumented(monkeypatch, silent, PLLDB_WEBSOCKET_URL=url):
                assert call() == 2
        assert clock.passed == pytest.approx(tcp.CONNECT_SECONDS / 3, abs=0.01)
