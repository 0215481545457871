"""Checks of the helper stack."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from plldb.debugger.api_client import Health
from plldb.doctor import helper
from plldb.doctor.facts import Facts
from plldb.doctor.findings import Status
from plldb.errors import AccessDeniedError, StackError
from tests.unit.doctor.patient import (
    FakeManagement,
    FakeTargetWith,
    helper_stack,
    helper_state,
    patient,
    release,
)


class TestDeployed:
    def test_it_is_there(self) -> None:
        assert "CREATE_COMPLETE" in helper.deployed(patient()).found

    @pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED"])
    def test_it_may_be_there_though_its_update_failed(self, status: str) -> None:
        found = helper.deployed(patient(helper=replace(helper_stack(), status=status)))
        assert found.status is Status.WARNING
        assert "plldb bootstrap" in (found.hint or "")

    def test_one_that_is_missing_is_an_error_with_a_hint(self) -> None:
        facts = patient()
        del vars(facts)["helper"]
        with pytest.raises(StackError, match="does not exist"):
            helper.deployed(facts)

    def test_who_may_not_look_can_not_attach_either(self) -> None:
        class Closed(Facts):
            @property
            def helper(self) -> Any:  # type: ignore[override]
                raise AccessDeniedError("No.", "Ask.")

        assert helper.deployed(Closed(patient().question)).status is Status.PROBLEM

    def test_a_stack_to_debug_is_looked_at_if_it_is_named(self) -> None:
        assert helper.debugged_stack(patient()).status is Status.OK
        with pytest.raises(StackError, match="'app', the one to debug, does not exist"):
            helper.debugged_stack(patient(stack_name="app"))


class TestVersion:
    def test_the_same(self) -> None:
        assert helper.version(patient()).status is Status.OK

    @pytest.mark.parametrize(
        ("version", "said"),
        [("0.0.9", "older (0.0.9)"), ("0.10.0", "newer (0.10.0)"), ("unknown", "older (unknown)")],
    )
    def test_another_one(self, version: str, said: str) -> None:
        found = helper.version(patient(helper_state=helper_state(version=version)))
        assert found.status is Status.PROBLEM
        assert said in found.found
        assert "plldb bootstrap" in (found.hint or "")


class TestDrift:
    def test_none(self) -> None:
        assert helper.drift(patient()).status is Status.OK

    def test_parameters_are_named(self) -> None:
        deployed = release({"LogRetentionDays": "30"})
        facts = patient(
            helper_state=helper_state(deployed), release=release({"LogRetentionDays": "14"})
        )
        found = helper.drift(facts)
        assert found.status is Status.WARNING
        assert found.data == {"differing": ["LogRetentionDays"]}

    def test_else_it_is_the_template(self) -> None:
        other = helper_state()
        other.tags.clear()
        assert "the template" in helper.drift(patient(helper_state=other)).found


class TestManagementApi:
    @pytest.mark.parametrize(
        ("health", "status", "said"),
        [
            (Health(True, {"sessions": True}, 0.2), Status.OK, "is healthy"),
            (Health(True, {"sessions": True}, -90.0), Status.WARNING, "by -90 s"),
            (Health(False, {"a": True, "b": False}, 0), Status.PROBLEM, "its tables: b"),
            (Health(False, {}, 0), Status.PROBLEM, "not healthy"),
        ],
    )
    def test_its_health(self, health: Health, status: Status, said: str) -> None:
        found = helper.api(patient(management=FakeManagement(health=health)))
        assert found.status is status
        assert said in found.found

    def test_one_of_an_older_version(self) -> None:
        management = FakeManagement()
        management.refusal = AccessDeniedError("GET /health: 403 Missing Authentication Token")
        found = helper.api(patient(management=management))
        assert (found.status, found.hint) == (Status.PROBLEM, "plldb bootstrap")

    def test_one_that_is_closed_to_the_caller(self) -> None:
        management = FakeManagement()
        management.refusal = AccessDeniedError("GET /health: 403 not authorized")
        with pytest.raises(AccessDeniedError):
            helper.api(patient(management=management))


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
            (["AWS::Events::Rule"], "ENABLED", Status.OK, ""),
            (["AWS::Events::Rule"], "DISABLED", Status.WARNING, "enable-rule --name rule0"),
            (["AWS::SNS::Topic"], "", Status.WARNING, "plldb bootstrap"),
        ],
    )
    def test_its_rule(self, types: list[str], state: str, status: Status, hint: str) -> None:
        events = SimpleNamespace(describe_rule=lambda **_: {"State": state})
        target = FakeTargetWith(cloudformation=FakeResources(*types), events=events)
        found = helper.reaper(patient(target))
        assert found.status is status
        assert hint in (found.hint or "")
