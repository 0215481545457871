"""A stack's functions are taken and given back, each told of, whatever others do meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest
from lambda_functions.instrumentation import service
from lambda_functions.instrumentation.control_plane import (
    Alias,
    ChangeRefusedError,
    ControlPlane,
    Deployment,
    FunctionRef,
    GoneError,
    UnseenUpdateError,
)
from lambda_functions.instrumentation.event_sources import Callers, EventSources
from lambda_functions.instrumentation.redirect import Layer
from lambda_functions.instrumentation.request import (
    instrument_request,
    restore_request,
    wake_request,
    watch_request,
)
from lambda_functions.instrumentation.scope import DebuggingScope
from lambda_functions.shared.constants import MAX_FRAME_BYTES, SHIM_HANDLER
from lambda_functions.websocket import wire

from tests.memory_stores import MemoryFunctionLists
from tests.unit.fakes import FakeConnections

LAYER = Layer("arn:aws:lambda:eu-west-1:1:layer:plldb-debugger:7")
ME, YOU = "arn:aws:iam::1:user/me", "arn:aws:iam::1:user/you"


class FakeFunctions:
    """A stack's functions in memory; ``before_update`` lets others be quicker, ``after_update``
    the last.

    The updates of those in ``unseen`` are carried out, and nobody sees their end.
    """

    def __init__(self, *names: str) -> None:
        self.found: dict[str, dict[str, Any]] = {f"app-{n}": self.plain(n) for n in names}
        # What was found a moment ago, and so may be wrong.
        self.known: dict[str, dict[str, Any]] = {}
        self.throttled: set[str] = set()
        self.services: dict[str, set[str]] = {}
        self.cautions: dict[str, tuple[str, ...]] = {}
        self.gets: list[str] = []
        self.deployments = [Deployment("first")]
        self.limits: dict[str, int] = {}
        self.refusals: dict[str, str] = {}
        self.unseen: set[str] = set()
        self.missing_layer = ""
        self.unreadable: set[str] = set()
        self.before_update: list[Callable[[str], None]] = []
        self.after_update: list[Callable[[str], None]] = []
        self.updates: list[str] = []
        self._lock = threading.Lock()

    def plain(self, name: str) -> dict[str, Any]:
        return {
            "FunctionArn": f"arn:aws:lambda:eu-west-1:1:function:app-{name}",
            "Handler": "app.handler",
            "Runtime": "python3.13",
            "Timeout": 3,
            "MemorySize": 256,
            "Environment": {"Variables": {"NAME": name}},
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/team/app"},
            "RevisionId": "0",
        }

    def of_stack(self, stack_name: str) -> Iterator[FunctionRef]:
        if stack_name == "app":
            for name in list(self.found):
                yield FunctionRef(name.removeprefix("app-"), name)

    def find(self, names: Collection[str]) -> dict[str, dict[str, Any]]:
        if "ListFunctions" in self.refusals:
            raise ChangeRefusedError(self.refusals["ListFunctions"])
        return {name: self.found[name] for name in names if name in self.found}

    def deployment(self, stack_name: str) -> Deployment:
        if stack_name != "app":
            return Deployment()
        if len(self.deployments) > 1:
            return self.deployments.pop(0)
        return self.deployments[0]

    def get(self, name: str) -> dict[str, Any]:
        self.gets.append(name)
        if self.refusals.get(name) == "gone":
            raise GoneError
        return dict(self.found[name])

    def update(self, name: str, revision: str, changes: dict[str, Any]) -> dict[str, Any] | None:
        if self.before_update:
            self.before_update.pop(0)(name)
        if name in self.refusals:
            raise ChangeRefusedError(self.refusals[name])
        if self.missing_layer and "Layers" in changes:
            raise ChangeRefusedError(f"Layer version {self.missing_layer} does not exist")
        with self._lock:
            if self.found[name]["RevisionId"] != revision:
                return None
            self.change(name, **changes)
            self.updates.append(name)
            if name in self.unseen:
                raise UnseenUpdateError("still under way")
        if self.after_update:
            self.after_update.pop(0)(name)
        return self.found[name]

    def change(self, name: str, **changes: Any) -> None:
        layers = changes.get("Layers")
        if layers is not None:
            changes["Layers"] = [{"Arn": arn} for arn in layers]
        if "ImageConfig" in changes:
            changes["ImageConfigResponse"] = {"ImageConfig": changes.pop("ImageConfig")}
        revision = str(int(self.found[name]["RevisionId"]) + 1)
        self.found[name] = self.found[name] | changes | {"RevisionId": revision}

    def list_known(self, names: Collection[str]) -> dict[str, dict[str, Any]]:
        return {name: found for name, found in self.known.items() if name in names}

    def is_throttled(self, name: str) -> bool:
        return name in self.throttled

    def event_sources(self, names: set[str]) -> dict[str, EventSources]:
        return {
            name: EventSources(self.limits.get(name), cautions=self.cautions.get(name, ()))
            for name in {*self.limits, *self.cautions} & names
        }

    # None of these functions has aliases: see test_alias_redirection.py.

    def aliases(self, name: str) -> list[Alias]:
        if name in self.unreadable:
            raise ChangeRefusedError("not for you")
        return []

    def provisioned(self, name: str) -> set[str]:
        raise NotImplementedError

    def callers(self, name: str, qualifier: str = "") -> Callers:
        return Callers(True, frozenset(self.services.get(name, ())))

    def version(self, name: str, number: str) -> dict[str, Any]:
        raise NotImplementedError

    def versions(self, name: str) -> list[dict[str, Any]]:
        if name not in self.found or self.refusals.get(name) == "gone":
            raise GoneError
        return []

    def publish(self, name: str, revision: str, code: str | None) -> str | None:
        raise NotImplementedError

    def point(self, name: str, alias: Alias, version: str) -> bool:
        raise NotImplementedError

    def delete_version(self, name: str, number: str) -> None:
        raise NotImplementedError

    def variables(self, name: str) -> dict[str, str]:
        variables: dict[str, str] = self.found[name]["Environment"]["Variables"]
        return variables


class Scene:
    def __init__(self, *names: str) -> None:
        self.functions = FakeFunctions(*names)
        self.lists = MemoryFunctionLists()
        self.connections = FakeConnections()
        self.is_attached = True
        self.ended: set[str] = set()
        # Nobody is connected, but somebody may be again.
        self.in_grace: set[str] = set()
        self.replaced_by: dict[str, str] = {}
        self.first_checks: list[bool] = []
        self.record: dict[str, Any] = {}
        self.pauses: list[float] = []
        functions: ControlPlane = self.functions
        self.manager = service.Instrumenter(
            functions,
            self.lists,
            self.connections,
            LAYER,
            "wss://helper/plldb",
            MAX_WAITING,
            self._find_connection,
            self._is_over,
            self.pauses.append,
        )

    def _find_connection(self, token: str) -> str | None:
        name = self._latest(token)
        is_attached = self.is_attached and name not in self.ended | self.in_grace
        return f"connection of {name}" if is_attached else None

    def _is_over(self, token: str) -> bool:
        is_alive = self.first_checks.pop(0) if self.first_checks else self.is_attached
        return not is_alive or self._latest(token) in self.ended

    def _latest(self, token: str) -> str:
        name = token.removeprefix("token of ")
        return self.replaced_by.get(name, name)

    def handle(self, request: dict[str, Any]) -> Any:
        self.record = {}
        return service.handle(request, self.record, self.manager)

    def instrument(self, *patterns: str, session: str = "mine", **changes: Any) -> list[Any]:
        """The messages that the session's connection got."""
        request: dict[str, Any] = {
            "stack_name": "app",
            "session": session,
            "owner": ME if session == "mine" else YOU,
            "connection_id": f"connection of {session}",
            "token": f"token of {session}",
            "functions": list(patterns),
            "when_absent": "original",
            "take_over": False,
            "open_sessions": {},
        }
        self.handle(instrument_request(**request | changes))
        return self.told(session)

    def restore(self, *holds: str, tell: str | None = None) -> Any:
        connection = f"connection of {tell}" if tell else None
        return self.handle(restore_request("app", holds or None, connection))

    def watch(self, stack: str = "first", **revisions: str) -> list[Any]:
        functions = {f"app-{name}": revision for name, revision in revisions.items()}
        request = watch_request("app", "mine", "connection of mine", stack, functions)
        self.handle(request)
        return self.told("mine")

    def wake(self) -> Any:
        return self.handle(wake_request())

    def told(self, session: str) -> list[Any]:
        """What its connection got since it was last asked for, in an order of its own."""
        name = f"connection of {session}"
        messages = [
            message for connection, message in self.connections.posted if connection == name
        ]
        self.connections.posted = [p for p in self.connections.posted if p[0] != name]
        return messages


