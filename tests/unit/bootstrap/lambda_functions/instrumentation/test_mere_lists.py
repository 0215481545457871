"""Functions of no stack: what a debugger lists is taken, known until it is restored, and forgotten.

The helper stack's functions may die between any two of their steps. Lambda tries a request again,
and whoever ends the session has its functions restored.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any, cast

import pytest
from lambda_functions.instrumentation.control_plane import ControlPlane
from lambda_functions.instrumentation.request import restore_request
from lambda_functions.invocations.invocation import token_key
from lambda_functions.sessions.function_lists import FunctionLists
from lambda_functions.shared.constants import SHIM_HANDLER

from tests.unit.bootstrap.lambda_functions.instrumentation.test_service import (
    OPEN,
    Scene,
    of_type,
    ready,
    without_revision,
)

# What they are called, and what Lambda knows them by.
MEMBERS = {"Greeter": "app-One", "src/other": "app-Two"}
RECORDED = [("mine", title, name) for title, name in MEMBERS.items()]
LOOSE: dict[str, Any] = {"stack_name": "loose", "members": MEMBERS}


class CrashError(Exception):
    """The function dies here."""


class Fuse:
    """After so many steps, whatever takes a further one dies, until it is started again."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self.is_blown = False
        self._lock = threading.Lock()

    def step(self) -> None:
        with self._lock:
            self._left -= 1
            self.is_blown = self.is_blown or self._left == 0
            if self.is_blown and self._left <= 0:
                raise CrashError

    def restart(self) -> None:
        self._left = sys.maxsize


class Fragile:
    """Does what another object does: the fuse may blow before each step, and after it."""

    def __init__(self, sound: object, fuse: Fuse) -> None:
        self._sound = sound
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            self._fuse.step()
            answer = getattr(self._sound, name)(*args, **more)
            self._fuse.step()
            return answer

        return call


class LooseScene(Scene):
    """Functions that no stack has."""

    def __init__(self, fuse: Fuse | None = None) -> None:
        super().__init__("One", "Two", "Foreign")
        self.before = {name: dict(found) for name, found in self.functions.found.items()}
        if fuse is not None:
            self.manager = replace(
                self.manager,
                control_plane=cast(ControlPlane, Fragile(self.functions, fuse)),
                lists=cast(FunctionLists, Fragile(self.lists, fuse)),
            )

    def recorded(self) -> list[tuple[str, str, str]]:
        return [(one.hold, one.title, one.name) for one in self.lists.get("loose")]

    @property
    def is_as_before(self) -> bool:
        return without_revision(self.functions.found) == without_revision(self.before)

    def give_back(self, *holds: str) -> Any:
        return self.handle(restore_request("loose", holds or None))


def test_they_are_taken_by_their_names_and_by_no_others() -> None:
    scene = LooseScene()
    messages = scene.instrument(**LOOSE)
    assert of_type(messages, "instrumented").keys() == MEMBERS.keys()
    assert of_type(messages, "instrumented")["src/other"]["functionName"] == "app-Two"
    assert messages[-1] == ready(2, 0) | {"stack": ""}
    assert scene.functions.variables("app-Two")["PLLDB_FUNCTION"] == "src/other"
    assert scene.functions.found["app-Foreign"]["Handler"] == "app.handler"
    assert scene.recorded() == RECORDED


def test_patterns_choose_among_them() -> None:
    scene = LooseScene()
    messages = scene.instrument("src/*", "One", **LOOSE)
    assert of_type(messages, "instrumented").keys() == {"src/other"}
    assert of_type(messages, "skipped").keys() == {"One"}


def test_one_that_is_not_there_is_skipped() -> None:
    scene = LooseScene()
    scene.functions.refusals = {"app-Two": "gone"}
    assert of_type(scene.instrument(**LOOSE), "skipped").keys() == {"src/other"}


def test_a_session_of_a_stack_takes_no_functions_beside_the_stacks() -> None:
    scene = LooseScene()
    messages = scene.instrument(stack_name="app", members={"Fn": "app-Foreign"})
    assert "name of a stack" in of_type(messages, "skipped")["Fn"]["reason"]
    assert messages[-1] == ready(0, 1)
    assert scene.is_as_before


