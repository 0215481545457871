"""Plans the steps from what is there to what shall be there; decides, and does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from plldb.bootstrap.packager import Artifact
from plldb.bootstrap.parameters import DELETION_PROTECTION, FLAG
from plldb.bootstrap.release import FINGERPRINT_TAG, Release, make_payloads_prefix
from plldb.config import VERSION_TAG
from plldb.errors import BootstrapError

if TYPE_CHECKING:
    from plldb.stacks import StackState


class BucketProtection(Enum):
    """One of the settings that keep the artifacts bucket private and tidy.

    The value is how a step names the setting to people.
    """

    NO_PUBLIC_ACCESS = "block public access"
    ENCRYPTION = "encrypt"
    TLS_ONLY = "refuse requests without TLS"
    PAYLOADS_EXPIRE = "let payloads expire after a day"


@dataclass(frozen=True)
class BucketState:
    """The artifacts bucket, as one helper stack sees it.

    ``keys`` are the artifacts of this helper stack. ``has_payloads`` tells whether payloads of its
    sessions are left, ``is_shared`` whether the bucket holds objects of other helper stacks, too.
    ``tags`` are None where nobody may read them.
    """

    missing_protections: frozenset[BucketProtection] = frozenset()
    keys: frozenset[str] = frozenset()
    has_payloads: bool = False
    is_shared: bool = False
    tags: Mapping[str, str] | None = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """The bucket and the stack as they were found; None is what does not exist."""

    bucket: BucketState | None
    stack: StackState | None


@dataclass(frozen=True)
class CreateBucket:
    bucket: str

    def __str__(self) -> str:
        return f"create bucket {self.bucket}"


@dataclass(frozen=True)
class ProtectBucket:
    bucket: str
    protection: BucketProtection

    def __str__(self) -> str:
        return f"{self.protection.value} on bucket {self.bucket}"


@dataclass(frozen=True)
class TagBucket:
    """``tags`` are all that the bucket shall have, those that others gave it included."""

    bucket: str
    tags: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return f"tag bucket {self.bucket}"


@dataclass(frozen=True)
class UploadArtifact:
    bucket: str
    artifact: Artifact

    def __str__(self) -> str:
        return f"upload {self.artifact.key} ({len(self.artifact.body):,} bytes)"


@dataclass(frozen=True)
class AwaitStack:
    """Waits for an operation that is under way, perhaps that of a run that was interrupted."""

    stack_name: str
    status: str

    def __str__(self) -> str:
        return f"wait for stack {self.stack_name}, which is in state {self.status}"


@dataclass(frozen=True)
class ContinueRollback:
    stack_name: str

    def __str__(self) -> str:
        return f"finish the failed rollback of stack {self.stack_name}"


@dataclass(frozen=True)
class RestoreStacks:
    """Restores every debugged stack: without the helper stack, nobody could restore it later."""

    stack_name: str

    def __str__(self) -> str:
        return f"restore the functions that stack {self.stack_name} still instruments"


@dataclass(frozen=True)
class DeleteStack:
    stack_name: str
    status: str

    def __str__(self) -> str:
        return f"delete stack {self.stack_name}, which is in state {self.status}"


@dataclass(frozen=True)
class CreateStack:
    release: Release = field(repr=False)

    def __str__(self) -> str:
        return f"create stack {self.release.stack_name}"


@dataclass(frozen=True)
class UpdateStack:
    release: Release = field(repr=False)

    def __str__(self) -> str:
        return f"update stack {self.release.stack_name}"


@dataclass(frozen=True)
class SetTerminationProtection:
    stack_name: str
    enabled: bool

    def __str__(self) -> str:
        return f"turn {'on' if self.enabled else 'off'} protection of stack {self.stack_name}"


@dataclass(frozen=True)
class UnprotectTables:
    """Lets the tables of a stack that is deleted next go: protected ones would outlive it."""

    stack_name: str

    def __str__(self) -> str:
        return f"turn off deletion protection of the tables of stack {self.stack_name}"


@dataclass(frozen=True)
class DeleteObjects:
    """Deletes objects with all their versions: those of ``keys``, or all below ``prefix``."""

    bucket: str
    prefix: str
    keys: frozenset[str] | None = None

    def __str__(self) -> str:
        what = "everything" if self.keys is None else f"{len(self.keys)} unused artifacts"
        return f"delete {what} below {self.prefix} in bucket {self.bucket}"


@dataclass(frozen=True)
class DeleteBucket:
    bucket: str

    def __str__(self) -> str:
        return f"delete bucket {self.bucket}"


Step = (
    CreateBucket
    | ProtectBucket
    | TagBucket
    | UploadArtifact
    | AwaitStack
    | ContinueRollback
    | RestoreStacks
    | DeleteStack
    | CreateStack
    | UpdateStack
    | SetTerminationProtection
    | UnprotectTables
    | DeleteObjects
    | DeleteBucket
)
Plan = tuple[Step, ...]

# States that a stack can only leave by being deleted.
_DEAD = {
    "CREATE_FAILED",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "DELETE_FAILED",
    "REVIEW_IN_PROGRESS",
}


def plan_setup(release: Release, observation: Observation, prefix: str) -> Plan:
    """Plans the steps that bring the helper stack to ``release``; none if it is there already.

    ``prefix`` is where in the bucket the artifacts of this helper stack lie. After ``AwaitStack``
    or ``ContinueRollback``, each of which is a plan of its own, observe and plan again. Raises
    BootstrapError for a stack of the same name that plldb did not make.
    """
    waiting = _plan_waiting(release.stack_name, observation.stack)
    if waiting is not None:
        return (waiting,)
    wanted = {artifact.key for artifact in release.artifacts}
    present = observation.bucket.keys if observation.bucket else frozenset()
    steps: list[Step] = [
        *plan_bucket(release.bucket, observation.bucket, release.given_tags),
        *(UploadArtifact(release.bucket, a) for a in release.artifacts if a.key not in present),
        *_plan_stack(release, observation.stack),
    ]
    if unused := present - wanted:
        # Until the update is through, a rollback may need the old code.
        steps.append(DeleteObjects(release.bucket, prefix, unused))
    return tuple(steps)


def plan_destroy(stack_name: str, bucket: str, observation: Observation, prefix: str) -> Plan:
    """Plans the steps that leave nothing of the helper stack; none if nothing is there.

    ``prefix`` is where in ``bucket`` the artifacts of this helper stack lie. After ``AwaitStack``,
    which is a plan of its own, observe and plan again. Raises BootstrapError for a stack that is
    protected, unless it never came up, and for one that plldb did not make.
    """
    steps: list[Step] = []
    stack = observation.stack
    if stack is not None:
        _check_ours(stack)
        _check_unprotected(stack)
        if stack.status.endswith("_IN_PROGRESS") and stack.status.startswith(
            ("DELETE_", "UPDATE_", "IMPORT_")
        ):
            return (AwaitStack(stack_name, stack.status),)
        if stack.is_usable:
            steps.append(RestoreStacks(stack_name))
        steps += _plan_deletion(stack)
    if observation.bucket is not None:
        # S3 deletes no bucket with old versions in it, so that no key need be there to delete.
        if observation.bucket.keys or not observation.bucket.is_shared:
            steps.append(DeleteObjects(bucket, prefix))
        if observation.bucket.has_payloads:
            steps.append(DeleteObjects(bucket, make_payloads_prefix(stack_name)))
        if not observation.bucket.is_shared:
            steps.append(DeleteBucket(bucket))
    return tuple(steps)


def _plan_waiting(stack_name: str, stack: StackState | None) -> Step | None:
    if stack is None:
        return None
    _check_ours(stack)
    if stack.status.endswith("_IN_PROGRESS") and stack.status not in _DEAD:
        return AwaitStack(stack_name, stack.status)
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        return ContinueRollback(stack_name)
    return None


def plan_bucket(
    bucket: str, state: BucketState | None, tags: Mapping[str, str] | None = None
) -> list[Step]:
    """The steps after which the artifacts bucket is there, private and tidy, with these tags."""
    tagging = _plan_tags(bucket, state, tags or {})
    if state is None:
        return [CreateBucket(bucket), *tagging]
    protections = [
        ProtectBucket(bucket, protection)
        for protection in BucketProtection
        if protection in state.missing_protections
    ]
    return [*protections, *tagging]


def _plan_tags(bucket: str, state: BucketState | None, tags: Mapping[str, str]) -> list[Step]:
    """Helper stacks share the bucket: what else it is tagged with stays, and so must be known."""
    found = {} if state is None else state.tags
    if found is None and tags:
        raise BootstrapError(
            f"Bucket {bucket!r} can't be tagged: these credentials may not read its tags, and "
            "those of others would be lost. Nothing was changed.",
            "Allow them s3:GetBucketTagging on it, or take the tags out of plldb.toml.",
        )
    if found is None or tags.items() <= found.items():
        return []
    return [TagBucket(bucket, {**found, **tags})]


def _plan_stack(release: Release, stack: StackState | None) -> list[Step]:
    if stack is None:
        return [CreateStack(release)]
    if stack.status in _DEAD:
        return [*_plan_deletion(stack), CreateStack(release)]
    update: list[Step] = [] if _is_current(release, stack) else [UpdateStack(release)]
    if release.is_protected == stack.has_termination_protection:
        return update
    protection = SetTerminationProtection(release.stack_name, release.is_protected)
    # In this order, no interruption leaves tables that can't be deleted in a stack that can.
    return [protection, *update] if release.is_protected else [*update, protection]


def _is_current(release: Release, stack: StackState) -> bool:
    # An update that failed may have left the tags of the release that it did not reach.
    was_reached = not stack.status.startswith(("UPDATE_ROLLBACK", "UPDATE_FAILED"))
    return was_reached and stack.tags.get(FINGERPRINT_TAG) == release.fingerprint


def _plan_deletion(stack: StackState) -> list[Step]:
    steps: list[Step] = []
    if stack.has_termination_protection:
        steps.append(SetTerminationProtection(stack.name, enabled=False))
    if _protects_tables(stack):
        steps.append(UnprotectTables(stack.name))
    return [*steps, DeleteStack(stack.name, stack.status)]


def _protects_tables(stack: StackState) -> bool:
    return stack.parameters.get(DELETION_PROTECTION) == "true"


def _check_unprotected(stack: StackState) -> None:
    """A stack that never came up has nothing to protect; one that is being deleted goes anyway."""
    if stack.status in _DEAD - {"DELETE_FAILED"} or stack.status == "DELETE_IN_PROGRESS":
        return
    if stack.has_termination_protection or _protects_tables(stack):
        raise BootstrapError(
            f"Stack {stack.name!r} is protected against deletion. Nothing was changed.",
            f"'plldb bootstrap --stack-name {stack.name} {FLAG} {DELETION_PROTECTION}=false' "
            "lifts the protection; then destroy it again.",
        )


def _check_ours(stack: StackState) -> None:
    """A stack that merely has the name of a helper stack is never updated or deleted."""
    if VERSION_TAG not in stack.tags:
        raise BootstrapError(
            f"Stack {stack.name!r} exists already, and plldb did not make it.",
            "Choose another name for the helper stack with --stack-name.",
        )
