"""Whatever is asked of them in whatever order, all stores say the same of an invocation."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lambda_functions.invocations.invocation import Answer, Grant, Invocation, InvocationId
from lambda_functions.invocations.store import InvocationStore

# Ahead of the clock on the wall: tables delete what is expired by that one.
NOW = 1_900_000_000.0

_names = st.sampled_from(["r", "s"])
_deadlines = st.sampled_from([NOW + 9, NOW + 60.123])
_tokens = st.sampled_from(["token#1", "token#2"])
_sessions = st.sampled_from(["session", "heir"])
_connections = st.sampled_from(["c", "d"])
_answers = st.sampled_from([Answer('{"result": "ä"}'), Answer(body_key="payloads/plldb/0")])


class InvocationLife(RuleBasedStateMachine):
    """``make_stores`` are the stores, each new for every life, or with names of its own in it."""

    make_stores: ClassVar[Callable[[], list[InvocationStore]]]

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.stores = type(self).make_stores()
        # What sets this life apart from others in the same table.
        self.prefix = uuid.uuid4().hex[:12]

    def ask(self, question: Callable[[InvocationStore], Any]) -> Any:
        """What all stores answer."""
        answers = [question(store) for store in self.stores]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def id(self, name: str, deadline: float) -> InvocationId:
        return InvocationId(f"{self.prefix}-{name}", deadline)

    @rule(name=_names, deadline=_deadlines, session=_sessions, token=_tokens, where=_connections)
    def record(self, name: str, deadline: float, session: str, token: str, where: str) -> None:
        one = Invocation(self.id(name, deadline), session, token, "Fn", self.now, where)
        self.ask(lambda store: store.record(one))

    @rule(name=_names, deadline=_deadlines, session=_sessions, token=_tokens, where=_connections)
    def bury(self, name: str, deadline: float, session: str, token: str, where: str) -> None:
        one = Invocation(self.id(name, deadline), session, token, "", self.now, where)
        self.ask(lambda store: store.bury(one))

    @rule(name=_names, deadline=_deadlines, session=_sessions)
    def claim(self, name: str, deadline: float, session: str) -> None:
        self.ask(lambda store: store.claim(self.id(name, deadline), session, self.now))

    @rule(name=_names, deadline=_deadlines, session=_sessions, answer=_answers)
    def answer(self, name: str, deadline: float, session: str, answer: Answer) -> None:
        self.ask(lambda store: store.answer(self.id(name, deadline), session, answer, self.now))

    @rule(name=_names, deadline=_deadlines, session=_sessions)
    def decline(self, name: str, deadline: float, session: str) -> None:
        self.ask(lambda store: store.decline(self.id(name, deadline), session))

    @rule(name=_names, deadline=_deadlines, token=_tokens)
    def abandon(self, name: str, deadline: float, token: str) -> None:
        self.ask(lambda store: store.abandon(self.id(name, deadline), token))

    @rule(name=_names, deadline=_deadlines, token=_tokens)
    def lose(self, name: str, deadline: float, token: str) -> None:
        self.ask(lambda store: store.lose(self.id(name, deadline), token))

    @rule(name=_names, deadline=_deadlines, token=_tokens, session=_sessions)
    def readdress(self, name: str, deadline: float, token: str, session: str) -> None:
        self.ask(lambda store: store.readdress(self.id(name, deadline), token, session))

    @rule(name=_names, deadline=_deadlines, token=_tokens, where=_connections)
    def follow(self, name: str, deadline: float, token: str, where: str) -> None:
        self.ask(lambda store: store.follow(self.id(name, deadline), token, where))

    @rule(name=_names)
    def expire(self, name: str) -> None:
        request_id = self.id(name, 0).request_id
        is_stale = self.ask(lambda store: request_id in store.stale(self.now))
        assert self.ask(lambda store: store.expire(request_id, self.now)) is is_stale

    @rule(token=_tokens, session=_sessions, what=st.sampled_from(["add", "grant", "settle"]))
    def keep_token(self, token: str, session: str, what: str) -> None:
        key = f"{token}-{self.prefix}"
        acts: dict[str, Callable[[InvocationStore], None]] = {
            "add": lambda store: store.add_token(key, Grant(session, "app", "hold"), self.now),
            "grant": lambda store: store.grant_to(key, session, self.now),
            "settle": lambda store: store.settle(key),
        }
        self.ask(acts[what])
        found = self.ask(lambda store: store.grant_of(key))
        is_unsettled = self.ask(lambda store: key in dict(store.unsettled()))
        assert is_unsettled is (found is not None and not found.is_settled)

    @rule(seconds=st.sampled_from([0.5, 9, 60]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def all_agree(self) -> None:
        for name in ("r", "s"):
            request_id = self.id(name, 0).request_id
            self.ask(lambda store, one=request_id: store.get(one))