def of_type(messages: list[Any], kind: str) -> dict[str, Any]:
    return {message["function"]: message for message in messages if message["type"] == kind}


MAX_WAITING = 200


def ready(instrumented: int, skipped: int) -> dict[str, Any]:
    return {
        "type": "ready",
        "instrumented": instrumented,
        "skipped": skipped,
        "maxWaiting": MAX_WAITING,
        "stack": "first",
    }


OPEN = {"yours": {"owner": YOU, "connectionId": "connection of yours"}}


class TestInstrument:
    def test_every_function_is_told_of_and_at_the_end_their_number(self) -> None:
        scene = Scene("One", "Two")
        messages = scene.instrument()
        assert of_type(messages, "instrumented").keys() == {"One", "Two"}
        assert of_type(messages, "instrumented")["One"] == {
            "type": "instrumented",
            "function": "One",
            "functionName": "app-One",
            "functionArn": "arn:aws:lambda:eu-west-1:1:function:app-One",
            "handler": "app.handler",
            "runtime": "python3.13",
            "timeout": 3,
            "memorySize": 256,
            "variables": {"NAME": "One"},
            "layers": [],
            "logging": {"LogFormat": "JSON", "LogGroup": "/team/app"},
            "revision": "1",
            "aliases": [],
        }
        assert messages[-1] == ready(2, 0)
        assert scene.functions.found["app-One"]["Handler"] == SHIM_HANDLER
        assert scene.record["outcome"] == "ready"

    def test_the_layers_are_told_in_their_order_and_without_plldbs(self) -> None:
        """Also when the function is instrumented already."""
        scene = Scene("One")
        own = [f"arn:aws:lambda:eu-west-1:1:layer:{name}:1" for name in ("zebra", "ant")]
        scene.functions.change("app-One", Layers=own)
        for _ in range(2):
            message = of_type(scene.instrument(), "instrumented")["One"]
            assert message["layers"] == own
        assert len(scene.functions.found["app-One"]["Layers"]) == 3

    def test_an_image_that_carries_the_shim_is_redirected_by_its_command_and_restored(self) -> None:
        scene = Scene("One")
        found = scene.functions.found["app-One"]
        for name in ("Handler", "Runtime"):
            del found[name]
        found |= {
            "PackageType": "Image",
            "Environment": {"Variables": {"PLLDB_IMAGE_HANDLER": "app.handler"}},
        }
        scene.functions.found["app-One"] = dict(found)
        message = of_type(scene.instrument(), "instrumented")["One"]
        assert (message["handler"], message["runtime"]) == ("app.handler", "")
        # Lambda hands the variable to the code, too.
        assert message["variables"] == {"PLLDB_IMAGE_HANDLER": "app.handler"}
        during = scene.functions.found["app-One"]
        assert during["ImageConfigResponse"] == {"ImageConfig": {"Command": [SHIM_HANDLER]}}
        assert "Layers" not in during
        scene.restore()
        after = scene.functions.found["app-One"]
        assert after["ImageConfigResponse"] == {"ImageConfig": {}}
        assert after["Environment"] == found["Environment"]
        assert after["Timeout"] == found["Timeout"]

    def test_again_changes_nothing_and_tells_the_same(self) -> None:
        scene = Scene("One")
        first = scene.instrument()
        before = scene.functions.found["app-One"]
        assert scene.instrument(token="another token") == first
        assert scene.functions.found["app-One"] == before

    @pytest.mark.parametrize(
        ("patterns", "expected", "idle"),
        [
            ([], {"One", "Two", "Third"}, set()),
            (["One"], {"One"}, set()),
            (["T*"], {"Two", "Third"}, set()),
            (["app-T*", "One"], {"One", "Two", "Third"}, set()),
            (["one"], set(), {"one"}),
            (["One", "One", "X", "?"], {"One"}, {"X", "?"}),
            (["Nested"], set(), {"Nested"}),
        ],
    )
    def test_patterns(self, patterns: list[str], expected: set[str], idle: set[str]) -> None:
        scene = Scene("One", "Two", "Third")
        messages = scene.instrument(*patterns)
        assert of_type(messages, "instrumented").keys() == expected
        assert of_type(messages, "skipped").keys() == idle
        assert messages[-1]["skipped"] == len(idle)

    def test_patterns_are_of_the_whole_path_to_a_function(self) -> None:
        scene = Scene("One", "Child/One", "Child/Deep/One", "Childless/Two")
        messages = scene.instrument("Child/*", "One", "Deep/One")
        assert of_type(messages, "instrumented").keys() == {"One", "Child/One", "Child/Deep/One"}
        assert of_type(messages, "skipped").keys() == {"Deep/One"}
        assert scene.functions.variables("app-Child/Deep/One")["PLLDB_FUNCTION"] == "Child/Deep/One"
        restored = scene.restore("mine")["restored"]
        assert restored == ["Child/Deep/One", "Child/One", "One"]

    def test_a_name_in_the_stack_is_not_taken_for_one_in_lambda(self) -> None:
        scene = Scene("One", "app-One")
        messages = scene.instrument("app-One")
        assert of_type(messages, "instrumented").keys() == {"app-One"}

    def test_one_that_nobody_can_call_is_warned_of(self) -> None:
        scene = Scene("One")
        scene.functions.throttled = {"app-One"}
        (warning,) = of_type(scene.instrument(), "warning").values()
        assert "reserved concurrency is 0" in warning["message"]

    def test_what_holding_an_invocation_means_for_its_sources_is_told(self) -> None:
        scene = Scene("Fn", "Other")
        scene.functions.cautions = {"app-Fn": ("its queue waits",)}
        scene.functions.services = {"app-Fn": {"sns.amazonaws.com"}}
        told = [one for one in scene.instrument() if one["type"] == "warning"]
        assert [one["function"] for one in told] == ["Fn", "Fn"]
        assert told[0]["message"] == "its queue waits"
        assert told[1]["message"].startswith("SNS calls it asynchronously")

    def test_a_stack_without_functions(self) -> None:
        assert Scene().instrument() == [ready(0, 0)]

    def test_what_stands_in_the_way_is_named(self) -> None:
        scene = Scene("One", "Image", "Node", "Gone", "Denied", "Large", "Lost")
        found, refusals = scene.functions.found, scene.functions.refusals
        found["app-Image"] |= {"PackageType": "Image"}
        found["app-Node"] |= {"Runtime": "nodejs22.x"}
        found["app-Large"] |= {"Environment": {"Variables": {"X": "x" * 4000}}}
        found["app-Lost"] |= {"Handler": SHIM_HANDLER}
        refusals |= {"app-Gone": "gone", "app-Denied": "not for you"}
        messages = scene.instrument()
        assert of_type(messages, "instrumented").keys() == {"One"}
        reasons = {name: m["reason"] for name, m in of_type(messages, "skipped").items()}
        assert {name: reasons[name].split()[-1] for name in reasons} == {
            "Image": "app.handler",
            "Node": "Python",
            "Gone": "deleted",
            "Denied": "you",
            "Large": "missing",
            "Lost": "again",
        }
        assert messages[-1] == ready(1, 6)
        assert scene.functions.updates == ["app-One"]

    def test_a_function_of_any_helper_stack_is_left_alone(self) -> None:
        scene = Scene("Message", "One")
        variables = {"PLLDB_HELPER_STACK": "another-plldb"}
        scene.functions.found["app-Message"] |= {"Environment": {"Variables": variables}}
        messages = scene.instrument(take_over=True)
        reason = of_type(messages, "skipped")["Message"]["reason"]
        assert reason == "it belongs to plldb itself: its helper stack is another-plldb"
        assert messages[-1] == ready(1, 1)
        assert scene.functions.updates == ["app-One"]

    def test_an_update_whose_end_nobody_saw_counts_and_is_warned_of(self) -> None:
        """Lambda took it: the function's invocations come here, and have to be known."""
        scene = Scene("One", "Two")
        scene.functions.unseen = {"app-One"}
        messages = scene.instrument()
        assert of_type(messages, "instrumented").keys() == {"One", "Two"}
        (warning,) = [message for message in messages if message["type"] == "warning"]
        assert warning["function"] == "One"
        assert warning["message"].endswith("not known whether it is through: still under way")
        assert messages[-1] == ready(2, 0)

    def test_and_who_held_the_function_before_is_told(self) -> None:
        scene = Scene("One")
        scene.instrument(session="yours")
        scene.told("yours")
        scene.functions.unseen = {"app-One"}
        scene.instrument(open_sessions=OPEN, take_over=True)
        assert scene.told("yours") == [{"type": "taken", "function": "One", "by": ME}]

    def test_whoever_holds_what_is_restored_by_hand_is_told_and_nobody_else(self) -> None:
        scene = Scene("One", "Two", "Three")
        scene.instrument("One", session="yours")
        scene.instrument("Two")
        scene.told("yours"), scene.told("mine")
        assert scene.restore()["restored"] == ["One", "Two"]
        assert scene.told("yours") == [{"type": "restored", "function": "One"}]
        assert scene.told("mine") == [{"type": "restored", "function": "Two"}]
        scene.restore()
        assert (scene.told("yours"), scene.told("mine")) == ([], [])

    def test_a_queue_limits_the_timeout(self) -> None:
        scene = Scene("One", "Two")
        scene.functions.limits = {"app-One": 30}
        messages = scene.instrument()
        timeouts = {name: f["Timeout"] for name, f in scene.functions.found.items()}
        assert timeouts == {"app-One": 30, "app-Two": 900}
        assert of_type(messages, "instrumented")["One"]["timeout"] == 3

    def test_aliases_that_can_not_be_read_are_warned_of(self) -> None:
        scene = Scene("One")
        scene.functions.unreadable = {"app-One"}
        messages = scene.instrument()
        kinds = [message["type"] for message in messages]
        assert kinds == ["instrumented", "warning", "ready"]
        assert messages[1]["message"] == "its aliases are not debugged: not for you"

    def test_a_helper_stack_may_be_limited_to_some_names(self) -> None:
        """Restoring is not: what was taken before it was limited is given back."""
        scene = Scene("dev-One", "Two")
        scene.instrument()
        scope = DebuggingScope("app-dev-*")
        scene.manager = replace(scene.manager, scope=scope)
        scene.restore()
        assert not any("PLLDB_TOKEN" in scene.functions.variables(n) for n in scene.functions.found)
        messages = scene.instrument()
        assert of_type(messages, "instrumented").keys() == {"dev-One"}
        reason = of_type(messages, "skipped")["Two"]["reason"]
        assert reason == "its name is not app-dev-*, to which this helper stack is limited"

    def test_one_that_is_changed_in_between_is_looked_at_again(self) -> None:
        scene = Scene("One")
        scene.functions.before_update = [lambda name: scene.functions.change(name, Timeout=5)]
        messages = scene.instrument()
        assert of_type(messages, "instrumented")["One"]["timeout"] == 5
        assert scene.functions.variables("app-One")["PLLDB_ORIGINAL_TIMEOUT"] == "5"

    def test_but_not_for_ever(self) -> None:
        scene = Scene("One")
        scene.functions.before_update = [lambda name: scene.functions.change(name, Timeout=5)] * 100
        assert "keeps changing" in of_type(scene.instrument(), "skipped")["One"]["reason"]


