"""What crashed sessions left is found, and told without anything secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from lambda_functions.shared import constants

from plldb.doctor import leftovers
from plldb.doctor.facts import EndpointAnswer
from plldb.doctor.findings import CheckResult, CheckStatus
from plldb.errors import AccessDeniedError, AwsError
from tests.aws_lambda import AwsLambda
from tests.unit.doctor.patient import (
    USER,
    WEBSOCKET_API,
    FakeApiClient,
    FakeTargetWith,
    patient,
    view,
)
from tests.unit.fakes import FakeDynamoDb, client_error
from tests.virtual_time import VirtualTime

TOKEN = "a-secret-token"
AWS_URL = f"wss://{WEBSOCKET_API}.execute-api.us-east-1.amazonaws.com/plldb"
EMULATED_URL = f"ws://localhost:4566/_aws/execute-api/{WEBSOCKET_API}/plldb"
OTHER_URL = "wss://other.execute-api.us-east-1.amazonaws.com/plldb"


def instrumented(name: str, session: str, url: str = AWS_URL, **more: str) -> dict[str, Any]:
    variables = {
        constants.SESSION: session,
        constants.HELD_BY: USER,
        constants.WEBSOCKET_URL: url,
        constants.TOKEN: TOKEN,
    } | more
    return {
        "FunctionName": name,
        "FunctionArn": f"arn:{name}",
        "Handler": constants.SHIM_HANDLER,
        "Environment": {"Variables": variables},
    }


class FakeLambda:
    """Functions, and the stacks that they are of by their tags; None: tags can't be read."""

    def __init__(self, *functions: dict[str, Any], **stacks: str | None) -> None:
        self._functions = functions
        self._stacks = stacks

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_functions"
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        assert parameters == {"FunctionVersion": "ALL"}
        for one in self._functions:
            yield {"Functions": [one]}

    def list_tags(self, *, Resource: str) -> dict[str, Any]:  # noqa: N803
        name = Resource.removeprefix("arn:")
        stack = self._stacks.get(name, "app")
        if stack is None:
            raise client_error("AccessDeniedException", "no", "ListTags")
        return {"Tags": {"aws:cloudformation:stack-name": stack}}


class FakeResources:
    """CloudFormation with the physical ids of one stack; None: they can't be read."""

    def __init__(self, members: list[str] | None) -> None:
        self._members = members

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_stack_resources"
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, **_: Any) -> Iterator[dict[str, Any]]:
        if self._members is None:
            raise client_error("AccessDenied", "no", "ListStackResources")
        # One that failed to be made has none.
        yield {"StackResourceSummaries": [{"ResourceStatus": "CREATE_FAILED"}]}
        for name in self._members:
            yield {"StackResourceSummaries": [{"PhysicalResourceId": name}]}


def functions(
    lambda_: FakeLambda,
    *attached: str,
    stack_name: str | None = None,
    members: list[str] | None = None,
) -> CheckResult:
    api_client = FakeApiClient(*(view(session) for session in attached))
    target = FakeTargetWith(**{"lambda": lambda_, "cloudformation": FakeResources(members)})
    return leftovers.check_functions(patient(target, api_client=api_client, stack_name=stack_name))


class TestOnAws:
    """On the double of Lambda's control plane, with its pages and its rate."""

    def test_a_large_account_is_looked_at_without_hurry(self) -> None:
        time = VirtualTime()
        aws = AwsLambda(time, latency=0.01)
        for number in range(400):
            aws.add(f"user-{number:03}")
        for number in range(20):
            left = instrumented(f"user-{number:03}", f"gone{number:04}")
            aws.edit(left["FunctionName"], Handler=left["Handler"], Environment=left["Environment"])
        target = FakeTargetWith(**{"lambda": aws.client("doctor")})
        target.is_aws = True
        facts = patient(target, api_client=FakeApiClient(), sleep=time.sleep)
        (found,) = time.run(lambda: leftovers.check_functions(facts))
        assert len(found.data["functions"]) == 20
        assert aws.throttled("doctor") == 0
        times = [call.time for call in aws.calls]
        assert len(times) == 8 + 20
        assert all(later - first > 1 for first, later in zip(times, times[6:], strict=False))


