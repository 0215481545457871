"""What a debugged function sends: its invocations, and questions after them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from lambda_functions.invocations.grants import Grants
from lambda_functions.invocations.invocation import (
    Answer,
    Invocation,
    InvocationState,
    new_token,
    token_key,
)
from lambda_functions.invocations.store import Recorded
from lambda_functions.sessions.session import GRACE, LEASE, Session, Status
from lambda_functions.shared.constants import MAX_FRAME_BYTES

from tests.memory_stores import MemoryInvocationStore, MemorySessionStore
from tests.unit.bootstrap.lambda_functions.websocket.scene import (
    DEBUGGER,
    FUNCTION,
    ID,
    NOW,
    OMITTED,
    FakeClaims,
    Message,
    Scene,
    failing,
)


@pytest.fixture(autouse=True, params=[False, True], ids=["first", "remembered"])
def whether_it_remembers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a function hears is the same, whether it has called before or not."""
    monkeypatch.setattr(Scene, "remembers", request.param)


NAME = {"requestId": ID.request_id, "deadline": ID.deadline}
ACCEPTED = {"type": "accepted"} | NAME
STARTED = {"type": "started"} | NAME
GONE = {"type": "gone"} | NAME


NONSENSE: list[dict[str, Any]] = [
    {"function": OMITTED},
    {"function": ""},
    {"function": "a b"},
    {"function": "x" * 1025},
    {"context": OMITTED},
    {"context": "x"},
    {"event": OMITTED},
    {"event": {}},
    {"event": "x" * 32_001},
    {"event": "\ud800"},
    {"eventKey": "payloads/1"},
    {"event": OMITTED, "eventKey": "elsewhere/1"},
    {"event": OMITTED, "eventKey": 1},
    {"acceptBefore": OMITTED},
    {"acceptBefore": "soon"},
    {"deadline": None},
    {"credentials": "x"},
    {"credentials": {}},
    {"credentials": {"accessKeyId": "ASIA", "secretAccessKey": 1, "sessionToken": "token"}},
    {"credentials": {"accessKeyId": "ASIA", "secretAccessKey": "secret"}},
]
CREDENTIALS = {
    "accessKeyId": "ASIAEXAMPLE",
    "secretAccessKey": "the-secret",
    "sessionToken": "the-session-token" * 100,
}


def is_absent(replies: list[Message], reason: str = "") -> bool:
    (reply,) = replies
    assert reply["requestId"] == ID.request_id
    return reply["type"] == "absent" and reason in reply["reason"]


def is_refused(scene: Scene) -> bool:
    """Whether no debugger has heard of the invocation, nor can claim it."""
    invocation = scene.invocation
    is_abandoned = invocation is not None and invocation.state is InvocationState.ABANDONED
    return is_abandoned and scene.told(DEBUGGER) == []