def test_what_is_only_woken_does_nothing() -> None:
    scene = Scene()
    assert scene.wake() == {}
    assert scene.record == {"route": "wake", "outcome": "awake"}
    assert scene.connections.posted == []


class TestWhatWasKnown:
    """A list of functions spares a call for each, and may be a moment old."""

    def test_a_function_that_nobody_holds_is_changed_without_another_look(self) -> None:
        scene = Scene("One", "Node")
        scene.functions.found["app-Node"]["Runtime"] = "nodejs22.x"
        scene.functions.known = {name: dict(one) for name, one in scene.functions.found.items()}
        messages = scene.instrument()
        assert of_type(messages, "instrumented").keys() == {"One"}
        assert of_type(messages, "skipped").keys() == {"Node"}
        assert scene.functions.gets == []

    @pytest.mark.parametrize("then", ["before", "held", "updating"])
    def test_what_is_not_so_any_more_is_looked_at(self, then: str) -> None:
        scene = Scene("One")
        scene.functions.known = {"app-One": dict(scene.functions.found["app-One"])}
        if then == "before":
            scene.functions.change("app-One", Timeout=7)
        elif then == "held":
            scene.instrument("One", session="yours")
            scene.functions.known = {"app-One": dict(scene.functions.found["app-One"])}
            scene.restore()
        else:
            scene.functions.known["app-One"]["State"] = "Pending"
        assert of_type(scene.instrument(), "instrumented").keys() == {"One"}
        assert scene.functions.gets

    def test_restoring_misses_nothing(self) -> None:
        scene = Scene("One", "Two")
        before = {name: dict(found) for name, found in scene.functions.found.items()}
        scene.functions.known = before
        scene.instrument()
        # One is known as it was before.
        scene.functions.known = {
            "app-One": before["app-One"],
            "app-Two": dict(scene.functions.found["app-Two"]),
        }
        scene.functions.gets = []
        assert scene.restore("mine")["restored"] == ["One", "Two"]
        assert scene.functions.gets == ["app-One"]
        assert without_revision(scene.functions.found) == without_revision(before)

    def test_nor_does_it_take_away_what_is_another_ones_by_now(self) -> None:
        scene = Scene("One")
        scene.instrument()
        scene.functions.known = {"app-One": dict(scene.functions.found["app-One"])}
        scene.instrument("One", session="yours", take_over=True)
        assert scene.restore("mine")["restored"] == []
        assert scene.functions.variables("app-One")["PLLDB_SESSION"] == "yours"


