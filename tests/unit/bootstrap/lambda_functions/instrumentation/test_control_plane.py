"""Lambda's control plane, with all that it answers besides success."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier, Event
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lambda_functions.instrumentation.control_plane import (
    Alias,
    ChangeRefusedError,
    Deployment,
    GoneError,
    LambdaControlPlane,
    UnseenUpdateError,
)

from tests.unit.fakes import client_error

ARN = "arn:aws:lambda:eu-west-1:1:function:app-Fn"


class FakeClient:
    """Answers each call from a list of results, the last of which stays; exceptions are raised."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0, **answers: list[Any]) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.times: list[float] = []
        self._clock = clock
        self._answers = answers
        self.meta = type("Meta", (), {"endpoint_url": "https://sqs.eu-west-1.amazonaws.com"})

    def __getattr__(self, operation: str) -> Any:
        def call(**parameters: Any) -> Any:
            self.calls.append((operation, parameters))
            self.times.append(self._clock())
            answers = self._answers[operation]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def get_paginator(self, operation: str) -> Any:
        def paginate(**parameters: Any) -> Iterator[Any]:
            self.calls.append((operation, parameters))
            for page in self._answers[operation]:
                if isinstance(page, Exception):
                    raise page
                yield page

        return type("Paginator", (), {"paginate": staticmethod(paginate)})


