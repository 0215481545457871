"""Setup and destroy as a whole: from any start to the end that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from plldb.bootstrap.executor import Executor
from plldb.bootstrap.operations import BootstrapOperation
from plldb.bootstrap.planner import AwaitStack
from plldb.bootstrap.release import VERSION_TAG
from plldb.errors import BootstrapError, UsageError
from tests.unit.fakes import FakeTarget, Scene, client_error

OURS = [{"Key": VERSION_TAG, "Value": "0"}]


def run(target: FakeTarget, operation: BootstrapOperation) -> tuple[bool, list[str]]:
    told: list[str] = []

    def make_executor(given: Any) -> Executor:
        return Executor(given, lambda step: told.append(str(step)), lambda _: None)

    return operation.run(make_executor), told


def setup(target: FakeTarget, name: str = "plldb", **parameters: str) -> tuple[bool, list[str]]:
    return run(target, BootstrapOperation.for_setup(target, name, parameters))  # type: ignore[arg-type]


def destroy(target: FakeTarget, name: str = "plldb") -> tuple[bool, list[str]]:
    return run(target, BootstrapOperation.for_destroy(target, name))  # type: ignore[arg-type]


class TestSetup:
    def test_twice(self) -> None:
        target = FakeTarget()
        changed, told = setup(target)
        assert changed
        assert told[-1] == "create stack plldb"
        assert setup(target) == (False, [])

    def test_a_dry_run_changes_nothing(self) -> None:
        target = FakeTarget()
        plan = BootstrapOperation.for_setup(target, "plldb").plan()  # type: ignore[arg-type]
        assert plan
        assert target.s3.buckets == {}
        assert target.cloudformation.stacks == {}

    def test_it_recovers_from_a_failed_first_creation(self) -> None:
        target = FakeTarget()
        target.cloudformation.scripts["create"] = [Scene("ROLLBACK_COMPLETE")]
        with pytest.raises(BootstrapError):
            setup(target)
        target.cloudformation.scripts.clear()
        changed, told = setup(target)
        assert changed
        assert told[-2:] == [
            "delete stack plldb, which is in state ROLLBACK_COMPLETE",
            "create stack plldb",
        ]
        assert setup(target) == (False, [])

    def test_it_waits_for_an_operation_under_way_and_plans_again(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "CREATE_IN_PROGRESS", Tags=OURS)
        target.cloudformation.play(
            "plldb",
            [Scene("CREATE_IN_PROGRESS"), Scene("CREATE_IN_PROGRESS"), Scene("ROLLBACK_COMPLETE")],
        )
        changed, told = setup(target)
        assert changed
        assert told[0].startswith("wait for stack plldb")
        assert told[-1] == "create stack plldb"
        assert target.cloudformation.status("plldb") == "CREATE_COMPLETE"

    def test_it_finishes_a_failed_rollback_first(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "UPDATE_ROLLBACK_FAILED", Tags=OURS)
        _, told = setup(target)
        assert told[0] == "finish the failed rollback of stack plldb"
        assert told[-1] == "update stack plldb"
        assert target.cloudformation.status("plldb") == "UPDATE_COMPLETE"

    def test_if_another_one_did_the_work_meanwhile_nothing_is_left(self) -> None:
        target = FakeTarget()
        setup(target)
        target.cloudformation.play("plldb", [Scene("UPDATE_IN_PROGRESS"), Scene("UPDATE_COMPLETE")])
        _, told = setup(target)
        assert len(told) == 1

    def test_a_rolled_back_stack_without_anything_to_update_is_unchanged(self) -> None:
        target = FakeTarget()
        setup(target)
        target.cloudformation.play("plldb", [Scene("UPDATE_ROLLBACK_COMPLETE")])
        target.cloudformation.refusals["update"] = client_error(
            "ValidationError", "No updates are to be performed.", "UpdateStack"
        )
        changed, told = setup(target)
        assert (changed, told) == (False, ["update stack plldb"])

    def test_against_somebody_who_never_stops_it_gives_up(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "UPDATE_IN_PROGRESS", Tags=OURS)

        class Endless:
            """Each wait ends with the next operation under way."""

            rounds = 0

            def execute(self, plan: Any) -> bool:
                assert isinstance(plan[-1], AwaitStack)
                self.rounds += 1
                return True

        endless = Endless()
        operation = BootstrapOperation.for_setup(target, "plldb")  # type: ignore[arg-type]
        with pytest.raises(BootstrapError, match="somebody else"):
            operation.run(lambda _: endless)  # type: ignore[arg-type,return-value]
        assert 1 < endless.rounds < 20

    def test_two_helper_stacks_live_side_by_side(self) -> None:
        target = FakeTarget()
        setup(target, "one")
        setup(target, "two")
        assert setup(target, "one") == (False, [])
        assert len(target.s3.buckets) == 1
        destroy(target, "one")
        assert setup(target, "two") == (False, [])
        destroy(target, "two")
        assert target.s3.buckets == {}

    def test_a_bad_name_is_wrong_usage(self) -> None:
        for operation in (BootstrapOperation.for_setup, BootstrapOperation.for_destroy):
            with pytest.raises(UsageError):
                operation(FakeTarget(), "no_name")  # type: ignore[arg-type]

    def test_a_foreign_stack_is_left_alone_and_so_is_the_bucket(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "CREATE_COMPLETE", Tags=[])
        for act in (setup, destroy):
            with pytest.raises(BootstrapError):
                act(target)
        assert (target.cloudformation.calls, target.s3.buckets) == ([], {})


class TestParameters:
    def test_what_the_settings_say_holds_after_each_run(self) -> None:
        """Also what somebody else deployed with other settings."""
        target = FakeTarget()
        setup(target, LogRetentionDays="14")
        assert setup(target, LogRetentionDays="14") == (False, [])
        assert setup(target, LogRetentionDays="90") == (True, ["update stack plldb"])
        assert setup(target, LogRetentionDays="14") == (True, ["update stack plldb"])

    def test_deletion_protection_from_birth_to_the_end(self) -> None:
        target = FakeTarget()
        assert setup(target, DeletionProtection="true")[1][-1] == "create stack plldb"
        assert setup(target, DeletionProtection="true") == (False, [])

        calls = list(target.cloudformation.calls)
        with pytest.raises(BootstrapError, match="protected against deletion"):
            destroy(target)
        assert target.cloudformation.calls == calls
        assert (target.restoring.requests, target.sessions.scans) == ([], [])
        assert target.s3.buckets

        _, told = setup(target, DeletionProtection="false")
        assert told == ["update stack plldb", "turn off protection of stack plldb"]
        assert destroy(target)[0]
        assert target.s3.buckets == {}

    def test_protection_that_was_taken_off_by_hand_is_put_back(self) -> None:
        target = FakeTarget()
        setup(target, DeletionProtection="true")
        target.cloudformation.update_termination_protection(
            StackName="plldb", EnableTerminationProtection=False
        )
        changed, told = setup(target, DeletionProtection="true")
        assert (changed, told) == (True, ["turn on protection of stack plldb"])

    def test_a_protected_stack_that_failed_to_be_created_is_no_dead_end(self) -> None:
        target = FakeTarget()
        target.cloudformation.scripts["create"] = [Scene("ROLLBACK_FAILED")]
        with pytest.raises(BootstrapError):
            setup(target, DeletionProtection="true")
        target.cloudformation.scripts.clear()
        _, told = setup(target, DeletionProtection="true")
        assert [step.split()[0] for step in told] == ["turn", "turn", "delete", "create"]
        assert setup(target, DeletionProtection="true") == (False, [])


class TestDestroy:
    def test_it_leaves_nothing_and_can_be_repeated(self) -> None:
        target = FakeTarget()
        setup(target)
        changed, _ = destroy(target)
        assert changed
        assert target.s3.buckets == {}
        assert target.cloudformation.status("plldb") is None
        assert destroy(target) == (False, [])

    def test_it_keeps_the_helper_stack_while_a_function_could_not_be_restored(self) -> None:
        target = FakeTarget()
        outputs = {"SessionsTableName": "sessions", "InstrumentationFunctionName": "instrument"}
        listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        target.cloudformation.add("plldb", "CREATE_COMPLETE", Tags=OURS, Outputs=listed)
        target.sessions.stack_names = ["app"]
        target.restoring.failed["app"] = {"Alpha": "not allowed"}
        with pytest.raises(BootstrapError, match="Alpha of stack app"):
            destroy(target)
        assert target.cloudformation.status("plldb") == "CREATE_COMPLETE"
        target.restoring.failed.clear()
        assert destroy(target)[0]
        assert target.cloudformation.status("plldb") is None

    def test_it_awaits_a_deletion_under_way_and_then_removes_the_rest(self) -> None:
        target = FakeTarget()
        setup(target)
        target.cloudformation.play(
            "plldb", [*[Scene("DELETE_IN_PROGRESS")] * 3, Scene("DELETE_COMPLETE")]
        )
        changed, _ = destroy(target)
        assert changed
        assert target.s3.buckets == {}

    def test_and_everything_can_be_set_up_again(self) -> None:
        target = FakeTarget()
        for _ in range(2):
            assert setup(target)[0]
            assert destroy(target)[0]