class TestTheSessionEnds:
    def test_while_instrumenting_and_everything_is_given_back(self) -> None:
        scene = Scene("One", "Two")
        before = {name: dict(found) for name, found in scene.functions.found.items()}
        scene.first_checks, scene.is_attached = [True], False
        messages = scene.instrument()
        assert [m["type"] for m in messages] == ["instrumented", "instrumented"]
        assert without_revision(scene.functions.found) == without_revision(before)
        assert scene.record["outcome"] == "restored"

    def test_when_all_is_ready_and_it_is_restored_once(self) -> None:
        """By whoever ends it: two that restore the same functions make twice as many calls."""
        scene = Scene(*(f"Fn{number}" for number in range(30)))
        scene.first_checks, scene.is_attached = [True, True], False
        assert scene.instrument()[-1] == ready(30, 0)
        assert scene.record["outcome"] == "ready"
        assert len(scene.restore("mine")["restored"]) == 30

    def test_its_connection_is_gone_but_it_is_not_over(self) -> None:
        """Another may be about to replace it; if not, whoever closes it has it restored."""
        scene = Scene("One")
        scene.connections.gone = {"connection of mine"}
        scene.in_grace = {"mine"}
        assert scene.instrument() == []
        assert scene.functions.found["app-One"]["Handler"] == SHIM_HANDLER
        assert scene.record["outcome"] == "ready"

    def test_it_is_replaced_and_the_other_one_hears_of_everything(self) -> None:
        scene = Scene(*(f"Fn{number}" for number in range(30)))
        scene.connections.gone = {"connection of mine"}
        scene.replaced_by = {"mine": "heir"}
        assert scene.instrument() == []
        messages = scene.told("heir")
        assert len(of_type(messages, "instrumented")) == 30
        assert messages[-1] == ready(30, 0)

    def test_what_others_hold_stays(self) -> None:
        scene = Scene("One", "Two")
        scene.instrument("Two", session="yours")
        scene.first_checks, scene.is_attached = [True], False
        scene.instrument("One")
        assert scene.functions.variables("app-Two")["PLLDB_SESSION"] == "yours"

    def test_before_and_nothing_is_taken_but_what_is_its_own_is_restored(self) -> None:
        scene = Scene("One", "Two")
        scene.instrument("One")
        scene.instrument("Two", session="yours")
        scene.is_attached = False
        assert scene.instrument() == []
        assert scene.functions.found["app-One"]["Handler"] == "app.handler"
        assert scene.functions.variables("app-Two")["PLLDB_SESSION"] == "yours"

    def test_a_failure_is_told_and_raised(self) -> None:
        scene = Scene("One")

        def fail(_: str) -> None:
            raise KeyError("secret")

        scene.functions.before_update = [fail]
        with pytest.raises(KeyError):
            scene.instrument()
        (warning,) = scene.told("mine")
        assert (warning["type"], warning["function"]) == ("warning", "app")
        assert "KeyError; see the helper stack's log group" in warning["message"]
        assert "secret" not in warning["message"]


