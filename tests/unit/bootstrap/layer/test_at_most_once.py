"""Whatever is lost on the way, an invocation has one outcome, and runs in one place at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plldb_shim
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plldb_shim import original, progress, remote

from .function import OWN_HANDLER, Context
from .helper_stack import (
    HANG_UP,
    Message,
    ServerConnection,
    absent,
    accepted,
    answer,
    gone,
    started,
)
from .simulation import simulated

# The helper stack's way with a message: it never came, or its answer gets lost with the
# connection, or comes twice.
FAULTS = ("none", "none", "lost", "unheard", "twice")
# After which of the messages that came.
NEVER = 1_000


@dataclass
class Arbiter:
    """The helper stack's side of the contract, and a debugger that does as it likes."""

    faults: list[str]
    claims_after: int
    answers_after: int
    is_lost_after: int
    says_waiting: bool
    messages: int = 0
    state: str = "UNKNOWN"
    is_lost: bool = False
    runs: int = 0

    def respond(self, message: Message, connection: ServerConnection) -> Sequence[Message]:
        fault = self.faults.pop(0) if self.faults else "none"
        if fault == "lost":
            raise HANG_UP
        words = list(getattr(self, message["action"].replace("await", "wait"))())
        words += self.debugger()
        if fault == "unheard":
            raise HANG_UP
        return words * (2 if fault == "twice" else 1)

    def invoke(self) -> Sequence[Message]:
        assert self.state == "UNKNOWN", "it is sent once"
        self.state = "WAITING"
        return [accepted()]

    def abandon(self) -> Sequence[Message]:
        if self.state in ("UNKNOWN", "WAITING"):
            self.state = "ABANDONED"
        return self.wait()

    def wait(self) -> Sequence[Message]:
        if self.state == "UNKNOWN" or (self.state == "WAITING" and self.is_lost):
            self.state = "ABANDONED"
        if self.state == "STARTED" and self.is_lost:
            self.state = "LOST"
        return {
            "WAITING": [accepted()] if self.says_waiting else [],
            "STARTED": [started()],
            "ANSWERED": [answer(2)],
            "ABANDONED": [absent()],
            "LOST": [gone()],
        }[self.state]

    def debugger(self) -> Sequence[Message]:
        now, self.messages = self.messages, self.messages + 1
        self.is_lost = self.is_lost or self.is_lost_after <= now
        if self.state == "WAITING" and self.claims_after <= now and not self.is_lost:
            self.state = "STARTED"
            self.runs += 1
        if self.state == "STARTED" and self.answers_after <= now and not self.is_lost:
            self.state = "ANSWERED"
            return [answer(2)]
        return []


@settings(max_examples=500)
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=8),
    claims_after=st.sampled_from([0, 0, 0, 1, 2, NEVER]),
    answers_after=st.sampled_from([0, 1, 2, 3, NEVER]),
    is_lost_after=st.sampled_from([NEVER, NEVER, NEVER, 0, 1, 2, 4]),
    refusals=st.lists(st.sampled_from([101, 101, 403, 429, 500]), max_size=4),
    says_waiting=st.booleans(),
)
def test_an_invocation_runs_in_one_place(
    faults: list[str],
    claims_after: int,
    answers_after: int,
    is_lost_after: int,
    refusals: list[int],
    says_waiting: bool,
) -> None:
    own_runs = []

    def own_handler(event: Any, context: Any) -> str:
        own_runs.append(event)
        return "own"

    arbiter = Arbiter(faults, claims_after, answers_after, is_lost_after, says_waiting)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(original, "_loaded", {OWN_HANDLER: own_handler})
        # What silence means is another matter.
        patched.setattr(progress, "ACCEPT_SECONDS", 3600)
        with simulated(patched, arbiter.respond) as (stack, _):
            stack.refusals += [101, *refusals]
            try:
                outcome = plldb_shim.handler(1, Context(900))
            except remote.ReportedError as error:
                outcome = type(error).__name__
    assert outcome in ("own", 2, "PlldbTimeout", "PlldbDebuggerLost")
    assert len(own_runs) == (outcome == "own")
    assert arbiter.runs + len(own_runs) <= 1
    if outcome == 2:
        assert (arbiter.runs, arbiter.state) == (1, "ANSWERED")