class TestInvokeAgain:
    """Where the last invocation went is remembered, and never taken for granted."""

    def call_after(self, change: Callable[[Scene], object]) -> tuple[Scene, list[Message]]:
        """What the next invocation comes to, if that happens after one that was passed on."""
        scene = Scene()
        scene.invoke(requestId="the-first")
        scene.told(DEBUGGER)
        change(scene)
        return scene, scene.invoke()

    def test_it_goes_to_whoever_has_replaced_the_session_meanwhile(self) -> None:
        def reconnect(scene: Scene) -> None:
            self.heir = scene.attach("new")
            scene.sessions.appoint_heir(scene.session.session_id, self.heir.session_id)

        scene, replies = self.call_after(reconnect)
        assert replies == [ACCEPTED]
        assert scene.told(DEBUGGER) == []
        (pushed,) = scene.told("new")
        assert pushed["claim"] == FakeClaims().sign(ID, self.heir.session_id, NOW)
        assert scene.invocation is not None
        assert scene.invocation.session_id == self.heir.session_id
        assert scene.invocation.state is InvocationState.WAITING

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda s: s.sessions.close(s.session.session_id, DEBUGGER, NOW), "nobody"),
            (lambda s: s.sessions.disconnect(s.session.session_id, DEBUGGER, NOW), "reconnecting"),
            (lambda s: s.sessions.mark_silent(s.session.session_id), "does not answer"),
        ],
    )
    def test_nobody_can_claim_what_nobody_is_there_for(
        self, change: Callable[[Scene], object], reason: str
    ) -> None:
        scene, replies = self.call_after(change)
        assert is_absent(replies, reason)
        assert is_refused(scene)

    def test_what_its_function_has_taken_back_meanwhile_is_not_passed_on(self) -> None:
        scene = Scene()
        scene.invoke(requestId="the-first")
        heir = scene.attach("new")
        scene.sessions.appoint_heir(scene.session.session_id, heir.session_id)

        class TakesItBack(MemorySessionStore):
            """As soon as both are done: nobody else may have looked at the session before."""

            def begin_get(self, session_id: str) -> Callable[[], Session | None]:
                def finish() -> Session | None:
                    scene.invocations.abandon(ID, token_key(scene.token))
                    return scene.sessions.get(session_id)

                return finish

        scene.relay = replace(scene.relay, sessions=TakesItBack())
        scene.told(DEBUGGER)
        assert is_absent(scene.invoke())
        assert is_refused(scene)
        assert scene.told("new") == []

    def test_it_is_read_while_it_is_recorded(self) -> None:
        scene = Scene()
        scene.invoke(requestId="the-first")
        steps: list[str] = []

        class NotedSessions(MemorySessionStore):
            def begin_get(self, session_id: str) -> Callable[[], Session | None]:
                steps.append("the session is asked for")
                return partial(scene.sessions.get, session_id)

        class NotedInvocations(MemoryInvocationStore):
            def begin_record(self, invocation: Invocation) -> Callable[[], Recorded]:
                steps.append("the invocation is sent")

                def finish() -> Recorded:
                    steps.append("the invocation is recorded")
                    return scene.invocations.record(invocation)

                return finish

        scene.relay = replace(scene.relay, sessions=NotedSessions(), invocations=NotedInvocations())
        assert scene.invoke() == [ACCEPTED]
        assert sorted(steps[:2]) == ["the invocation is sent", "the session is asked for"]
        assert steps[2:] == ["the invocation is recorded"]