class TestReplacedSessions:
    """What a session holds that was replaced is held by the one that replaced it."""

    def former(self, *names: str) -> Scene:
        scene = Scene(*names)
        scene.instrument(session="former", owner="arn:aws:sts::1:assumed-role/dev/1")
        scene.told("former")
        scene.replaced_by = {"former": "mine"}
        return scene

    def test_such_a_function_is_told_of_and_not_updated(self) -> None:
        scene = self.former("One")
        scene.functions.updates.clear()
        messages = scene.instrument()
        assert of_type(messages, "instrumented")["One"]["handler"] == "app.handler"
        assert messages[-1] == ready(1, 0)
        assert scene.functions.updates == []

    @pytest.mark.parametrize("take_over", [False, True])
    def test_but_for_what_is_wanted_otherwise_and_nobody_is_told_that_it_was_taken(
        self, take_over: bool
    ) -> None:
        scene = self.former("One")
        messages = scene.instrument(when_absent="error", take_over=take_over)
        assert [message["type"] for message in messages] == ["instrumented", "ready"]
        variables = scene.functions.variables("app-One")
        assert variables["PLLDB_WHEN_ABSENT"] == "error"
        assert variables["PLLDB_SESSION"] == "former"
        assert variables["PLLDB_TOKEN"] == "token of former"

    def test_all_of_it_is_restored_together(self) -> None:
        scene = self.former("One", "Two")
        scene.functions.found["app-Two"] = scene.functions.plain("Two")
        scene.instrument("Two")
        assert scene.functions.variables("app-Two")["PLLDB_SESSION"] == "mine"
        assert scene.restore("former", "mine") == {"restored": ["One", "Two"], "failed": {}}

    def test_one_whose_session_is_over_too_is_taken(self) -> None:
        scene = self.former("One")
        scene.replaced_by = {"former": "another"}
        scene.ended.add("another")
        assert of_type(scene.instrument(), "instrumented").keys() == {"One"}
        assert scene.functions.variables("app-One")["PLLDB_SESSION"] == "mine"


