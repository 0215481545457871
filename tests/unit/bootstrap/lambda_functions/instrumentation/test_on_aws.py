"""Within Lambda's rules, as the double of tests/aws_lambda.py has them, in virtual time."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aws_lambda import Call, Fault, Function, LostAnswerError, Refusal, layer_arn
from tests.unit.bootstrap.lambda_functions.instrumentation.aws_scene import OUR_LAYER, AwsScene

THROTTLED = Refusal(
    "TooManyRequestsException",
    "Rate exceeded",
    {"Reason": "CallerRateLimitExceeded"},
    {"Retry-After": "3"},
)
BROKEN = Refusal("ServiceException", "An error occurred", {"Type": "Service"})


def of_type(messages: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["function"]: one for one in messages if one["type"] == kind}


def most_in_a_second(calls: list[Call]) -> int:
    """GetPolicy has a quota of its own."""
    times = sorted(call.time for call in calls if call.operation != "GetPolicy")
    return max(sum(then <= one < then + 1 for one in times) for then in times)


def seconds_until_ready(scene: AwsScene) -> list[float]:
    """Filled with the times at which debuggers hear that all is ready."""
    times: list[float] = []
    post = scene.connections.post

    def note(connection: str, message: dict[str, Any]) -> bool:
        if message["type"] == "ready":
            times.append(scene.time.now)
        return post(connection, message)

    scene.connections.post = note  # type: ignore[method-assign]
    return times


def fail_at_first(failure: Exception, times: int = 1) -> Fault:
    """So many times, for each operation on each function."""
    counts: Counter[tuple[str, str]] = Counter()

    def fail(_: str, operation: str, parameters: dict[str, Any]) -> None:
        key = (operation, str(parameters.get("FunctionName")))
        counts[key] += 1
        if counts[key] <= times:
            raise failure

    return fail


def refuse_updates(name: str, refusal: Refusal) -> Fault:
    """All of those of one function."""

    def refuse(_: str, operation: str, parameters: dict[str, Any]) -> None:
        if operation == "UpdateFunctionConfiguration" and parameters["FunctionName"] == name:
            raise refusal

    return refuse


class TestRate:
    def test_a_hundred_functions_beside_the_deployment_of_others(self) -> None:
        scene = AwsScene(100)
        scene.aws.add("other")
        ready = seconds_until_ready(scene)
        told, statuses = scene.time.run(scene.attach(), lambda: scene.deploy(75))
        assert len(of_type(told, "instrumented")) == 100
        assert ready[0] <= 75
        assert scene.aws.throttled("plldb") == 0
        assert len(statuses) == 225
        assert 429 not in statuses
        own = [call for call in scene.aws.calls if call.caller == "plldb"]
        assert most_in_a_second(own) <= 12

    def test_functions_in_a_vpc_are_looked_at_now_and_then(self) -> None:
        scene = AwsScene(30, VpcConfig={"VpcId": "vpc-1"})
        told, _ = scene.time.run(scene.attach(), lambda: scene.keep_alive(240))
        assert len(of_type(told, "instrumented")) == 30
        assert scene.aws.throttled("plldb") == 0
        looks = [call for call in scene.aws.calls if call.operation == "GetFunctionConfiguration"]
        assert len(looks) <= 30 * 15

    def test_two_debuggers_at_once_share_what_there_is(self) -> None:
        """Each environment of the instrumentation function knows its own calls only."""
        scene = AwsScene(40)
        first, second = scene.attach("one"), scene.attach("two")
        scene.aws.add("other")
        told_one, told_two, statuses = scene.time.run(first, second, lambda: scene.deploy(60))
        taken = of_type(told_one, "instrumented").keys() | of_type(told_two, "instrumented").keys()
        assert len(taken) == 40
        refused = [call for call in scene.aws.calls if call.status == 429]
        assert len(refused) < len(scene.aws.calls) / 10
        assert statuses.count(429) < len(statuses) / 5

    @pytest.mark.parametrize("failure", [THROTTLED, BROKEN], ids=["throttled", "broken"])
    def test_what_is_made_again_takes_its_turn_too(self, failure: Refusal) -> None:
        scene = AwsScene(20)
        scene.aws.fault = fail_at_first(failure, times=2)
        (told,) = scene.time.run(scene.attach())
        assert len(of_type(told, "instrumented")) == 20
        assert most_in_a_second(scene.aws.calls) <= 12

    @pytest.mark.parametrize(
        "again", ["3", "0", "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 400]
    )
    def test_whatever_lambda_says_of_that_it_is_waited_for_a_while(self, again: str) -> None:
        scene = AwsScene(3)
        throttled = replace(THROTTLED, headers={"Retry-After": again})
        scene.aws.fault = fail_at_first(throttled)
        (told,) = scene.time.run(scene.attach())
        assert len(of_type(told, "instrumented")) == 3
        assert scene.time.now < 300

    def test_lambda_says_how_long_to_wait(self) -> None:
        scene = AwsScene(1)
        begun: list[float] = []

        def once(*_: Any) -> None:
            begun.append(scene.time.now)
            if len(begun) == 1:
                raise THROTTLED

        scene.aws.fault = once
        scene.time.run(scene.attach())
        assert begun[1] - begun[0] >= 3

    def test_a_throttle_that_does_not_end_is_said(self) -> None:
        scene = AwsScene(1)
        scene.aws.fault = refuse_updates("app-Fn0", THROTTLED)
        (told,) = scene.time.run(scene.attach())
        assert "Rate exceeded" in of_type(told, "skipped")["Fn0"]["reason"]


class TestUpdates:
    def test_an_answer_that_is_lost_changes_nothing_twice(self) -> None:
        scene = AwsScene(3)
        scene.aws.fault = fail_at_first(LostAnswerError())
        (told,) = scene.time.run(scene.attach())
        assert len(of_type(told, "instrumented")) == 3
        scene.vanish()
        scene.time.run(scene.reap)
        assert scene.aws.deployed() == scene.before

    def test_somebody_elses_update_is_awaited(self) -> None:
        scene = AwsScene(1)
        other = scene.aws.client("other")
        act = scene.attach()

        def deploy_first() -> Any:
            other.update_function_configuration(FunctionName="app-Fn0", MemorySize=256)
            return act()

        (told,) = scene.time.run(deploy_first)
        assert of_type(told, "instrumented")["Fn0"]["memorySize"] == 256

    def test_what_is_read_may_be_old(self) -> None:
        """It is not taken for the end of an update."""
        scene = AwsScene(2)
        scene.aws.is_stale = lambda: 2.0
        (told,) = scene.time.run(scene.attach())
        instrumented = of_type(told, "instrumented")
        revisions = {one["functionName"]: one["revision"] for one in instrumented.values()}
        assert revisions == {
            name: function.current["RevisionId"] for name, function in scene.aws.functions.items()
        }

    def test_one_that_fails_at_its_end_is_not_told_as_done(self) -> None:
        scene = AwsScene(2)
        scene.aws.update_failures["app-Fn0"] = "The subnet was deleted."
        (told,) = scene.time.run(scene.attach())
        assert of_type(told, "instrumented").keys() == {"Fn1"}
        assert of_type(told, "skipped")["Fn0"]["reason"] == "The subnet was deleted."

    def test_a_function_that_takes_signed_code_only(self) -> None:
        scene = AwsScene(2)
        scene.aws.unsigned_layers.add(OUR_LAYER)
        scene.aws.signed_only.add("app-Fn0")
        (told,) = scene.time.run(scene.attach())
        assert "code signing" in of_type(told, "skipped")["Fn0"]["reason"]
        assert of_type(told, "instrumented").keys() == {"Fn1"}
        assert not has_left_anything(scene.aws.functions["app-Fn0"])

    def test_a_layer_that_is_not_for_us(self) -> None:
        theirs = layer_arn("theirs", account="999988887777")
        scene = AwsScene(1, Layers=[theirs])
        scene.aws.closed_layers.add(theirs)
        (told,) = scene.time.run(scene.attach())
        assert "lambda:GetLayerVersion" in of_type(told, "skipped")["Fn0"]["reason"]


class TestAliases:
    def scene(self, **configuration: Any) -> AwsScene:
        scene = AwsScene(2, **configuration)
        for name in scene.names:
            scene.aws.publish(name, "live")
        scene.before = scene.aws.deployed()
        return scene

    def test_they_come_to_the_debugger_and_go_back(self) -> None:
        scene = self.scene()
        (told,) = scene.time.run(scene.attach(aliases=True))
        assert {
            one["function"]: one["aliases"] for one in told if one["type"] == "instrumented"
        } == {
            "Fn0": ["live"],
            "Fn1": ["live"],
        }
        assert scene.aws.functions["app-Fn0"].aliases["live"]["FunctionVersion"] == "2"
        scene.vanish()
        scene.time.run(scene.reap)
        assert scene.aws.deployed() == scene.before

    @pytest.mark.parametrize("count", [1, 12])
    def test_who_may_call_the_function_is_asked_once(self, count: int) -> None:
        scene = AwsScene(count)
        for name in scene.names:
            scene.aws.publish(name, "live")
        scene.time.run(scene.attach())
        reads = [call for call in scene.aws.calls if call.operation == "GetPolicy"]
        # Of the function, and of its alias, which comes to the debugger.
        assert len(reads) == 2 * count

    @pytest.mark.parametrize(
        ("harm", "reason"),
        [
            (lambda aws: aws.provisioned.update({"app-Fn0": ["live"]}), "provisioned concurrency"),
            (lambda aws: aws.provisioned.update({"app-Fn0": ["1"]}), "provisioned concurrency"),
            (
                lambda aws: aws.edit("app-Fn0", SnapStart={"ApplyOn": "PublishedVersions"}),
                "SnapStart",
            ),
            (lambda aws: aws.edit("app-Fn0", CodeSha256="other"), "other code"),
            (lambda aws: aws.publish("app-Fn0", "live", {"1": 0.1}), "shares its calls"),
            (
                lambda aws: aws.version_failures.update({"app-Fn0": "no such subnet"}),
                "no such subnet",
            ),
        ],
    )
    def test_what_would_be_lost_or_wrong_is_not_taken_and_said(
        self, harm: Callable[[Any], object], reason: str
    ) -> None:
        scene = self.scene()
        harm(scene.aws)
        before = scene.aws.deployed()
        (told,) = scene.time.run(scene.attach(aliases=True))
        instrumented = of_type(told, "instrumented")
        assert {name: one["aliases"] for name, one in instrumented.items()} == {
            "Fn0": [],
            "Fn1": ["live"],
        }
        assert reason in of_type(told, "warning")["Fn0"]["message"]
        scene.vanish()
        scene.time.run(scene.reap)
        assert scene.aws.deployed() == before

    def test_a_version_that_may_not_be_deleted_is_named(self) -> None:
        """Nobody calls it any more."""
        scene = self.scene()
        scene.time.run(scene.attach(aliases=True))

        def refuse(_: str, operation: str, parameters: dict[str, Any]) -> None:
            if operation == "DeleteFunction":
                raise Refusal("AccessDeniedException", "versions have no tags")

        scene.aws.fault = refuse
        scene.vanish()
        scene.time.run(scene.reap)
        for name in scene.names:
            function = scene.aws.functions[name]
            assert function.aliases["live"]["FunctionVersion"] == "1"
            assert function.current["Handler"] == "app.handler"
        assert all("versions have no tags" in text for text in scene.named.values())
        assert scene.named.keys() == {"Fn0", "Fn1"}
        assert [*scene.invocations.unsettled()] == []

    def test_in_spite_of_lost_answers(self) -> None:
        scene = self.scene()
        scene.aws.fault = fail_at_first(LostAnswerError())
        scene.time.run(scene.attach(aliases=True))
        scene.vanish()
        scene.time.run(scene.reap)
        assert scene.aws.deployed() == scene.before

    def test_not_those_of_a_function_whose_handler_somebody_changes_on_the_way(self) -> None:
        scene = self.scene()

        def edit() -> None:
            scene.time.sleep(4)
            scene.aws.edit("app-Fn0", Handler="other.handler")

        scene.time.run(scene.attach(aliases=True), edit)
        assert scene.aws.functions["app-Fn0"].aliases["live"]["FunctionVersion"] == "1"
        scene.vanish()
        scene.time.run(scene.reap)
        assert not any(has_left_anything(one) for one in scene.aws.functions.values())
        assert scene.aws.functions["app-Fn0"].current["Handler"] == "other.handler"

    def test_nor_where_that_comes_between_the_mark_and_the_look_at_it(self) -> None:
        scene = self.scene()
        function = edit_what_is_marked(scene, Handler="other.handler")
        assert function.current["Handler"] == "other.handler"
        assert function.aliases["live"]["FunctionVersion"] == "1"
        scene.vanish()
        scene.time.run(scene.reap)
        assert not has_left_anything(function)

    def test_nor_where_the_mark_is_lost_until_then(self) -> None:
        scene = self.scene()
        function = edit_what_is_marked(scene, Environment={"Variables": {"MINE": "1"}})
        assert function.current["Environment"] == {"Variables": {"MINE": "1"}}
        scene.vanish()
        scene.time.run(scene.reap)
        assert [*function.versions] == [function.aliases["live"]["FunctionVersion"]] == ["1"]


def edit_what_is_marked(scene: AwsScene, **edit: Any) -> Function:
    """Attaches, while somebody edits the function before its mark is seen."""
    function = scene.aws.functions["app-Fn0"]

    def edit_before_a_look(_: str, operation: str, parameters: dict[str, Any]) -> None:
        is_look = operation == "GetFunctionConfiguration"
        if is_look and parameters["FunctionName"] == "app-Fn0":
            scene.aws.deployed()
            if "PLLDB_ALIASES" in str(function.current["Environment"]):
                scene.aws.edit("app-Fn0", **edit)

    scene.aws.fault = edit_before_a_look
    scene.time.run(scene.attach(aliases=True))
    return function


def delete_layer(scene: AwsScene) -> None:
    scene.aws.layers.discard(THEIRS)


def close_layer(scene: AwsScene) -> None:
    scene.aws.closed_layers.add(THEIRS)


THEIRS = layer_arn("theirs")


class TestRestore:
    def attached(self, **configuration: Any) -> AwsScene:
        scene = AwsScene(3, **configuration)
        (told,) = scene.time.run(scene.attach())
        assert len(of_type(told, "instrumented")) == 3
        scene.vanish()
        return scene

    def restore(self, scene: AwsScene) -> dict[str, Any]:
        (answer,) = scene.time.run(scene.restore)
        assert scene.aws.throttled("plldb") == 0
        return dict(answer)

    def test_all_is_as_before(self) -> None:
        scene = self.attached()
        assert self.restore(scene) == {"restored": ["Fn0", "Fn1", "Fn2"], "failed": {}}
        assert scene.aws.deployed() == scene.before

    @pytest.mark.parametrize("harm", [delete_layer, close_layer])
    def test_a_layer_of_the_users_is_not_to_be_had_any_more(
        self, harm: Callable[[AwsScene], None]
    ) -> None:
        scene = self.attached(Layers=[THEIRS])
        harm(scene)
        answer = self.restore(scene)
        assert answer["restored"] == ["Fn0", "Fn1", "Fn2"]
        assert answer["failed"] == {}
        assert all("layer" in text for texts in answer["left"].values() for text in texts)
        for function in scene.aws.functions.values():
            assert function.current["Handler"] == "app.handler"
            assert function.current["Environment"]["Variables"].keys() == {"NAME"}
            assert [one["Arn"] for one in function.current["Layers"]] == [THEIRS, OUR_LAYER]

    def test_that_is_said_in_spite_of_lost_answers(self) -> None:
        scene = self.attached(Layers=[THEIRS])
        delete_layer(scene)
        lost: set[str] = set()

        def lose(_: str, operation: str, parameters: dict[str, Any]) -> None:
            if operation != "UpdateFunctionConfiguration" or "Layers" in parameters:
                return
            if parameters["FunctionName"] not in lost:
                lost.add(parameters["FunctionName"])
                raise LostAnswerError

        scene.aws.fault = lose
        scene.time.run(scene.reap)
        assert lost == {*scene.aws.functions}
        assert scene.named.keys() == {"Fn0", "Fn1", "Fn2"}
        assert all("plldb's layer stays on it" in text for text in scene.named.values())

    def test_a_function_that_is_deleted_has_nothing_to_restore(self) -> None:
        scene = self.attached()
        del scene.aws.functions["app-Fn1"]
        assert self.restore(scene) == {"restored": ["Fn0", "Fn2"], "failed": {}}

    def test_not_found_may_be_something_else_than_the_function(self) -> None:
        scene = self.attached()
        missing = Refusal("ResourceNotFoundException", "The key arn:aws:kms:k is not there")
        scene.aws.fault = refuse_updates("app-Fn1", missing)
        answer = self.restore(scene)
        assert answer["restored"] == ["Fn0", "Fn2"]
        assert "The key arn:aws:kms:k" in answer["failed"]["Fn1"]

    @pytest.mark.parametrize("code", ["InvalidParameterValueException", "AccessDeniedException"])
    def test_a_refusal_is_named_and_holds_nobody_up(self, code: str) -> None:
        scene = self.attached()
        refusal = Refusal(code, "the runtime is no longer supported")
        scene.aws.fault = refuse_updates("app-Fn1", refusal)
        answer = self.restore(scene)
        assert answer["restored"] == ["Fn0", "Fn2"]
        assert "no longer supported" in answer["failed"]["Fn1"]

    def test_an_update_that_fails_at_its_end(self) -> None:
        scene = self.attached()
        scene.aws.update_failures["app-Fn1"] = "The role can't be assumed."
        assert self.restore(scene)["failed"] == {"Fn1": "The role can't be assumed."}
        del scene.aws.update_failures["app-Fn1"]
        assert self.restore(scene) == {"restored": ["Fn1"], "failed": {}}
        assert scene.aws.deployed() == scene.before

    def test_variables_that_can_not_be_read_are_left_as_they_are(self) -> None:
        scene = self.attached()
        view = scene.aws.functions["app-Fn1"].current
        kept = view["Environment"]
        view["Environment"] = {"Error": {"ErrorCode": "AccessDeniedException", "Message": "no key"}}
        assert self.restore(scene)["failed"] == {"Fn1": "its variables can't be read: no key"}
        view["Environment"] = kept
        assert self.restore(scene) == {"restored": ["Fn1"], "failed": {}}

    def test_reads_that_are_old_leave_nothing_behind(self) -> None:
        scene = AwsScene(3)
        scene.aws.is_stale = lambda: 2.0
        scene.time.run(scene.attach())
        scene.vanish()
        scene.time.run(scene.reap)
        assert scene.aws.deployed() == scene.before

    def test_a_refusal_that_lasts_longer_than_lambda_repeats_what_fails(self) -> None:
        """The reaper asks for it until it is done."""
        scene = self.attached()
        refusal = Refusal("InvalidParameterValueException", "not now")
        ends = scene.time.now + 900

        def refuse(_: str, operation: str, __: dict[str, Any]) -> None:
            if operation == "UpdateFunctionConfiguration" and scene.time.now < ends:
                raise refusal

        scene.aws.fault = refuse
        scene.time.run(scene.reap)
        assert scene.aws.deployed() == scene.before
        assert [*scene.invocations.unsettled()] == []

    def test_a_refusal_is_in_the_log_of_whom_nobody_hears(self) -> None:
        scene = self.attached()
        refusal = Refusal("InvalidParameterValueException", "not with this runtime")
        scene.aws.fault = refuse_updates("app-Fn1", refusal)
        scene.time.run(scene.reap)
        assert scene.named.keys() == {"Fn1"}
        assert "not with this runtime" in scene.named["Fn1"]


REFUSALS = [
    THROTTLED,
    BROKEN,
    Refusal("InvalidParameterValueException", "not with this runtime", {"Type": "User"}),
    Refusal("AccessDeniedException", "not for you"),
    LostAnswerError(),
]
HARMS: list[Callable[[AwsScene, str], object]] = [
    lambda scene, name: scene.aws.functions.pop(name, None),
    lambda scene, _: scene.aws.layers.discard(THEIRS),
    lambda scene, name: scene.aws.update_failures.update({name: "The role can't be assumed."}),
    lambda scene, name: scene.aws.edit(name, MemorySize=512),
    lambda scene, name: scene.aws.edit(name, Handler="other.handler"),
]


class TestWhateverHappens:
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_everything_is_as_the_user_has_it_or_named(self, data: st.DataObject) -> None:
        """After any refusals, old reads, edits and deletions; and nothing is beyond the rate."""
        scene = AwsScene(data.draw(st.integers(1, 3)), Layers=[THEIRS])
        if data.draw(st.booleans(), "aliases"):
            for name in scene.names:
                scene.aws.publish(name, "live")
        chance = random.Random(data.draw(st.integers(0, 10_000)))
        refused, old = (data.draw(st.sampled_from([0.0, 0.1, 0.4])) for _ in range(2))
        harms = data.draw(
            st.lists(st.tuples(st.sampled_from(HARMS), st.sampled_from(scene.names)), max_size=2)
        )

        def fail(*_: Any) -> None:
            if chance.random() < refused:
                raise chance.choice(REFUSALS)

        def harm() -> None:
            for act, name in harms:
                scene.time.sleep(4)
                act(scene, name)

        scene.aws.fault = fail
        scene.aws.is_stale = lambda: chance.choice([1.0, 4.0]) if chance.random() < old else 0.0
        scene.time.run(scene.attach(aliases=True), harm)
        scene.vanish()
        scene.time.run(scene.reap)
        assert most_in_a_second([c for c in scene.aws.calls if c.caller == "plldb"]) <= 12
        assert most_in_a_second([c for c in scene.aws.calls if c.caller == "reaper"]) <= 12
        for name, function in scene.aws.functions.items():
            if name.removeprefix("app-") not in scene.named:
                assert not has_left_anything(function)

    def test_what_has_left_something_is_seen_as_such(self) -> None:
        scene = AwsScene(1)
        scene.time.run(scene.attach())
        assert has_left_anything(scene.aws.functions["app-Fn0"])


def has_left_anything(function: Function) -> bool:
    """Of plldb's, in what callers get of it."""
    views = [function.current, *function.versions.values()]
    return "plldb" in json.dumps(views).lower() or any(
        alias["FunctionVersion"] not in function.versions for alias in function.aliases.values()
    )
