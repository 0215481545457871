"""What is known of a stack as it is deployed, from one session to the next, without I/O.

::

    watch {stack, revisions}  →  changed: deployed again, functions changed, lost or gone
                                    |  is the stack being deployed? then later
                                    v
                              what the session has to ask for again: ``wanted``
                                    |  instrument
                                    v
                              instrumented or skipped, one a function

A function that somebody edits while it is debugged keeps its revision here until it was told of
again: so nothing gets lost with a message. One that AWS keeps refusing is asked for less and less
often: each request takes a token, and calls that others need.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

# For so many looks at most nothing is asked of a function that is refused again and again.
_LONGEST_REST = 31


class Novelty(Enum):
    """What is new about a function that is told of."""

    NOTHING = auto()
    # It was not held before.
    TAKEN = auto()
    # It was deployed again, and called its own handler for a while.
    TAKEN_AGAIN = auto()
    # Its variables, its handler or the like are not what they were.
    EDITED = auto()
    # It is another function, under the same logical id.
    REPLACED = auto()


@dataclass(frozen=True)
class Changes:
    """What ``changed`` of ``wire`` says; functions by their names."""

    stack: str
    is_updating: bool
    functions: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


class HeldFunctions:
    """The functions that a session holds, as they were told of last, and those to be told of."""

    def __init__(self) -> None:
        # Which deployment of the stack was the last one; empty as long as that is not known.
        self.stack = ""
        # By logical id. Of some, the last thing that was told is why they can't be held any more.
        self._told: dict[str, dict[str, Any]] = {}
        self._revisions: dict[str, str] = {}
        self._refusals: dict[str, str] = {}
        # Of those that were refused for no lasting reason: how often in a row, and for how many
        # looks they are left alone.
        self._attempts: dict[str, int] = {}
        self._rests: dict[str, int] = {}
        self._lost: set[str] = set()
        self._gone: set[str] = set()
        self._wanted: set[str] = set()

    @property
    def revisions(self) -> dict[str, str]:
        """By the functions' names: what the helper stack compares with what is deployed."""
        return {
            str(told["functionName"]): self._revisions[function]
            for function, told in self._told.items()
        }

    @property
    def wanted(self) -> tuple[str, ...]:
        """The logical ids of what is to be instrumented again, or for the first time."""
        return tuple(sorted(self._wanted))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._told.keys() - self._refusals.keys())

    @property
    def refused(self) -> frozenset[str]:
        return frozenset(self._refusals)

    def note_changes(self, changes: Changes) -> tuple[str, ...]:
        """What ``changes`` names is wanted again; gives the logical ids of what is lost.

        Those that were asked for in vain are not lost once more.
        """
        by_name = {str(told["functionName"]): function for function, told in self._told.items()}
        changed, lost, gone = (
            {by_name[name] for name in names if name in by_name}
            for names in (changes.functions, changes.lost, changes.gone)
        )
        self._wanted |= gone | {function for function in changed if not self._rest(function)}
        self._lost |= lost
        self._gone |= gone
        return tuple(sorted(one for one in lost if not self._attempts.get(one)))

    def _rest(self, function: str) -> bool:
        """Whether it is left alone this time."""
        left = self._rests.get(function, 0)
        self._rests[function] = max(0, left - 1)
        return left > 0

    def end_rests(self) -> None:
        """Another deployment may have mended what was refused."""
        self._attempts.clear()
        self._rests.clear()

    def want(self, functions: Iterable[str]) -> None:
        """Functions that the stack did not have before."""
        self._wanted |= set(functions)

    def is_gone(self, function: str) -> bool:
        return function in self._gone

    def note_instrumented(self, function: str, told: dict[str, Any]) -> Novelty:
        former, was_lost = self._told.get(function), function in self._lost
        self._settle(function)
        self._refusals.pop(function, None)
        self._note_attempt(function, is_vain=False)
        self._told[function] = told
        self._revisions[function] = str(told.get("revision", ""))
        if former is None:
            return Novelty.TAKEN
        if former["functionName"] != told["functionName"]:
            return Novelty.REPLACED
        if was_lost:
            return Novelty.TAKEN_AGAIN
        is_same = former | {"revision": ""} == told | {"revision": ""}
        return Novelty.NOTHING if is_same else Novelty.EDITED

    def note_skipped(self, function: str, reason: str, revision: str) -> bool:
        """Whether the reason is another one than was told before.

        One that was held is asked for again once it has another ``revision`` than the one that was
        refused; soon, if that is empty, and then less and less often.
        """
        is_gone, is_news = function in self._gone, self._refusals.get(function) != reason
        self._settle(function)
        self._refusals[function] = reason
        if is_gone:
            self._drop(function)
            del self._refusals[function]
        elif function in self._told:
            self._revisions[function] = revision
            self._note_attempt(function, is_vain=not revision)
        return is_news

    def _note_attempt(self, function: str, is_vain: bool) -> None:
        attempts = self._attempts.get(function, 0) + 1 if is_vain else 0
        self._attempts[function] = attempts
        # The first time, it is asked for again at once.
        self._rests[function] = min(2 ** max(0, attempts - 1) - 1, _LONGEST_REST)

    def note_given_up(self, function: str) -> None:
        """Another session has it now, or somebody had it restored: it stays so."""
        self._settle(function)
        self._drop(function)

    def _drop(self, function: str) -> None:
        self._told.pop(function, None)
        self._revisions.pop(function, None)

    def _settle(self, function: str) -> None:
        for noted in (self._wanted, self._lost, self._gone):
            noted.discard(function)