def test_once_everything_is_restored_nothing_is_remembered() -> None:
    scene = LooseScene()
    scene.instrument(**LOOSE)
    scene.instrument(session="yours", take_over=True, open_sessions=OPEN, **LOOSE)
    scene.functions.refusals = {"app-Two": "not now"}
    scene.give_back()
    assert scene.recorded() != []
    scene.functions.refusals = {}
    scene.give_back()
    assert scene.is_as_before
    assert scene.recorded() == []


@pytest.mark.parametrize("holds", [(), ("mine",)])
def test_restoring_needs_nothing_but_the_name_of_the_list(holds: tuple[str, ...]) -> None:
    scene = LooseScene()
    scene.instrument(**LOOSE)
    assert scene.give_back(*holds)["restored"] == sorted(MEMBERS)
    assert scene.is_as_before


def test_what_the_caller_lists_is_restored_as_well() -> None:
    scene = LooseScene()
    scene.instrument(**LOOSE)
    scene.lists.forget("loose", ["mine"])
    request = restore_request("loose", members={"Greeter": "app-One"})
    assert scene.handle(request)["restored"] == ["Greeter"]


def test_what_a_session_held_is_forgotten_once_it_is_restored() -> None:
    scene = LooseScene()
    scene.instrument(**LOOSE)
    scene.functions.refusals = {"app-Two": "not now"}
    with pytest.raises(Exception, match="src/other"):
        scene.give_back("mine")
    assert scene.recorded() == RECORDED
    scene.functions.refusals = {}
    scene.give_back("mine")
    assert scene.recorded() == []


def test_what_another_session_holds_by_then_is_not() -> None:
    scene = LooseScene()
    scene.instrument(**LOOSE)
    scene.instrument(session="yours", take_over=True, open_sessions=OPEN, **LOOSE)
    scene.give_back("mine")
    assert scene.recorded() == [("yours", *one) for one in MEMBERS.items()]
    assert scene.functions.found["app-One"]["Handler"] == SHIM_HANDLER
    scene.give_back("yours")
    assert scene.is_as_before
    assert scene.recorded() == []


def test_a_session_that_ends_meanwhile_leaves_nothing() -> None:
    scene = LooseScene()
    scene.first_checks, scene.is_attached = [True], False
    scene.functions.before_update = [lambda _: scene.give_back("mine")] * 2
    scene.instrument(**LOOSE)
    assert scene.is_as_before
    assert scene.recorded() == []


def test_whatever_dies_in_between_everything_is_restored_by_its_end() -> None:
    """Instrumenting or restoring dies at one of the steps, and is tried once more by Lambda."""
    for steps in count(1):
        fuse = Fuse(steps)
        scene = LooseScene(fuse)

        def attempt(act: Callable[[], Any], fuse: Fuse = fuse) -> None:
            try:
                act()
            except CrashError:
                fuse.restart()
                act()

        attempt(lambda scene=scene: scene.instrument(**LOOSE))  # type: ignore[misc]
        scene.is_attached = False
        attempt(lambda scene=scene: scene.give_back("mine"))  # type: ignore[misc]
        assert scene.is_as_before, steps
        assert scene.recorded() == [], steps
        if not fuse.is_blown:
            break
    assert steps > 20


def test_what_dies_for_good_while_it_instruments_is_restored_all_the_same() -> None:
    """What died left its work open: it is remembered, and whoever restores finds it."""
    for steps in count(1):
        fuse = Fuse(steps)
        scene = LooseScene(fuse)
        # As the message function does, before it asks for anything.
        scene.lists.add("loose", "mine", MEMBERS, token_key("token of mine"))
        with suppress(CrashError):
            scene.instrument(**LOOSE)
        fuse.restart()
        scene.is_attached = False
        scene.give_back("mine")
        assert scene.is_as_before, steps
        if not fuse.is_blown:
            break
    assert steps > 15
