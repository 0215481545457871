"""What an attached debugger sends: of invocations, and of its session."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from lambda_functions.invocations.invocation import Answer, Grant, InvocationState, token_key
from lambda_functions.sessions.function_lists import ListedFunction
from lambda_functions.sessions.session import (
    GRACE,
    LEASE,
    LIFETIME,
    Session,
    Status,
    new_session,
)

from tests.unit.bootstrap.lambda_functions.websocket.scene import (
    DEBUGGER,
    FUNCTION,
    ID,
    NOW,
    Message,
    Scene,
    failing,
)

NAME = {"requestId": ID.request_id, "deadline": ID.deadline}
GO = {"type": "go"} | NAME
BODY = '{"result": 1}'


def void(state: str) -> Message:
    return {"type": "void", "state": state} | NAME


def recorded(state: str) -> Message:
    return {"type": "recorded", "state": state} | NAME


@pytest.fixture
def scene() -> Scene:
    """With an invocation of which both ends have been told."""
    scene = Scene()
    scene.invoke()
    scene.told(DEBUGGER)
    return scene


def state_of(scene: Scene) -> InvocationState:
    assert scene.invocation is not None
    return scene.invocation.state


def error_of(replies: list[Message]) -> str:
    (reply,) = replies
    assert reply["type"] == "error"
    return str(reply["code"])


class TestClaim:
    def test_it_is_the_debuggers_as_often_as_it_asks(self, scene: Scene) -> None:
        for _ in range(3):
            assert scene.claim() == [GO]
        assert state_of(scene) is InvocationState.STARTED
        assert scene.told(FUNCTION) == []

    def test_not_once_it_was_taken_back(self, scene: Scene) -> None:
        scene.function("abandon")
        assert scene.claim() == [void("ABANDONED")]

    def test_not_once_its_time_is_over(self, scene: Scene) -> None:
        scene.now = ID.deadline
        assert scene.claim() == [void("WAITING")]

    def test_not_one_that_is_unknown_or_another_try(self, scene: Scene) -> None:
        assert scene.claim(requestId="x") == [void("UNKNOWN") | {"requestId": "x"}]
        later = {"deadline": ID.deadline + 1}
        assert scene.claim(**later) == [void("UNKNOWN") | later]

    def test_not_by_another_session(self, scene: Scene) -> None:
        other = scene.attach("c2")
        assert scene.claim(sessionId=other.session_id) == [void("UNKNOWN")]
        assert state_of(scene) is InvocationState.WAITING

    def test_also_over_the_connection_of_the_session_that_replaced_its_own(
        self, scene: Scene
    ) -> None:
        heir = scene.attach("new")
        scene.sessions.appoint_heir(scene.session.session_id, heir.session_id)
        message = {
            "action": "claim",
            "sessionId": scene.session.session_id,
            "requestId": ID.request_id,
            "deadline": ID.deadline,
        }
        assert scene.send(message, "new") == [GO]


class TestAnswer:
    def test_it_is_recorded_and_the_function_told(self, scene: Scene) -> None:
        scene.claim()
        assert scene.answer(body=BODY) == [recorded("ANSWERED")]
        assert scene.told(FUNCTION) == [{"type": "answer", "body": BODY, "bodyUrl": None} | NAME]
        assert scene.invocation is not None
        assert scene.invocation.answer == Answer(BODY)

    def test_a_large_one_is_fetched_from_where_it_was_put(self, scene: Scene) -> None:
        scene.claim()
        (upload,) = scene.debugger("upload", requestId=ID.request_id)
        assert upload["url"] == f"https://bucket/{upload['key']}?put"
        assert scene.answer(bodyKey=upload["key"]) == [recorded("ANSWERED")]
        (told,) = scene.told(FUNCTION)
        assert (told["body"], told["bodyUrl"]) == (None, f"https://bucket/{upload['key']}?get")

    def test_of_an_answer_that_is_sent_again_the_first_one_counts_and_is_passed_on(
        self, scene: Scene
    ) -> None:
        """It may be that only the word of its being recorded was lost, or never sent."""
        scene.claim()
        scene.connections.gone.add(FUNCTION)
        scene.answer(body=BODY)
        scene.connections.gone.clear()
        assert scene.answer(body='{"result": 2}') == [recorded("ANSWERED")]
        assert [message["body"] for message in scene.told(FUNCTION)] == [BODY]

    def test_it_can_be_sent_again_if_it_could_not_be_passed_on(self, scene: Scene) -> None:
        scene.claim()
        scene.connections.post = failing  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            scene.answer(body=BODY)
        del scene.connections.post
        assert scene.answer(body=BODY) == [recorded("ANSWERED")]
        assert [message["body"] for message in scene.told(FUNCTION)] == [BODY]

    def test_over_the_connection_of_the_session_that_replaced_its_own(self, scene: Scene) -> None:
        scene.claim()
        heir = scene.attach("new")
        scene.sessions.appoint_heir(scene.session.session_id, heir.session_id)
        message = {
            "action": "answer",
            "sessionId": scene.session.session_id,
            "requestId": ID.request_id,
            "deadline": ID.deadline,
            "body": BODY,
        }
        assert scene.send(message, "new") == [recorded("ANSWERED")]
        assert [message["type"] for message in scene.told(FUNCTION)] == ["answer"]

    def test_not_of_one_that_was_not_claimed(self, scene: Scene) -> None:
        assert scene.answer(body=BODY) == [recorded("WAITING")]
        assert scene.told(FUNCTION) == []

    def test_not_by_another_session_though_it_is_of_the_same_debugger(self, scene: Scene) -> None:
        scene.claim()
        other = scene.attach("c2")
        assert scene.answer(sessionId=other.session_id, body=BODY) == [recorded("UNKNOWN")]
        assert state_of(scene) is InvocationState.STARTED
        # Nor is it told of the answer that there is.
        scene.answer(body=BODY)
        scene.told(FUNCTION)
        assert scene.answer(sessionId=other.session_id, body=BODY) == [recorded("UNKNOWN")]
        assert scene.told(FUNCTION) == []

    def test_not_late_and_not_of_another_try(self, scene: Scene) -> None:
        scene.claim()
        later = {"deadline": ID.deadline + 1}
        assert scene.answer(**later, body=BODY) == [recorded("UNKNOWN") | later]
        scene.now = ID.deadline
        assert scene.answer(body=BODY) == [recorded("STARTED")]
        assert scene.told(FUNCTION) == []

    @pytest.mark.parametrize(
        "body",
        [
            '{"result": null}',
            '{"result": false}',
            '{"result": 1.0}',
            '{"result": 12345678901234567890.123456789}',
            '{"result": "\\ud83d"}',
            '{"base64": "iVBORw=="}',
            '{"error": {"errorType": "E", "errorMessage": "", "stackTrace": []}}',
        ],
    )
    def test_whatever_a_handler_gave_passes_unchanged(self, scene: Scene, body: str) -> None:
        scene.claim()
        assert scene.answer(body=body) == [recorded("ANSWERED")]
        assert [message["body"] for message in scene.told(FUNCTION)] == [body]

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"body": None},
            {"body": BODY, "bodyKey": "payloads/1"},
            {"bodyKey": "elsewhere/1"},
            {"bodyKey": 1},
            {"body": {"result": 1}},
            {"body": "x"},
            {"body": "[" * 9000},
            {"body": "[]"},
            {"body": "{}"},
            {"body": '{"result": 1, "error": {}}'},
            {"body": '{"result": 1, "base64": "MQ=="}'},
            {"body": '{"base64": 1}'},
            {"body": '{"error": {}}'},
            {"body": '{"error": "x"}'},
            {"body": '{"error": {"errorType": "E", "errorMessage": 1, "stackTrace": []}}'},
            {"body": '{"error": {"errorType": "E", "errorMessage": ""}}'},
            {"body": '{"error": {"errorType": "E", "errorMessage": "", "stackTrace": [1]}}'},
            {"body": json.dumps({"result": "x" * 32_000})},
            {"body": json.dumps({"result": ["x"] * 6_000})},
        ],
        ids=lambda fields: str(fields)[:40],
    )
    def test_what_makes_no_sense_or_fits_no_message(
        self, scene: Scene, fields: dict[str, Any]
    ) -> None:
        scene.claim()
        assert error_of(scene.answer(**fields)) == "bad_request"
        assert state_of(scene) is InvocationState.STARTED


class TestDecline:
    def test_the_function_runs_its_own_handler(self, scene: Scene) -> None:
        assert scene.decline() == []
        (told,) = scene.told(FUNCTION)
        assert (told["type"], told["reason"]) == (
            "absent",
            "the debugger declined the invocation",
        )
        assert scene.claim() == [void("ABANDONED")]

    def test_not_of_one_that_was_claimed(self, scene: Scene) -> None:
        scene.claim()
        assert scene.decline() == []
        assert scene.told(FUNCTION) == []
        assert state_of(scene) is InvocationState.STARTED

    def test_not_by_another_session(self, scene: Scene) -> None:
        other = scene.attach("c2")
        assert scene.decline(sessionId=other.session_id) == []
        assert scene.told(FUNCTION) == []
        assert state_of(scene) is InvocationState.WAITING


class TestUpload:
    def test_only_for_an_invocation_of_the_session(self, scene: Scene) -> None:
        other = scene.attach("c2")
        for fields in (
            {"requestId": "another"},
            {"requestId": ID.request_id, "sessionId": other.session_id},
            {"requestId": ID.request_id, "sessionId": new_session("app", "me", NOW).session_id},
        ):
            assert error_of(scene.debugger("upload", **fields)) == "bad_request"


class TestHeartbeat:
    def test_the_lease_is_renewed_and_the_time_told(self) -> None:
        scene = Scene(is_silent=True)
        scene.now = NOW + 60.0004
        ttl = int(NOW) + 60 + LEASE
        assert scene.debugger("heartbeat") == [{"type": "heartbeat", "ttl": ttl, "time": NOW + 60}]
        assert scene.after() == replace(scene.session, ttl=ttl, is_silent=False)

    @pytest.mark.parametrize("changes", [{"connection_id": "another"}, {"ttl": int(NOW)}])
    def test_one_that_is_over_or_another_connections_is_not_revived(
        self, changes: dict[str, Any]
    ) -> None:
        scene = Scene(**changes)
        before = scene.after()
        assert error_of(scene.debugger("heartbeat")) == "session_closed"
        assert scene.after() == before


class TestClose:
    def test_what_was_instrumented_is_restored_before_the_debugger_is_told(self) -> None:
        scene = Scene()
        assert scene.debugger("close") == []
        assert scene.instrumentation.requests == [
            {
                "operation": "restore",
                "stackName": "app",
                "holds": [scene.session.session_id[:8]],
                "connectionId": DEBUGGER,
            }
        ]
        assert scene.after().status is Status.CLOSED
        # Again: closed already, so there is nothing to restore and nothing to wait for.
        assert scene.debugger("close") == [{"type": "closed"}]
        assert len(scene.instrumentation.requests) == 1

    def test_where_there_is_nothing_to_restore_it_is_told_at_once(self) -> None:
        scene = Scene()
        other = scene.attach("c2")
        message = {"action": "close", "sessionId": other.session_id}
        assert scene.send(message, "c2") == [{"type": "closed"}]
        assert scene.after(other).status is Status.CLOSED
        assert scene.instrumentation.requests == []

    def test_of_another_connections_session_changes_nothing(self) -> None:
        scene = Scene(connection_id="another")
        assert scene.debugger("close") == [{"type": "closed"}]
        assert (scene.after(), scene.record["outcome"]) == (scene.session, "unchanged")

    def test_by_a_debugger_that_is_gone_already_still_closes(self) -> None:
        scene = Scene()
        scene.connections.gone.add(DEBUGGER)
        scene.debugger("close")
        assert scene.after().status is Status.CLOSED


ARN = "arn:aws:lambda:eu-west-1:1:function:fn"
GOOD = {"functions": ["A*"], "whenAbsent": "error", "takeOver": True}


class TestInstrument:
    def test_the_instrumentation_function_is_asked_and_answers_by_itself(self) -> None:
        scene = Scene()
        former = scene.after()
        assert scene.debugger("instrument", **GOOD) == []
        (request,) = scene.instrumentation.requests
        token = request.pop("token")
        hold = scene.session.session_id[:8]
        assert request == {
            "operation": "instrument",
            "stackName": "app",
            "session": hold,
            "owner": "me",
            "connectionId": DEBUGGER,
            "functions": ["A*"],
            "whenAbsent": "error",
            "takeOver": True,
            "asFunction": False,
            "aliases": False,
            "openSessions": {},
            "members": None,
        }
        key = token_key(token)
        assert scene.invocations.grant_of(key) == Grant(scene.session.session_id, "app", hold)
        assert scene.after() == replace(former, tokens=former.tokens | {key})
        assert token not in json.dumps(scene.record)

    def test_each_request_has_a_token_of_its_own(self) -> None:
        scene = Scene()
        scene.debugger("instrument", **GOOD)
        scene.debugger("instrument", **GOOD)
        tokens = {request["token"] for request in scene.instrumentation.requests}
        assert len(tokens) == 2
        assert all(len(token) >= 43 for token in tokens)

    def test_it_is_told_who_else_is_there(self) -> None:
        """Not of those that nobody is connected to, however many: they hold nothing."""
        scene = Scene()
        connected = scene.attach("c2", owner="you", holds=frozenset({"11111111", "22222222"}))
        scene.attach(None, status=Status.PENDING, ttl=int(NOW) + LIFETIME, owner="they")
        scene.attach(None, status=Status.CLOSED, holds=frozenset({"33333333"}))
        scene.attach("c3", ttl=int(NOW), holds=frozenset({"44444444"}))
        scene.attach("c4", stack_name="other", holds=frozenset({"55555555"}))
        scene.debugger("instrument", **GOOD)
        (request,) = scene.instrumentation.requests
        rival = {"owner": "you", "connectionId": "c2"}
        assert request["openSessions"] == {"11111111": rival, "22222222": rival}
        assert connected.session_id not in json.dumps(request)

    def test_not_of_what_it_inherited(self) -> None:
        scene = Scene()
        former = scene.attach("c2", holds=frozenset({"11111111"}))
        scene.debugger("resume", replaces=former.session_id)
        scene.debugger("instrument", **GOOD)
        assert scene.instrumentation.requests[-1]["openSessions"] == {}

    @pytest.mark.parametrize(
        "change",
        [
            {"functions": None},
            {"functions": "A"},
            {"functions": {}},
            {"functions": [1]},
            {"functions": [""]},
            {"functions": ["x" * 1025]},
            {"functions": ["x"] * 1001},
            {"whenAbsent": "never"},
            {"whenAbsent": None},
            {"whenAbsent": {}},
            {"takeOver": None},
            {"takeOver": 1},
            {"members": []},
            {"members": {f"Fn{number}": "fn" for number in range(1001)}},
            *({"members": {"Fn": name}} for name in ("", None, 1, "x" * 65, "a b", "fn:live", ARN)),
            *({"members": {title: "fn"}} for title in ("", "a b", "x" * 1025, "*", "ä", ARN)),
            {"asFunction": None},
            {"asFunction": "yes"},
        ],
    )
    def test_a_request_that_makes_no_sense(self, change: dict[str, Any]) -> None:
        scene = Scene()
        before = scene.after()
        assert error_of(scene.debugger("instrument", **GOOD | change)) == "bad_request"
        assert scene.instrumentation.requests == []
        assert scene.after() == before

    def test_what_a_mere_list_names_is_kept_before_anything_is_changed(self) -> None:
        scene = Scene()
        members = {"Greeter": "greeter-fn", "src/other_fn": "other-fn"}
        kept: list[list[ListedFunction]] = []
        scene.instrumentation.before_start = lambda: kept.append(scene.lists.get("app"))
        assert scene.debugger("instrument", **GOOD, members=members) == []
        hold = scene.session.session_id[:8]
        assert kept == [[ListedFunction(hold, *one) for one in members.items()]]
        assert scene.instrumentation.requests[-1]["members"] == members
        scene.lists.forget("app", [hold])
        assert scene.lists.get("app") == kept[0]

    def test_credentials_are_asked_for_if_that_is_allowed(self) -> None:
        scene = Scene()
        scene.debugger("instrument", **GOOD, asFunction=True)
        assert scene.instrumentation.requests[0]["asFunction"] is True

    def test_where_they_are_denied_nothing_is_instrumented(self) -> None:
        scene = Scene(allows_credentials=False)
        before = scene.after()
        reply = scene.debugger("instrument", **GOOD, asFunction=True)
        assert error_of(reply) == "credentials_denied"
        assert scene.instrumentation.requests == []
        assert scene.after() == before

    def test_of_another_connections_session(self) -> None:
        scene = Scene(connection_id="another")
        assert error_of(scene.debugger("instrument", **GOOD)) == "session_closed"
        assert scene.instrumentation.requests == []


WATCH = {"stack": "first", "functions": {"app-Fn": "revision"}}


class TestWatch:
    def test_it_is_handed_over(self) -> None:
        scene = Scene()
        assert scene.debugger("watch", **WATCH) == []
        assert scene.instrumentation.requests == [
            {
                "operation": "watch",
                "stackName": "app",
                "session": scene.session.session_id[:8],
                "connectionId": DEBUGGER,
                **WATCH,
            }
        ]

    @pytest.mark.parametrize(
        "changes",
        [
            {"stack": None},
            {"stack": "x" * 1000},
            {"functions": ["app-Fn"]},
            {"functions": {"app-Fn": 1}},
            {"functions": {"x" * 300: "1"}},
            {"functions": {str(number): "1" for number in range(1001)}},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, changes: dict[str, Any]) -> None:
        scene = Scene()
        assert error_of(scene.debugger("watch", **WATCH | changes)) == "bad_request"
        assert scene.instrumentation.requests == []

    def test_of_a_session_that_is_over_or_at_another_connection(self) -> None:
        scene = Scene()
        message = {"action": "watch", "sessionId": scene.session.session_id} | WATCH
        assert error_of(scene.send(message, "another")) == "session_closed"
        scene.sessions.close(scene.session.session_id, DEBUGGER, NOW)
        assert error_of(scene.debugger("watch", **WATCH)) == "session_closed"
        assert scene.instrumentation.requests == []


RESUMED = [{"type": "resumed"}]
GONE_FOR_GOOD = [{"type": "expired"}]


class Resuming(Scene):
    """A new session, and a former one that it is to replace."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.former = self.attach("former", **changes)
        if self.former.connection_id is not None:
            self.former_token = self.grant(self.former)
            self.former = self.after(self.former)

    def resume(self, former: Session | None = None) -> list[Message]:
        return self.debugger("resume", replaces=(former or self.former).session_id)

    def lead(self, token: str) -> str | None:
        """The session that a function's token leads to."""
        opened = self.relay.grants.find(token_key(token))
        assert opened is not None
        return opened.session.session_id if opened.session else None