class Scene:
    """Time passes when somebody sleeps, for all at once."""

    def __init__(self, **answers: list[Any]) -> None:
        self.client = FakeClient(lambda: self.now, **answers)
        self.now = 0.0
        self.slept: list[float] = []
        self.functions = LambdaControlPlane(
            self.client, self.client, self.client, lambda: self.now, self._sleep
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def calls(self, operation: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.client.calls if name == operation]


BUSY = {"LastUpdateStatus": "InProgress"}
EVERYTHING: dict[str, list[Any]] = {
    "get_function_configuration": [{}],
    "get_function_concurrency": [{}],
    "list_aliases": [{"Aliases": []}],
    "list_provisioned_concurrency_configs": [{"ProvisionedConcurrencyConfigs": []}],
    "list_functions": [{"Functions": []}],
    "list_event_source_mappings": [{"EventSourceMappings": []}],
}
SETTLED = {"LastUpdateStatus": "Successful", "State": "Active"}


def resource(kind: str, logical_id: str, physical_id: str = "", **more: str) -> dict[str, str]:
    return {
        "ResourceType": f"AWS::{kind}",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id or f"app-{logical_id}",
    } | more


class FakeStacks(FakeClient):
    """Pages of resources by the name or ARN of their stack; no others exist."""

    def __init__(self, pages: dict[str, list[list[dict[str, str]]]]) -> None:
        super().__init__()
        self._pages = pages

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_stack_resources"
        return self

    def paginate(self, StackName: str) -> Iterator[Any]:  # noqa: N803 (boto3's name)
        if StackName not in self._pages:
            raise client_error("ValidationError", f"Stack with id {StackName} does not exist")
        for page in self._pages[StackName]:
            yield {"StackResourceSummaries": page}


def list_functions(**pages: list[list[dict[str, str]]]) -> dict[str, str]:
    """Those of the stack app, by their logical ids."""
    stacks = FakeStacks({name.replace("_", ":"): found for name, found in pages.items()})
    control_plane = LambdaControlPlane(FakeClient(), stacks, FakeClient())
    found = [*control_plane.of_stack("app")]
    assert len({one.logical_id for one in found}) == len(found)
    return {one.logical_id: one.name for one in found}


class TestStack:
    def test_functions_of_all_pages(self) -> None:
        first = [resource("Lambda::Function", "One")]
        second = [resource("SNS::Topic", "Topic"), resource("Lambda::Function", "Two")]
        assert list_functions(app=[first, second]) == {"One": "app-One", "Two": "app-Two"}

    def test_of_nested_stacks_however_deep(self) -> None:
        def nest(logical_id: str, arn: str) -> dict[str, str]:
            return resource("CloudFormation::Stack", logical_id, arn)

        assert list_functions(
            app=[[nest("A", "arn:a"), resource("Lambda::Function", "Fn"), nest("B", "arn:b")]],
            arn_a=[[resource("Lambda::Function", "Fn", "a-Fn"), nest("A", "arn:deep")]],
            arn_b=[[]],
            arn_deep=[[resource("Lambda::Function", "Fn", "deep-Fn")]],
        ) == {"Fn": "app-Fn", "A/Fn": "a-Fn", "A/A/Fn": "deep-Fn"}

    def test_a_nested_stack_that_is_deleted_meanwhile_has_none(self) -> None:
        nested = resource("CloudFormation::Stack", "A", "arn:a")
        assert list_functions(app=[[nested, resource("Lambda::Function", "Fn")]]) == {
            "Fn": "app-Fn"
        }

    def test_what_is_not_there_is_left_out(self) -> None:
        failed = resource("Lambda::Function", "Failed", ResourceStatus="CREATE_FAILED")
        del failed["PhysicalResourceId"]
        deleted = resource("Lambda::Function", "Deleted", ResourceStatus="DELETE_COMPLETE")
        nested = resource("CloudFormation::Stack", "A", "arn:a", ResourceStatus="DELETE_COMPLETE")
        there = resource("Lambda::Function", "Fn", ResourceStatus="UPDATE_FAILED")
        assert list_functions(
            app=[[failed, deleted, nested, there]],
            arn_a=[[resource("Lambda::Function", "Fn")]],
        ) == {"Fn": "app-Fn"}

    def test_a_stack_that_is_gone_has_none(self) -> None:
        gone = client_error("ValidationError", "Stack with id app does not exist")
        assert list(Scene(list_stack_resources=[gone]).functions.of_stack("app")) == []

    def test_any_other_failure_is_one(self) -> None:
        denied = client_error("AccessDenied")
        with pytest.raises(Exception, match="AccessDenied"):
            list(Scene(list_stack_resources=[denied]).functions.of_stack("app"))


class TestGet:
    def test_it_waits_until_no_update_is_under_way(self) -> None:
        pending = {"State": "Pending", "LastUpdateStatus": "Successful"}
        scene = Scene(get_function_configuration=[BUSY, pending, BUSY, SETTLED])
        assert scene.functions.get("f") == SETTLED
        assert len(scene.slept) == 3
        assert scene.slept == sorted(scene.slept)

    def test_but_not_for_ever(self) -> None:
        scene = Scene(get_function_configuration=[BUSY])
        with pytest.raises(ChangeRefusedError, match="under way"):
            scene.functions.get("f")
        assert 250 < sum(scene.slept) < 400

    def test_a_deleted_one(self) -> None:
        scene = Scene(get_function_configuration=[client_error("ResourceNotFoundException")])
        with pytest.raises(GoneError):
            scene.functions.get("f")

    def test_a_refusal_in_lambdas_words(self) -> None:
        refusal = client_error("AccessDeniedException", "not for you")
        scene = Scene(get_function_configuration=[refusal])
        with pytest.raises(ChangeRefusedError, match=r"not for you \(AccessDeniedException\)"):
            scene.functions.get("f")


def listed(*names: str) -> list[dict[str, str]]:
    return [{"FunctionName": name, "FunctionArn": f"arn:{name}"} for name in names]


class TestFind:
    def test_a_few_are_asked_for_one_by_one(self) -> None:
        gone = client_error("ResourceNotFoundException")
        scene = Scene(get_function_configuration=[{"RevisionId": "1"}, gone])
        assert scene.functions.find(["a", "b"]) == {"a": {"RevisionId": "1"}}

    def test_many_are_listed_until_all_are_found(self) -> None:
        names = [f"f{number}" for number in range(20)]
        pages = [
            {"Functions": listed(*names[:12]), "NextMarker": "x"},
            {"Functions": listed(*names[12:19], "f19"), "NextMarker": "y"},
            {"Functions": listed("never asked for")},
        ]
        scene = Scene(list_functions=pages)
        assert [*scene.functions.find([*names[:19], "arn:f19"])] == [*names[:19], "arn:f19"]
        markers = [call.get("Marker") for call in scene.calls("list_functions")]
        assert markers == [None, "x"]

    def test_how_many_calls_that_took_is_remembered(self) -> None:
        pages = [{"Functions": [], "NextMarker": str(number)} for number in range(9)]
        scene = Scene(list_functions=[*pages, {"Functions": []}], get_function_configuration=[{}])
        names = [str(number) for number in range(10)]
        assert scene.functions.find(names) == {}
        assert len(scene.calls("list_functions")) == 10
        assert scene.functions.find(names) == {name: {} for name in names}

    def test_a_role_that_may_not_list_asks_one_by_one(self) -> None:
        denied = client_error("AccessDeniedException")
        scene = Scene(list_functions=[denied], get_function_configuration=[{}])
        assert len(scene.functions.find([str(number) for number in range(10)])) == 10


class TestDeployment:
    CREATED = datetime(2026, 11, 1, tzinfo=UTC)
    UPDATED = datetime(2026, 11, 2, tzinfo=UTC)

    def deployment(self, status: str, **more: Any) -> Deployment:
        stack = {"StackStatus": status, "CreationTime": self.CREATED} | more
        return Scene(describe_stacks=[{"Stacks": [stack]}]).functions.deployment("app")

    def test_each_has_a_stamp_of_its_own(self) -> None:
        created = self.deployment("CREATE_COMPLETE")
        updating = self.deployment("UPDATE_IN_PROGRESS", LastUpdatedTime=self.UPDATED)
        updated = self.deployment("UPDATE_COMPLETE", LastUpdatedTime=self.UPDATED)
        assert len({created.stamp, updating.stamp, updated.stamp}) == 3

    @pytest.mark.parametrize(
        ("status", "is_under_way"),
        [
            ("UPDATE_IN_PROGRESS", True),
            ("UPDATE_ROLLBACK_IN_PROGRESS", True),
            ("DELETE_IN_PROGRESS", True),
            ("IMPORT_IN_PROGRESS", True),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", False),
            # A change set for a new stack may wait for weeks.
            ("REVIEW_IN_PROGRESS", False),
            ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", False),
            ("UPDATE_ROLLBACK_COMPLETE", False),
            ("UPDATE_FAILED", False),
        ],
    )
    def test_it_is_under_way_while_resources_may_be_changed(
        self, status: str, is_under_way: bool
    ) -> None:
        assert self.deployment(status).is_under_way is is_under_way

    def test_a_stack_that_is_not_there_has_none(self) -> None:
        gone = client_error("ValidationError", "Stack with id app does not exist")
        assert Scene(describe_stacks=[gone]).functions.deployment("app") == Deployment()

    def test_any_other_failure_is_one(self) -> None:
        with pytest.raises(Exception, match="Throttling"):
            Scene(describe_stacks=[client_error("Throttling")]).functions.deployment("app")


class TestUpdate:
    def test_with_the_revision_that_was_read(self) -> None:
        scene = Scene(update_function_configuration=[{}], get_function_configuration=[SETTLED])
        assert scene.functions.update("f", "rev", {"Timeout": 9}) == SETTLED
        expected = {"FunctionName": "f", "RevisionId": "rev", "Timeout": 9}
        assert scene.calls("update_function_configuration") == [expected]

    def test_it_waits_for_the_end(self) -> None:
        scene = Scene(
            update_function_configuration=[{}], get_function_configuration=[BUSY, SETTLED]
        )
        assert scene.functions.update("f", "rev", {}) == SETTLED

    def test_one_that_somebody_changed_meanwhile_is_not_updated(self) -> None:
        stale = client_error("PreconditionFailedException")
        scene = Scene(update_function_configuration=[stale])
        assert scene.functions.update("f", "rev", {}) is None

    def test_another_update_under_way_is_awaited(self) -> None:
        conflict = client_error("ResourceConflictException")
        scene = Scene(
            update_function_configuration=[conflict, conflict, {}],
            get_function_configuration=[SETTLED],
        )
        assert scene.functions.update("f", "rev", {}) == SETTLED
        assert len(scene.slept) == 3

    def test_but_not_for_ever(self) -> None:
        conflict = client_error("ResourceConflictException")
        scene = Scene(update_function_configuration=[conflict])
        with pytest.raises(ChangeRefusedError, match="under way"):
            scene.functions.update("f", "rev", {})
        assert len(scene.calls("update_function_configuration")) == 12

    def test_one_that_fails_says_why(self) -> None:
        failed = {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no such subnet"}
        scene = Scene(update_function_configuration=[{}], get_function_configuration=[failed])
        with pytest.raises(ChangeRefusedError, match="no such subnet") as refused:
            scene.functions.update("f", "rev", {})
        assert not isinstance(refused.value, UnseenUpdateError)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [(BUSY, "under way"), (client_error("TooManyRequestsException"), "TooManyRequests")],
    )
    def test_one_that_was_taken_and_whose_end_nobody_saw(self, answer: Any, reason: str) -> None:
        scene = Scene(update_function_configuration=[{}], get_function_configuration=[answer])
        with pytest.raises(UnseenUpdateError, match=reason):
            scene.functions.update("f", "rev", {})

    def test_a_throttle_is_known_by_its_status_too(self) -> None:
        told = {"Error": {"Code": "Odd"}, "ResponseMetadata": {"HTTPStatusCode": 429}}
        throttled = ClientError(told, "UpdateFunctionConfiguration")  # type: ignore[arg-type]
        scene = Scene(update_function_configuration=[throttled, SETTLED])
        assert scene.functions.update("f", "rev", {}) == SETTLED

    def test_one_that_was_not_taken_is_another_matter(self) -> None:
        scene = Scene(update_function_configuration=[client_error("TooManyRequestsException")])
        with pytest.raises(ChangeRefusedError, match="TooManyRequests") as refused:
            scene.functions.update("f", "rev", {})
        assert not isinstance(refused.value, UnseenUpdateError)

    @pytest.mark.parametrize("is_there", [False, True])
    def test_what_is_not_found_may_be_one_of_its_layers(self, is_there: bool) -> None:
        gone = client_error("ResourceNotFoundException", "Layer version arn:x:1 does not exist")
        scene = Scene(
            update_function_configuration=[gone],
            get_function_configuration=[SETTLED if is_there else gone],
        )
        kind = ChangeRefusedError if is_there else GoneError
        with pytest.raises(kind, match="Layer version arn:x:1" if is_there else None):
            scene.functions.update("f", "rev", {})

    def test_no_more_than_12_a_second(self) -> None:
        scene = Scene(update_function_configuration=[SETTLED], **EVERYTHING)
        calls = (
            lambda: scene.functions.update("f", "rev", {}),
            lambda: scene.functions.get("f"),
            lambda: scene.functions.aliases("f"),
            lambda: scene.functions.provisioned("f"),
            lambda: scene.functions.is_throttled("f"),
            lambda: scene.functions.find(["f"]),
            lambda: scene.functions.list_known(["f", "g", "h"]),
            lambda: scene.functions.event_sources({"f"}),
        )
        for _ in range(20):
            for call in calls:
                call()
        times = scene.client.times
        assert len(times) == 20 * len(calls)
        assert all(later - first > 0.999 for first, later in zip(times, times[12:], strict=False))

    def test_what_lambda_says_to_be_through_is_not_looked_at_again(self) -> None:
        scene = Scene(update_function_configuration=[SETTLED])
        assert scene.functions.update("f", "rev", {}) == SETTLED
        assert scene.slept == []

    def test_on_aws_the_first_look_comes_after_a_second(self) -> None:
        scene = Scene(update_function_configuration=[BUSY], get_function_configuration=[SETTLED])
        scene.functions.update("f", "rev", {})
        assert scene.slept == [1.0]


class TestAliases:
    def test_of_all_pages_with_the_weights_of_others(self) -> None:
        one = {"Name": "live", "FunctionVersion": "7", "RevisionId": "r"}
        weights = {"RoutingConfig": {"AdditionalVersionWeights": {"8": 0.1}}}
        scene = Scene(
            list_aliases=[
                {"Aliases": [one], "NextMarker": "x"},
                {"Aliases": [one | {"Name": "next"} | weights]},
            ]
        )
        assert scene.functions.aliases("f") == [
            Alias("live", "7", "r"),
            Alias("next", "7", "r", frozenset({"8"})),
        ]
        assert scene.calls("list_aliases")[1] == {"FunctionName": "f", "Marker": "x"}

    def test_what_has_provisioned_concurrency(self) -> None:
        configs = {"ProvisionedConcurrencyConfigs": [{"FunctionArn": f"{ARN}:live"}]}
        scene = Scene(list_provisioned_concurrency_configs=[configs])
        assert scene.functions.provisioned("f") == {"live"}

    def test_where_provisioned_concurrency_is_unknown_there_is_none(self) -> None:
        scene = Scene(list_provisioned_concurrency_configs=[client_error("AccessDeniedException")])
        assert scene.functions.provisioned("f") == set()

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({"Policy": '{"Statement": [{"Effect": "Allow"}]}'}, True),
            ({"Policy": '{"Statement": [{"Effect": "Deny"}]}'}, False),
            ({"Policy": '{"Statement": []}'}, False),
            (client_error("ResourceNotFoundException"), False),
            (client_error("AccessDeniedException"), True),
            ({"Policy": "what is this?"}, True),
            ({"Policy": "[]"}, True),
        ],
    )
    def test_who_may_call_the_function_without_an_alias(self, answer: Any, expected: bool) -> None:
        assert Scene(get_policy=[answer]).functions.callers("f").are_any is expected