def without_revision(found: dict[str, Any]) -> dict[str, Any]:
    """Configurations as they count: no layers are no layers."""
    return {
        name: {"Layers": []} | {k: v for k, v in one.items() if k != "RevisionId"}
        for name, one in found.items()
    }


class TestTwoSessions:
    def test_the_second_is_told_who_holds_it(self) -> None:
        scene = Scene("One")
        scene.instrument(session="yours")
        before = scene.functions.found["app-One"]
        messages = scene.instrument(open_sessions=OPEN)
        reason = of_type(messages, "skipped")["One"]["reason"]
        assert YOU in reason
        assert "yours" in reason
        assert scene.functions.found["app-One"] == before

    def test_taking_over_tells_the_first(self) -> None:
        scene = Scene("One")
        scene.instrument(session="yours")
        messages = scene.instrument(open_sessions=OPEN, take_over=True)
        assert of_type(messages, "instrumented")["One"]["handler"] == "app.handler"
        assert scene.told("yours") == [{"type": "taken", "function": "One", "by": ME}]
        variables = scene.functions.variables("app-One")
        assert (variables["PLLDB_SESSION"], variables["PLLDB_TOKEN"]) == ("mine", "token of mine")
        assert scene.restore("yours") == {"restored": [], "failed": {}}
        assert scene.restore("mine") == {"restored": ["One"], "failed": {}}
        assert scene.functions.found["app-One"]["Handler"] == "app.handler"

    def test_one_that_is_not_there_any_more_is_not_asked(self) -> None:
        scene = Scene("One")
        scene.instrument(session="yours")
        scene.ended.add("yours")
        scene.told("yours")
        messages = scene.instrument()
        assert of_type(messages, "instrumented").keys() == {"One"}
        assert scene.told("yours") == []

    def test_one_that_came_after_the_request_keeps_what_it_took(self) -> None:
        scene = Scene("One")
        scene.instrument(session="yours")
        messages = scene.instrument()
        assert YOU in of_type(messages, "skipped")["One"]["reason"]
        assert scene.functions.variables("app-One")["PLLDB_SESSION"] == "yours"

    def test_unless_it_is_taken_over_and_then_it_is_told(self) -> None:
        scene = Scene("One")
        scene.instrument(session="yours")
        scene.told("yours")
        messages = scene.instrument(take_over=True)
        assert of_type(messages, "instrumented").keys() == {"One"}
        assert scene.told("yours") == [{"type": "taken", "function": "One", "by": ME}]

    def test_of_two_at_once_one_gets_it(self) -> None:
        scene = Scene("One")

        def be_quicker(_: str) -> None:
            mine = {"owner": ME, "connectionId": "connection of mine"}
            scene.instrument(session="yours", open_sessions={"mine": mine})

        scene.functions.before_update = [be_quicker]
        messages = scene.instrument(open_sessions=OPEN)
        assert of_type(messages, "skipped").keys() == {"One"}
        assert scene.functions.variables("app-One")["PLLDB_SESSION"] == "yours"

    def test_of_two_whom_an_emulator_lets_pass_at_once_the_later_one_has_it(self) -> None:
        """LocalStack looks at the revision first, and then makes the change."""
        scene = Scene("One")

        def pass_as_well(name: str) -> None:
            scene.functions.found[name] = scene.functions.plain("One")
            scene.instrument(session="yours")

        scene.functions.after_update = [pass_as_well]
        messages = scene.instrument(open_sessions=OPEN)
        assert of_type(messages, "instrumented") == {}
        assert of_type(messages, "skipped").keys() == {"One"}
        assert scene.functions.variables("app-One")["PLLDB_SESSION"] == "yours"

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"MemorySize": 512}, {"memorySize": 512}),
            ({"LoggingConfig": {"LogFormat": "Text"}}, {"logging": {"LogFormat": "Text"}}),
            ({"Environment": {"Variables": {"NAME": "other"}}}, {"variables": {"NAME": "other"}}),
        ],
    )
    def test_what_somebody_changes_just_afterwards_is_told(
        self, change: dict[str, Any], told: dict[str, Any]
    ) -> None:
        scene = Scene("One")

        def change_as_well(name: str) -> None:
            variables = dict(scene.functions.variables(name))
            new = dict(change)
            if "Environment" in new:
                new["Environment"] = {"Variables": variables | new["Environment"]["Variables"]}
            scene.functions.change(name, **new)

        scene.functions.after_update = [change_as_well]
        messages = scene.instrument()
        message = of_type(messages, "instrumented")["One"]
        assert message | told == message
        assert message["revision"] == scene.functions.found["app-One"]["RevisionId"]