class TestFunctions:
    def test_none(self) -> None:
        plain = {"FunctionName": "f", "FunctionArn": "arn:f", "Handler": "app.handler"}
        assert functions(FakeLambda(plain)).status is CheckStatus.OK

    @pytest.mark.parametrize("url", [AWS_URL, EMULATED_URL])
    def test_one_whose_holder_is_attached_is_in_order(self, url: str) -> None:
        found = functions(FakeLambda(instrumented("f", "11112222", url)), "11112222")
        assert found.status is CheckStatus.OK
        assert found.found.startswith("1 instrumented")

    @pytest.mark.parametrize("url", [AWS_URL, EMULATED_URL])
    def test_one_whose_holder_is_gone_is_named_with_its_stack(self, url: str) -> None:
        found = functions(FakeLambda(instrumented("f", "11112222", url)), "33334444")
        assert found.status is CheckStatus.PROBLEM
        assert f"f of stack app (by {USER})" in found.found
        assert found.hint == "plldb restore --stack-name app"
        assert found.data["functions"] == [
            {
                "name": "f",
                "function": "",
                "stackName": "app",
                "session": "11112222",
                "owner": USER,
            }
        ]
        assert TOKEN not in str(found)

    def test_one_of_a_nested_stack_is_named_as_in_the_session_of_the_stack_above(self) -> None:
        says = {constants.FUNCTION: "Child/Greeter", constants.STACK: "root"}
        lambda_ = FakeLambda(instrumented("f", "1", **says), f="root-Child-X")
        found = functions(lambda_)
        assert f"Child/Greeter of stack root (by {USER})" in found.found
        assert found.hint == "plldb restore --stack-name root"
        assert functions(lambda_, stack_name="root").status is CheckStatus.PROBLEM
        assert functions(lambda_, stack_name="root-Child-X").status is CheckStatus.OK

    def test_one_of_no_stack_says_the_name_of_its_list(self) -> None:
        says = {constants.FUNCTION: "greeter", constants.STACK: "loose"}
        found = functions(FakeLambda(instrumented("f", "1", **says), f=None))
        assert found.hint == "plldb restore --stack-name loose"

    def test_an_image_function_without_a_handler_is_passed_over(self) -> None:
        assert functions(FakeLambda({"FunctionName": "i"})).status is CheckStatus.OK

    def test_a_version_that_was_published_for_an_alias_is_named_with_its_number(self) -> None:
        version = instrumented("greeter", "over1234")
        version |= {"Version": "8", "FunctionArn": "arn:greeter:8"}
        version["Environment"]["Variables"][constants.ALIASES] = '{"live": "7"}'
        (left,) = functions(FakeLambda(version)).data["functions"]
        assert (left["name"], left["stackName"]) == ("greeter:8", "app")

    def test_one_that_somebody_else_published_meanwhile_is_passed_over(self) -> None:
        version = instrumented("greeter", "over1234") | {"Version": "8"}
        assert functions(FakeLambda(version)).status is CheckStatus.OK

    def test_the_stack_may_not_be_known(self) -> None:
        found = functions(FakeLambda(instrumented("f", "1"), f=None))
        assert "f of an unknown stack" in found.found
        assert "plldb restore --stack-name S" in (found.hint or "")

    def test_several_stacks(self) -> None:
        lambda_ = FakeLambda(instrumented("f", "1"), instrumented("g", "1"), f="b", g="a")
        hint = functions(lambda_).hint
        assert hint == "plldb restore --stack-name a and plldb restore --stack-name b"

    def test_only_the_stack_that_was_asked_for(self) -> None:
        lambda_ = FakeLambda(instrumented("f", "1"), instrumented("g", "1"), f="a", g="b")
        found = functions(lambda_, stack_name="b")
        assert [one["name"] for one in found.data["functions"]] == ["g"]
        assert functions(lambda_, stack_name="c").status is CheckStatus.OK

    def test_who_may_list_sessions_of_that_stack_only_learns_of_its_functions(self) -> None:
        api_client = FakeApiClient(
            view("1", "a"), view("2", "b"), replace(view("3", "b"), status="CLOSED")
        )
        api_client.refusal, api_client.own_stack = AccessDeniedError("no"), "b"
        stacks = {"1": "a", "2": "b", "3": "b"}
        lambda_ = FakeLambda(*(instrumented(one, one) for one in stacks), **stacks)
        facts = patient(
            FakeTargetWith(**{"lambda": lambda_, "cloudformation": FakeResources([])}),
            api_client=api_client,
            stack_name="b",
        )
        (left,) = leftovers.check_functions(facts).data["functions"]
        assert left["name"] == "3"

    def test_which_is_known_of_the_named_stack_without_tags(self) -> None:
        lambda_ = FakeLambda(instrumented("f", "1"), instrumented("g", "1"), f=None, g=None)
        found = functions(lambda_, stack_name="b", members=["g"])
        assert [(one["name"], one["stackName"]) for one in found.data["functions"]] == [("g", "b")]

    def test_those_of_other_helper_stacks_are_counted_only(self) -> None:
        found = functions(FakeLambda(instrumented("f", "1", OTHER_URL)))
        assert found.status is CheckStatus.OK
        assert "1 held through other helper stacks" in found.found