class TestVersions:
    def test_all_but_the_function_itself(self) -> None:
        scene = Scene(list_versions_by_function=[{"Versions": [{"Version": "$LATEST"}]}])
        assert scene.functions.versions("f") == []
        pages = [
            {"Versions": [{"Version": "$LATEST"}, {"Version": "1"}], "NextMarker": "x"},
            {"Versions": [{"Version": "2"}]},
        ]
        scene = Scene(list_versions_by_function=pages)
        assert scene.functions.versions("f") == [{"Version": "1"}, {"Version": "2"}]

    def test_one_is_published_of_what_was_read_and_awaited(self) -> None:
        published = {"Version": "8", "State": "Pending"}
        scene = Scene(publish_version=[published], get_function_configuration=[published, SETTLED])
        assert scene.functions.publish("f", "rev", "code") == "8"
        expected = {"FunctionName": "f", "RevisionId": "rev", "CodeSha256": "code"}
        assert scene.calls("publish_version") == [expected]
        qualified = {"FunctionName": "f", "Qualifier": "8"}
        assert scene.calls("get_function_configuration") == [qualified] * 2

    def test_not_if_somebody_changed_the_function(self) -> None:
        scene = Scene(publish_version=[client_error("PreconditionFailedException")])
        assert scene.functions.publish("f", "rev", None) is None

    def test_an_alias_is_pointed_only_if_it_is_as_it_was_read(self) -> None:
        alias = Alias("live", "7", "rev")
        scene = Scene(update_alias=[{}, client_error("PreconditionFailedException")])
        assert scene.functions.point("f", alias, "8") is True
        assert scene.functions.point("f", alias, "8") is False
        assert scene.calls("update_alias")[0] == {
            "FunctionName": "f",
            "Name": "live",
            "FunctionVersion": "8",
            "RevisionId": "rev",
        }

    def test_one_whose_version_was_deleted_is_no_function_that_is_gone(self) -> None:
        gone = client_error("ResourceNotFoundException", "Function not found: f:7")
        with pytest.raises(ChangeRefusedError, match="alias live can't be pointed to version 7"):
            Scene(update_alias=[gone]).functions.point("f", Alias("live", "8", "rev"), "7")

    def test_a_version_is_deleted_by_its_own_name(self) -> None:
        scene = Scene(delete_function=[{}])
        scene.functions.delete_version("f", "8")
        assert scene.calls("delete_function") == [{"FunctionName": "f:8"}]

    def test_one_that_an_alias_invokes_is_not(self) -> None:
        conflict = client_error("ResourceConflictException", "live references it")
        with pytest.raises(ChangeRefusedError, match="live references it"):
            Scene(delete_function=[conflict]).functions.delete_version("f", "8")

    @pytest.mark.parametrize("number", ["$LATEST", "", "live", "8:", "-1"])
    def test_never_a_function(self, number: str) -> None:
        scene = Scene(delete_function=[{}])
        with pytest.raises(ValueError, match="no version"):
            scene.functions.delete_version("f", number)
        assert scene.client.calls == []


