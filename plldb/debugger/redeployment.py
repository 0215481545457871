"""What is made of a stack that is deployed again while it is debugged.

The helper stack is asked every few seconds, and says what has changed. While CloudFormation is at
it, nothing is done but to say so: a change of ours could make the deployment fail. Afterwards the
code is looked for again, as templates change too, and what has changed or is new is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from plldb.debugger import protocol
from plldb.debugger.held_functions import Changes, HeldFunctions, Novelty
from plldb.debugger.protocol import Instrumented, Ready, SessionEvent, Skipped
from plldb.errors import PlldbError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deploying:
    """The stack is being deployed: its functions are looked at afterwards."""


@dataclass(frozen=True)
class Redeployed:
    """These functions were deployed again and called their own handlers; they are taken again."""

    functions: tuple[str, ...]


@dataclass(frozen=True)
class Replaced:
    """Under the logical id there is another function now, by the name of ``name``."""

    function: str
    name: str


@dataclass(frozen=True)
class Removed:
    """The function is not there any more; ``reason`` says what was found instead."""

    function: str
    reason: str


@dataclass(frozen=True)
class CodeNotFoundAgain:
    """The stack was deployed again, but the code of what may be new can't be found: ``reason``."""

    reason: str


RedeploymentEvent = Deploying | Redeployed | Replaced | Removed | CodeNotFoundAgain


@dataclass(frozen=True)
class Steps:
    """What a redeployment makes an attachment do.

    ``instrument`` takes logical ids; ``find_code`` looks for all code again and gives the functions
    that can be run here, or raises PlldbError; ``start`` runs something beside the rest.
    """

    instrument: Callable[[tuple[str, ...]], None]
    find_code: Callable[[], Coroutine[Any, Any, frozenset[str]]]
    start: Callable[[Coroutine[Any, Any, None]], None]
    report: Callable[[RedeploymentEvent | Ready], None]


class Redeployments:
    """Follows one stack through all sessions of an attachment. Use it from one event loop."""

    def __init__(self, held: HeldFunctions, steps: Steps) -> None:
        self._held = held
        self._steps = steps
        # Whether anything was told since functions were asked for again.
        self._has_news = False
        self._is_deploying = False
        self._warnings: set[protocol.Warned] = set()

    def follow(self, event: SessionEvent) -> bool:
        """Takes in an event of the session; whether it is to be told as it is."""
        match event:
            case protocol.Changed(changes):
                self._follow_changes(changes)
                return False
            case Instrumented():
                return self._follow_instrumented(event)
            case Skipped():
                return self._follow_skipped(event)
            case protocol.Warned():
                return self._follow_warning(event)
            case protocol.Taken(function) | protocol.Restored(function):
                self._held.note_given_up(function)
            case Ready():
                return self._follow_ready(event)
            case protocol.Resumed():
                self._ask()
        return True

    def _follow_changes(self, changes: Changes) -> None:
        is_deployment = changes.stack != self._held.stack
        is_first = not self._held.stack
        self._held.stack = changes.stack
        self._is_deploying = changes.is_updating
        if changes.is_updating:
            if is_deployment:
                self._steps.report(Deploying())
            return
        logger.info("changed: %s", changes)
        if is_deployment:
            self._held.end_rests()
        lost = self._held.note_changes(changes)
        if lost:
            self._tell(Redeployed(lost))
        if is_deployment and not is_first:
            self._steps.start(self._look_for_code())
        else:
            self._ask()

    async def _look_for_code(self) -> None:
        try:
            self._held.want(await self._steps.find_code() - self._held.names)
        except PlldbError as error:
            reason = error.explanation
            self._steps.report(CodeNotFoundAgain(reason))
        self._ask()

    def _ask(self) -> None:
        if self._held.wanted and not self._is_deploying:
            self._steps.instrument(self._held.wanted)

    def _follow_instrumented(self, event: Instrumented) -> bool:
        novelty = self._held.note_instrumented(event.function, event.info)
        if not event.is_again:
            return True
        if novelty is Novelty.REPLACED:
            self._tell(Replaced(event.function, str(event.info["functionName"])))
        self._has_news |= novelty is not Novelty.NOTHING
        return novelty in (Novelty.TAKEN, Novelty.TAKEN_AGAIN, Novelty.EDITED)

    def _follow_skipped(self, event: Skipped) -> bool:
        was_gone = self._held.is_gone(event.function)
        is_news = self._held.note_skipped(event.function, event.reason, event.revision)
        if not event.is_again:
            return True
        if was_gone:
            self._tell(Removed(event.function, event.reason))
            return False
        self._has_news |= is_news
        return is_news

    def _follow_warning(self, event: protocol.Warned) -> bool:
        """What to know of a function is sent each time that it is taken, and told once."""
        is_news = event not in self._warnings
        self._warnings.add(event)
        return is_news

    def _follow_ready(self, event: Ready) -> bool:
        """After a redeployment, all functions are counted again, if anything has changed."""
        self._held.stack = self._held.stack or event.stack
        if event.is_again and self._has_news:
            held, refused = len(self._held.names), len(self._held.refused)
            self._steps.report(Ready(held, refused, event.max_waiting, is_again=True))
        self._has_news = False
        return not event.is_again

    def _tell(self, event: RedeploymentEvent) -> None:
        self._has_news = True
        self._steps.report(event)