def item(number: int, ttl: int, status: str = "ACTIVE", stack: str = "app") -> dict[str, Any]:
    return {
        "SessionId": {"S": f"id{number}"},
        "StackName": {"S": stack},
        "Status": {"S": status},
        "TTL": {"N": str(ttl)},
        "ConnectionId": {"S": f"c{number}"},
    }


def sessions(
    *items: dict[str, Any],
    ahead: float = 0.0,
    stack_name: str | None = None,
    table: FakeDynamoDb | None = None,
) -> CheckResult:
    """At second 1000 of the target's clock."""
    table = table or FakeDynamoDb()
    for one in items:
        table.items[one["SessionId"]["S"]] = one
    answer = EndpointAnswer("http://x", "Thu, 01 Jan 1970 00:16:40 GMT", 1000 + ahead)
    facts = patient(
        FakeTargetWith(dynamodb=table),
        endpoint_answer=answer,
        clock=lambda: 1000 + ahead,
        stack_name=stack_name,
    )
    return leftovers.check_sessions(facts)


class TestSessions:
    def test_none(self) -> None:
        assert sessions().status is CheckStatus.OK

    def test_those_in_their_time_are_in_order(self) -> None:
        assert sessions(item(1, 1001), item(2, 999, "CLOSED")).status is CheckStatus.OK

    def test_those_past_it_are_counted_by_stack(self) -> None:
        items: Iterator[dict[str, Any]] = (item(n, 990, stack=f"s{n % 2}") for n in range(7))
        found = sessions(*items)
        assert found.status is CheckStatus.WARNING
        assert "7 open past their time, of stacks: s0, s1" in found.found
        assert "id1" not in str(found)

    def test_it_is_the_targets_clock_that_counts(self) -> None:
        assert sessions(item(1, 1001), ahead=5000).status is CheckStatus.OK
        assert sessions(item(1, 999), ahead=-5000).status is CheckStatus.WARNING

    def test_only_the_stack_that_was_asked_for(self) -> None:
        found = sessions(item(1, 990, stack="a"), item(2, 990, stack="b"), stack_name="b")
        assert found.data == {"stacks": ["b"]}

    def test_each_is_read_once(self) -> None:
        table = FakeDynamoDb()
        found = sessions(*(item(number, 990) for number in range(7)), table=table)
        assert "7 open" in found.found
        assert table.calls.count("GetItem") == 7

    def test_one_that_is_deleted_meanwhile_is_passed_over(self) -> None:
        class Forgetful(FakeDynamoDb):
            def get_item(self, *, Key: dict[str, Any], **request: Any) -> dict[str, Any]:  # noqa: N803
                self.items.pop("id1", None)
                return super().get_item(Key=Key, **request)

        found = sessions(item(1, 990), item(2, 990), table=Forgetful())
        assert "1 open" in found.found

    def test_a_throttled_table_is_an_error_with_its_reason(self) -> None:
        """The client repeats by itself what is throttled, before it gives up."""

        class Busy(FakeDynamoDb):
            def get_item(self, **_: Any) -> dict[str, Any]:  # type: ignore[override]
                raise client_error("ProvisionedThroughputExceededException", "slow down")

        with pytest.raises(AwsError, match="read the sessions: slow down"):
            sessions(item(1, 990), table=Busy())