def page(*names: str, more: bool = False, **state: str) -> dict[str, Any]:
    functions = [{"FunctionName": name, "FunctionArn": f"arn:{name}"} | state for name in names]
    return {"Functions": functions} | ({"NextMarker": "more"} if more else {})


class TestList:
    """Pages of ListFunctions have fifty functions each."""

    def test_what_is_known_takes_a_third_of_the_calls_at_most(self) -> None:
        names = [f"f{number}" for number in range(9)]
        pages = [page(name, more=True) for name in names]
        scene = Scene(list_functions=pages)
        assert scene.functions.list_known(names).keys() == {"f0", "f1", "f2"}
        assert [call.get("Marker") for call in scene.calls("list_functions")] == [
            None,
            "more",
            "more",
        ]

    def test_no_page_too_many_is_read(self) -> None:
        scene = Scene(list_functions=[page("a", "b", "c", "x", more=True)])
        assert scene.functions.list_known(["a", "b", "c"]).keys() == {"a", "b", "c"}
        assert len(scene.client.calls) == 1

    def test_a_few_are_not_listed(self) -> None:
        scene = Scene()
        assert scene.functions.list_known(["a", "b"]) == {}

    @pytest.mark.parametrize("names", [[], ["a", "b"], ["a", "b", "c"]])
    def test_what_was_not_read_to_its_end_is_not_taken_for_short(self, names: list[str]) -> None:
        pages = [page("x", more=True), page("y")]
        scene = Scene(list_functions=pages, get_function_configuration=[{}])
        assert scene.functions.list_known(names) == {}
        before = len(scene.calls("list_functions"))
        assert scene.functions.find(["a", "b"]) == {"a": {}, "b": {}}
        assert len(scene.calls("list_functions")) == before

    def test_where_that_is_denied_nothing_is_known(self) -> None:
        scene = Scene(list_functions=[client_error("AccessDeniedException")])
        assert scene.functions.list_known(["a", "b", "c"]) == {}

    def test_a_list_that_says_states_spares_looks(self) -> None:
        """Who waits for a turn to look at a function looks at all that others wait for."""
        names = [f"f{number}" for number in range(200)]
        pages = [
            page(*names[start : start + 50], more=start < 150, **SETTLED)
            for start in range(0, 200, 50)
        ]
        scene = Scene(list_functions=pages * 2, get_function_configuration=[SETTLED])

        def await_others(seconds: float) -> None:
            for _ in range(6000):
                if len(scene.functions._looks._asked) in (0, 200):
                    break
                Event().wait(0.01)
            scene.now += seconds

        scene.functions = LambdaControlPlane(*[scene.client] * 3, lambda: scene.now, await_others)
        assert len(scene.functions.list_known(names)) == 200
        for _ in range(8):
            scene.functions.find(["f0"])
        before = len(scene.client.calls)
        assert before == 12
        with ThreadPoolExecutor(200) as pool:
            looks = [pool.submit(scene.functions.get, name) for name in names]
            assert [look.result()["FunctionName"] for look in looks] == names
        assert len(scene.client.calls) == before + 4

    def test_updates_that_are_about_to_end_are_waited_for(self) -> None:
        """One look is for all of them."""
        names = ["f0", "f1", "f2"]
        scene = Scene(
            list_functions=[page(*names, **SETTLED)],
            update_function_configuration=[BUSY | {"RevisionId": "2"}],
        )
        first_pause, is_looking = 7.0, Event()
        begin = Barrier(len(names))

        def sleep(seconds: float) -> None:
            if seconds == first_pause:
                # One update is old enough, the others are not yet.
                assert begin.wait(60) == 0 or is_looking.wait(60)
                return
            is_looking.set()
            for _ in range(6000):
                if len(scene.functions._looks._asked) == len(names):
                    break
                Event().wait(0.01)

        scene.functions = LambdaControlPlane(*[scene.client] * 3, lambda: 0.0, sleep, first_pause)
        scene.functions.list_known(names)
        with ThreadPoolExecutor(3) as pool:
            updates = [pool.submit(scene.functions.update, name, "1", {}) for name in names]
            assert [one.result()["LastUpdateStatus"] for one in updates] == ["Successful"] * 3
        assert len(scene.calls("list_functions")) == 2

    def test_a_look_that_takes_more_calls_than_a_second_has_room_for_comes_to_its_end(self) -> None:
        scene = Scene(
            list_functions=[page("f", **SETTLED)],
            get_function_configuration=[client_error("TooManyRequestsException")] * 3 + [SETTLED],
        )

        def sleep(seconds: float) -> None:
            scene.now += seconds
            assert scene.now < 100

        clients = [scene.client] * 3
        scene.functions = LambdaControlPlane(*clients, lambda: scene.now, sleep, calls_per_second=2)
        scene.functions.list_known(["f", "g", "h"])
        assert scene.functions.get("g") == SETTLED
        times = scene.client.times
        assert all(later - first > 0.999 for first, later in zip(times, times[2:], strict=False))


