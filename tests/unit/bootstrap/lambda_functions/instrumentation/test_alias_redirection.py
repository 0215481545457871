"""Callers of an alias come to the debugger, and whatever crashes, the alias is as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.instrumentation import service
from lambda_functions.instrumentation.control_plane import (
    LATEST,
    ChangeRefusedError,
    EventSources,
)
from lambda_functions.instrumentation.redirect import Layer
from lambda_functions.instrumentation.request import instrument_request, restore_request
from lambda_functions.shared.constants import SHIM_HANDLER

from tests.memory_stores import MemoryFunctionLists
from tests.unit.bootstrap.lambda_functions.instrumentation.account import Account, CrashedError
from tests.unit.fakes import FakeConnections

LAYER = Layer("arn:aws:lambda:eu-west-1:1:layer:plldb-debugger:7")
NAME = "app-Fn"


class Scene:
    """A function of a stack; its alias ``live`` invokes version 1, with the code of ``$LATEST``."""

    def __init__(self) -> None:
        self.account = Account("Fn")
        self.account.publish_by_user(NAME)
        self.account.alias_by_user(NAME, "live", "1")
        self.connections = FakeConnections()
        self.lists = MemoryFunctionLists()
        self.ended: set[str] = set()
        self.instrumenter = service.Instrumenter(
            self.account,
            self.lists,
            self.connections,
            LAYER,
            "wss://helper/plldb",
            200,
            self._find_connection,
            lambda token: self._name(token) in self.ended,
            lambda _: None,
        )

    def _find_connection(self, token: str) -> str | None:
        name = self._name(token)
        return None if name in self.ended else f"connection of {name}"

    def _name(self, token: str) -> str:
        return token.removeprefix("token of ")

    def instrument(self, session: str = "mine", **changes: Any) -> list[dict[str, Any]]:
        """What the session is told."""
        given: dict[str, Any] = {
            "stack_name": "app",
            "session": session,
            "owner": f"arn:{session}",
            "connection_id": f"connection of {session}",
            "token": f"token of {session}",
            "functions": ["Fn"],
            "when_absent": "original",
            "take_over": False,
            "open_sessions": {},
        }
        self.connections.posted.clear()
        service.handle(instrument_request(**given | changes), {}, self.instrumenter)
        return [message for _, message in self.connections.posted]

    def restore(self, *holds: str) -> Any:
        return service.handle(restore_request("app", holds or None), {}, self.instrumenter)

    @property
    def is_debugged(self) -> bool:
        return bool(self.account.invoked(NAME, "live")["Handler"] == SHIM_HANDLER)


def instrumented(messages: list[dict[str, Any]]) -> dict[str, Any]:
    (message,) = [one for one in messages if one["type"] == "instrumented"]
    return message


def warnings(messages: list[dict[str, Any]]) -> str:
    return "\n".join(one["message"] for one in messages if one["type"] == "warning")


class TestTake:
    def test_the_alias_invokes_a_version_of_the_redirected_function(self) -> None:
        scene = Scene()
        messages = scene.instrument()
        assert instrumented(messages)["aliases"] == ["live"]
        assert scene.is_debugged
        variables = scene.account.invoked(NAME, "live")["Environment"]["Variables"]
        assert json.loads(variables["PLLDB_ALIASES"]) == {"live": "1"}
        assert variables["PLLDB_TOKEN"] == "token of mine"
        latest = scene.account.configs[NAME]
        assert latest["Handler"] == SHIM_HANDLER
        # A version that the user publishes now is none of plldb's.
        assert "PLLDB_ALIASES" not in latest["Environment"]["Variables"]
        assert instrumented(messages)["revision"] == latest["RevisionId"]
        assert warnings(messages) == ""

    def test_again_changes_nothing(self) -> None:
        scene = Scene()
        first = scene.instrument()
        scene.account.changes.clear()
        assert scene.instrument(token="token of mine") == first
        assert scene.account.changes == []

    def test_all_aliases_of_that_code_share_a_version(self) -> None:
        scene = Scene()
        scene.account.alias_by_user(NAME, "staging", "1")
        scene.account.alias_by_user(NAME, "dev", LATEST)
        assert instrumented(scene.instrument())["aliases"] == ["live", "staging"]
        assert sorted(scene.account.published[NAME]) == ["1", "2"]

    @pytest.mark.parametrize(
        ("prepare", "reason"),
        [
            (lambda a: a.alias_by_user(NAME, "live", "1", "0"), "shares its calls"),
            (lambda a: a.provisioned_at.update({NAME: {"live"}}), "provisioned concurrency"),
            (lambda a: a.provisioned_at.update({NAME: {"1"}}), "provisioned concurrency"),
            (
                lambda a: a.configs[NAME].update(SnapStart={"ApplyOn": "PublishedVersions"}),
                "SnapStart",
            ),
            (lambda a: a.configs[NAME].update(CodeSha256="code-2"), "other code"),
            (lambda a: a.direct.add(NAME), "--aliases"),
            (lambda a: a.sources.update({NAME: EventSources(None, call_latest=True)}), "--aliases"),
        ],
    )
    def test_otherwise_it_is_left_alone_with_the_reason(
        self, prepare: Callable[[Account], Any], reason: str
    ) -> None:
        scene = Scene()
        prepare(scene.account)
        before = scene.account.snapshot()[1:]
        messages = scene.instrument()
        assert instrumented(messages)["aliases"] == []
        assert warnings(messages).startswith("alias live invokes version 1, which is not debugged:")
        assert reason in warnings(messages)
        assert scene.account.snapshot()[1:] == before

    @pytest.mark.parametrize("is_source", [False, True])
    def test_others_who_call_the_function_are_no_matter_if_it_is_wished_for(
        self, is_source: bool
    ) -> None:
        scene = Scene()
        if is_source:
            scene.account.sources = {NAME: EventSources(None, call_latest=True)}
        else:
            scene.account.direct = {NAME}
        assert instrumented(scene.instrument(aliases=True))["aliases"] == ["live"]

    def test_one_that_the_user_moves_at_that_moment_is_looked_at_again(self) -> None:
        scene = Scene()

        def move() -> None:
            scene.account.alias_by_user(NAME, "live", LATEST)

        scene.account.meanwhile = [lambda: None, lambda: None, lambda: None, move]
        messages = scene.instrument()
        assert instrumented(messages)["aliases"] == []
        assert sorted(scene.account.published[NAME]) == ["1"]
        assert scene.account.pointers[NAME]["live"]["version"] == LATEST

    def test_other_code_that_comes_at_that_moment_is_not_published(self) -> None:
        scene = Scene()

        def deploy() -> None:
            scene.account.configs[NAME] |= {"CodeSha256": "code-2", "RevisionId": "deployed"}

        scene.account.meanwhile = [lambda: None, lambda: None, deploy]
        messages = scene.instrument()
        assert "other code" in warnings(messages)
        assert sorted(scene.account.published[NAME]) == ["1"]
        assert "PLLDB_ALIASES" not in scene.account.configs[NAME]["Environment"]["Variables"]

    @pytest.mark.parametrize("step", range(1, 5))
    @pytest.mark.parametrize("is_deployed", [False, True])
    def test_what_others_change_at_any_moment_is_no_revision_that_the_debugger_knows(
        self, step: int, is_deployed: bool
    ) -> None:
        """Or it would never hear of that."""
        scene = Scene()
        original = dict(scene.account.configs[NAME])

        def interfere() -> None:
            found = original if is_deployed else scene.account.configs[NAME]
            variables = found.get("Environment", {}).get("Variables", {})
            scene.account.configs[NAME] = found | {
                "Environment": {"Variables": variables | {"NEW": "yes"}},
                "RevisionId": scene.account._new_revision(),
            }

        scene.account.meanwhile = [*[lambda: None] * step, interfere]
        told = instrumented(scene.instrument())
        assert "NEW" not in told["variables"]
        assert told["revision"] != scene.account.configs[NAME]["RevisionId"]

    @pytest.mark.parametrize("step", range(1, 4))
    @pytest.mark.parametrize("is_deployed", [False, True])
    def test_of_a_function_that_is_not_held_any_more_nothing_is_published(
        self, step: int, is_deployed: bool
    ) -> None:
        """It was restored or deployed again, with the same code, between two steps."""
        scene = Scene()
        before = scene.account.snapshot()
        original = dict(scene.account.configs[NAME])

        def interfere() -> None:
            if is_deployed:
                revision = scene.account._new_revision()
                scene.account.configs[NAME] = original | {"RevisionId": revision}
            else:
                scene.restore()

        scene.account.meanwhile = [*[lambda: None] * step, interfere]
        scene.instrument()
        scene.restore("mine")
        assert scene.account.snapshot() == before
        assert_no_trace(scene)

    @pytest.mark.parametrize("step", [2, 3, 4])
    def test_if_a_step_is_refused_those_before_it_are_undone(self, step: int) -> None:
        scene = Scene()
        scene.account.alias_by_user(NAME, "staging", "1")
        before = scene.account.snapshot()[1:]

        def refuse() -> None:
            raise ChangeRefusedError("Rate exceeded (TooManyRequestsException)")

        scene.account.meanwhile = [*[lambda: None] * step, refuse]
        messages = scene.instrument()
        assert "its aliases are not debugged: Rate exceeded" in warnings(messages)
        assert scene.account.snapshot()[1:] == before
        latest = scene.account.configs[NAME]
        assert latest["Handler"] == SHIM_HANDLER
        assert "PLLDB_ALIASES" not in latest["Environment"]["Variables"]
        # Otherwise it would look as if somebody had changed it, and all that would begin again.
        assert instrumented(messages)["revision"] == latest["RevisionId"]

    def test_a_version_left_behind_that_an_alias_of_the_users_invokes_is_said(self) -> None:
        scene = Scene()
        scene.instrument("yours")
        version = scene.account.pointers[NAME]["live"]["version"]
        scene.account.alias_by_user(NAME, "live", "1")
        scene.account.alias_by_user(NAME, "canary", version)
        scene.ended = {"yours"}
        assert "stays while alias canary" in warnings(scene.instrument())


class TestTwoSessions:
    def test_what_another_one_holds_is_left_to_it(self) -> None:
        scene = Scene()
        scene.instrument("yours")
        before = scene.account.snapshot()
        scene.instrument("mine")
        assert scene.account.snapshot() == before

    def test_unless_it_is_taken_over(self) -> None:
        scene = Scene()
        before = scene.account.snapshot()
        scene.instrument("yours")
        assert instrumented(scene.instrument(take_over=True))["aliases"] == ["live"]
        variables = scene.account.invoked(NAME, "live")["Environment"]["Variables"]
        assert variables["PLLDB_SESSION"] == "mine"
        assert json.loads(variables["PLLDB_ALIASES"]) == {"live": "1"}
        scene.restore("yours")
        assert scene.is_debugged
        scene.restore("mine")
        assert scene.account.snapshot() == before

    def test_what_a_crash_left_is_simply_taken(self) -> None:
        scene = Scene()
        before = scene.account.snapshot()
        scene.instrument("yours")
        scene.ended = {"yours"}
        assert instrumented(scene.instrument())["aliases"] == ["live"]
        scene.restore("mine")
        assert scene.account.snapshot() == before


class TestRestore:
    def test_everything_is_as_before(self) -> None:
        scene = Scene()
        before = scene.account.snapshot()
        scene.instrument()
        assert scene.restore("mine") == {"restored": ["Fn"], "failed": {}}
        assert scene.account.snapshot() == before
        assert scene.lists.get("app") == []

    def test_of_another_session_nothing(self) -> None:
        scene = Scene()
        scene.instrument()
        scene.restore("yours")
        assert scene.is_debugged

    def test_an_alias_that_was_moved_meanwhile_is_left_alone_and_said(self) -> None:
        scene = Scene()
        scene.instrument()
        version = scene.account.publish_by_user(NAME)
        scene.account.alias_by_user(NAME, "live", version)
        answer = scene.restore("mine")
        assert answer["left"] == {
            "Fn": [f"alias live was pointed to version {version} meanwhile, and is left there"]
        }
        assert scene.account.pointers[NAME]["live"]["version"] == version
        assert sorted(scene.account.published[NAME]) == ["1", version]

    def test_the_version_stays_as_long_as_an_alias_of_the_users_invokes_it(self) -> None:
        scene = Scene()
        scene.instrument()
        version = scene.account.pointers[NAME]["live"]["version"]
        scene.account.alias_by_user(NAME, "canary", version)
        answer = scene.restore("mine")
        assert "stays while alias canary invokes it" in answer["left"]["Fn"][0]
        assert scene.account.pointers[NAME]["live"]["version"] == "1"
        assert version in scene.account.published[NAME]
        scene.account.alias_by_user(NAME, "canary", "1")
        assert scene.restore()["restored"] == ["Fn"]
        assert version not in scene.account.published[NAME]

    def test_or_shares_its_calls_with_it(self) -> None:
        scene = Scene()
        scene.instrument()
        version = scene.account.pointers[NAME]["live"]["version"]
        scene.account.alias_by_user(NAME, "live", "1", version)
        assert "stays while alias live" in scene.restore("mine")["left"]["Fn"][0]
        assert version in scene.account.published[NAME]

    def test_if_the_version_before_is_gone_that_is_a_failure_and_the_rest_is_restored(self) -> None:
        scene = Scene()
        scene.instrument()
        del scene.account.published[NAME]["1"]
        answer = scene.restore()
        assert "there is no version 1" in answer["failed"]["Fn"]
        assert scene.account.configs[NAME]["Handler"] == "app.handler"
        assert scene.is_debugged

    def test_one_that_is_refused_leaves_the_other_aliases_and_versions_to_be_restored(self) -> None:
        scene = Scene()
        scene.account.publish_by_user(NAME)
        scene.account.alias_by_user(NAME, "staging", "2")
        scene.instrument()
        del scene.account.published[NAME]["1"]
        assert "there is no version 1" in scene.restore()["failed"]["Fn"]
        assert scene.account.pointers[NAME]["staging"]["version"] == "2"

    def test_a_deployment_that_resets_the_function_does_not_hide_the_version(self) -> None:
        scene = Scene()
        before = scene.account.snapshot()
        original = dict(scene.account.configs[NAME])
        scene.instrument()
        scene.account.configs[NAME] = original | {"RevisionId": "deployed"}
        assert scene.is_debugged
        scene.restore("mine")
        assert scene.account.snapshot() == before


# As many changes as taking and restoring make together, and more.
FUSES = st.integers(min_value=0, max_value=12)


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("first", range(9))
def test_killed_at_any_step_all_is_as_before_once_it_is_restored(
    first: int, is_after: bool
) -> None:
    for second in range(9):
        scene = Scene()
        scene.account.alias_by_user(NAME, "staging", "1")
        before = scene.account.snapshot()
        crash(scene, scene.instrument, first, is_after)
        crash(scene, partial(scene.restore, "mine"), second, is_after)
        # The reaper comes again.
        scene.restore("mine")
        assert scene.account.snapshot() == before, (first, second)
        assert_no_trace(scene)


def crash(scene: Scene, act: Callable[[], Any], fuse: int, is_after: bool) -> None:
    scene.account.fuse, scene.account.is_after = fuse + is_after, is_after
    with suppress(CrashedError):
        act()
    scene.account.fuse = None


def assert_no_trace(scene: Scene) -> None:
    everything = [*scene.account.configs.values(), *scene.account.published[NAME].values()]
    assert not [one for one in everything if "PLLDB_" in json.dumps(one)]


ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["mine", "yours", "restore mine", "restore yours", "restore", "deploy", "configure"]
        ),
        FUSES,
        st.booleans(),
    ),
    max_size=8,
)


@given(ACTS)
def test_whatever_two_sessions_and_deployments_do_and_where_they_crash(
    acts: list[tuple[str, int, bool]],
) -> None:
    scene = Scene()
    for act, fuse, is_after in acts:
        match act.split():
            case ["restore", *holds]:
                crash(scene, partial(scene.restore, *holds), fuse, is_after)
            case ["deploy"]:
                scene.account.configs[NAME] = dict(Account("Fn").configs[NAME]) | {
                    "RevisionId": scene.account._new_revision()
                }
            case ["configure"]:
                scene.account.configs[NAME] |= {"RevisionId": scene.account._new_revision()}
            case [session]:
                take = partial(scene.instrument, session, take_over=True)
                crash(scene, take, fuse, is_after)
    scene.restore("mine")
    scene.restore("yours")
    assert scene.account.snapshot() == Scene().account.snapshot()
    assert_no_trace(scene)


class TestManyFunctions:
    """Nobody waits for their aliases: they are looked at once all is ready."""

    def scene(self) -> Scene:
        scene = Scene()
        for number in range(40):
            scene.account.add(f"app-Other{number}")
        return scene

    def test_the_debugger_hears_of_the_function_again(self) -> None:
        scene = self.scene()
        kinds = [message["type"] for message in scene.instrument(functions=[])]
        assert kinds == [*["instrumented"] * 41, "ready", "instrumented"]
        (_, again) = [
            message
            for _, message in scene.connections.posted
            if message.get("function") == "Fn" and message["type"] == "instrumented"
        ]
        assert again["aliases"] == ["live"]
        assert again["handler"] == "app.handler"
        assert again["revision"] == scene.account.configs[NAME]["RevisionId"]

    def test_it_hears_of_a_new_revision_even_if_the_aliases_are_refused(self) -> None:
        scene = self.scene()

        def refuse() -> None:
            raise ChangeRefusedError("not for you")

        # Forty-one updates, and the first one for the alias.
        scene.account.meanwhile = [*[lambda: None] * 42, refuse]
        messages = scene.instrument(functions=[])
        assert "not for you" in warnings(messages)
        last = [one for one in messages if one["type"] == "instrumented"][-1]
        assert last["aliases"] == []
        assert last["revision"] == scene.account.configs[NAME]["RevisionId"]

    def test_of_a_session_that_ends_meanwhile_nothing_stays(self) -> None:
        scene = self.scene()
        before = scene.account.snapshot()
        # Forty-one updates, and then the first one for the alias.
        scene.account.meanwhile = [*[lambda: None] * 41, lambda: scene.ended.add("mine")]
        scene.instrument(functions=[])
        assert scene.account.snapshot() == before
        assert scene.lists.get("app") == []