class TestSomebodyElseHasClosedIt:
    """The debugger hears why, whatever it asks first: it is not to attach again."""

    TOLD: ClassVar = [{"type": "closed", "reason": "closed by eve"}]

    @pytest.mark.parametrize(
        ("action", "fields"),
        [
            ("heartbeat", {}),
            ("watch", WATCH),
            (
                "instrument",
                {"functions": [], "whenAbsent": "original", "takeOver": False},
            ),
        ],
    )
    def test_before_it_was_told(self, action: str, fields: dict[str, Any]) -> None:
        scene = Scene()
        scene.relay.ending.sessions.close(
            scene.session.session_id, DEBUGGER, NOW, reason="closed by eve"
        )
        assert scene.debugger(action, **fields) == self.TOLD

    def test_while_it_was_away(self) -> None:
        scene = Resuming()
        scene.sessions.disconnect(scene.former.session_id, "former", NOW)
        lost = scene.after(scene.former)
        scene.relay.ending.force(lost, "closed by eve", NOW)
        before = scene.after()
        assert scene.resume() == self.TOLD
        assert scene.after() == before


class TestResume:
    def test_what_the_former_session_had_is_this_ones_and_nothing_is_updated(self) -> None:
        scene = Resuming()
        own = scene.after()
        assert scene.resume() == RESUMED
        assert scene.after(scene.former) == replace(
            scene.former,
            status=Status.CLOSED,
            connection_id=None,
            heir=scene.session.session_id,
        )
        assert scene.after() == replace(
            own,
            holds=own.holds | scene.former.holds,
            tokens=own.tokens | scene.former.tokens,
        )
        assert scene.instrumentation.requests == []
        grant = scene.invocations.grant_of(token_key(scene.former_token))
        hold = scene.former.session_id[:8]
        assert grant == Grant(scene.session.session_id, "app", hold)
        # What is being posted to it still arrives.
        assert scene.connections.dropped == []

    def test_as_often_as_it_asks(self) -> None:
        scene = Resuming()
        assert scene.resume() == RESUMED
        after = scene.after()
        assert scene.resume() == RESUMED
        assert scene.after() == after

    def test_of_one_in_its_grace_and_even_later_if_nobody_restores_it_yet(self) -> None:
        for seconds in (0, GRACE - 1, GRACE, LIFETIME):
            scene = Resuming()
            scene.sessions.disconnect(scene.former.session_id, "former", NOW)
            scene.now = NOW + seconds
            assert scene.resume() == RESUMED

    @pytest.mark.parametrize("how", ["closed", "expired", "being restored"])
    def test_of_one_that_is_over_its_functions_have_to_be_instrumented_again(
        self, how: str
    ) -> None:
        scene = Resuming()
        former_id = scene.former.session_id
        if how == "closed":
            scene.sessions.close(former_id, "former", NOW)
        elif how == "expired":
            scene.sessions.close_expired(former_id, "former", NOW + LEASE)
        else:
            scene.sessions.disconnect(former_id, "former", NOW)
            scene.sessions.begin_restoring(former_id, NOW + GRACE)
        before = scene.after()
        assert scene.resume() == GONE_FOR_GOOD
        assert scene.after() == before

    @pytest.mark.parametrize(
        "changes",
        [
            {"owner": "you"},
            {"stack_name": "other"},
            {"status": Status.PENDING, "connection_id": None},
        ],
    )
    def test_not_of_another_owner_or_stack_nor_of_one_that_never_connected(
        self, changes: dict[str, Any]
    ) -> None:
        scene = Resuming(**changes)
        before = scene.after()
        assert scene.resume() == GONE_FOR_GOOD
        assert (scene.after(), scene.after(scene.former)) == (before, scene.former)

    def test_of_the_same_role_whatever_its_credentials_are_called(self) -> None:
        role = "arn:aws:sts::1:assumed-role/dev"
        scene = Resuming(owner=f"{role}/botocore-session-1")
        own = scene.attach("own", owner=f"{role}/botocore-session-2")
        message = {
            "action": "resume",
            "sessionId": own.session_id,
            "replaces": scene.former.session_id,
        }
        assert scene.send(message, "own") == RESUMED

    def test_of_itself_or_of_one_that_is_unknown_there_is_nothing_to_have(self) -> None:
        scene = Scene()
        unknown = new_session("app", "me", NOW).session_id
        for replaces in (scene.session.session_id, unknown):
            assert scene.debugger("resume", replaces=replaces) == GONE_FOR_GOOD
        assert scene.after().status is Status.ACTIVE
        assert scene.sessions.get(unknown) is None

    @pytest.mark.parametrize("replaces", [None, 1, "", "8f5c1b7e", {}])
    def test_what_names_no_session(self, replaces: object) -> None:
        assert error_of(Scene().debugger("resume", replaces=replaces)) == "bad_request"

    def test_not_by_a_session_that_another_connection_holds(self) -> None:
        scene = Resuming()
        message = {
            "action": "resume",
            "sessionId": scene.session.session_id,
            "replaces": scene.former.session_id,
        }
        assert error_of(scene.send(message, "another")) == "session_closed"
        assert scene.after(scene.former) == scene.former

    def test_an_heir_whose_debugger_never_heard_of_it_is_replaced_too(self) -> None:
        """Its connection was lost again before it was told."""
        scene = Resuming()
        lost = scene.attach("lost", holds=frozenset({"11111111"}))
        message = {
            "action": "resume",
            "sessionId": lost.session_id,
            "replaces": scene.former.session_id,
        }
        scene.send(message, "lost")
        assert scene.resume() == RESUMED
        assert scene.after().holds >= scene.former.holds | {"11111111"}
        assert scene.after(lost).heir == scene.session.session_id
        assert scene.lead(scene.former_token) == scene.session.session_id

    @pytest.mark.parametrize("step", ["inherit", "grant_to"])
    def test_what_fails_half_way_is_completed_when_it_asks_again(self, step: str) -> None:
        scene = Resuming()
        store: Any = scene.sessions if step == "inherit" else scene.invocations
        setattr(store, step, failing)
        with pytest.raises(ConnectionError):
            scene.resume()
        # Functions find their way meanwhile.
        assert scene.lead(scene.former_token) == scene.session.session_id
        delattr(store, step)
        assert scene.resume() == RESUMED
        assert scene.after().holds >= scene.former.holds
        grant = scene.invocations.grant_of(token_key(scene.former_token))
        assert grant is not None
        assert grant.session_id == scene.session.session_id

    def test_or_by_the_session_that_replaces_it_again(self) -> None:
        scene = Resuming()
        lost = scene.attach("lost")
        scene.sessions.appoint_heir(scene.former.session_id, lost.session_id)
        scene.sessions.disconnect(lost.session_id, "lost", NOW)
        assert scene.resume() == RESUMED
        assert scene.after().holds >= scene.former.holds

    def test_a_session_that_is_closed_meanwhile_has_nothing(self) -> None:
        scene = Resuming()
        appoint = scene.sessions.appoint_heir

        def close_after(*arguments: Any) -> Session | None:
            closed = appoint(*arguments)
            scene.sessions.close(scene.session.session_id, DEBUGGER, NOW)
            return closed

        scene.sessions.appoint_heir = close_after  # type: ignore[method-assign]
        assert error_of(scene.resume()) == "session_closed"

    def test_nobody_waits_at_the_former_session_any_more(self) -> None:
        scene = Resuming()
        scene.resume()
        for action in ("heartbeat", "instrument"):
            message = {"action": action, "sessionId": scene.former.session_id} | GOOD
            assert error_of(scene.send(message, "former")) == "session_closed"


@pytest.mark.parametrize(
    "send",
    [
        lambda scene: scene.claim(),
        lambda scene: scene.answer(body=BODY),
        lambda scene: scene.debugger("heartbeat"),
        lambda scene: scene.debugger("resume", replaces=scene.session.session_id),
        lambda scene: scene.debugger("instrument", **GOOD),
        lambda scene: scene.debugger("watch", **WATCH),
        lambda scene: scene.debugger("close"),
        lambda scene: scene.debugger("upload", requestId=ID.request_id),
    ],
)
def test_the_id_of_a_session_that_is_not_there_opens_nothing(
    send: Callable[[Scene], list[Message]],
) -> None:
    scene = Scene()
    scene.invoke()
    known = scene.session
    scene.session = new_session("app", "me", NOW)
    send(scene)
    assert state_of(scene) is InvocationState.WAITING
    assert scene.instrumentation.requests == []
    assert scene.sessions.get(scene.session.session_id) is None
    assert scene.after(known).status is Status.ACTIVE