class TestRestore:
    def test_each_is_told_of_and_at_the_end_that_it_is_over(self) -> None:
        scene = Scene("One", "Two", "Three")
        before = {name: dict(found) for name, found in scene.functions.found.items()}
        scene.instrument("One", "Two")
        assert scene.restore("mine", tell="mine") == {"restored": ["One", "Two"], "failed": {}}
        messages = scene.told("mine")
        assert of_type(messages, "restored").keys() == {"One", "Two"}
        assert messages[-1] == {"type": "closed"}
        assert without_revision(scene.functions.found) == without_revision(before)

    def test_again_there_is_nothing_to_do(self) -> None:
        scene = Scene("One")
        scene.instrument()
        scene.restore("mine")
        before = scene.functions.found["app-One"]
        assert scene.restore("mine") == {"restored": [], "failed": {}}
        assert scene.restore() == {"restored": [], "failed": {}}
        assert scene.functions.found["app-One"] == before

    def test_without_a_session_everything_is_restored(self) -> None:
        scene = Scene("One", "Two", "Three")
        scene.instrument("One")
        scene.instrument("Two", session="yours")
        assert scene.restore() == {"restored": ["One", "Two"], "failed": {}}

    def test_one_that_fails_holds_the_others_not_up(self) -> None:
        scene = Scene("One", "Two", "Gone", "Lost")
        scene.instrument()
        scene.functions.refusals = {"app-One": "not for you", "app-Gone": "gone"}
        scene.functions.found["app-Lost"] |= {"Environment": {"Variables": {}}}
        answer = scene.restore()
        assert answer["restored"] == ["Two"]
        assert answer["failed"].keys() == {"One", "Lost"}
        assert answer["failed"]["One"] == "not for you"
        assert scene.record["level"] == "ERROR"

    def test_a_failure_is_told(self) -> None:
        scene = Scene("One")
        scene.instrument()
        scene.functions.refusals = {"app-One": "not for you"}
        with pytest.raises(service.NotRestoredError, match="One"):
            scene.restore("mine", tell="mine")
        messages = scene.told("mine")
        assert [message["type"] for message in messages] == ["warning", "closed"]
        assert "not for you" in messages[0]["message"]

    def test_one_whose_variables_are_gone_is_no_silent_loss(self) -> None:
        scene = Scene("One", "Two")
        scene.instrument()
        scene.functions.found["app-One"] |= {"Environment": {"Variables": {"NEW": "1"}}}
        with pytest.raises(service.NotRestoredError):
            scene.restore("mine", tell="mine")
        messages = scene.told("mine")
        assert of_type(messages, "restored").keys() == {"Two"}
        assert "own handler is not known" in of_type(messages, "warning")["One"]["message"]

    @pytest.mark.parametrize("holds", [(), ("mine",)])
    def test_a_layer_of_the_users_that_is_gone_keeps_nothing_but_the_layers(
        self, holds: tuple[str, ...]
    ) -> None:
        scene = Scene("One")
        before = without_revision(scene.functions.found)["app-One"]
        scene.instrument()
        scene.functions.missing_layer = "arn:ant:1"
        answer = scene.restore(*holds)
        assert answer["restored"] == ["One"]
        (left,) = answer["left"]["One"]
        assert "plldb's layer stays on it: Layer version arn:ant:1 does not exist" in left
        after = without_revision(scene.functions.found)["app-One"]
        assert after | {"Layers": []} == before
        # It is taken off later, when everything is restored and that is possible.
        scene.functions.missing_layer = ""
        scene.restore()
        assert without_revision(scene.functions.found)["app-One"] == before

    def test_an_edit_in_between_stays(self) -> None:
        scene = Scene("One")
        scene.instrument()
        edit = scene.functions.variables("app-One") | {"NEW": "1"}
        scene.functions.before_update = [
            lambda name: scene.functions.change(name, Environment={"Variables": edit})
        ]
        scene.restore()
        assert scene.functions.variables("app-One") == {"NAME": "One", "NEW": "1"}

    def test_a_stack_that_is_gone(self) -> None:
        scene = Scene("One")
        assert scene.handle(restore_request("other")) == {"restored": [], "failed": {}}


