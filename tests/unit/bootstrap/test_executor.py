"""Each step does what it says, and can be repeated after a crash."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from plldb.bootstrap import planner
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.observer import observe
from plldb.bootstrap.packager import Artifact
from plldb.bootstrap.planner import BucketProtection, BucketState, Observation, Plan, plan_setup
from plldb.bootstrap.release import Release
from plldb.bootstrap.stack_operation import ResourceEvent
from plldb.errors import AccessDeniedError, AwsError, BootstrapError
from tests.unit.fakes import ACCOUNT, Bucket, FakeTarget, Scene, client_error

ARTIFACT = Artifact("plldb/functions-1.zip", b"zip")
RELEASE = Release("plldb", "bucket", (ARTIFACT,), "the template", {"Key": "value"})


def execute(target: FakeTarget, *steps: Any) -> list[str]:
    """Executes; returns what was reported, steps and resources in their order."""
    told: list[str] = []
    executor = Executor(
        target,  # type: ignore[arg-type]
        lambda step: told.append(str(step)),
        lambda event: told.append(f"{event.logical_id} {event.status}"),
    )
    executor.execute(steps)
    return told


def look(target: FakeTarget) -> Observation:
    return observe(target, bucket="bucket", prefix="plldb/", stack_name="plldb")  # type: ignore[arg-type]


class TestBucket:
    def test_tags_join_those_that_are_there(self) -> None:
        tagged = replace(RELEASE, given_tags={"team": "a", "cost": "1"})
        target = FakeTarget(uses_tls=True)
        target.s3.buckets["bucket"] = Bucket(tags={"cost": "2", "of": "others"})
        execute(target, *plan_setup(tagged, look(target), "plldb/"))
        assert target.s3.buckets["bucket"].tags == {"team": "a", "cost": "1", "of": "others"}
        (stack,) = target.cloudformation.stacks.values()
        assert {"Key": "team", "Value": "a"} in stack["Tags"]
        assert plan_setup(tagged, look(target), "plldb/") == ()
        assert plan_setup(RELEASE, look(target), "plldb/") != (), "the stack has tags to lose"

    def test_a_new_one_is_tagged_as_well(self) -> None:
        tagged = replace(RELEASE, given_tags={"team": "a"})
        target = FakeTarget(uses_tls=True)
        execute(target, *plan_setup(tagged, look(target), "plldb/"))
        assert target.s3.buckets["bucket"].tags == {"team": "a"}

    def test_where_tags_may_not_be_read_they_are_left_alone_and_that_is_said(self) -> None:
        target = FakeTarget(uses_tls=True)
        execute(target, planner.CreateBucket("bucket"))
        target.s3.buckets["bucket"].hides_tags = True
        plan = plan_setup(RELEASE, look(target), "plldb/")
        assert not any(isinstance(step, planner.TagBucket) for step in plan)
        with pytest.raises(BootstrapError, match="may not read its tags") as refused:
            plan_setup(replace(RELEASE, given_tags={"team": "a"}), look(target), "plldb/")
        assert "s3:GetBucketTagging" in (refused.value.hint or "")

    def test_in_the_first_region_it_has_no_location(self) -> None:
        target = FakeTarget("us-east-1")
        execute(target, planner.CreateBucket("bucket"))
        assert target.s3.buckets["bucket"].location is None

    def test_in_every_other_region_it_has(self) -> None:
        target = FakeTarget("eu-west-1")
        execute(target, planner.CreateBucket("bucket"))
        assert target.s3.buckets["bucket"].location == "eu-west-1"

    @pytest.mark.parametrize("uses_tls", [True, False])
    def test_it_is_born_with_all_its_protections(self, uses_tls: bool) -> None:
        target = FakeTarget(uses_tls=uses_tls)
        execute(target, planner.CreateBucket("bucket"))
        assert look(target).bucket == BucketState()
        bucket = target.s3.buckets["bucket"]
        assert bucket.public_access_block is not None
        assert len(bucket.public_access_block) == 4
        assert all(bucket.public_access_block.values())
        assert "AES256" in json.dumps(bucket.encryption)

    @pytest.mark.parametrize("partition", ["aws", "aws-cn"])
    def test_where_there_is_tls_nothing_else_is_let_in(self, partition: str) -> None:
        target = FakeTarget(uses_tls=True, partition=partition)
        execute(target, planner.CreateBucket("bucket"))
        (statement,) = json.loads(target.s3.buckets["bucket"].policy or "")["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        arn = f"arn:{partition}:s3:::bucket"
        assert statement["Resource"] == [arn, f"{arn}/*"]

    def test_an_emulator_on_plain_http_would_be_locked_out_and_is_not(self) -> None:
        target = FakeTarget(uses_tls=False)
        execute(target, planner.CreateBucket("bucket"))
        assert target.s3.buckets["bucket"].policy is None

    @pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
    def test_again_after_a_crash(self, region: str) -> None:
        target = FakeTarget(region, uses_tls=True)
        target.s3.buckets["bucket"] = Bucket(owner=ACCOUNT)
        execute(target, planner.CreateBucket("bucket"))
        assert look(target).bucket == BucketState()

    def test_one_of_another_account_is_refused_by_name(self) -> None:
        target = FakeTarget()
        target.s3.buckets["bucket"] = Bucket(owner="999999999999")
        with pytest.raises(BootstrapError, match="'bucket'") as raised:
            execute(target, planner.CreateBucket("bucket"))
        assert "--profile" in str(raised.value.hint)
        with pytest.raises(BootstrapError, match="'bucket'"):
            look(target)

    def test_whatever_else_s3_refuses_it_for_is_told(self) -> None:
        target = FakeTarget()
        target.s3.refusal_to_create = client_error("TooManyBuckets", "100 at most", "CreateBucket")
        with pytest.raises(AwsError, match="Could not create bucket bucket: 100 at most"):
            execute(target, planner.CreateBucket("bucket"))

    @pytest.mark.parametrize("protection", BucketProtection)
    def test_a_protection_that_is_missing_is_seen_and_mended(
        self, protection: BucketProtection
    ) -> None:
        target = FakeTarget(uses_tls=True)
        execute(target, planner.CreateBucket("bucket"))
        bucket = target.s3.buckets["bucket"]
        match protection:
            case BucketProtection.NO_PUBLIC_ACCESS:
                assert bucket.public_access_block is not None
                bucket.public_access_block["BlockPublicAcls"] = False
            case BucketProtection.ENCRYPTION:
                bucket.encryption = None
            case BucketProtection.TLS_ONLY:
                bucket.policy = json.dumps({"Version": "2012-10-17", "Statement": []})
            case BucketProtection.PAYLOADS_EXPIRE:
                assert bucket.lifecycle is not None
                bucket.lifecycle["Rules"][0]["Status"] = "Disabled"
        found = look(target).bucket
        assert found is not None
        assert found.missing_protections == {protection}
        execute(target, planner.ProtectBucket("bucket", protection))
        assert look(target).bucket == BucketState()

    def test_payloads_expire_after_a_day_and_nothing_else_does(self) -> None:
        target = FakeTarget()
        execute(target, planner.CreateBucket("bucket"))
        lifecycle = target.s3.buckets["bucket"].lifecycle
        assert lifecycle is not None
        (rule,) = lifecycle["Rules"]
        assert rule["Filter"] == {"Prefix": "payloads/"}
        assert rule["Expiration"] == {"Days": 1}

    @pytest.mark.parametrize(
        "rule",
        [
            {"Status": "Enabled", "Prefix": "payloads/", "Expiration": {"Days": 1}},
            {"Status": "Enabled", "Filter": {"Prefix": "payloads/"}, "Expiration": {"Days": 1}},
        ],
    )
    def test_a_rule_counts_however_it_is_given_back(self, rule: dict[str, Any]) -> None:
        target = FakeTarget()
        execute(target, planner.CreateBucket("bucket"))
        target.s3.buckets["bucket"].lifecycle = {"Rules": [rule]}
        assert look(target).bucket == BucketState()

    def test_payloads_are_no_artifacts_and_make_nothing_shared(self) -> None:
        target = FakeTarget()
        execute(target, planner.CreateBucket("bucket"))
        target.s3.put_object(Bucket="bucket", Key="payloads/plldb/1", Body=b"")
        assert look(target).bucket == BucketState(has_payloads=True)
        target.s3.put_object(Bucket="bucket", Key="payloads/plldb-two/1", Body=b"")
        assert look(target).bucket == BucketState(has_payloads=True, is_shared=True)

    def test_upload(self) -> None:
        target = FakeTarget()
        told = execute(
            target,
            planner.CreateBucket("bucket"),
            planner.UploadArtifact("bucket", ARTIFACT),
        )
        assert target.s3.bodies == {ARTIFACT.key: b"zip"}
        assert told == ["create bucket bucket", "upload plldb/functions-1.zip (3 bytes)"]
        assert look(target).bucket == BucketState(
            missing_protections=frozenset(), keys=frozenset({ARTIFACT.key})
        )

    def test_other_helper_stacks_keys_make_it_shared(self) -> None:
        target = FakeTarget()
        execute(target, planner.CreateBucket("bucket"))
        target.s3.put_object(Bucket="bucket", Key="plldb-two/functions-9.zip", Body=b"")
        assert look(target).bucket == BucketState(is_shared=True)


class TestDeletingObjects:
    def _with_versions(self, count: int, markers: int = 0) -> FakeTarget:
        target = FakeTarget()
        target.s3.buckets["bucket"] = Bucket(
            versions=[(f"plldb/{n % 3}.zip", f"v{n}") for n in range(count)],
            delete_markers=[(f"plldb/{n % 3}.zip", f"m{n}") for n in range(markers)],
        )
        return target

    @pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
    def test_all_versions_go_in_batches_of_1000(self, count: int) -> None:
        target = self._with_versions(count, markers=2)
        execute(target, planner.DeleteObjects("bucket", "plldb/"), planner.DeleteBucket("bucket"))
        assert target.s3.buckets == {}
        assert max(target.s3.delete_batches) <= 1000
        assert sum(target.s3.delete_batches) == count + 2

    def test_only_the_given_keys_if_keys_are_given(self) -> None:
        target = self._with_versions(30)
        execute(target, planner.DeleteObjects("bucket", "plldb/", frozenset({"plldb/0.zip"})))
        kept = {key for key, _ in target.s3.buckets["bucket"].versions}
        assert kept == {"plldb/1.zip", "plldb/2.zip"}

    def test_another_helper_stacks_objects_stay(self) -> None:
        target = self._with_versions(3)
        target.s3.put_object(Bucket="bucket", Key="plldb-two/1.zip", Body=b"")
        execute(target, planner.DeleteObjects("bucket", "plldb/"))
        assert [key for key, _ in target.s3.buckets["bucket"].versions] == ["plldb-two/1.zip"]

    def test_an_object_that_s3_could_not_delete_is_an_error(self) -> None:
        """DeleteObjects answers 200 and lists them: no exception tells of them."""
        target = self._with_versions(3)
        target.s3.undeletable = {"plldb/1.zip"}
        with pytest.raises(AwsError, match=r"plldb/1\.zip"):
            execute(target, planner.DeleteObjects("bucket", "plldb/"))

    def test_a_bucket_that_is_not_empty_is_kept_and_told(self) -> None:
        target = self._with_versions(1)
        with pytest.raises(AwsError, match="Could not delete bucket bucket"):
            execute(target, planner.DeleteBucket("bucket"))
        assert "bucket" in target.s3.buckets

    def test_a_bucket_that_is_gone_already_is_fine(self) -> None:
        execute(FakeTarget(), planner.DeleteBucket("bucket"))


class TestStack:
    def test_create_hands_over_the_whole_release(self) -> None:
        target = FakeTarget()
        target.cloudformation.scripts["create"] = [
            Scene("CREATE_IN_PROGRESS", [("Table", "CREATE_IN_PROGRESS", "")]),
            Scene("CREATE_COMPLETE", [("Table", "CREATE_COMPLETE", "")]),
        ]
        told = execute(target, planner.CreateStack(RELEASE))
        assert told == ["create stack plldb", "Table CREATE_IN_PROGRESS", "Table CREATE_COMPLETE"]
        found = look(target).stack
        assert found is not None
        assert (found.status, found.tags) == ("CREATE_COMPLETE", RELEASE.tags)
        (created,) = target.cloudformation.stacks.values()
        assert created["TemplateBody"] == "the template"
        assert target.cloudformation.calls == [("create", "plldb")]

    def test_after_it_there_is_nothing_left_to_do(self) -> None:
        target = FakeTarget(uses_tls=True)

        def plan() -> Plan:
            return plan_setup(RELEASE, look(target), "plldb/")

        execute(target, *plan())
        assert plan() == ()

    @pytest.mark.parametrize("role", [None, "arn:aws:iam::123456789012:role/deploy"])
    def test_cloudformation_acts_as_a_role_that_is_named(self, role: str | None) -> None:
        target = FakeTarget()
        executor = Executor(target, lambda _: None, lambda _: None, role=role)  # type: ignore[arg-type]
        executor.execute((planner.CreateStack(RELEASE),))
        executor.execute((planner.UpdateStack(RELEASE), planner.ContinueRollback("plldb")))
        executor.execute((planner.DeleteStack("plldb", "CREATE_COMPLETE"),))
        assert target.cloudformation.roles == [role or ""] * 4

    def test_update_with_nothing_to_update_is_fine(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "UPDATE_COMPLETE")
        target.cloudformation.refusals["update"] = client_error(
            "ValidationError", "No updates are to be performed.", "UpdateStack"
        )
        execute(target, planner.UpdateStack(RELEASE))

    def test_any_other_refusal_names_the_step(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "UPDATE_COMPLETE")
        target.cloudformation.refusals["update"] = client_error(
            "AccessDenied", "not you", "UpdateStack"
        )
        with pytest.raises(AccessDeniedError, match="Could not update stack plldb: not you"):
            execute(target, planner.UpdateStack(RELEASE))

    def test_delete_follows_the_stack_beyond_its_name(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "ROLLBACK_COMPLETE")
        target.cloudformation.add_event("plldb", "Old", "CREATE_FAILED", "long ago")
        target.cloudformation.scripts["delete"] = [
            Scene("DELETE_IN_PROGRESS", [("Table", "DELETE_IN_PROGRESS", "")]),
            Scene("DELETE_COMPLETE", [("Table", "DELETE_COMPLETE", "")]),
        ]
        told = execute(target, planner.DeleteStack("plldb", "ROLLBACK_COMPLETE"))
        assert told[1:] == ["Table DELETE_IN_PROGRESS", "Table DELETE_COMPLETE"]
        assert target.cloudformation.status("plldb") is None

    def test_what_was_in_use_goes_with_a_second_deletion(self) -> None:
        """Such as an API whose base path a domain still maps."""
        target = FakeTarget()
        target.cloudformation.add("plldb", "CREATE_COMPLETE")
        in_use = Scene("DELETE_FAILED", [("Api", "DELETE_FAILED", "it is in use")])
        target.cloudformation.first_scripts["delete"] = [[in_use]]
        told = execute(target, planner.DeleteStack("plldb", "CREATE_COMPLETE"))
        assert told[1:] == ["Api DELETE_FAILED"]
        assert target.cloudformation.calls == [("delete", "plldb")] * 2
        assert target.cloudformation.status("plldb") is None

    def test_what_stays_in_use_is_named_after_the_second_deletion(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "CREATE_COMPLETE")
        in_use = Scene("DELETE_FAILED", [("Api", "DELETE_FAILED", "it is in use")])
        target.cloudformation.scripts["delete"] = [in_use]
        with pytest.raises(BootstrapError, match=r"Api .*: it is in use"):
            execute(target, planner.DeleteStack("plldb", "CREATE_COMPLETE"))
        assert target.cloudformation.calls == [("delete", "plldb")] * 2

    def test_delete_and_create_again_in_one_plan(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "ROLLBACK_COMPLETE")
        execute(
            target,
            planner.DeleteStack("plldb", "ROLLBACK_COMPLETE"),
            planner.CreateStack(RELEASE),
        )
        assert target.cloudformation.status("plldb") == "CREATE_COMPLETE"

    def test_a_failed_rollback_is_continued_and_awaited(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "UPDATE_ROLLBACK_FAILED")
        execute(target, planner.ContinueRollback("plldb"))
        assert target.cloudformation.calls == [("continue", "plldb")]
        assert target.cloudformation.status("plldb") == "UPDATE_ROLLBACK_COMPLETE"

    def test_somebody_elses_operation_is_awaited_whatever_its_end(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "CREATE_IN_PROGRESS")
        target.cloudformation.play(
            "plldb", [Scene("CREATE_IN_PROGRESS"), Scene("ROLLBACK_COMPLETE")]
        )
        execute(target, planner.AwaitStack("plldb", "CREATE_IN_PROGRESS"))
        assert target.cloudformation.status("plldb") == "ROLLBACK_COMPLETE"
        assert target.cloudformation.calls == []

    def test_a_stack_that_went_away_meanwhile_needs_no_waiting(self) -> None:
        execute(FakeTarget(), planner.AwaitStack("plldb", "DELETE_IN_PROGRESS"))


class TestProtection:
    def test_a_stack_is_born_with_it_or_without(self) -> None:
        for value in ("true", "false"):
            target = FakeTarget()
            protected = replace(RELEASE, parameters={"DeletionProtection": value})
            execute(target, planner.CreateStack(protected))
            found = look(target).stack
            assert found is not None
            assert found.has_termination_protection is (value == "true")
            assert found.parameters == {"DeletionProtection": value}

    def test_even_where_the_engine_overlooks_it(self) -> None:
        target = FakeTarget()
        target.cloudformation.overlooks = {"EnableTerminationProtection"}
        protected = replace(RELEASE, parameters={"DeletionProtection": "true"})
        execute(target, planner.CreateStack(protected))
        found = look(target).stack
        assert found is not None
        assert found.has_termination_protection

    def test_it_is_put_on_and_off(self) -> None:
        target = FakeTarget()
        target.cloudformation.add("plldb", "CREATE_COMPLETE")
        for enabled in (True, True, False, False):
            execute(target, planner.SetTerminationProtection("plldb", enabled))
            found = look(target).stack
            assert found is not None
            assert found.has_termination_protection is enabled

    def test_tables_are_freed_as_far_as_they_are_the_stacks(self) -> None:
        target = FakeTarget()
        target.sessions.tables = {"sessions", "other", "third", "of-somebody-else", "role"}
        target.cloudformation.resources["plldb"] = [
            {"ResourceType": kind, "PhysicalResourceId": name, "ResourceStatus": status}
            for kind, name, status in [
                ("AWS::DynamoDB::Table", "sessions", "DELETE_FAILED"),
                ("AWS::DynamoDB::Table", "other", "CREATE_COMPLETE"),
                ("AWS::DynamoDB::Table", "third", "UPDATE_COMPLETE"),
                ("AWS::DynamoDB::Table", "gone", "CREATE_COMPLETE"),
                ("AWS::DynamoDB::Table", "", "CREATE_COMPLETE"),
                ("AWS::DynamoDB::Table", "of-somebody-else", "CREATE_FAILED"),
                ("AWS::IAM::Role", "role", "CREATE_COMPLETE"),
            ]
        ]
        execute(target, planner.UnprotectTables("plldb"))
        assert target.sessions.unprotected == ["sessions", "other", "third"]

    def test_what_dynamodb_refuses_is_told(self) -> None:
        target = FakeTarget()
        target.sessions.refusal_to_update = client_error("AccessDenied", "no", "UpdateTable")
        target.cloudformation.resources["plldb"] = [
            {
                "ResourceType": "AWS::DynamoDB::Table",
                "PhysicalResourceId": "sessions",
                "ResourceStatus": "CREATE_COMPLETE",
            }
        ]
        with pytest.raises(AccessDeniedError, match="Could not turn off deletion protection"):
            execute(target, planner.UnprotectTables("plldb"))


class TestRestoringStacks:
    STEP = planner.RestoreStacks("plldb")

    def _with_sessions(self, *stack_names: str) -> FakeTarget:
        target = FakeTarget()
        outputs = {"SessionsTableName": "sessions", "InstrumentationFunctionName": "instrument"}
        listed = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        target.cloudformation.add("plldb", "CREATE_COMPLETE", Outputs=listed)
        target.sessions.stack_names = list(stack_names)
        return target

    def test_each_stack_that_had_a_session_is_restored_once(self) -> None:
        target = self._with_sessions("two", "one", "two", "two", "three")
        execute(target, self.STEP)
        assert target.restoring.requests == [
            (
                "instrument",
                {
                    "operation": "restore",
                    "stackName": name,
                    "holds": None,
                    # For a helper stack of 0.1.0.
                    "sessionRef": None,
                    "connectionId": None,
                },
            )
            for name in ("one", "three", "two")
        ]
        (scan,) = target.sessions.scans
        assert (scan["TableName"], scan["ConsistentRead"]) == ("sessions", True)

    def test_so_is_one_of_which_functions_are_listed(self) -> None:
        target = self._with_sessions("two")
        target.sessions.listed = ["two", "legacy"]
        execute(target, self.STEP)
        restored = [request["stackName"] for _, request in target.restoring.requests]
        assert restored == ["legacy", "two"]

    @pytest.mark.parametrize(("stack_names", "changed"), [([], False), (["one"], True)])
    def test_without_a_session_nothing_changes(self, stack_names: list[str], changed: bool) -> None:
        target = self._with_sessions(*stack_names)
        executor = Executor(target, lambda _: None, lambda _: None)  # type: ignore[arg-type]
        assert executor.execute((self.STEP,)) is changed

    @pytest.mark.parametrize("missing", ["SessionsTableName", "InstrumentationFunctionName"])
    def test_a_stack_that_does_not_say_what_could_restore_is_kept(self, missing: str) -> None:
        target = self._with_sessions("one")
        (stack,) = target.cloudformation.stacks.values()
        stack["Outputs"] = [one for one in stack["Outputs"] if one["OutputKey"] != missing]
        with pytest.raises(BootstrapError, match=f"no output {missing}"):
            execute(target, self.STEP, planner.DeleteStack("plldb", "CREATE_COMPLETE"))
        assert target.cloudformation.calls == []

    def test_one_that_went_away_meanwhile_has_nothing_to_restore(self) -> None:
        executor = Executor(FakeTarget(), lambda _: None, lambda _: None)  # type: ignore[arg-type]
        assert not executor.execute((self.STEP,))

    def test_a_table_or_function_that_was_deleted_by_hand_holds_nothing_up(self) -> None:
        target = self._with_sessions("one")
        target.restoring.refusal = client_error("ResourceNotFoundException")
        execute(target, self.STEP)
        target.sessions.stack_names = None
        execute(target, self.STEP)

    def test_what_could_not_be_restored_is_named_and_the_stack_kept(self) -> None:
        target = self._with_sessions("one", "two", "three")
        target.restoring.failed["one"] = {"Beta": "it is busy", "Alpha": "not allowed"}
        target.restoring.crashes["three"] = "Task timed out"
        with pytest.raises(BootstrapError) as raised:
            execute(target, self.STEP, planner.DeleteStack("plldb", "CREATE_COMPLETE"))
        assert raised.value.message == (
            "Not all functions could be restored: Alpha of stack one (not allowed); "
            "Beta of stack one (it is busy); those of stack three (Task timed out)."
        )
        assert "'plldb restore'" in str(raised.value.hint)
        assert len(target.restoring.requests) == 3, "the others are restored all the same"
        assert target.cloudformation.calls == []

    def test_any_refusal_names_the_step(self) -> None:
        target = self._with_sessions("one")
        target.restoring.refusal = client_error("AccessDeniedException", "not you", "Invoke")
        with pytest.raises(AccessDeniedError, match=r"Could not restore .* instruments: not you"):
            execute(target, self.STEP)


def test_it_says_whether_anything_changed() -> None:
    target = FakeTarget()
    target.cloudformation.add("plldb", "UPDATE_COMPLETE")
    executor = Executor(target, lambda _: None, lambda _: None)  # type: ignore[arg-type]
    assert executor.execute((planner.CreateBucket("bucket"),))
    assert executor.execute((planner.UpdateStack(RELEASE),))
    target.cloudformation.refusals["update"] = client_error(
        "ValidationError", "No updates are to be performed.", "UpdateStack"
    )
    assert not executor.execute((planner.UpdateStack(RELEASE),))
    assert not executor.execute(())


def test_a_step_is_announced_before_it_is_taken() -> None:
    target = FakeTarget()
    target.s3.buckets["bucket"] = Bucket(owner="999999999999")
    told: list[Any] = []
    events: list[ResourceEvent] = []
    executor = Executor(target, told.append, events.append)  # type: ignore[arg-type]
    with pytest.raises(BootstrapError):
        executor.execute((planner.CreateBucket("bucket"), planner.CreateStack(RELEASE)))
    assert told == [planner.CreateBucket("bucket")]
    assert target.cloudformation.calls == []
