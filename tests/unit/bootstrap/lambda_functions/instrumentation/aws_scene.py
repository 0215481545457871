"""Instrumenting, restoring and reaping on a double of AWS, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from lambda_functions.instrumentation import service
from lambda_functions.instrumentation.control_plane import (
    ChangeRefusedError,
    GoneError,
    LambdaControlPlane,
)
from lambda_functions.instrumentation.redirect import Layer
from lambda_functions.instrumentation.request import (
    UnfinishedError,
    instrument_request,
    restore_request,
)
from lambda_functions.invocations.grants import Grants
from lambda_functions.invocations.invocation import Grant, token_key
from lambda_functions.sessions.ending import Ending
from lambda_functions.sessions.reaping import Reaper, reap
from lambda_functions.sessions.session import new_session
from lambda_functions.shared import clients
from lambda_functions.shared.ids import shortened

from tests.aws_lambda import AwsLambda, layer_arn
from tests.memory_stores import MemoryFunctionLists, MemoryInvocationStore, MemorySessionStore
from tests.unit.fakes import FakeCloudFormation, FakeConnections, FakeInstrumentation
from tests.virtual_time import VirtualTime

OUR_LAYER = layer_arn("plldb-debugger", 7)
STACK = "app"
_ROUNDS_OF_LAMBDA = 3  # an asynchronous invocation that fails is repeated twice
_EPOCH = 1_800_000_000.0


class AwsScene:
    """An account with a stack, and a helper stack whose functions run when ``run`` says so."""

    def __init__(self, count: int = 1, **configuration: Any) -> None:
        self.time = VirtualTime()
        self.aws = AwsLambda(self.time)
        self.aws.layers.add(OUR_LAYER)
        self.cloudformation = FakeCloudFormation()
        self.cloudformation.add(
            STACK, "CREATE_COMPLETE", CreationTime=datetime(2026, 11, 1, tzinfo=UTC)
        )
        self.cloudformation.resources[STACK] = []
        self.names = [f"app-Fn{number}" for number in range(count)]
        for name in self.names:
            self.add(name, **configuration)
        self.before = self.aws.deployed()
        self.connections = FakeConnections()
        self.sessions = MemorySessionStore()
        self.invocations = MemoryInvocationStore()
        self.requests = FakeInstrumentation()
        self.awaited = _Awaited()
        self.lists = MemoryFunctionLists(self.now)
        self.grants = Grants(self.invocations, self.sessions)
        self.queues: dict[str, int] = {}
        # What the log says of functions that were not restored, or not all of them, by their names.
        self.named: dict[str, str] = {}

    def now(self) -> float:
        return _EPOCH + self.time.now

    def add(self, name: str, **configuration: Any) -> None:
        self.aws.add(name, **configuration)
        self.cloudformation.resources[STACK].append(
            {
                "ResourceType": "AWS::Lambda::Function",
                "LogicalResourceId": name.removeprefix("app-"),
                "PhysicalResourceId": name,
            }
        )

    def instrumenter(self, caller: str = "plldb") -> service.Instrumenter:
        """Of an execution environment of its own."""
        plane = LambdaControlPlane(
            self.aws.client(caller, clients.LAMBDA_CONTROL_PLANE),
            self.cloudformation,
            self,
            self.time.clock,
            self.time.sleep,
        )
        return service.Instrumenter(
            control_plane=plane,
            lists=self.lists,
            connections=self.connections,
            layer=Layer(OUR_LAYER),
            websocket_url="wss://helper/plldb",
            max_waiting=200,
            find_connection=self._find_connection,
            is_over=self._is_over,
            sleep=self.time.sleep,
            in_parallel=self.time.in_parallel,
        )

    # The SQS client:

    class meta:  # noqa: N801
        endpoint_url = "https://sqs.eu-west-1.amazonaws.com"

    def get_queue_attributes(self, *, QueueUrl: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        seconds = self.queues[QueueUrl.rpartition("/")[2]]
        return {"Attributes": {"VisibilityTimeout": str(seconds)}}

    # --- Sessions ---------------------------------------------------------------------------------

    def _find_connection(self, token: str) -> str | None:
        opened = self.grants.find(token_key(token))
        session = opened.session if opened else None
        return session.connection_id if session and session.is_attached(self.now()) else None

    def _is_over(self, token: str) -> bool:
        opened = self.grants.find(token_key(token))
        session = opened.session if opened else None
        return session is None or session.is_over(self.now())

    def attach(self, caller: str = "plldb", **wishes: Any) -> Callable[[], list[dict[str, Any]]]:
        """What instruments all functions for a new session, and gives what it is told."""
        session = new_session(STACK, "arn:aws:iam::1:user/me", self.now())
        connection = f"connection of {session.session_id}"
        token = f"token of {session.session_id}"
        hold = shortened(session.session_id)
        self.sessions.create(session)
        assert self.sessions.activate(session.session_id, connection, self.now())
        grant = Grant(session.session_id, STACK, hold)
        self.invocations.add_token(token_key(token), grant, self.now())
        assert self.sessions.mark_instrumenting(session.session_id, connection, token_key(token))
        request = instrument_request(
            stack_name=STACK,
            session=hold,
            owner=session.owner,
            connection_id=connection,
            token=token,
            functions=[],
            when_absent="original",
            take_over=False,
            open_sessions={},
            **wishes,
        )
        instrumenter = self.instrumenter(caller)

        def act() -> list[dict[str, Any]]:
            self._as_lambda_does(instrumenter, request)
            return [message for id_, message in self.connections.posted if id_ == connection]

        return act

    def deploy(self, seconds: float) -> list[int]:
        """What others do meanwhile: their own deployment, of three calls a second.

        The status of each answer. Their client repeats nothing.
        """
        once = clients.LAMBDA_CONTROL_PLANE
        client = self.aws.client("deployment", once)
        for number in range(int(seconds * 3)):
            begun = self.time.now
            with suppress(ClientError):
                if number % 3:
                    client.get_function_configuration(FunctionName="other")
                else:
                    client.update_function_configuration(FunctionName="other", Timeout=number + 1)
            self.time.sleep(1 / 3 - (self.time.now - begun))
        return [call.status for call in self.aws.calls if call.caller == "deployment"]

    def keep_alive(self, seconds: float) -> None:
        """Heartbeats of all that are attached."""
        for _ in range(int(seconds / 60)):
            self.time.sleep(60)
            for session in self.sessions.attached():
                assert session.connection_id is not None
                self.sessions.extend(session.session_id, session.connection_id, self.now())

    def vanish(self) -> None:
        """All debuggers are gone without a word."""
        self.connections.gone |= {s.connection_id for s in self.sessions.attached()}  # type: ignore[misc]

    def reap(self) -> None:
        """As the schedule has it, until it has nothing to do any more."""
        for _ in range(4):
            self.time.sleep(300)
            self._reap_once()

    def _reap_once(self) -> None:
        instrumenter = self.instrumenter("reaper")
        ending = Ending(self.sessions, self.requests, self.connections)
        settling = replace(ending, instrumentation=self.awaited)
        reaper = Reaper(self.sessions, self.invocations, self.connections, ending, settling)
        reap({}, reaper, self.now())
        while self.requests.requests:
            self._as_lambda_does(instrumenter, self.requests.requests.pop(0))
        for request in self.awaited.take_begun():
            if self._try(instrumenter, request):
                self.awaited.finished(request)

    def restore(self) -> dict[str, Any]:
        """As ``plldb restore`` asks for it."""
        return service.handle(restore_request(STACK), {}, self.instrumenter())

    def _as_lambda_does(self, instrumenter: service.Instrumenter, request: dict[str, Any]) -> None:
        """An asynchronous invocation: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
        for attempt in range(_ROUNDS_OF_LAMBDA):
            if self._try(instrumenter, request):
                return
            self.time.sleep(60 * (attempt + 1))

    def _try(self, instrumenter: service.Instrumenter, request: dict[str, Any]) -> bool:
        """Whether it comes to a good end."""
        record: dict[str, Any] = {}
        try:
            service.handle(json.loads(json.dumps(request)), record, instrumenter)
        except (service.NotRestoredError, ChangeRefusedError, GoneError, ClientError):
            return False
        finally:
            self.named |= record.get("notRestored", {}) | record.get("left", {})
        return True


class _Awaited:
    """Whoever waits for the end gives up at once, and asks again in the next round."""

    def __init__(self) -> None:
        self._begun: list[dict[str, Any]] = []
        self._finished: list[dict[str, Any]] = []

    def start(self, request: dict[str, Any]) -> None:
        if request in self._finished:
            self._finished.remove(request)
            return
        self._begun.append(request)
        raise UnfinishedError

    def take_begun(self) -> list[dict[str, Any]]:
        begun, self._begun = self._begun, []
        return begun

    def finished(self, request: dict[str, Any]) -> None:
        self._finished.append(request)
