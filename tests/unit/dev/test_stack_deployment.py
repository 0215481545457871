"""What a stack is deployed with."""

from __future__ import annotations

from typing import Any

from plldb.dev.stack_deployment import StackParameters
from tests.unit.fakes import FakeTarget


class TestStackParameters:
    def test_what_is_given_wins_over_what_is_kept(self) -> None:
        target: Any = FakeTarget("eu-west-1")
        target.cloudformation.add(
            "shop",
            "UPDATE_COMPLETE",
            Parameters=[
                {"ParameterKey": "Stage", "ParameterValue": "dev"},
                {"ParameterKey": "Names", "ParameterValue": "a,b"},
            ],
        )
        parameters = StackParameters(target, "shop", {"Stage": "prod"})
        assert dict(parameters) == {
            "AWS::AccountId": target.account_id,
            "AWS::Region": "eu-west-1",
            "AWS::StackName": "shop",
            "Stage": "prod",
            "Names": "a,b",
        }

    def test_a_stack_that_is_deleted_first_keeps_none(self) -> None:
        target: Any = FakeTarget()
        target.cloudformation.add(
            "shop",
            "ROLLBACK_COMPLETE",
            Parameters=[{"ParameterKey": "Stage", "ParameterValue": "dev"}],
        )
        assert "Stage" not in StackParameters(target, "shop", {})
        assert "Stage" not in StackParameters(target, "other", {})

    def test_nobody_is_asked_for_what_nobody_wants_to_know(self) -> None:
        target: Any = FakeTarget()
        target.cloudformation = None
        StackParameters(target, "shop", {})
