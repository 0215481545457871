"""A tiny model of an AWS account: it carries out a plan's steps, and refuses what AWS would refuse.

Beyond AWS's own rules, the model insists on what plldb promises of each single step, since a run
may be interrupted after any of them: nothing of others is touched, code lies in a private bucket
for as long as a stack may need it, functions are restored before the stack that could do so goes,
and no step is needless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from plldb.bootstrap import planner
from plldb.bootstrap.planner import BucketProtection, BucketState, Observation, Plan, Step
from plldb.bootstrap.release import FINGERPRINT_TAG, VERSION_TAG, Release
from plldb.stacks import StackState

STACK, BUCKET = "plldb", "bucket"
ARTIFACTS, PAYLOADS = "plldb/", "payloads/plldb/"

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
CAME_UP = [
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "IMPORT_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_FAILED",
    # An update without a rollback: the resources may be anywhere between the two releases.
    "UPDATE_FAILED",
]
NEVER_CAME_UP = ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"]
_UPDATED = ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"]
_IMPORTED = ["IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"]
# Operation under way → how it may end; None is a stack that is gone.
ENDS: dict[str, list[str | None]] = {
    "CREATE_IN_PROGRESS": ["CREATE_COMPLETE", *NEVER_CAME_UP[:3]],
    "ROLLBACK_IN_PROGRESS": ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED"],
    "DELETE_IN_PROGRESS": [None, "DELETE_FAILED"],
    "UPDATE_IN_PROGRESS": [*_UPDATED, "UPDATE_FAILED"],
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": ["UPDATE_COMPLETE"],
    "UPDATE_ROLLBACK_IN_PROGRESS": ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"],
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": ["UPDATE_ROLLBACK_COMPLETE"],
    "IMPORT_IN_PROGRESS": _IMPORTED,
    "IMPORT_ROLLBACK_IN_PROGRESS": ["IMPORT_ROLLBACK_COMPLETE"],
}
STATUSES = [*CAME_UP, *NEVER_CAME_UP, "DELETE_FAILED", *ENDS]


@dataclass
class Stack:
    """The helper stack.

    ``deployed`` is what its resources are made from, ``claimed`` what its tags say: they differ
    after an update that failed. ``instruments`` tells whether functions of users depend on it.
    """

    status: str
    deployed: Release
    claimed: Release
    has_termination_protection: bool
    has_protected_tables: bool
    instruments: bool

    @property
    def came_up(self) -> bool:
        return self.status.startswith(("UPDATE_", "IMPORT_")) or self.status == "CREATE_COMPLETE"

    @property
    def is_settled(self) -> bool:
        """Whether the last operation, of those that a release takes, came to a good end."""
        return self.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE") or self.status in _IMPORTED


@dataclass
class Bucket:
    """The artifacts bucket with the keys of its objects.

    Old versions of artifacts are there if somebody turned versioning on; no listing of keys shows
    them.
    """

    protections: set[BucketProtection] = field(default_factory=lambda: set(BucketProtection))
    keys: set[str] = field(default_factory=set)
    has_old_versions: bool = False

    def under(self, prefix: str) -> set[str]:
        return {key for key in self.keys if key.startswith(prefix)}

    @property
    def others(self) -> set[str]:
        return self.keys - self.under(ARTIFACTS) - self.under(PAYLOADS)


@dataclass
class Account:
    """``choose_end`` decides how an operation of somebody else ends, of the ends that it may have.

    ``taken`` are the steps that were carried out.
    """

    bucket: Bucket | None
    stack: Stack | None
    choose_end: Callable[[list[str | None]], str | None] = lambda ends: ends[0]
    taken: list[Step] = field(default_factory=list)

    def observe(self) -> Observation:
        return Observation(self._observe_bucket(), self._observe_stack())

    def _observe_bucket(self) -> BucketState | None:
        if self.bucket is None:
            return None
        return BucketState(
            missing_protections=frozenset(set(BucketProtection) - self.bucket.protections),
            keys=frozenset(self.bucket.under(ARTIFACTS)),
            has_payloads=bool(self.bucket.under(PAYLOADS)),
            is_shared=bool(self.bucket.others),
        )

    def _observe_stack(self) -> StackState | None:
        if self.stack is None:
            return None
        tags = {FINGERPRINT_TAG: self.stack.claimed.fingerprint, VERSION_TAG: "0.0.0"}
        return StackState(
            name=STACK,
            stack_id="arn",
            status=self.stack.status,
            reason="",
            outputs={},
            tags=tags,
            parameters=dict(self.stack.deployed.parameters),
            has_termination_protection=self.stack.has_termination_protection,
        )

    def execute(self, plan: Plan) -> None:
        """Takes every step. Raises AssertionError for one that AWS refuses or plldb must not do."""
        for step in plan:
            assert not self.taken or not _ends_a_plan(self.taken[-1]) or step is plan[0]
            before = self._has_undeletable_tables()
            self._take(step)
            self.taken.append(step)
            # What somebody else's operation left is not this plan's doing.
            was_there = before or isinstance(step, planner.AwaitStack)
            assert was_there or not self._has_undeletable_tables()

    def _has_undeletable_tables(self) -> bool:
        """Whether the stack could be deleted, and its tables could not."""
        stack = self.stack
        return (
            stack is not None
            and stack.came_up
            and stack.has_protected_tables
            and not stack.has_termination_protection
        )

    def _take(self, step: Step) -> None:
        match step:
            case planner.CreateBucket(name):
                assert (name, self.bucket) == (BUCKET, None)
                self.bucket = Bucket()
            case planner.ProtectBucket(name, protection):
                bucket = self._bucket(name)
                assert protection not in bucket.protections
                bucket.protections.add(protection)
            case planner.UploadArtifact(name, artifact):
                bucket = self._bucket(name)
                assert bucket.protections == set(BucketProtection), "the bucket is private"
                assert artifact.key not in bucket.keys
                bucket.keys.add(artifact.key)
            case planner.DeleteObjects(name, prefix, keys):
                self._delete_objects(self._bucket(name), prefix, keys)
            case planner.DeleteBucket(name):
                bucket = self._bucket(name)
                is_empty = not bucket.keys and not bucket.has_old_versions
                assert is_empty, "S3 deletes no bucket that is not empty"
                self.bucket = None
            case planner.CreateStack(release):
                assert self.stack is None
                self._check_code(release)
                has_protection = release.is_protected
                self.stack = Stack(
                    "CREATE_COMPLETE", release, release, has_protection, has_protection, False
                )
            case planner.UpdateStack(release):
                self._update_stack(self._stack(), release)
            case _:
                self._take_on_stack(step)

    def _take_on_stack(self, step: Step) -> None:
        stack = self._stack()
        match step:
            case planner.AwaitStack(name, status):
                assert (name, status) == (STACK, stack.status)
                self._end_operation(stack, self.choose_end(ENDS[status]))
            case planner.ContinueRollback(name):
                assert (name, stack.status) == (STACK, "UPDATE_ROLLBACK_FAILED")
                stack.status = "UPDATE_ROLLBACK_COMPLETE"
            case planner.RestoreStacks(name):
                assert name == STACK
                assert stack.came_up, "there is no function that could restore"
                stack.instruments = False
            case planner.SetTerminationProtection(name, enabled):
                assert name == STACK
                assert stack.has_termination_protection is not enabled
                stack.has_termination_protection = enabled
            case planner.UnprotectTables(name):
                assert name == STACK
                stack.has_protected_tables = False
            case planner.DeleteStack(name, status):
                assert (name, status) == (STACK, stack.status)
                is_busy = status in ENDS and not status.startswith(("CREATE_", "ROLLBACK_"))
                assert not is_busy, "CloudFormation deletes none during an update or a deletion"
                assert not stack.has_termination_protection
                assert not stack.has_protected_tables, "they would outlive the stack"
                assert not stack.instruments, "nobody could restore the functions any more"
                self.stack = None
            case _:
                raise AssertionError(f"unknown step: {step}")

    def _end_operation(self, stack: Stack, end: str | None) -> None:
        if end is None:
            self.stack = None
            return
        if end == "UPDATE_COMPLETE":
            stack.deployed = stack.claimed
            stack.has_protected_tables = stack.deployed.is_protected
        stack.status = end

    def _update_stack(self, stack: Stack, release: Release) -> None:
        assert stack.came_up
        assert stack.status not in (*ENDS, "UPDATE_ROLLBACK_FAILED")
        assert not (stack.is_settled and stack.deployed == release), "there is nothing to update"
        self._check_code(release)
        stack.deployed = stack.claimed = release
        stack.has_protected_tables = release.is_protected
        stack.status = "UPDATE_COMPLETE"

    def _delete_objects(self, bucket: Bucket, prefix: str, keys: frozenset[str] | None) -> None:
        assert prefix in (ARTIFACTS, PAYLOADS), "other objects are not this helper stack's"
        gone = bucket.under(prefix)
        if keys is None:
            bucket.has_old_versions = bucket.has_old_versions and prefix != ARTIFACTS
        else:
            assert keys, "there is nothing to delete"
            assert keys <= gone
            gone = set(keys)
        if self.stack is not None:
            code = {artifact.key for artifact in self.stack.deployed.artifacts}
            assert not gone & code, "the stack may need its code, for a rollback as well"
            assert prefix != PAYLOADS
        bucket.keys -= gone

    def _check_code(self, release: Release) -> None:
        assert self.bucket is not None
        assert {artifact.key for artifact in release.artifacts} <= self.bucket.keys

    def _bucket(self, name: str) -> Bucket:
        assert name == BUCKET
        assert self.bucket is not None
        return self.bucket

    def _stack(self) -> Stack:
        assert self.stack is not None
        return self.stack


def _ends_a_plan(step: Step) -> bool:
    """After it, the state of the stack is not known before somebody looks."""
    return isinstance(step, planner.AwaitStack | planner.ContinueRollback)