class TestInvoke:
    def test_it_is_recorded_and_both_ends_are_told(self) -> None:
        scene = Scene()
        assert scene.invoke() == [ACCEPTED]
        assert scene.invocation == Invocation(
            id=ID,
            session_id=scene.session.session_id,
            token_key=token_key(scene.token),
            function="Fn",
            created_at=NOW,
            connection_id=FUNCTION,
        )
        assert scene.told(DEBUGGER) == [
            {
                "type": "invocation",
                "requestId": ID.request_id,
                "function": "Fn",
                "deadline": ID.deadline,
                "sentAt": NOW,
                "context": {"function_name": "app-fn"},
                "event": '{"a": 1}',
                "eventUrl": None,
                "claim": FakeClaims().sign(ID, scene.session.session_id, NOW),
                "credentials": None,
            }
        ]
        assert scene.record["outcome"] == "accepted"

    def test_the_function_knows_before_the_debugger_does(self) -> None:
        """Otherwise it might run what the debugger has claimed."""
        scene = Scene()
        order: list[str] = []
        post = scene.connections.post

        def watch(connection_id: str, message: Message) -> bool:
            order.append(f"{message['type']} to {connection_id}")
            assert scene.invocation is not None
            return post(connection_id, message)

        scene.connections.post = watch  # type: ignore[method-assign]
        scene.invoke()
        assert order == [f"accepted to {FUNCTION}", f"invocation to {DEBUGGER}"]

    def test_a_large_event_is_fetched_from_where_it_was_put(self) -> None:
        scene = Scene()
        (upload,) = scene.function("upload")
        assert upload["type"] == "upload"
        assert scene.invoke(event=OMITTED, eventKey=upload["key"]) == [ACCEPTED]
        (pushed,) = scene.told(DEBUGGER)
        assert pushed["event"] is None
        assert pushed["eventUrl"] == f"https://bucket/{upload['key']}?get"

    def test_beside_a_long_event_there_is_no_room_for_a_claim(self) -> None:
        """The debugger asks for it then."""
        event = "x" * (MAX_FRAME_BYTES - 300)
        scene = Scene()
        assert scene.invoke(event=event) == [ACCEPTED]
        (pushed,) = scene.told(DEBUGGER)
        assert (pushed["event"], pushed["claim"]) == (event, None)
        assert len(json.dumps(pushed)) > MAX_FRAME_BYTES - 100

    def test_one_that_is_too_large_for_the_debuggers_message_is_not_sent(self) -> None:
        """API Gateway passes on 32 KB; quotes take two bytes each."""
        scene = Scene()
        assert is_absent(scene.invoke(event=json.dumps(["x"] * 6_000)), "too large")
        assert (scene.invocation, scene.told(DEBUGGER)) == (None, [])

    @pytest.mark.parametrize("change", [{}, {"event": OMITTED, "eventKey": "payloads/1"}])
    def test_credentials_reach_the_debugger_and_are_in_no_record(
        self, change: dict[str, Any]
    ) -> None:
        scene = Scene()
        scene.invoke(credentials=CREDENTIALS | {"more": "x"}, **change)
        (pushed,) = scene.told(DEBUGGER)
        assert pushed["credentials"] == CREDENTIALS
        assert [*pushed][-1] == "credentials", "what is cut off at the end of a preview"
        kept = f"{scene.record}{vars(scene.invocations)}{vars(scene.sessions)}"
        assert "ASIAEXAMPLE" not in kept
        assert "the-secret" not in kept

    def test_where_they_are_denied_they_go_nowhere_and_the_invocation_does(self) -> None:
        scene = Scene(allows_credentials=False)
        assert scene.invoke(credentials=CREDENTIALS) == [ACCEPTED]
        (pushed,) = scene.told(DEBUGGER)
        assert (pushed["event"], pushed["credentials"]) == ('{"a": 1}', None)

    def test_nobody_gets_them_later(self) -> None:
        """Neither who asks, nor a session that takes the place of one that is lost."""
        scene = Scene()
        scene.invoke(credentials=CREDENTIALS)
        scene.told(DEBUGGER)
        told = [*scene.function("await"), *scene.claim(), *scene.invoke(credentials=CREDENTIALS)]
        heir = scene.attach("heir")
        fields = {"sessionId": heir.session_id, "replaces": scene.session.session_id}
        told += scene.send({"action": "resume"} | fields, "heir")
        told += scene.told(DEBUGGER)
        assert len(told) == 4
        assert "the-secret" not in json.dumps(told)

    @pytest.mark.parametrize("change", NONSENSE, ids=[str(one)[:40] for one in NONSENSE])
    def test_what_makes_no_sense(self, change: dict[str, Any]) -> None:
        scene = Scene()
        (reply,) = scene.invoke(**change)
        assert (reply["type"], reply["code"]) == ("error", "bad_request")
        assert (scene.invocation, scene.told(DEBUGGER)) == (None, [])

    def test_functions_of_nested_stacks_have_slashes(self) -> None:
        assert Scene().invoke(function="Child/Fn") == [ACCEPTED]

    def test_sent_again_it_is_the_same_one(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.told(DEBUGGER)
        assert scene.invoke() == [ACCEPTED]
        assert scene.told(DEBUGGER) == []
        scene.claim()
        assert scene.invoke() == [STARTED]

    def test_lambdas_next_try_is_another_one(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.told(DEBUGGER)
        scene.now += 60
        later = {"deadline": ID.deadline + 60}
        assert scene.invoke(**later) == [ACCEPTED | later]
        assert [message["deadline"] for message in scene.told(DEBUGGER)] == [ID.deadline + 60]

    def test_a_request_id_for_which_another_function_waits(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.told(DEBUGGER)
        token = scene.grant(scene.session)
        assert is_absent(scene.invoke(token=token), "another invocation waits")
        assert scene.told(DEBUGGER) == []


class TestTooLate:
    """A function that has heard nothing for too long runs the invocation by itself."""

    def test_nobody_is_told_of_it(self) -> None:
        scene = Scene()
        assert scene.invoke(acceptBefore=NOW) == [ACCEPTED]
        scene = Scene()
        assert is_absent(scene.invoke(acceptBefore=NOW - 0.001), "too slow")
        assert is_refused(scene)

    def test_a_late_copy_of_what_is_being_run_is_not_refused(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        assert scene.invoke(acceptBefore=NOW - 0.001) == [STARTED]

    def test_of_what_is_not_it_is_and_so_are_all(self) -> None:
        scene = Scene()
        scene.invoke()
        assert is_absent(scene.invoke(acceptBefore=NOW - 0.001), "too slow")
        assert scene.claim()[-1] == {"type": "void", "state": "ABANDONED"} | NAME

    @pytest.mark.parametrize("step", ["record", "post"])
    def test_nobody_is_told_of_what_took_too_long_to_accept(self, step: str) -> None:
        scene = Scene()
        slow = scene.invocations if step == "record" else scene.connections
        act = getattr(slow, step)

        def act_slowly(*arguments: Any) -> Any:
            result = act(*arguments)
            scene.now = NOW + 3
            return result

        setattr(slow, step, act_slowly)
        replies = scene.invoke(acceptBefore=NOW + 2)
        assert replies[0] == ACCEPTED
        assert is_absent(replies[1:], "too slow")
        assert scene.told(DEBUGGER) == []
        assert scene.invocation is not None
        assert scene.invocation.state is InvocationState.ABANDONED

    def test_nor_of_what_nobody_heard_to_be_accepted(self) -> None:
        scene = Scene()
        scene.connections.gone.add(FUNCTION)
        scene.invoke()
        assert scene.told(DEBUGGER) == []
        assert scene.invocation is not None
        assert scene.invocation.state is InvocationState.ABANDONED
        # Over another connection, it hears so.
        scene.connections.gone.clear()
        assert is_absent(scene.function("await"))

    def test_nor_if_that_could_not_be_told(self) -> None:
        scene = Scene()
        scene.connections.post = failing  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            scene.invoke()
        del scene.connections.post
        assert scene.told(DEBUGGER) == []
        assert is_absent(scene.function("abandon"))


class TestNobodyIsThere:
    @pytest.mark.parametrize("how", ["silent", "lost"])
    def test_a_copy_of_what_was_accepted_before_is_not_refused(self, how: str) -> None:
        """Or its function would run what the debugger is running."""
        scene = Scene()
        scene.invoke()
        scene.claim()
        if how == "silent":
            scene.sessions.mark_silent(scene.session.session_id)
        else:
            scene.sessions.disconnect(scene.session.session_id, DEBUGGER, NOW)
        assert scene.invoke() == [STARTED]

    def test_an_unknown_token(self) -> None:
        scene = Scene()
        for action in ("invoke", "await", "abandon"):
            send = scene.invoke if action == "invoke" else None
            token = new_token()
            replies = send(token=token) if send else scene.function(action, token=token)
            assert is_absent(replies, "nobody is attached")
        (reply,) = scene.function("upload", token=new_token())
        assert reply["type"] == "error"
        assert scene.invocation is None
        assert scene.instrumentation.requests == []

    def test_a_silent_debugger_is_not_asked(self) -> None:
        scene = Scene(is_silent=True)
        assert is_absent(scene.invoke(), "does not answer")
        assert is_refused(scene)
        assert scene.instrumentation.requests == []

    def test_a_connection_that_was_lost_may_come_back(self) -> None:
        scene = Scene()
        scene.sessions.disconnect(scene.session.session_id, DEBUGGER, NOW)
        scene.now = NOW + GRACE - 1
        assert is_absent(scene.invoke(), "reconnecting")
        assert scene.instrumentation.requests == []

    def restoring(self, scene: Scene) -> Message:
        holds = [scene.session.session_id[:8]]
        return {"operation": "restore", "stackName": "app", "holds": holds, "connectionId": None}

    def test_if_it_does_not_the_function_is_restored(self) -> None:
        scene = Scene()
        scene.sessions.disconnect(scene.session.session_id, DEBUGGER, NOW)
        scene.now = NOW + GRACE
        for number in range(3):
            assert is_absent(scene.invoke(deadline=ID.deadline + number), "nobody is attached")
        assert scene.instrumentation.requests == [self.restoring(scene)]
        assert scene.after().restoring_since == int(scene.now)

    def test_a_lease_that_ran_out_is_the_end(self) -> None:
        scene = Scene()
        scene.now = NOW + LEASE
        assert is_absent(scene.invoke(), "nobody is attached")
        assert scene.after().status is Status.CLOSED
        assert scene.instrumentation.requests == [self.restoring(scene)]
        assert scene.told(DEBUGGER) == []
        assert scene.connections.dropped == [DEBUGGER]

    def test_a_session_that_dynamodb_deleted(self) -> None:
        scene = Scene()
        del scene.sessions._sessions[scene.session.session_id]
        for number in range(3):
            assert is_absent(scene.invoke(deadline=ID.deadline + number), "nobody is attached")
        assert scene.instrumentation.requests == [self.restoring(scene)]

    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_the_function_does_not_wait_for_restoring_nor_is_that_forgotten_if_it_fails(
        self, is_deleted: bool
    ) -> None:
        scene = Scene()
        scene.now = NOW + LEASE
        if is_deleted:
            del scene.sessions._sessions[scene.session.session_id]
        scene.instrumentation.start = failing  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            scene.invoke()
        assert is_absent(scene.told(FUNCTION), "nobody is attached")
        assert [key for key, _ in scene.invocations.unsettled()] == [token_key(scene.token)]

    def test_a_debugger_that_is_gone_without_a_word(self) -> None:
        """$disconnect is best effort."""
        scene = Scene()
        scene.connections.gone.add(DEBUGGER)
        accepted, *replies = scene.invoke()
        assert accepted == ACCEPTED
        assert is_absent(replies, "reconnecting, or gone")
        assert scene.after().status is Status.CLOSED
        assert scene.after().may_be_resumed(NOW)
        assert is_absent(scene.function("await"))


class TestReplacedSessions:
    def test_an_invocation_goes_to_whoever_has_the_functions_now(self) -> None:
        scene = Scene()
        heir = scene.attach("new")
        scene.sessions.appoint_heir(scene.session.session_id, heir.session_id)
        assert scene.invoke() == [ACCEPTED]
        assert scene.told(DEBUGGER) == []
        assert [message["type"] for message in scene.told("new")] == ["invocation"]
        assert scene.invocation is not None
        assert scene.invocation.session_id == heir.session_id

    def test_once_that_is_over_too_the_function_is_restored(self) -> None:
        scene = Scene()
        heir = scene.attach("new")
        scene.sessions.appoint_heir(scene.session.session_id, heir.session_id)
        scene.sessions.disconnect(heir.session_id, "new", NOW)
        scene.now = NOW + GRACE
        assert is_absent(scene.invoke(), "nobody is attached")
        (request,) = scene.instrumentation.requests
        assert request["holds"] == [scene.session.session_id[:8]]


class TestAbandon:
    def test_what_no_debugger_has_claimed_is_taken_back(self) -> None:
        scene = Scene()
        scene.invoke()
        assert is_absent(scene.function("abandon"), "does not answer")
        assert scene.claim()[-1] == {"type": "void", "state": "ABANDONED"} | NAME

    def test_what_one_has_is_not(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        assert scene.function("abandon") == [STARTED]

    def test_an_answer_is_told(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        scene.answer(body='{"result": 1}')
        scene.told(FUNCTION)
        assert scene.function("abandon") == [
            {"type": "answer", "body": '{"result": 1}', "bodyUrl": None} | NAME
        ]

    @pytest.mark.parametrize(("seconds", "is_silent"), [(5, True), (4, True), (2.5, False)])
    def test_a_debugger_that_had_its_time_is_silent_from_then_on(
        self, seconds: float, is_silent: bool
    ) -> None:
        """Further invocations need not wait for it until it is heard of again."""
        scene = Scene()
        scene.invoke()
        scene.now = NOW + seconds
        scene.function("abandon")
        assert scene.after().is_silent is is_silent

    def test_not_one_that_came_back_meanwhile(self) -> None:
        """What was sent to its former connection, it may never have got."""
        scene = Scene()
        scene.invoke()
        heir = scene.attach("new")
        scene.sessions.appoint_heir(scene.session.session_id, heir.session_id)
        scene.now = NOW + 5
        assert is_absent(scene.function("abandon"))
        assert not scene.after(heir).is_silent
        assert not scene.after().is_silent

    def test_the_function_does_not_wait_for_that_to_be_noted(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.now = NOW + 5
        scene.sessions.mark_silent = failing  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            scene.function("abandon")
        assert is_absent(scene.told(FUNCTION)[-1:])


class TestAwait:
    def test_what_waits_has_been_accepted(self) -> None:
        scene = Scene()
        scene.invoke()
        assert scene.function("await") == [ACCEPTED]

    def test_what_has_started_is_told_and_where_the_function_hears_its_answer(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        message = {
            "action": "await",
            "token": scene.token,
            "requestId": ID.request_id,
            "deadline": ID.deadline,
        }
        assert scene.send(message, "another") == [STARTED]
        scene.answer(body='{"result": 1}')
        assert scene.told(FUNCTION) == []
        assert [reply["type"] for reply in scene.told("another")] == ["answer"]

    def test_an_answer_is_told_as_often_as_one_asks(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        scene.answer(bodyKey="payloads/7")
        scene.told(FUNCTION)
        for _ in range(2):
            assert scene.function("await") == [
                {"type": "answer", "body": None, "bodyUrl": "https://bucket/payloads/7?get"} | NAME
            ]

    def lost(self, scene: Scene, how: str) -> None:
        """However a session ends, it comes to the same."""
        session_id = scene.session.session_id
        if how == "disconnected":
            scene.sessions.disconnect(session_id, DEBUGGER, NOW)
            scene.now = NOW + GRACE
        elif how == "closed":
            scene.sessions.close(session_id, DEBUGGER, NOW)
        elif how == "its lease ran out":
            scene.now = NOW + LEASE
        elif how == "deleted":
            del scene.sessions._sessions[session_id]
        elif how == "its token was forgotten":
            del scene.invocations._tokens[token_key(scene.token)]
            grants = Grants(scene.invocations, scene.sessions)
            scene.relay = replace(scene.relay, grants=grants)

    HOW = ["disconnected", "closed", "its lease ran out", "deleted", "its token was forgotten"]

    @pytest.mark.parametrize("how", HOW)
    def test_of_a_session_that_is_lost_nobody_will_answer(self, how: str) -> None:
        scene = Scene()
        deadline = NOW + 600
        scene.invoke(deadline=deadline)
        scene.claim(deadline=deadline)
        self.lost(scene, how)
        for _ in range(2):
            assert scene.function("await", deadline=deadline) == [GONE | {"deadline": deadline}]
        # And whoever answers all the same is too late.
        scene.answer(deadline=deadline, body='{"result": 1}')
        assert scene.told(FUNCTION) == []

    @pytest.mark.parametrize("how", HOW)
    def test_what_it_had_not_begun_the_function_may_run(self, how: str) -> None:
        scene = Scene()
        deadline = NOW + 600
        scene.invoke(deadline=deadline)
        self.lost(scene, how)
        for _ in range(2):
            assert is_absent(scene.function("await", deadline=deadline))

    def test_one_that_may_come_back_is_waited_for(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        scene.sessions.disconnect(scene.session.session_id, DEBUGGER, NOW)
        scene.now = NOW + GRACE - 1
        assert scene.function("await") == [STARTED]

    def test_also_one_that_has_come_back(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        heir = scene.attach("new", ttl=int(NOW) + 600)
        scene.sessions.appoint_heir(scene.session.session_id, heir.session_id)
        scene.now = NOW + 50
        assert scene.function("await") == [STARTED]

    def test_an_answer_in_between_is_told(self) -> None:
        """The session is lost, and its answer comes just then."""
        scene = Scene()
        scene.invoke()
        scene.claim()
        scene.sessions.close(scene.session.session_id, DEBUGGER, NOW)
        lose = scene.invocations.lose

        def answer_first(*arguments: Any) -> Any:
            given = Answer('{"result": 1}')
            scene.invocations.answer(ID, scene.session.session_id, given, NOW)
            return lose(*arguments)

        scene.invocations.lose = answer_first  # type: ignore[method-assign]
        assert [reply["type"] for reply in scene.function("await")] == ["answer"]


class TestUnknownInvocations:
    @pytest.mark.parametrize("action", ["await", "abandon"])
    def test_one_that_is_still_on_its_way_finds_itself_abandoned(self, action: str) -> None:
        scene = Scene()
        assert is_absent(scene.function(action))
        assert is_absent(scene.invoke())
        assert scene.told(DEBUGGER) == []

    @pytest.mark.parametrize("action", ["await", "abandon"])
    def test_one_that_arrives_meanwhile_is_taken_back_or_has_started(self, action: str) -> None:
        for is_claimed in (False, True):
            scene = Scene()
            arrive = self.arriving(scene, is_claimed)
            bury = scene.invocations.bury

            def bury_after(
                one: Invocation,
                bury: Callable[[Invocation], Any] = bury,
                arrive: Callable[[], None] = arrive,
            ) -> Any:
                arrive()
                return bury(one)

            scene.invocations.bury = bury_after  # type: ignore[method-assign]
            reply = scene.function(action)
            assert reply == [STARTED] if is_claimed else is_absent(reply)

    def arriving(self, scene: Scene, is_claimed: bool) -> Callable[[], None]:
        def arrive() -> None:
            session_id = scene.session.session_id
            key = token_key(scene.token)
            scene.invocations.record(Invocation(ID, session_id, key, "Fn", NOW, FUNCTION))
            if is_claimed:
                scene.invocations.claim(ID, session_id, NOW)

        return arrive

    @pytest.mark.parametrize("action", ["await", "abandon"])
    def test_a_late_question_after_an_earlier_try_ends_no_later_one(self, action: str) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        scene.told(DEBUGGER)
        before = scene.invocation
        earlier = {"deadline": ID.deadline - 60}
        # It may have begun, for all that anybody knows.
        assert scene.function(action, **earlier) == [GONE | earlier]
        assert scene.invocation == before

    @pytest.mark.parametrize("action", ["await", "abandon"])
    def test_of_another_functions_nothing_is_told(self, action: str) -> None:
        """Nor is anything done to it, whatever has become of it."""
        scene = Scene()
        scene.invoke()
        other = scene.grant(scene.attach("c2", owner="you", stack_name="other"))
        for step in ("wait", "claim", "answer"):
            if step == "claim":
                scene.claim()
            elif step == "answer":
                scene.answer(body='{"result": "secret"}')
            scene.told(FUNCTION)
            before = scene.invocation
            assert scene.function(action, token=other) == [GONE]
            assert scene.invocation == before

    def test_an_expired_one_that_had_started_is_gone(self) -> None:
        scene = Scene()
        scene.invoke()
        scene.claim()
        scene.invocations.expire(ID.request_id, ID.deadline)
        assert scene.function("await") == [GONE]
