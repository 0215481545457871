"""Functions, a debugger and the helper stack between them, in memory, and time as the test has it.

The helper stack is the real code over stores in memory. Each message to it is handled by a worker,
which stops before every call of a store or a connection: in between, other workers go on, time
passes, or the worker crashes. Functions and debuggers are small models of what the shim and
``plldb attach`` do.

What is assumed of the network: what the helper stack posts to a function's connection arrives
within WAY_SECONDS, or that connection breaks, and the function finds out. Everything else is
delayed, doubled, brought out of order and lost.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from lambda_functions.invocations.grants import Grants
from lambda_functions.invocations.invocation import InvocationId
from lambda_functions.sessions.ending import Ending
from lambda_functions.sessions.heirs import line_of
from lambda_functions.sessions.reaping import Reaper, reap
from lambda_functions.sessions.session import Status, new_session
from lambda_functions.shared.signed_request import SignedRequest
from lambda_functions.websocket import wire
from lambda_functions.websocket.actions import answer
from lambda_functions.websocket.connect_disconnect import disconnect
from lambda_functions.websocket.relay import Relay

from tests.memory_stores import MemoryFunctionLists, MemoryInvocationStore, MemorySessionStore
from tests.unit.bootstrap.lambda_functions.websocket.scene import MAX_BYTES, NOW, FakePayloads

Message = dict[str, Any]

WAY_SECONDS = 0.2
ACCEPT_SECONDS = 2.0
START_SECONDS = 5.0
AWAIT_SECONDS = 30.0
REPLY_SECONDS = 10.0
REOPEN_SECONDS = 1.0
NEVER = float("inf")
# Calls that are waited for later than they are made.
_BEGUN = ("begin_get", "begin_record")


# --- The helper stack -----------------------------------------------------------------------------


class CrashedError(BaseException):
    """The environment of a worker is no more: nothing catches this, nor does anything after it."""


class Worker:
    """Handles one event, a step at a time; a step ends before the next call to the outside."""

    current: Worker | None = None

    def __init__(self, act: Callable[[], object]) -> None:
        self.is_done = False
        self._act = act
        self._fault: BaseException | None = None
        self._bug: BaseException | None = None
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()

    def step(self) -> None:
        Worker.current = self
        self._go.release()
        self._stopped.acquire()
        Worker.current = None
        if self._bug is not None:
            raise self._bug

    def finish(self) -> None:
        while not self.is_done:
            self.step()

    def crash(self) -> None:
        self._fault = CrashedError()
        self.finish()

    def fail(self) -> None:
        """The next call to the outside does."""
        self._fault = ConnectionError()
        self.step()

    def wait(self) -> None:
        """Called by the worker itself, before a call to the outside."""
        self._stopped.release()
        self._go.acquire()
        fault = self._fault
        if not isinstance(fault, CrashedError):
            self._fault = None
        if fault is not None:
            raise fault

    def _run(self) -> None:
        self._go.acquire()
        try:
            if self._fault is None:
                self._act()
        except (CrashedError, ConnectionError):
            pass
        except BaseException as error:  # noqa: BLE001 - the test's own thread raises it
            self._bug = error
        self.is_done = True
        self._stopped.release()


class Stepwise:
    """Whatever is called on it, the worker that calls stops first."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self._is_early: dict[str, bool] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if Worker.current is not None:
                Worker.current.wait()
            return method(*arguments, **named)

        return partial(self._begin, name, call) if name in _BEGUN else call

    def _begin(self, name: str, call: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        """Two calls that are under way at once are carried out in either order: this one as it is
        begun, or as it is waited for.
        """
        self._is_early[name] = not self._is_early.get(name, False)
        if not self._is_early[name]:

            def late() -> Any:
                return call(*arguments)()

            return late
        value = call(*arguments)()
        return lambda: value


@dataclass(eq=False)
class ClaimRequest:
    """What a debugger sends to the table by itself, and what it claims there."""

    debugger: Debugger
    id: InvocationId
    session_id: str
    signed_at: float


@dataclass
class Connection:
    """``is_half_open``: what is sent over it vanishes, and neither end knows."""

    id: str
    owner: Function | Debugger
    session_id: str | None = None
    is_open: bool = True
    is_half_open: bool = False
    inbox: list[tuple[float, Message]] = field(default_factory=list)


class World:
    def __init__(self) -> None:
        self.now = NOW
        self.sessions, self.invocations = MemorySessionStore(), MemoryInvocationStore()
        self.connections: dict[str, Connection] = {}
        self.frames: list[tuple[str, str]] = []  # connections, and what was sent by them
        self.ends: list[str] = []  # of connections, of which there are events
        self.requests: list[ClaimRequest] = []  # of debuggers, to the table
        self.workers: list[Worker] = []
        self.functions: list[Function] = []
        self.debuggers: list[Debugger] = []
        self.tokens: list[str] = []
        # Under which names functions were held, and have been given back.
        self.instrumented: set[str] = set()
        self.restored: set[str] = set()
        # Invocations by who ran their handlers, and how they ended.
        self.ran_there: Counter[InvocationId] = Counter()
        self.ran_here: Counter[InvocationId] = Counter()
        self.outcomes: dict[InvocationId, str] = {}
        self._numbers = count()
        # Two environments of the message function, each of which remembers what it has read.
        self._relays = [self._relay() for _ in range(2)]

    def _relay(self) -> Relay:
        sessions, invocations = Stepwise(self.sessions), Stepwise(self.invocations)
        connections, instrumentation = Stepwise(_Gateway(self)), Stepwise(_Instrumenting(self))
        return Relay(
            sessions=sessions,
            invocations=invocations,
            claims=_Claims(),
            grants=Grants(invocations, sessions),
            payloads=FakePayloads(),
            lists=MemoryFunctionLists(),
            connections=connections,
            instrumentation=instrumentation,
            ending=Ending(sessions, instrumentation, connections),
            max_message_bytes=MAX_BYTES,
            allows_credentials=True,
            clock=lambda: self.now,
        )

    # --- Its events ---------------------------------------------------------------------------

    def handle(self, connection_id: str, text: str, environment: int) -> Worker:
        """A message has arrived: whoever sent it may be gone."""
        event = {"body": text, "requestContext": {"connectionId": connection_id}}
        now, relay = self.now, self._relays[environment]
        return self._work(lambda: answer(event, {}, now, relay))

    def handle_end(self, connection_id: str) -> Worker:
        event = {"requestContext": {"connectionId": connection_id}}
        now, sessions = self.now, self._relays[0].sessions
        return self._work(lambda: disconnect(event, {}, now, sessions))

    def reap(self) -> None:
        connections, instrumentation = _Gateway(self), _Instrumenting(self)
        ending = Ending(self.sessions, instrumentation, connections)
        reaper = Reaper(self.sessions, self.invocations, connections, ending, ending)
        reap({}, reaper, self.now)

    def _work(self, act: Callable[[], object]) -> Worker:
        worker = Worker(act)
        self.workers.append(worker)
        return worker

    # --- The network --------------------------------------------------------------------------

    def connect(self, owner: Function | Debugger, session_id: str | None = None) -> Connection:
        connection = Connection(f"c{next(self._numbers)}", owner, session_id)
        self.connections[connection.id] = connection
        return connection

    def send(self, connection: Connection, text: str) -> None:
        if connection.is_open and not connection.is_half_open:
            self.frames.append((connection.id, text))

    def sever(self, connection: Connection) -> None:
        """What was on its way to the client is lost; what was on its way from it may not be."""
        if connection.is_open:
            connection.is_open = False
            connection.inbox.clear()
            self.ends.append(connection.id)

    def deliver(self, connection: Connection, index: int, *, again: bool = False) -> None:
        """One of the messages in a connection's inbox; ``again``, and it will be so once more."""
        message = connection.inbox[index] if again else connection.inbox.pop(index)
        connection.owner.hear(json.loads(json.dumps(message[1])), connection)

    def claim(self, request: ClaimRequest, *, is_heard: bool = True, again: bool = False) -> None:
        """What a debugger has sent to the table arrives; ``again``, and it will do so once more."""
        if not again:
            self.requests.remove(request)
        step = self.invocations.claim(request.id, request.session_id, request.signed_at)
        if is_heard:
            request.debugger.hear_of_claim(request.id, step.is_taken)

    # --- Time ---------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Functions act when it is time to, and hear what was said to them early enough."""
        until = self.now + seconds
        while True:
            arrivals = [
                (posted_at + WAY_SECONDS, connection)
                for function in self.functions
                if (connection := function.connection) is not None
                for posted_at, _ in connection.inbox
            ]
            arrival = min((at for at, _ in arrivals), default=NEVER)
            action = min((function.due_at for function in self.functions), default=NEVER)
            if min(arrival, action) > until:
                break
            self.now = max(self.now, min(arrival, action))
            if arrival <= action:
                connection = next(where for at, where in arrivals if at == arrival)
                self.deliver(connection, 0)
            else:
                for function in self.functions:
                    function.act()
        self.now = until

    # --- What has to hold ---------------------------------------------------------------------

    def end(self, id: InvocationId, outcome: str) -> None:
        assert id not in self.outcomes, f"{id} ended twice: {self.outcomes[id]} and {outcome}"
        self.outcomes[id] = outcome

    def check(self) -> None:
        for id in {*self.ran_there, *self.ran_here}:
            there, here = self.ran_there[id], self.ran_here[id]
            assert there + here == 1, f"{id} ran {there} times there and {here} times here"

    def check_restoring(self, holds: list[str]) -> None:
        """Nobody has the functions that are being restored, nor will have them again."""
        self.restored.update(holds)
        for session_id in list(self.sessions._sessions):
            if session_id[:8] in holds:
                latest = line_of(self.sessions, session_id)[-1]
                assert latest.status is Status.CLOSED
                assert not latest.may_be_resumed(self.now)


class _Gateway:
    """The connections, as the helper stack finds them at API Gateway."""

    def __init__(self, world: World) -> None:
        self._world = world

    def post(self, connection_id: str, message: Message) -> bool:
        connection = self._world.connections[connection_id]
        if connection.is_open and not connection.is_half_open:
            connection.inbox.append((self._world.now, message))
        return connection.is_open

    def drop(self, connection_id: str) -> bool:
        was_open = self._world.connections[connection_id].is_open
        self._world.sever(self._world.connections[connection_id])
        return was_open

    def is_open(self, connection_id: str) -> bool:
        return self._world.connections[connection_id].is_open


class _Claims:
    """A request is the claim that it makes, as JSON."""

    def sign(self, id: InvocationId, session_id: str, now: float) -> SignedRequest:
        claim = json.dumps([id.request_id, id.deadline, session_id, now])
        return {"url": "https://table", "headers": {}, "body": claim}


class _Instrumenting:
    """The instrumentation function: functions that are instrumented show the new token."""

    def __init__(self, world: World) -> None:
        self._world = world

    def start(self, request: Message) -> None:
        if request["operation"] == "instrument":
            self._world.tokens.append(request["token"])
            self._world.instrumented.add(request["session"])
        else:
            self._world.check_restoring(request["holds"])


# --- A function -----------------------------------------------------------------------------------


@dataclass
class Attempt:
    """An invocation, and what its function knows of it."""

    id: InvocationId
    ask_at: float
    hear_by: float
    is_accepted: bool = False
    is_started: bool = False
    # Whether the connection has held, so that whatever was said has come.
    has_held: bool = True


class Function:
    """The shim in one environment, which has one invocation at a time."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.token = token
        self.connection: Connection | None = None
        self.attempt: Attempt | None = None
        self.is_alive = True
        self._reopen_at = NEVER

    @property
    def due_at(self) -> float:
        """When it acts next, if it hears nothing."""
        if self.attempt is None:
            return NEVER
        if self.connection is None:
            return min(self._reopen_at, self.attempt.id.deadline)
        return min(self.attempt.ask_at, self.attempt.hear_by, self.attempt.id.deadline)

    def invoke(self, request_id: str, seconds: float) -> None:
        now = self.world.now
        id = InvocationId(request_id, round(now + seconds, 3))
        accept_by = now + ACCEPT_SECONDS
        self.attempt = Attempt(id, ask_at=accept_by + 0.25, hear_by=accept_by + 0.5)
        if self.connection is None:
            self.connection = self.world.connect(self)
        self._send(
            wire.invoke_message(
                self.token,
                request_id,
                "Fn",
                deadline=id.deadline,
                accept_before=accept_by,
                context={},
                event="{}",
            )
        )

    def hear(self, message: Message, connection: Connection) -> None:
        attempt = self.attempt
        if attempt is None or connection is not self.connection:
            return
        if (message["requestId"], message["deadline"]) != (
            attempt.id.request_id,
            attempt.id.deadline,
        ):
            return
        attempt.hear_by = NEVER
        match message["type"]:
            case "answer":
                assert message["body"] == body_of(attempt.id)
                self._end("answer")
            case "absent" if not attempt.is_started:
                self._run_original()
            case "absent" | "gone":
                self._end("error")
            case "started":
                attempt.is_started = True
                attempt.ask_at = self.world.now + AWAIT_SECONDS
            case "accepted" if not (attempt.is_accepted or attempt.is_started):
                attempt.is_accepted = True
                attempt.ask_at = self.world.now + START_SECONDS

    def act(self) -> None:
        """What is due by now."""
        attempt, now = self.attempt, self.world.now
        if attempt is None:
            return
        if now >= attempt.id.deadline:
            self._end("error")
        elif self.connection is None:
            if now >= self._reopen_at:
                self._reopen()
        elif now >= attempt.hear_by:
            self._take_silence(attempt)
        elif now >= attempt.ask_at:
            self._ask(attempt)

    def lose_connection(self, is_noticed: bool = True) -> None:
        """``is_noticed`` by the other end, too."""
        if self.connection is not None:
            if is_noticed:
                self.world.sever(self.connection)
            else:
                self.connection.is_half_open = True
                self.connection.inbox.clear()
            self.connection = None
        self._reopen_at = self.world.now
        if self.attempt is not None:
            self.attempt.has_held = False

    def kill(self) -> None:
        """Its caller gets an error, or Lambda tries again."""
        if self.connection is not None:
            self.world.sever(self.connection)
            self.connection = None
        if self.attempt is not None:
            self._end("killed")
        self.is_alive = False

    def _ask(self, attempt: Attempt) -> None:
        message = wire.await_message if attempt.is_started else wire.abandon_message
        self._send(message(self.token, attempt.id.request_id, attempt.id.deadline))
        is_known = attempt.is_accepted or attempt.is_started
        attempt.ask_at = self.world.now + (AWAIT_SECONDS if attempt.is_started else REPLY_SECONDS)
        if is_known or not attempt.has_held:
            attempt.hear_by = self.world.now + REPLY_SECONDS

    def _take_silence(self, attempt: Attempt) -> None:
        """No word in time: the invocation is not recorded, or the connection is dead."""
        if attempt.has_held and not (attempt.is_accepted or attempt.is_started):
            self._run_original()
        else:
            self.lose_connection()

    def _reopen(self) -> None:
        attempt = self.attempt
        assert attempt is not None
        self._reopen_at = self.world.now + REOPEN_SECONDS
        self.connection = self.world.connect(self)
        self._send(wire.await_message(self.token, attempt.id.request_id, attempt.id.deadline))
        attempt.hear_by = self.world.now + REPLY_SECONDS
        attempt.ask_at = self.world.now + REPLY_SECONDS

    def _send(self, text: str) -> None:
        assert self.connection is not None
        self.world.send(self.connection, text)

    def _run_original(self) -> None:
        assert self.attempt is not None
        self.world.ran_here[self.attempt.id] += 1
        self._end("original")

    def _end(self, outcome: str) -> None:
        assert self.attempt is not None
        self.world.end(self.attempt.id, outcome)
        self.attempt = None


def body_of(id: InvocationId) -> str:
    return json.dumps({"result": [id.request_id, id.deadline]})


# --- A debugger -----------------------------------------------------------------------------------


class Debugger:
    """``plldb attach``: it has one session after the other, and never runs an invocation twice."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_alive = True
        self.connection: Connection | None = None
        self.session_id = ""
        # Invocations by how far they are, each with the session that it came to.
        self.claimed: dict[InvocationId, str] = {}
        self.running: dict[InvocationId, str] = {}
        self.answered: dict[InvocationId, str] = {}
        self._seen: set[InvocationId] = set()

    def attach(self) -> None:
        """With a new session, which takes what the former one had, if there was one."""
        former = self.session_id
        session = new_session("app", "me", self.world.now)
        self.session_id = session.session_id
        self.world.sessions.create(session)
        self.connection = self.world.connect(self, self.session_id)
        self.world.sessions.activate(self.session_id, self.connection.id, self.world.now)
        if former:
            self._send(wire.resume_message(self.session_id, former))
        else:
            self._send(wire.instrument_message(self.session_id, []))
        self.ask_again()

    def ask_again(self) -> None:
        """For all that it has no reply to."""
        for id, session_id in self.claimed.items():
            self._send(wire.claim_message(session_id, id.request_id, id.deadline))
        for id, session_id in self.answered.items():
            self._send_answer(id, session_id)

    def heartbeat(self) -> None:
        self._send(wire.heartbeat_message(self.session_id))

    def close(self) -> None:
        self._send(wire.close_message(self.session_id))

    def answer(self, id: InvocationId) -> None:
        """The handler has ended."""
        session_id = self.running.pop(id)
        self.answered[id] = session_id
        self._send_answer(id, session_id)

    def decline(self, id: InvocationId) -> None:
        session_id = self.claimed.pop(id)
        self._send(wire.decline_message(session_id, id.request_id, id.deadline))

    def hear(self, message: Message, connection: Connection) -> None:
        if not self.is_alive:
            return
        kind = message["type"]
        if kind == "invocation":
            self._take(message, connection)
        elif kind == "expired":
            self._send(wire.instrument_message(self.session_id, []))
        elif kind == "closed":
            self.kill()
        elif kind in ("go", "void", "recorded"):
            self._follow(kind, InvocationId(message["requestId"], message["deadline"]))

    def _take(self, message: Message, connection: Connection) -> None:
        id = InvocationId(message["requestId"], message["deadline"])
        if id in self._seen:
            return
        self._seen.add(id)
        assert connection.session_id is not None
        self.claimed[id] = connection.session_id
        request_id, deadline, session_id, signed_at = json.loads(message["claim"]["body"])
        claimed = InvocationId(request_id, deadline)
        self.world.requests.append(ClaimRequest(self, claimed, session_id, signed_at))

    def hear_of_claim(self, id: InvocationId, is_taken: bool) -> None:
        """Of the one that was sent to the table."""
        if self.is_alive and is_taken:
            self._follow("go", id)
        elif self.is_alive and id in self.claimed:
            self._send(wire.claim_message(self.claimed[id], id.request_id, id.deadline))

    def _follow(self, kind: str, id: InvocationId) -> None:
        if kind == "go" and id in self.claimed:
            self.running[id] = self.claimed.pop(id)
            self.world.ran_there[id] += 1
        elif kind == "void":
            self.claimed.pop(id, None)
        elif kind == "recorded":
            self.answered.pop(id, None)

    def lose_connection(self) -> None:
        if self.connection is not None:
            self.world.sever(self.connection)
            self.connection = None

    def kill(self) -> None:
        """What it has sent to the table may still arrive there."""
        self.lose_connection()
        self.is_alive = False

    def _send_answer(self, id: InvocationId, session_id: str) -> None:
        body = body_of(id)
        self._send(wire.answer_message(session_id, id.request_id, id.deadline, body=body))

    def _send(self, text: str) -> None:
        if self.connection is not None:
            self.world.send(self.connection, text)
