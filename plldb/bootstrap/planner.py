"""From what is there and what shall be there to the steps in between. Decides, does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from plldb.bootstrap.packager import Artifact
from plldb.bootstrap.parameters import DELETION_PROTECTION, FLAG
from plldb.bootstrap.release import FINGERPRINT_TAG, Release, payloads_prefix
from plldb.config import VERSION_TAG
from plldb.errors import BootstrapError

if TYPE_CHECKING:
    from plldb.stacks import StackState


class Protection(Enum):
    """What keeps the artifacts bucket private; the value says it to people."""

    NO_PUBLIC_ACCESS = "block public access"
    ENCRYPTION = "encrypt"
    TLS_ONLY = "refuse requests without TLS"
    PAYLOADS_EXPIRE = "let payloads expire after a day"


@dataclass(frozen=True)
class BucketState:
    """``keys`` are this helper stack's artifacts, ``has_payloads``: some of its sessions' payloads
    are left; ``is_shared``: objects of other helper stacks are there too."""

    missing_protections: frozenset[Protection] = frozenset()
    keys: frozenset[str] = frozenset()
    has_payloads: bool = False
    is_shared: bool = False


@dataclass(frozen=True)
class Observed:
    """What is there; None is what is not."""

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
    protection: Protection

    def __str__(self) -> str:
        return f"{self.protection.value} on bucket {self.bucket}"


@dataclass(frozen=True)
class UploadArtifact:
    bucket: str
    artifact: Artifact

    def __str__(self) -> str:
        return f"upload {self.artifact.key} ({len(self.artifact.body):,} bytes)"


@dataclass(frozen=True)
class AwaitStack:
    """Somebody's operation is under way, perhaps that of an earlier run that was interrupted."""

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
    """Without the helper stack, nobody could give the functions their configuration back."""

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
    """Of a stack that can only be deleted: protected tables would outlive it."""

    stack_name: str

    def __str__(self) -> str:
        return f"turn off deletion protection of the tables of stack {self.stack_name}"


@dataclass(frozen=True)
class DeleteObjects:
    """Deletes objects with all their versions: those given, or all below ``prefix``."""

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


def plan_setup(release: Release, observed: Observed, prefix: str) -> Plan:
    """The steps that bring the helper stack to ``release``; none if it is there already.

    After ``AwaitStack`` or ``ContinueRollback``, which ends the plan, observe and plan again.
    """
    pending = _unfinished(release.stack_name, observed.stack)
    if pending is not None:
        return (pending,)
    wanted = {artifact.key for artifact in release.artifacts}
    present = observed.bucket.keys if observed.bucket else frozenset()
    steps: list[Step] = [
        *_bucket_steps(release.bucket, observed.bucket),
        *(UploadArtifact(release.bucket, a) for a in release.artifacts if a.key not in present),
        *_stack_steps(release, observed.stack),
    ]
    if unused := present - wanted:
        # Last: until the update is through, a rollback may need the old code.
        steps.append(DeleteObjects(release.bucket, prefix, unused))
    return tuple(steps)


def plan_destroy(stack_name: str, bucket: str, observed: Observed, prefix: str) -> Plan:
    """The steps that leave nothing of the helper stack; none if nothing is there.

    Raises BootstrapError for a stack that is protected, unless it never came up.
    """
    steps: list[Step] = []
    stack = observed.stack
    if stack is not None:
        _check_ours(stack)
        _check_unprotected(stack)
        if stack.status.endswith("_IN_PROGRESS") and stack.status.startswith(
            ("DELETE_", "UPDATE_", "IMPORT_")
        ):
            return (AwaitStack(stack_name, stack.status),)
        if stack.is_usable:
            steps.append(RestoreStacks(stack_name))
        steps += _deletion_steps(stack)
    if observed.bucket is not None:
        steps.append(DeleteObjects(bucket, prefix))
        if observed.bucket.has_payloads:
            steps.append(DeleteObjects(bucket, payloads_prefix(stack_name)))
        if not observed.bucket.is_shared:
            steps.append(DeleteBucket(bucket))
    return tuple(steps)


def _unfinished(stack_name: str, stack: StackState | None) -> Step | None:
    if stack is None:
        return None
    _check_ours(stack)
    if stack.status.endswith("_IN_PROGRESS") and stack.status not in _DEAD:
        return AwaitStack(stack_name, stack.status)
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        return ContinueRollback(stack_name)
    return None


def _bucket_steps(bucket: str, state: BucketState | None) -> list[Step]:
    if state is None:
        return [CreateBucket(bucket)]
    return [
        ProtectBucket(bucket, protection)
        for protection in Protection
        if protection in state.missing_protections
    ]


def _stack_steps(release: Release, stack: StackState | None) -> list[Step]:
    if stack is None:
        return [CreateStack(release)]
    if stack.status in _DEAD:
        return [*_deletion_steps(stack), CreateStack(release)]
    update: list[Step] = [] if _is_current(release, stack) else [UpdateStack(release)]
    if release.is_protected == stack.has_termination_protection:
        return update
    protection = SetTerminationProtection(release.stack_name, release.is_protected)
    # In this order, no interruption leaves tables that can't be deleted in a stack that can.
    return [protection, *update] if release.is_protected else [*update, protection]


def _is_current(release: Release, stack: StackState) -> bool:
    # A rolled back update may have left the tags of what it failed to reach.
    was_reached = not stack.status.startswith(("UPDATE_ROLLBACK", "UPDATE_FAILED"))
    return was_reached and stack.tags.get(FINGERPRINT_TAG) == release.fingerprint


def _deletion_steps(stack: StackState) -> list[Step]:
    steps: list[Step] = []
    if stack.has_termination_protection:
        steps.append(SetTerminationProtection(stack.name, enabled=False))
    if _protects_tables(stack):
        steps.append(UnprotectTables(stack.name))
    return [*steps, DeleteStack(stack.name, stack.status)]


def _protects_tables(stack: StackState) -> bool:
    return stack.parameters.get(DELETION_PROTECTION) == "true"


def _check_unprotected(stack: StackState) -> None:
    """A stack that never came up has nothing to protect; for one that goes, it is too late."""
    if stack.status in _DEAD - {"DELETE_FAILED"} or stack.status == "DELETE_IN_PROGRESS":
        return
    if stack.has_termination_protection or _protects_tables(stack):
        raise BootstrapError(
            f"Stack {stack.name!r} is protected against deletion. Nothing was changed.",
            f"'plldb bootstrap --stack-name {stack.name} {FLAG} {DELETION_PROTECTION}=false' "
            "lifts the protection; then destroy it again.",
        )


def _check_ours(stack: StackState) -> None:
    """Never update or delete a stack that merely has the name."""
    if VERSION_TAG not in stack.tags:
        raise BootstrapError(
            f"Stack {stack.name!r} exists already, and plldb did not make it.",
            "Choose another name for the helper stack with --stack-name.",
        )
