"""Checks of the helper stack."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from plldb.debugger.api_client import Health
from plldb.doctor import helper_stack
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckStatus
from plldb.errors import AccessDeniedError, StackError
from tests.unit.doctor.patient import (
    FakeApiClient,
    FakeTargetWith,
    make_helper_stack,
    make_helper_stack_state,
    patient,
    release,
)


class TestDeployed:
    def test_it_is_there(self) -> None:
        assert "CREATE_COMPLETE" in helper_stack.check_deployed(patient()).found

    @pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED"])
    def test_it_may_be_there_though_its_update_failed(self, status: str) -> None:
        found = helper_stack.check_deployed(
            patient(helper_stack=replace(make_helper_stack(), status=status))
        )
        assert found.status is CheckStatus.WARNING
        assert "plldb bootstrap" in (found.hint or "")

    def test_one_that_is_missing_is_an_error_with_a_hint(self) -> None:
        facts = patient()
        del vars(facts)["helper_stack"]
        with pytest.raises(StackError, match="does not exist"):
            helper_stack.check_deployed(facts)

    def test_who_may_not_look_can_not_attach_either(self) -> None:
        class Closed(Facts):
            @property
            def helper_stack(self) -> Any:  # type: ignore[override]
                raise AccessDeniedError("No.", "Ask.")

        assert helper_stack.check_deployed(Closed(patient().context)).status is CheckStatus.PROBLEM

    def test_a_stack_to_debug_is_looked_at_if_it_is_named(self) -> None:
        assert helper_stack.check_debugged_stack(patient()).status is CheckStatus.OK
        with pytest.raises(StackError, match="'app', the one to debug, does not exist"):
            helper_stack.check_debugged_stack(patient(stack_name="app"))


class TestVersion:
    def test_the_same(self) -> None:
        assert helper_stack.check_version(patient()).status is CheckStatus.OK

    @pytest.mark.parametrize(
        ("version", "said"),
        [("0.0.9", "older (0.0.9)"), ("0.10.0", "newer (0.10.0)"), ("unknown", "older (unknown)")],
    )
    def test_another_one(self, version: str, said: str) -> None:
        found = helper_stack.check_version(
            patient(helper_stack_state=make_helper_stack_state(version=version))
        )
        assert found.status is CheckStatus.PROBLEM
        assert said in found.found
        assert "plldb bootstrap" in (found.hint or "")


class TestDrift:
    def test_none(self) -> None:
        assert helper_stack.check_drift(patient()).status is CheckStatus.OK

    def test_parameters_are_named(self) -> None:
        deployed = release({"LogRetentionDays": "30"})
        facts = patient(
            helper_stack_state=make_helper_stack_state(deployed),
            release=release({"LogRetentionDays": "14"}),
        )
        found = helper_stack.check_drift(facts)
        assert found.status is CheckStatus.WARNING
        assert found.data == {"differing": ["LogRetentionDays"]}

    def test_else_it_is_the_template(self) -> None:
        other = make_helper_stack_state()
        other.tags.clear()
        assert "the template" in helper_stack.check_drift(patient(helper_stack_state=other)).found


class TestManagementApi:
    @pytest.mark.parametrize(
        ("health", "status", "said"),
        [
            (Health(True, {"sessions": True}, 0.2), CheckStatus.OK, "is healthy"),
            (Health(True, {"sessions": True}, -90.0), CheckStatus.WARNING, "by -90 s"),
            (Health(False, {"a": True, "b": False}, 0), CheckStatus.PROBLEM, "its tables: b"),
            (Health(False, {}, 0), CheckStatus.PROBLEM, "not healthy"),
        ],
    )
    def test_its_health(self, health: Health, status: CheckStatus, said: str) -> None:
        found = helper_stack.check_management_api(patient(api_client=FakeApiClient(health=health)))
        assert found.status is status
        assert said in found.found

    def test_one_that_is_closed_to_the_caller(self) -> None:
        api_client = FakeApiClient()
        api_client.refusal = AccessDeniedError("GET /health: 403 not authorized")
        with pytest.raises(AccessDeniedError):
            helper_stack.check_management_api(patient(api_client=api_client))


class FakeResources:
    def __init__(self, *types: str) -> None:
        self._types = types

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_stack_resources"
        resources = [
            {"ResourceType": kind, "PhysicalResourceId": f"rule{number}"}
            for number, kind in enumerate(self._types)
        ]
        page = {"StackResourceSummaries": resources}
        return SimpleNamespace(paginate=lambda **_: iter([page]))


class TestReaper:
    @pytest.mark.parametrize(
        ("types", "state", "status", "hint"),
        [
            (["AWS::SNS::Topic", "AWS::Events::Rule"], "ENABLED", CheckStatus.OK, ""),
            (["AWS::Events::Rule"], "DISABLED", CheckStatus.WARNING, "enable-rule --name rule0"),
        ],
    )
    def test_its_rule(self, types: list[str], state: str, status: CheckStatus, hint: str) -> None:
        events = SimpleNamespace(describe_rule=lambda **_: {"State": state})
        target = FakeTargetWith(cloudformation=FakeResources(*types), events=events)
        found = helper_stack.check_reaper(patient(target))
        assert found.status is status
        assert hint in (found.hint or "")
