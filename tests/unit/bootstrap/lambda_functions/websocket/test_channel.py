"""Whatever is lost, late, doubled or killed, an invocation ends once and runs once at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lambda_functions.invocations.invocation import OPEN
from lambda_functions.sessions.session import GRACE, LEASE, Status

from tests.unit.bootstrap.lambda_functions.websocket.channel_world import (
    START_SECONDS,
    Connection,
    Debugger,
    Function,
    Worker,
    World,
)

# Which one of several: the number counts round.
numbers = st.integers(0, 11)
REQUEST_IDS = ["r0", "r1"]
# Beyond what a session lives for, and what its debugger has to come back.
LONG = {"a while": 29.0, "a grace": GRACE + 0.1, "a lease": LEASE + 0.1}


class Channel(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.attach_another()
        self.settle()
        assert len(self.world.tokens) == 1

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.let_everything_end()
            finally:
                for worker in self.world.workers:
                    worker.crash()

    # --- What goes well -----------------------------------------------------------------------

    @precondition(lambda self: self.free_request_ids())
    @rule(number=numbers, seconds=st.sampled_from([20.0, 100.0, 400.0]))
    def invoke(self, number: int, seconds: float) -> None:
        """In an environment that is free, or a new one; perhaps it is Lambda's next try."""
        self.world.pass_time(0.01)  # or it would be the same deadline
        idle = [one for one in self.world.functions if one.is_alive and one.attempt is None]
        if number % 2 or not idle:
            idle = [Function(self.world, self.world.tokens[-1])]
            self.world.functions += idle
        free = self.free_request_ids()
        idle[number % len(idle)].invoke(free[number % len(free)], seconds)

    @precondition(lambda self: self.pending())
    @rule(chosen=st.lists(numbers, min_size=1, max_size=6))
    def things_go_on(self, chosen: list[int]) -> None:
        for number in chosen:
            if pending := self.pending():
                pending[number % len(pending)]()

    @rule()
    def all_goes_well(self) -> None:
        """For a moment: whoever is cut off comes back, and all that is said is heard."""
        connection = self.debugger.connection
        if self.debugger.is_alive and (connection is None or connection.is_half_open):
            self.debugger.attach()
        self.settle()

    @precondition(lambda self: self.debugger.running)
    @rule()
    def handler_ends(self) -> None:
        self.debugger.answer(next(iter(self.debugger.running)))

    @rule(how_long=st.sampled_from(["short", "next", "next", "next", *LONG]))
    def time_passes(self, how_long: str) -> None:
        """Mostly until a function does something."""
        due = min((one.due_at for one in self.waiting()), default=self.world.now)
        until_then = max(due - self.world.now, 0.0) + 0.01
        self.world.pass_time(LONG.get(how_long, until_then if how_long == "next" else 0.3))

    # --- What does not ------------------------------------------------------------------------

    @precondition(lambda self: self.world.frames)
    @rule(
        number=numbers,
        steps=st.integers(0, 9),
        fault=st.sampled_from(["none", "none", "crash", "fail"]),
        is_doubled=st.booleans(),
    )
    def frame_is_handled_half_way(
        self, number: int, steps: int, fault: str, is_doubled: bool
    ) -> None:
        frame = self.world.frames[number % len(self.world.frames)]
        worker = self.handle(frame, number % 2, is_doubled)
        for _ in range(steps):
            if not worker.is_done:
                worker.step()
        if fault != "none" and not worker.is_done:
            getattr(worker, fault)()

    @precondition(lambda self: self.inboxes())
    @rule(number=numbers)
    def message_comes_twice(self, number: int) -> None:
        """Or before what was sent before it."""
        inboxes = self.inboxes()
        connection = inboxes[number % len(inboxes)]
        self.world.deliver(connection, number % len(connection.inbox), again=True)

    @precondition(lambda self: self.world.requests)
    @rule(number=numbers)
    def claim_is_late(self, number: int) -> None:
        """What was sent to the table arrives when its function has stopped waiting for it."""
        request = self.world.requests.pop(number % len(self.world.requests))
        self.world.pass_time(START_SECONDS + 0.01)
        self.settle()
        self.world.requests.append(request)
        self.world.claim(request)

    @precondition(lambda self: self.world.requests)
    @rule(number=numbers, how=st.sampled_from(["lose", "lose the answer", "double", "time out"]))
    def claim_goes_astray(self, number: int, how: str) -> None:
        """What was sent to the table, which nobody repeats: the helper stack is asked instead."""
        request = self.world.requests[number % len(self.world.requests)]
        if how == "lose":
            self.world.requests.remove(request)
        elif how != "time out":
            is_heard = how != "lose the answer"
            self.world.claim(request, is_heard=is_heard, again=how == "double")
        if how != "double":
            request.debugger.ask_again()

    @precondition(lambda self: self.waiting())
    @rule(number=numbers, how=st.sampled_from(["lose", "lose unnoticed", "kill"]))
    def function_fails(self, number: int, how: str) -> None:
        """``unnoticed`` by the other end, which goes on posting to it."""
        waiting = self.waiting()
        function = waiting[number % len(waiting)]
        if how == "kill":
            function.kill()
        else:
            function.lose_connection(is_noticed=how == "lose")

    @rule(
        how=st.sampled_from(["attach", "lose", "half-open", "repeat", "decline", "close", "kill"])
    )
    def debugger_fails(self, how: str) -> None:
        """It may attach again though nothing is wrong: before a connection's time is over."""
        debugger, connection = self.debugger, self.debugger.connection
        if not debugger.is_alive:
            self.attach_another()
        elif how == "attach":
            debugger.attach()
        elif how == "half-open" and connection is not None:
            connection.is_half_open = True
        elif how == "repeat":
            debugger.heartbeat()
            debugger.ask_again()
        elif how == "decline" and debugger.claimed:
            debugger.decline(next(iter(debugger.claimed)))
        elif how == "close":
            debugger.close()
        elif how == "kill":
            debugger.kill()
        else:
            debugger.lose_connection()

    @rule(number=numbers, how=st.sampled_from(["lose", "forget", "reap"]))
    def something_else_fails(self, number: int, how: str) -> None:
        """A frame is lost, and its connection with it; $disconnect is, which is best effort."""
        frames = self.world.frames
        if how == "lose" and frames:
            connection = self.world.connections[frames[number % len(frames)][0]]
            self.world.frames = [frame for frame in frames if frame[0] != connection.id]
            if connection is connection.owner.connection:
                connection.owner.lose_connection()
        elif how == "forget":
            self.world.ends.clear()
        else:
            self.world.reap()

    # --- What there is ------------------------------------------------------------------------

    def waiting(self) -> list[Function]:
        return [one for one in self.world.functions if one.attempt is not None]

    def free_request_ids(self) -> list[str]:
        under_way = {one.attempt.id.request_id for one in self.world.functions if one.attempt}
        return [one for one in REQUEST_IDS if one not in under_way]

    def working(self) -> list[Worker]:
        return [worker for worker in self.world.workers if not worker.is_done]

    def inboxes(self) -> list[Connection]:
        return [one for one in self.world.connections.values() if one.inbox]

    def pending(self) -> list[Callable[[], Any]]:
        """What may happen next, each in full."""
        world = self.world
        return [
            *(worker.finish for worker in self.working()),
            *(lambda one=one: self.handle(one, 0).finish() for one in world.frames),
            *(
                lambda one=one, index=index: world.deliver(one, index)
                for one in self.inboxes()
                for index in range(len(one.inbox))
            ),
            *(lambda one=one: self.handle_end(one) for one in world.ends),
            *(lambda one=one: world.claim(one) for one in world.requests),
        ]

    def handle(self, frame: tuple[str, str], environment: int, is_doubled: bool = False) -> Worker:
        if not is_doubled:
            self.world.frames.remove(frame)
        return self.world.handle(*frame, environment)

    def handle_end(self, connection_id: str) -> None:
        self.world.ends.remove(connection_id)
        self.world.handle_end(connection_id).finish()

    def attach_another(self) -> None:
        self.debugger = Debugger(self.world)
        self.world.debuggers.append(self.debugger)
        self.debugger.attach()

    def settle(self) -> None:
        """Everything that is on its way arrives, and is acted on."""
        while pending := self.pending():
            pending[0]()

    # --- What has to hold ---------------------------------------------------------------------

    @invariant()
    def each_runs_once_at_most(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def let_everything_end(self) -> None:
        """All goes well, until the debugger is killed; and then, time passes: nothing is left."""
        self.settle()
        for id in [*self.debugger.running]:
            self.debugger.answer(id)
        self.settle()
        for debugger in self.world.debuggers:
            debugger.kill()
        self.world.frames.clear()
        self.world.pass_time(400 + LEASE)
        self.world.check()
        assert not self.waiting()
        for seconds in (GRACE, GRACE, 300):
            self.world.reap()
            self.world.pass_time(seconds)
        found = [self.world.invocations.get(one) for one in REQUEST_IDS]
        assert not [one for one in found if one and one.state in OPEN]
        sessions = [*self.world.sessions._sessions.values()]
        assert not [one for one in sessions if one.status is Status.ACTIVE]
        assert list(self.world.invocations.unsettled()) == []
        assert self.world.instrumented <= self.world.restored


TestChannel = Channel.TestCase
TestChannel.settings = settings(
    max_examples=200,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
