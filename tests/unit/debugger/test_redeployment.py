"""A stack that is deployed again: what is asked for, what is told, and that nothing gets lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.held_functions import Changes, HeldFunctions
from plldb.debugger.protocol import (
    Changed,
    Instrumented,
    Ready,
    Restored,
    Resumed,
    Skipped,
    Taken,
    Warned,
)
from plldb.debugger.redeployment import (
    CodeNotFoundAgain,
    Deploying,
    Redeployed,
    Redeployments,
    Removed,
    Replaced,
    Steps,
)
from plldb.errors import SourceError


def told(function: str, revision: str = "1", **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "function_name": f"app-{function}",
        "function_arn": "arn",
        "handler": "app.handler",
        "runtime": "python3.13",
        "timeout": 3,
        "memory_size": 128,
        "variables": {},
    }
    return wire.instrumented(function, revision=revision, **given | changes)


class Scene:
    """One with the functions A and B, which are held, in the deployment "first"."""

    def __init__(self) -> None:
        self.held = HeldFunctions()
        self.asked: list[tuple[str, ...]] = []
        self.told: list[Any] = []
        self.code: frozenset[str] | SourceError = frozenset({"A", "B"})
        steps = Steps(self.asked.append, self._find_code, self._start, self.told.append)
        self.redeployments = Redeployments(self.held, steps)
        for function in ("A", "B"):
            self.hears(Instrumented(function, told(function)))
        self.hears(Ready(2, 0, 50, "first"))
        self.told.clear()

    async def _find_code(self) -> frozenset[str]:
        if isinstance(self.code, SourceError):
            raise self.code
        return self.code

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run(work)

    def hears(self, *events: Any) -> list[Any]:
        """What is told of these events."""
        before = len(self.told)
        for event in events:
            if self.redeployments.follow(event):
                self.told.append(event)
        return self.told[before:]

    def hears_of(self, stack: str = "first", **names: Any) -> list[Any]:
        changes = {name: tuple(f"app-{one}" for one in those) for name, those in names.items()}
        return self.hears(Changed(Changes(stack, False, **changes)))


def again(function: str, **changes: Any) -> Instrumented:
    return Instrumented(function, told(function, **changes), is_again=True)


READY_AGAIN = Ready(0, 0, 50, "first", is_again=True)


class TestWarnings:
    def test_each_is_told_once_however_often_a_function_is_taken(self) -> None:
        scene = Scene()
        queue, topic = Warned("A", "its queue waits"), Warned("A", "SNS calls it")
        assert scene.hears(queue) == [queue]
        assert scene.hears(again("A", revision="3"), queue, topic) == [topic]
        assert scene.hears(Warned("B", queue.message)) == [Warned("B", queue.message)]


class TestAFunctionThatChanged:
    def test_one_that_was_deployed_again_is_said_and_taken_again(self) -> None:
        scene = Scene()
        assert scene.hears_of(functions="A", lost="A") == [Redeployed(("A",))]
        assert scene.asked == [("A",)]
        assert scene.hears(again("A", revision="3"), READY_AGAIN) == [
            again("A", revision="3"),
            Ready(2, 0, 50, is_again=True),
        ]
        assert scene.held.revisions == {"app-A": "3", "app-B": "1"}

    def test_one_that_was_edited_is_told_of_with_its_new_configuration(self) -> None:
        scene = Scene()
        assert scene.hears_of(functions="A") == []
        edited = again("A", revision="2", variables={"NEW": "yes"})
        assert scene.hears(edited, READY_AGAIN) == [edited, Ready(2, 0, 50, is_again=True)]

    def test_of_a_new_revision_with_nothing_new_nobody_hears(self) -> None:
        scene = Scene()
        assert scene.hears_of(functions="A") == []
        assert scene.hears(again("A", revision="2"), READY_AGAIN) == []
        assert scene.held.revisions == {"app-A": "2", "app-B": "1"}

    def test_one_that_is_gone(self) -> None:
        scene = Scene()
        scene.hears_of(gone="A")
        assert scene.asked == [("A",)]
        skipped = Skipped("A", "it was deleted", is_again=True)
        assert scene.hears(skipped, READY_AGAIN) == [
            Removed("A", "it was deleted"),
            Ready(1, 0, 50, is_again=True),
        ]
        assert scene.held.revisions == {"app-B": "1"}

    def test_one_of_which_no_answer_came_is_asked_for_when_it_is_heard_of_again(self) -> None:
        scene = Scene()
        scene.hears_of(gone="A")
        scene.hears(READY_AGAIN)
        assert scene.asked == [("A",)]
        scene.hears_of(gone="A")
        assert scene.asked == [("A",), ("A",)]

    def test_one_of_another_name_has_replaced_it(self) -> None:
        scene = Scene()
        scene.hears_of(gone="A")
        replaced = again("A", function_name="app-A-2")
        assert scene.hears(replaced) == [Replaced("A", "app-A-2")]
        assert scene.held.revisions == {"app-A-2": "1", "app-B": "1"}

    def test_one_that_is_refused_is_asked_for_when_it_has_changed_again(self) -> None:
        scene = Scene()
        scene.hears_of(functions="A", lost="A")
        refused = Skipped("A", "it has 5 layers", "2", is_again=True)
        assert scene.hears(refused, READY_AGAIN) == [refused, Ready(1, 1, 50, is_again=True)]
        assert scene.held.revisions["app-A"] == "2"
        scene.hears_of(functions="A", lost="A")
        assert scene.asked == [("A",), ("A",)]
        same = Skipped("A", "it has 5 layers", "3", is_again=True)
        assert scene.hears(same, READY_AGAIN) == [Ready(1, 1, 50, is_again=True)]

    def test_one_that_aws_keeps_refusing_is_asked_for_less_and_less_often(self) -> None:
        scene = Scene()
        denied = Skipped("A", "not authorized (AccessDeniedException)", is_again=True)
        said = []
        for _ in range(200):
            said += scene.hears_of(functions="A", lost="A")
            if scene.asked and scene.held.wanted:
                said += scene.hears(denied, READY_AGAIN)
        assert 5 < len(scene.asked) < 15
        assert said == [Redeployed(("A",)), denied, Ready(1, 1, 50, is_again=True)]
        asked = len(scene.asked)
        scene.hears_of("second", functions="A", lost="A")
        assert len(scene.asked) == asked + 1
        assert scene.hears(again("A", revision="9"))[0] == again("A", revision="9")

    def test_one_that_another_session_takes_is_left_to_it(self) -> None:
        scene = Scene()
        scene.hears(Taken("A", "arn:you"))
        assert scene.held.revisions == {"app-B": "1"}
        scene.hears_of(functions="A", lost="A")
        assert scene.asked == []

    def test_one_that_somebody_has_restored_stays_so(self) -> None:
        scene = Scene()
        assert scene.hears(Restored("A")) == [Restored("A")]
        assert scene.held.revisions == {"app-B": "1"}
        scene.hears_of(functions="A", lost="A")
        assert scene.asked == []


class TestAnotherDeployment:
    def test_while_it_is_under_way_nothing_is_asked_for(self) -> None:
        scene = Scene()
        scene.hears_of(functions="A", lost="A")
        scene.asked.clear()
        assert scene.hears(Changed(Changes("second …", is_updating=True))) == [Deploying()]
        scene.hears(READY_AGAIN)
        assert scene.asked == []
        scene.hears_of("second", functions="A", lost="A")
        assert scene.asked == [("A",)]

    def test_functions_that_are_new_are_asked_for(self) -> None:
        scene = Scene()
        scene.code = frozenset({"A", "B", "New"})
        scene.hears_of("second")
        assert scene.asked == [("New",)]
        assert scene.hears(again("New"), READY_AGAIN) == [
            again("New"),
            Ready(3, 0, 50, is_again=True),
        ]

    def test_if_the_code_is_not_found_what_was_there_is_taken_again(self) -> None:
        scene = Scene()
        scene.code = SourceError("No template.", "Name it.")
        assert scene.hears_of("second", functions="A", lost="A") == [
            Redeployed(("A",)),
            CodeNotFoundAgain("No template. Name it."),
        ]
        assert scene.asked == [("A",)]

    def test_the_first_that_is_heard_of_is_none(self) -> None:
        scene = Scene()
        scene.held.stack = ""
        scene.code = SourceError("never asked for")
        assert scene.hears_of("first") == []

    def test_what_was_asked_for_in_vain_is_asked_for_over_the_next_connection(self) -> None:
        scene = Scene()
        scene.hears_of(functions="A", lost="A")
        scene.asked.clear()
        assert scene.hears(Resumed()) == [Resumed()]
        assert scene.asked == [("A",)]


FUNCTIONS = ("A", "B", "C")
STEPS = st.sampled_from(
    [
        *(("edit", name) for name in FUNCTIONS),
        *(("deploy", name) for name in FUNCTIONS),
        *(("refuse", name) for name in FUNCTIONS),
        ("watch", ""),
        ("lose", ""),
    ]
)


@given(st.lists(STEPS, max_size=40))
def test_whatever_is_lost_in_the_end_every_function_is_held_as_it_is_deployed(
    steps: list[tuple[str, str]],
) -> None:
    """Functions are edited and deployed again; some requests get lost, some are refused."""
    world = World()
    for kind, name in steps:
        world.do(kind, name)
    # What was refused again and again has its rest.
    for _ in range(33):
        world.do("watch", "")
    assert world.scene.held.revisions == {f"app-{n}": r for n, r in world.revisions.items()}
    assert all(world.is_held.values())
    assert world.scene.held.wanted == ()


class World:
    """A helper stack that answers what it is asked for, unless that gets lost, or refused once."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.scene.hears(Instrumented("C", told("C")))
        self.revisions = dict.fromkeys(FUNCTIONS, "1")
        self.is_held = dict.fromkeys(FUNCTIONS, True)
        self.refused: set[str] = set()
        self._count = 1

    def do(self, kind: str, name: str) -> None:
        match kind:
            case "edit":
                self._change(name)
            case "deploy":
                self.is_held[name] = False
                self._change(name)
            case "refuse":
                self.refused.add(name)
            case "watch":
                self._watch()
                self._answer()
            case "lose":
                self._watch()
                self.scene.asked.clear()

    def _change(self, name: str) -> None:
        self._count += 1
        self.revisions[name] = str(self._count)

    def _watch(self) -> None:
        known = self.scene.held.revisions
        differing = [n for n in FUNCTIONS if known.get(f"app-{n}") != self.revisions[n]]
        self.scene.hears_of(functions=differing, lost=[n for n in differing if not self.is_held[n]])

    def _answer(self) -> None:
        while self.scene.asked:
            for name in self.scene.asked.pop(0):
                if name in self.refused:
                    self.refused.discard(name)
                    self.scene.hears(Skipped(name, "try again", is_again=True))
                    continue
                if not self.is_held[name]:
                    self.is_held[name] = True
                    self._change(name)
                self.scene.hears(again(name, revision=self.revisions[name]))
            self.scene.hears(READY_AGAIN)