class TestConcurrency:
    @pytest.mark.parametrize(
        ("answer", "is_throttled"),
        [
            ({"ReservedConcurrentExecutions": 0}, True),
            ({"ReservedConcurrentExecutions": 1}, False),
            ({}, False),
            (client_error("AccessDeniedException"), False),
        ],
    )
    def test_none_is_told(self, answer: Any, is_throttled: bool) -> None:
        scene = Scene(get_function_concurrency=[answer])
        assert scene.functions.is_throttled("f") is is_throttled


class TestEventSources:
    def mapping(self, queue: str, function: str = ARN, service: str = "sqs") -> dict[str, str]:
        source = f"arn:aws:{service}:eu-west-1:1:{queue}"
        return {"EventSourceArn": source, "FunctionArn": function}

    def limits(self, *mappings: dict[str, str], timeouts: list[int]) -> tuple[Any, Scene]:
        scene = Scene(
            list_event_source_mappings=[{"EventSourceMappings": list(mappings)}],
            get_queue_attributes=[
                {"Attributes": {"VisibilityTimeout": str(timeout)}} for timeout in timeouts
            ],
        )
        return scene.functions.event_sources({"app-Fn"}), scene

    def test_the_least_of_its_queues(self) -> None:
        limits, scene = self.limits(
            self.mapping("a"), self.mapping("b"), self.mapping("a"), timeouts=[60, 30]
        )
        assert (limits["app-Fn"].timeout_limit, limits["app-Fn"].call_latest) == (30, True)
        assert [call["QueueUrl"] for call in scene.calls("get_queue_attributes")] == [
            "https://sqs.eu-west-1.amazonaws.com/1/a",
            "https://sqs.eu-west-1.amazonaws.com/1/b",
        ]

    def test_a_queue_that_can_not_be_read_lets_nothing_be_raised(self) -> None:
        scene = Scene(
            list_event_source_mappings=[{"EventSourceMappings": [self.mapping("gone")]}],
            get_queue_attributes=[client_error("AWS.SimpleQueueService.NonExistentQueue")],
        )
        sources = scene.functions.event_sources({"app-Fn"})["app-Fn"]
        assert (sources.timeout_limit, sources.call_latest) == (0, True)

    def test_one_that_feeds_an_alias_limits_the_function_and_does_not_call_it(self) -> None:
        limits, _ = self.limits(self.mapping("a", ARN + ":live"), timeouts=[30])
        assert (limits["app-Fn"].timeout_limit, limits["app-Fn"].call_latest) == (30, False)

    def test_other_sources_set_no_limit_and_other_functions_are_no_matter(self) -> None:
        limits, scene = self.limits(
            self.mapping("stream", service="kinesis"),
            self.mapping("a", ARN + "-other"),
            {"UUID": "of what there is not yet", "FunctionArn": ARN},
            {},
            timeouts=[1],
        )
        assert limits["app-Fn"].timeout_limit is None
        assert scene.calls("get_queue_attributes") == []
