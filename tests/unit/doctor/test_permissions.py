"""Which permissions are missing: simulated where that is allowed, tried otherwise."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from plldb.doctor import permissions, requirements
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckResult, CheckStatus
from plldb.doctor.requirements import (
    ATTACH,
    BOOTSTRAP,
    CHECKED,
    RESTORE,
    RESTORE_FUNCTIONS,
    SESSIONS,
    Purpose,
)
from plldb.errors import AccessDeniedError, SessionError, StackError
from tests.unit.doctor.patient import (
    USER,
    FakeApiClient,
    FakeIam,
    FakeTargetWith,
    make_helper_stack_state,
    patient,
)
from tests.unit.fakes import ACCOUNT, client_error


@pytest.fixture
def iam() -> FakeIam:
    return FakeIam()


def look(purpose: Purpose, iam: FakeIam, **known: Any) -> CheckResult:
    lambda_ = known.pop("lambda_", SimpleNamespace())
    target = FakeTargetWith(iam=iam, **{"lambda": lambda_})
    return permissions.check_permissions(purpose, patient(target, **known))


def actions(entries: Any) -> list[str]:
    return [entry["action"] for entry in entries]


@pytest.mark.parametrize("purpose", CHECKED, ids=lambda purpose: purpose.name)
class TestAll:
    def test_root_may_do_everything(self, purpose: Purpose, iam: FakeIam) -> None:
        found = look(purpose, iam, identity=f"arn:aws:iam::{ACCOUNT}:root")
        assert found.status is CheckStatus.OK
        assert not iam.sources, "IAM does not simulate it"

    def test_nothing_is_missing(self, purpose: Purpose, iam: FakeIam) -> None:
        found = look(purpose, iam, stack_name="app")
        assert found.status is CheckStatus.OK
        assert found.found == f"nothing is missing of {len(purpose.permissions)}"

    def test_each_action_that_is_missing_is_named(self, purpose: Purpose, iam: FakeIam) -> None:
        action = purpose.permissions[-1].action
        iam.denies = {action}
        found = look(purpose, iam)
        assert set(actions(found.data["missing"])) == {action}
        assert f"{action} on arn:aws:" in found.found
        assert USER in (found.hint or "")


@pytest.mark.parametrize(
    ("purpose", "status"),
    [
        (ATTACH, CheckStatus.PROBLEM),
        (RESTORE, CheckStatus.WARNING),
        (SESSIONS, CheckStatus.WARNING),
        (BOOTSTRAP, CheckStatus.WARNING),
    ],
)
def test_only_what_everybody_needs_is_a_problem(
    purpose: Purpose, status: CheckStatus, iam: FakeIam
) -> None:
    iam.denies = {permission.action for permission in purpose.permissions}
    assert look(purpose, iam).status is status


def test_where_cloudformation_acts_as_a_role_nobody_else_needs_its_rights(iam: FakeIam) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
    iam.denies = {"lambda:CreateFunction", "iam:CreateRole", "dynamodb:CreateTable"}
    facts = patient(FakeTargetWith(iam=iam, **{"lambda": SimpleNamespace()}))
    facts.context = replace(facts.context, cloudformation_role=role)
    assert permissions.check_permissions(BOOTSTRAP, facts).status is CheckStatus.OK
    iam.denies = {"iam:PassRole"}
    found = permissions.check_permissions(BOOTSTRAP, facts)
    assert [entry["resource"] for entry in found.data["missing"]] == [role]


@pytest.mark.parametrize(("purpose", "stack_name"), [(ATTACH, "app"), (SESSIONS, "app")])
def test_who_may_use_one_stacks_path_needs_no_more(
    purpose: Purpose, stack_name: str, iam: FakeIam
) -> None:
    """As a policy of a company has it, for the stacks of a team."""
    iam.closed = {
        f"plldb/{verb}/sessions{rest}" for verb in ("POST", "GET", "DELETE") for rest in ("", "/*")
    }
    assert look(purpose, iam, stack_name=stack_name).status is CheckStatus.OK
    assert look(purpose, iam).status is not CheckStatus.OK, "nobody knows which stack it would be"


@pytest.mark.parametrize("state", [None, make_helper_stack_state(version="0.0.1")])
def test_to_bootstrap_is_everybodys_business_where_it_is_due(state: Any, iam: FakeIam) -> None:
    iam.denies = {"s3:PutObject"}
    assert look(BOOTSTRAP, iam, helper_stack_state=state).status is CheckStatus.PROBLEM


def test_conditions_that_a_simulation_does_not_know_are_no_denial(iam: FakeIam) -> None:
    iam.depends = {"iam:PassRole"}
    found = look(BOOTSTRAP, iam)
    assert found.status is CheckStatus.WARNING
    assert "depends on conditions" in found.found
    assert actions(found.data["unknown"]) == ["iam:PassRole"]


def test_of_a_long_list_people_see_the_beginning(iam: FakeIam) -> None:
    iam.denies = {permission.action for permission in BOOTSTRAP.permissions}
    found = look(BOOTSTRAP, iam)
    assert f"and {len(BOOTSTRAP.permissions) - 8} more" in found.found
    assert len(found.data["missing"]) == len(BOOTSTRAP.permissions)


def test_methods_of_an_api_that_is_not_there_are_left_out(iam: FakeIam) -> None:
    class Lost(Facts):
        @property
        def helper_stack(self) -> Any:  # type: ignore[override]
            raise StackError("It is not there.")

    well = patient(FakeTargetWith(iam=iam))
    facts = Lost(well.context)
    vars(facts).update({k: v for k, v in vars(well).items() if k != "helper"})
    assert permissions.check_permissions(ATTACH, facts).found == "nothing is missing of 1"
    only_there = Purpose("restore", "what needs the helper stack", (RESTORE_FUNCTIONS,))
    assert permissions.check_permissions(only_there, facts).status is CheckStatus.SKIPPED


class TestWhoIsSimulated:
    @pytest.mark.parametrize(
        ("identity", "source"),
        [
            (USER, USER),
            (
                f"arn:aws:sts::{ACCOUNT}:assumed-role/Dev/ada",
                f"arn:aws:iam::{ACCOUNT}:role/team/Dev",
            ),
            (
                f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/Hidden/ada",
                f"arn:aws-cn:iam::{ACCOUNT}:role/Hidden",
            ),
        ],
    )
    def test_a_role_is_looked_up_by_its_name(
        self, identity: str, source: str, iam: FakeIam
    ) -> None:
        iam.roles = {"Dev": f"arn:aws:iam::{ACCOUNT}:role/team/Dev"}
        look(RESTORE, iam, identity=identity)
        assert iam.sources == {source}

    def test_nobody_for_a_federated_user(self, iam: FakeIam) -> None:
        found = look(ATTACH, iam, identity=f"arn:aws:sts::{ACCOUNT}:federated-user/ada")
        assert not iam.sources
        assert found.status is CheckStatus.SKIPPED


class TestTrial:
    @pytest.fixture(autouse=True)
    def _no_simulation(self, iam: FakeIam) -> None:
        iam.refusal = client_error("AccessDenied", "no", "SimulatePrincipalPolicy")

    def test_what_can_not_be_tried_could_not_be_found_out(self, iam: FakeIam) -> None:
        found = look(ATTACH, iam)
        assert found.status is CheckStatus.SKIPPED
        assert "could not be found out" in found.found
        assert "iam:SimulatePrincipalPolicy" in (found.hint or "")
        paths = [one["resource"].partition("/plldb/")[2] for one in found.data["unknown"]]
        assert paths == [
            "POST/sessions",
            "DELETE/sessions/*",
        ]

    def test_what_is_refused_is_missing(self, iam: FakeIam) -> None:
        api_client = FakeApiClient()
        api_client.refusal = AccessDeniedError("no")
        found = look(SESSIONS, iam, api_client=api_client)
        assert found.status is CheckStatus.WARNING
        assert [one["resource"].partition("/plldb/")[2] for one in found.data["missing"]] == [
            "GET/sessions",
            "GET/sessions/*",
            "GET/health",
        ]

    def test_who_may_use_one_stacks_path_is_tried_with_that(self, iam: FakeIam) -> None:
        api_client = FakeApiClient()
        api_client.refusal, api_client.own_stack = AccessDeniedError("no"), "app"
        found = look(SESSIONS, iam, api_client=api_client, stack_name="app")
        assert [one["resource"].partition("/plldb/")[2] for one in found.data["missing"]] == [
            "GET/health",
        ]

    def test_that_there_is_no_such_thing_is_only_told_to_who_may_ask(self, iam: FakeIam) -> None:
        api_client = FakeApiClient()
        api_client.refusal = SessionError("404 There is no such session.")
        found = look(SESSIONS, iam, api_client=api_client)
        assert found.data["missing"] == []
        assert [one["resource"].partition("/plldb/")[2] for one in found.data["unknown"]] == [
            "DELETE/sessions",
            "DELETE/sessions/*",
        ]

    def test_functions_are_invoked_dry_only(self, iam: FakeIam) -> None:
        calls = []

        def invoke(**request: Any) -> dict[str, Any]:
            calls.append(request)
            return {"StatusCode": 204}

        found = look(RESTORE, iam, lambda_=SimpleNamespace(invoke=invoke))
        assert found.status is CheckStatus.OK
        assert [call["InvocationType"] for call in calls] == ["DryRun"]

    def test_a_refused_dry_run_is_a_missing_permission(self, iam: FakeIam) -> None:
        def invoke(**_: Any) -> None:
            raise client_error("AccessDeniedException", "no", "Invoke")

        found = look(RESTORE, iam, lambda_=SimpleNamespace(invoke=invoke))
        assert actions(found.data["missing"]) == ["lambda:InvokeFunction"]

    def test_every_trial_is_of_a_permission_that_is_needed(self) -> None:
        needed = {p for purpose in requirements.PURPOSES for p in purpose.permissions}
        assert set(permissions.TRIALS) <= needed
