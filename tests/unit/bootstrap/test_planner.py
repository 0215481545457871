"""From what is there to what shall be: which steps, in which order, for every state of a stack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.bootstrap.packager import Artifact
from plldb.bootstrap.planner import (
    AwaitStack,
    BucketState,
    ContinueRollback,
    CreateBucket,
    CreateStack,
    DeleteBucket,
    DeleteObjects,
    DeleteStack,
    Observed,
    Plan,
    ProtectBucket,
    Protection,
    RestoreStacks,
    SetTerminationProtection,
    UnprotectTables,
    UpdateStack,
    UploadArtifact,
    plan_destroy,
    plan_setup,
)
from plldb.bootstrap.release import FINGERPRINT_TAG, VERSION_TAG, Release
from plldb.errors import BootstrapError
from plldb.stacks import StackState

ARTIFACT = Artifact("plldb/functions-1.zip", b"zip")
RELEASE = Release("plldb", "bucket", (ARTIFACT,), "template", {"Key": "value"})
OLD_KEY = "plldb/functions-0.zip"
CURRENT_TAGS = RELEASE.tags
OLD_TAGS = CURRENT_TAGS | {FINGERPRINT_TAG: "old"}

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
HEALTHY = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"]
HALF_WAY = ["UPDATE_FAILED"]  # an update without rollback: its resources may be anywhere
ROLLED_BACK = ["UPDATE_ROLLBACK_COMPLETE"]
DEAD = [
    "CREATE_FAILED",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "DELETE_FAILED",
    "REVIEW_IN_PROGRESS",
]
BUSY = [
    "CREATE_IN_PROGRESS",
    "ROLLBACK_IN_PROGRESS",
    "DELETE_IN_PROGRESS",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    "IMPORT_IN_PROGRESS",
    "IMPORT_ROLLBACK_IN_PROGRESS",
]
STUCK = ["UPDATE_ROLLBACK_FAILED"]
ALL = [*HEALTHY, *HALF_WAY, *ROLLED_BACK, *DEAD, *BUSY, *STUCK]

BUCKETS = {
    "none": None,
    "empty": BucketState(),
    "unprotected": BucketState(missing_protections=frozenset(Protection)),
    "current": BucketState(keys=frozenset({ARTIFACT.key})),
    "current and old": BucketState(keys=frozenset({ARTIFACT.key, OLD_KEY})),
    "shared": BucketState(keys=frozenset({ARTIFACT.key}), is_shared=True),
}
BUCKET_STEPS = {
    "none": [CreateBucket("bucket"), UploadArtifact("bucket", ARTIFACT)],
    "empty": [UploadArtifact("bucket", ARTIFACT)],
    "unprotected": [
        *(ProtectBucket("bucket", protection) for protection in Protection),
        UploadArtifact("bucket", ARTIFACT),
    ],
    "current": [],
    "current and old": [],
    "shared": [],
}
CLEANING = {"current and old": [DeleteObjects("bucket", "plldb/", frozenset({OLD_KEY}))]}


def stack(status: str, tags: dict[str, str]) -> StackState:
    return StackState("plldb", "arn", status, "", {}, tags)


def setup(bucket: BucketState | None, found: StackState | None) -> Plan:
    return plan_setup(RELEASE, Observed(bucket, found), "plldb/")


def destroy(bucket: BucketState | None, found: StackState | None) -> Plan:
    return plan_destroy("plldb", "bucket", Observed(bucket, found), "plldb/")


def stack_steps(status: str | None, tags: dict[str, str]) -> list[Any]:
    if status is None:
        return [CreateStack(RELEASE)]
    if status in DEAD:
        return [DeleteStack("plldb", status), CreateStack(RELEASE)]
    if tags == CURRENT_TAGS and status in HEALTHY:
        return []
    return [UpdateStack(RELEASE)]


class TestSetup:
    @pytest.mark.parametrize("bucket", BUCKETS)
    @pytest.mark.parametrize("tags", [CURRENT_TAGS, OLD_TAGS], ids=["current", "old"])
    @pytest.mark.parametrize("status", [None, *HEALTHY, *ROLLED_BACK, *DEAD])
    def test_bucket_then_code_then_stack_then_cleaning(
        self, status: str | None, tags: dict[str, str], bucket: str
    ) -> None:
        found = None if status is None else stack(status, tags)
        expected = [*BUCKET_STEPS[bucket], *stack_steps(status, tags), *CLEANING.get(bucket, [])]
        assert list(setup(BUCKETS[bucket], found)) == expected

    @pytest.mark.parametrize("bucket", BUCKETS)
    @pytest.mark.parametrize("tags", [CURRENT_TAGS, OLD_TAGS], ids=["current", "old"])
    @pytest.mark.parametrize("status", BUSY)
    def test_a_running_operation_is_awaited_first_and_alone(
        self, status: str, tags: dict[str, str], bucket: str
    ) -> None:
        assert setup(BUCKETS[bucket], stack(status, tags)) == (AwaitStack("plldb", status),)

    @pytest.mark.parametrize("bucket", BUCKETS)
    def test_a_failed_rollback_is_finished_first_and_alone(self, bucket: str) -> None:
        found = stack("UPDATE_ROLLBACK_FAILED", CURRENT_TAGS)
        assert setup(BUCKETS[bucket], found) == (ContinueRollback("plldb"),)

    def test_an_update_that_failed_half_way_is_not_taken_for_current(self) -> None:
        found = stack("UPDATE_FAILED", CURRENT_TAGS)
        assert setup(BUCKETS["current"], found) == (UpdateStack(RELEASE),)

    def test_nothing_to_do_is_an_empty_plan(self) -> None:
        assert setup(BUCKETS["current"], stack("UPDATE_COMPLETE", CURRENT_TAGS)) == ()

    def test_old_code_goes_last_because_a_rollback_may_need_it(self) -> None:
        plan = setup(BucketState(keys=frozenset({OLD_KEY})), stack("CREATE_COMPLETE", OLD_TAGS))
        assert [type(step) for step in plan] == [UploadArtifact, UpdateStack, DeleteObjects]


class TestDestroy:
    @pytest.mark.parametrize("bucket", BUCKETS)
    @pytest.mark.parametrize("status", [None, *HEALTHY, *HALF_WAY, *ROLLED_BACK, *DEAD, *STUCK])
    def test_users_functions_then_stack_then_code_then_bucket(
        self, status: str | None, bucket: str
    ) -> None:
        expected: list[Any] = [] if status is None else [DeleteStack("plldb", status)]
        if status in (*HEALTHY, *HALF_WAY, *ROLLED_BACK, *STUCK):
            expected.insert(0, RestoreStacks("plldb"))
        if bucket != "none":
            expected.append(DeleteObjects("bucket", "plldb/"))
        if bucket not in ("none", "shared"):
            expected.append(DeleteBucket("bucket"))
        found = None if status is None else stack(status, OLD_TAGS)
        assert list(destroy(BUCKETS[bucket], found)) == expected

    def test_a_deletion_under_way_is_awaited(self) -> None:
        found = stack("DELETE_IN_PROGRESS", OLD_TAGS)
        assert destroy(None, found) == (AwaitStack("plldb", "DELETE_IN_PROGRESS"),)

    @pytest.mark.parametrize("status", [s for s in BUSY if s.startswith(("UPDATE_", "IMPORT_"))])
    def test_cloudformation_deletes_no_stack_during_an_update_so_that_is_awaited_too(
        self, status: str
    ) -> None:
        """It answers: "Stack […] cannot be deleted while in status UPDATE_IN_PROGRESS"."""
        assert destroy(BUCKETS["current"], stack(status, OLD_TAGS)) == (
            AwaitStack("plldb", status),
        )

    def test_payloads_go_too(self) -> None:
        with_payloads = BucketState(keys=frozenset({ARTIFACT.key}), has_payloads=True)
        assert destroy(with_payloads, None) == (
            DeleteObjects("bucket", "plldb/"),
            DeleteObjects("bucket", "payloads/plldb/"),
            DeleteBucket("bucket"),
        )
        assert setup(with_payloads, stack("CREATE_COMPLETE", CURRENT_TAGS)) == ()

    def test_a_bucket_that_others_use_stays(self) -> None:
        assert DeleteBucket("bucket") not in destroy(BUCKETS["shared"], None)

    def test_nothing_there_is_an_empty_plan(self) -> None:
        assert destroy(None, None) == ()


PROTECTED = replace(RELEASE, parameters={"Key": "value", "DeletionProtection": "true"})
ON = SetTerminationProtection("plldb", enabled=True)
OFF = SetTerminationProtection("plldb", enabled=False)
TABLES = {"DeletionProtection": "true"}


def protected(status: str, tags: dict[str, str], *, tables: bool = True) -> StackState:
    return StackState("plldb", "arn", status, "", {}, tags, TABLES if tables else {}, True)


class TestProtection:
    def plan(self, release: Release, found: StackState | None) -> list[Any]:
        return list(plan_setup(release, Observed(BUCKETS["current"], found), "plldb/"))

    @pytest.mark.parametrize("status", HEALTHY)
    def test_it_is_put_on_and_off_and_then_there_is_nothing_to_do(self, status: str) -> None:
        assert self.plan(PROTECTED, stack(status, PROTECTED.tags)) == [ON]
        assert self.plan(PROTECTED, protected(status, PROTECTED.tags)) == []
        assert self.plan(RELEASE, protected(status, RELEASE.tags)) == [OFF]
        assert self.plan(RELEASE, stack(status, RELEASE.tags)) == []

    @pytest.mark.parametrize("status", [*HEALTHY, *HALF_WAY, *ROLLED_BACK])
    def test_tables_that_can_not_be_deleted_are_never_in_a_stack_that_can(
        self, status: str
    ) -> None:
        """A run may be interrupted between any two steps."""
        assert self.plan(PROTECTED, stack(status, OLD_TAGS)) == [ON, UpdateStack(PROTECTED)]
        assert self.plan(RELEASE, protected(status, OLD_TAGS)) == [UpdateStack(RELEASE), OFF]

    def test_a_new_stack_is_born_with_it(self) -> None:
        assert self.plan(PROTECTED, None) == [CreateStack(PROTECTED)]

    @pytest.mark.parametrize("status", DEAD)
    @pytest.mark.parametrize("release", [RELEASE, PROTECTED])
    def test_a_stack_that_can_only_be_deleted_is_freed_of_it(
        self, release: Release, status: str
    ) -> None:
        steps = [OFF, UnprotectTables("plldb"), DeleteStack("plldb", status)]
        found = protected(status, OLD_TAGS)
        assert self.plan(release, found) == [*steps, CreateStack(release)]
        if status != "DELETE_FAILED":  # that one did come up
            assert list(destroy(None, found)) == steps

    @pytest.mark.parametrize(
        "status",
        [
            *HEALTHY,
            *HALF_WAY,
            *ROLLED_BACK,
            *STUCK,
            *(s for s in BUSY if not s.startswith("DELETE_")),
            "DELETE_FAILED",
        ],
    )
    @pytest.mark.parametrize(
        "found",
        [
            protected("", OLD_TAGS),
            protected("", OLD_TAGS, tables=False),
            replace(stack("", OLD_TAGS), parameters=TABLES),
        ],
        ids=["both", "stack only", "tables only"],
    )
    def test_destroying_is_refused_with_the_command_that_lifts_it(
        self, found: StackState, status: str
    ) -> None:
        with pytest.raises(BootstrapError, match="'plldb' is protected") as raised:
            destroy(BUCKETS["current"], replace(found, status=status))
        assert "--stack-name plldb --parameter DeletionProtection=false" in str(raised.value.hint)

    def test_a_deletion_that_is_under_way_is_awaited(self) -> None:
        found = protected("DELETE_IN_PROGRESS", OLD_TAGS)
        assert destroy(None, found) == (AwaitStack("plldb", "DELETE_IN_PROGRESS"),)


class TestForeignStacks:
    @pytest.mark.parametrize("bucket", BUCKETS)
    @pytest.mark.parametrize("status", ALL)
    def test_a_stack_without_our_tag_is_never_touched(self, status: str, bucket: str) -> None:
        for plan in (setup, destroy):
            with pytest.raises(BootstrapError, match="'plldb' exists already") as raised:
                plan(BUCKETS[bucket], stack(status, {"team": "blue"}))
            assert "--stack-name" in str(raised.value.hint)

    @given(
        status=st.sampled_from(ALL),
        tags=st.dictionaries(st.text(max_size=9), st.text(max_size=9)),
        keys=st.frozensets(st.sampled_from([ARTIFACT.key, OLD_KEY])),
    )
    def test_whatever_other_tags_it_has(
        self, status: str, tags: dict[str, str], keys: frozenset[str]
    ) -> None:
        tags.pop(VERSION_TAG, None)
        with pytest.raises(BootstrapError):
            setup(BucketState(keys=keys), stack(status, tags))


class TestEveryPlan:
    @given(
        status=st.none() | st.sampled_from(ALL),
        fingerprint=st.sampled_from(["old", RELEASE.fingerprint]),
        bucket=st.none()
        | st.builds(
            BucketState,
            missing_protections=st.frozensets(st.sampled_from(Protection)),
            keys=st.frozensets(st.sampled_from([ARTIFACT.key, OLD_KEY])),
            is_shared=st.booleans(),
        ),
    )
    def test_the_code_is_there_before_a_stack_that_needs_it(
        self, status: str | None, fingerprint: str, bucket: BucketState | None
    ) -> None:
        tags = CURRENT_TAGS | {FINGERPRINT_TAG: fingerprint}
        plan = setup(bucket, None if status is None else stack(status, tags))
        present = set(bucket.keys) if bucket else set()
        for step in plan:
            if isinstance(step, UploadArtifact):
                present.add(step.artifact.key)
            if isinstance(step, CreateStack | UpdateStack):
                assert ARTIFACT.key in present
            if isinstance(step, DeleteObjects):
                assert step.keys is not None
                assert ARTIFACT.key not in step.keys

    def test_each_step_tells_people_what_it_does(self) -> None:
        steps = [
            CreateBucket("b"),
            *(ProtectBucket("b", protection) for protection in Protection),
            UploadArtifact("b", ARTIFACT),
            AwaitStack("plldb", "X"),
            ContinueRollback("plldb"),
            RestoreStacks("plldb"),
            DeleteStack("plldb", "X"),
            CreateStack(RELEASE),
            UpdateStack(RELEASE),
            ON,
            OFF,
            UnprotectTables("plldb"),
            DeleteObjects("b", "plldb/"),
            DeleteObjects("b", "plldb/", frozenset({OLD_KEY})),
            DeleteBucket("b"),
        ]
        texts = [str(step) for step in steps]
        assert len(set(texts)) == len(steps)
        assert not [text for text in texts if "(" in text.split(" (")[0] or "template" in text]