class TestWatch:
    def test_nothing_is_said_of_what_is_as_the_debugger_knows_it(self) -> None:
        scene = Scene("One", "Two")
        scene.instrument()
        assert scene.watch(One="1", Two="1") == []
        assert scene.record["outcome"] == "unchanged"

    def test_functions_that_were_edited_deployed_again_or_deleted(self) -> None:
        scene = Scene("Edited", "Lost", "Gone", "Same")
        scene.instrument()
        functions = scene.functions
        functions.change("app-Edited", Timeout=7)
        functions.found["app-Lost"] = functions.plain("Lost") | {"RevisionId": "9"}
        del functions.found["app-Gone"]
        (message,) = scene.watch(Edited="1", Lost="1", Gone="1", Same="1")
        assert message == {
            "type": "changed",
            "stack": "first",
            "isUpdating": False,
            "functions": ["app-Edited", "app-Lost"],
            "lost": ["app-Lost"],
            "gone": ["app-Gone"],
        }

    def test_another_deployment_of_the_stack(self) -> None:
        scene = Scene("One")
        scene.functions.deployments = [Deployment("second")]
        assert scene.watch(One="0") == [wire.changed("second", False)]
        assert scene.watch("second", One="0") == []

    def test_a_function_that_left_the_stack_and_is_still_there_is_restored(self) -> None:
        """As with ``DeletionPolicy: Retain``; at the end of the session, nobody looks for it."""
        scene = Scene("Kept", "One")
        before = scene.functions.plain("Kept")
        scene.instrument()
        revisions = {
            name: scene.functions.found[f"app-{name}"]["RevisionId"] for name in ("Kept", "One")
        }
        scene.functions.of_stack = lambda _: iter([FunctionRef("One", "app-One")])
        assert scene.watch(**revisions) == []
        assert scene.functions.found["app-Kept"]["Handler"] == SHIM_HANDLER
        scene.functions.deployments = [Deployment("second")]
        assert scene.watch(**revisions) == [wire.changed("second", False)]
        assert scene.functions.found["app-Kept"]["Handler"] == before["Handler"]
        assert "PLLDB" not in json.dumps(scene.functions.found["app-Kept"])
        assert scene.functions.found["app-One"]["Handler"] == SHIM_HANDLER

    def test_what_another_session_holds_of_it_is_left_alone(self) -> None:
        scene = Scene("Kept", "One")
        scene.instrument(session="theirs")
        held = dict(scene.functions.found["app-Kept"])
        scene.functions.of_stack = lambda _: iter([FunctionRef("One", "app-One")])
        scene.functions.deployments = [Deployment("second")]
        scene.watch(Kept="1", One="1")
        assert scene.functions.found["app-Kept"] == held

    def test_while_the_stack_is_deployed_that_is_all_that_is_said(self) -> None:
        scene = Scene("One")
        scene.functions.deployments = [Deployment("second …", is_under_way=True)]
        assert scene.watch(One="another", Gone="1") == [wire.changed("second …", True)]
        assert scene.watch("second …", One="another") == []

    def test_what_aws_refuses_is_no_news(self) -> None:
        scene = Scene("One")
        scene.functions.refusals = {"ListFunctions": "too many requests"}
        assert scene.watch("before", One="another") == []
        assert (scene.record["level"], scene.record["outcome"]) == ("WARNING", "unknown")

    def test_a_message_has_room_for_the_names_of_a_large_stack(self) -> None:
        names = [f"{number:03d}" + "x" * 57 for number in range(500)]
        scene = Scene(*names)
        (message,) = scene.watch(**dict.fromkeys([*names, *(f"y{name}" for name in names)], "old"))
        assert len(json.dumps(message)) < MAX_FRAME_BYTES
        assert set(message["lost"]) == set(message["functions"])

    def test_so_it_has_for_arns_some_of_which_are_gone(self) -> None:
        names = [f"{number:03d}" + "x" * 133 for number in range(300)]
        scene = Scene(*names[:79])
        (message,) = scene.watch(**dict.fromkeys(names, "old"))
        assert len(json.dumps(message)) < MAX_FRAME_BYTES
        assert len(message["lost"]) == 79
        assert message["gone"] != []


class TestWhileTheStackIsDeployed:
    def test_no_function_is_taken(self) -> None:
        scene = Scene("One")
        scene.functions.deployments = [Deployment("second …", is_under_way=True)]
        assert scene.instrument() == [
            wire.changed("second …", True),
            ready(0, 0) | {"stack": "second …"},
        ]
        assert scene.functions.updates == []

    def test_restoring_waits_for_its_end(self) -> None:
        scene = Scene("One")
        scene.instrument()
        scene.functions.deployments = [
            *[Deployment("second …", is_under_way=True)] * 3,
            Deployment("second"),
        ]
        assert scene.restore(tell="mine")["restored"] == ["One"]
        assert len(scene.pauses) == 3
        warning, *_ = scene.told("mine")
        assert warning["message"].endswith("restored afterwards")

    def test_but_not_for_ever(self) -> None:
        scene = Scene("One")
        scene.instrument()
        scene.functions.deployments = [Deployment("second …", is_under_way=True)]
        assert scene.restore()["restored"] == ["One"]
        assert sum(scene.pauses) == 300
