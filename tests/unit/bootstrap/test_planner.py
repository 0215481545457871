"""From whatever is there to what shall be: plans are carried out on a model of an account."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from itertools import compress, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plldb.bootstrap.packager import Artifact
from plldb.bootstrap.planner import (
    AwaitStack,
    BucketProtection,
    BucketState,
    ContinueRollback,
    CreateBucket,
    CreateStack,
    DeleteBucket,
    DeleteObjects,
    DeleteStack,
    Observation,
    Plan,
    ProtectBucket,
    RestoreStacks,
    SetTerminationProtection,
    Step,
    UnprotectTables,
    UpdateStack,
    UploadArtifact,
    plan_destroy,
    plan_setup,
)
from plldb.bootstrap.release import VERSION_TAG, Release
from plldb.errors import BootstrapError
from plldb.stacks import StackState
from tests.unit.bootstrap.account_model import (
    ARTIFACTS,
    BUCKET,
    CAME_UP,
    ENDS,
    NEVER_CAME_UP,
    PAYLOADS,
    STACK,
    STATUSES,
    Account,
    Bucket,
    Stack,
)

FUNCTIONS, LAYER = Artifact("plldb/functions-1.zip", b"zip"), Artifact("plldb/layer-1.zip", b"zip")
OLD_FUNCTIONS = Artifact("plldb/functions-0.zip", b"old")
RELEASE = Release(STACK, BUCKET, (FUNCTIONS, LAYER), "template", {"Key": "value"})
# The layer has not changed since.
OLD = replace(RELEASE, artifacts=(OLD_FUNCTIONS, LAYER), template="old template")
PROTECTION = {"DeletionProtection": "true"}
PROTECTED = replace(RELEASE, parameters=RELEASE.parameters | PROTECTION)
OLD_PROTECTED = replace(OLD, parameters=OLD.parameters | PROTECTION)

OWN_KEYS = [artifact.key for artifact in (FUNCTIONS, LAYER, OLD_FUNCTIONS)]
OTHER_KEYS = ["plldb-two/functions-1.zip", "payloads/plldb-two/1"]
OWN_PAYLOADS = ["payloads/plldb/1", "payloads/plldb/2"]


# --- Accounts as they may be found ----------------------------------------------------------------

# Each status has examples of its own, so that not many are needed.
few = settings(max_examples=20)
interruptions = st.integers(0, 9)
releases = st.sampled_from([RELEASE, PROTECTED])


def subsets(values: Iterable[Any]) -> st.SearchStrategy[set[Any]]:
    """Any subset, by one draw: drawing sets takes longer than all the rest."""
    everything = list(values)
    chosen = product([True, False], repeat=len(everything))
    return st.sampled_from([tuple(compress(everything, bits)) for bits in chosen]).map(set)


buckets = st.builds(
    Bucket,
    protections=subsets(BucketProtection),
    keys=subsets([*OWN_KEYS, *OWN_PAYLOADS, *OTHER_KEYS]),
    has_old_versions=st.booleans(),
)


@st.composite
def stacks(draw: st.DrawFn, status: str) -> Stack:
    """A stack that plldb made, with whatever somebody may have changed by hand since."""
    deployed = claimed = draw(st.sampled_from([RELEASE, PROTECTED, OLD, OLD_PROTECTED]))
    if status.startswith(("UPDATE_ROLLBACK", "UPDATE_FAILED", "UPDATE_IN_PROGRESS")):
        claimed = draw(st.sampled_from([deployed, RELEASE, PROTECTED]))
    stack = Stack(
        status=status,
        deployed=deployed,
        claimed=claimed,
        has_termination_protection=draw(st.booleans()),
        has_protected_tables=deployed.is_protected,
        instruments=False,
    )
    stack.instruments = stack.came_up and draw(st.booleans())
    return stack


def draw_account(data: st.DataObject, status: str | None) -> Account:
    """An account with a stack of that status, if any, and whatever may be in the bucket."""

    def choose_end(ends: list[str | None]) -> str | None:
        return data.draw(st.sampled_from(ends))

    stack = None if status is None else data.draw(stacks(status))
    return Account(data.draw(st.none() | buckets), stack, choose_end)


def set_up(account: Account, release: Release = RELEASE) -> Plan:
    return plan_setup(release, account.observe(), ARTIFACTS)


def tear_down(account: Account) -> Plan:
    return plan_destroy(STACK, BUCKET, account.observe(), ARTIFACTS)


def run(account: Account, make_plan: Callable[[Account], Plan], interrupted_after: int) -> None:
    """Plans and executes until nothing is left to do; the first plan is cut short and made anew.

    An operation under way may end in a failed rollback, or in a failed deletion, and each of these
    is awaited, so that three more plans do.
    """
    account.execute(make_plan(account)[:interrupted_after])
    for _ in range(4):
        plan = make_plan(account)
        assert make_plan(account) == plan, "a dry run plans what a run would do"
        if not plan:
            return
        account.execute(plan)
    raise AssertionError(f"it does not come to an end: {account.taken}")


def others(account: Account) -> set[str]:
    return account.bucket.others if account.bucket else set()


def payloads(account: Account) -> set[str]:
    return account.bucket.under(PAYLOADS) if account.bucket else set()


class TestSetup:
    @pytest.mark.parametrize("status", [None, *STATUSES])
    @few
    @given(data=st.data(), release=releases, interrupted_after=interruptions)
    def test_from_whatever_is_there_it_reaches_the_release(
        self, status: str | None, data: st.DataObject, release: Release, interrupted_after: int
    ) -> None:
        account = draw_account(data, status)
        found = deepcopy((others(account), payloads(account)))
        run(account, lambda account: set_up(account, release), interrupted_after)
        stack, bucket = account.stack, account.bucket
        assert stack is not None
        assert stack.is_settled
        assert stack.deployed == release
        assert stack.has_termination_protection is release.is_protected
        assert bucket is not None
        assert bucket.protections == set(BucketProtection)
        assert bucket.under(ARTIFACTS) == {artifact.key for artifact in release.artifacts}
        assert (others(account), payloads(account)) == found

    @pytest.mark.parametrize("status", CAME_UP)
    @few
    @given(data=st.data(), release=releases)
    def test_a_stack_that_came_up_is_kept(
        self, status: str, data: st.DataObject, release: Release
    ) -> None:
        """Its sessions go on: it is neither deleted nor are its functions restored."""
        account = draw_account(data, status)
        run(account, lambda account: set_up(account, release), 0)
        kinds = {type(step) for step in account.taken}
        assert not kinds & {DeleteStack, CreateStack, RestoreStacks, UnprotectTables}


class TestDestroy:
    @pytest.mark.parametrize("status", [None, *STATUSES])
    @few
    @given(data=st.data(), interrupted_after=interruptions)
    def test_it_leaves_nothing_unless_it_refuses_to_begin(
        self, status: str | None, data: st.DataObject, interrupted_after: int
    ) -> None:
        account = draw_account(data, status)
        found = set(others(account))
        try:
            run(account, tear_down, interrupted_after)
        except BootstrapError as refusal:
            self.check_refusal(refusal, account)
            return
        assert account.stack is None
        assert others(account) == found
        if found:
            assert account.bucket is not None
            assert account.bucket.keys == found
        else:
            assert account.bucket is None

    def check_refusal(self, refusal: BootstrapError, account: Account) -> None:
        """Something is protected, and nothing was done but waiting."""
        stack = account.stack
        assert stack is not None
        assert stack.has_termination_protection or stack.deployed.is_protected
        assert stack.status not in NEVER_CAME_UP
        assert all(isinstance(step, AwaitStack) for step in account.taken)
        assert "'plldb' is protected" in refusal.message
        assert "--stack-name plldb --parameter DeletionProtection=false" in str(refusal.hint)

    @pytest.mark.parametrize(
        "status", [*CAME_UP, "DELETE_FAILED", *(s for s in ENDS if s != "DELETE_IN_PROGRESS")]
    )
    @few
    @given(data=st.data())
    def test_what_is_protected_and_came_up_or_may_come_up_is_refused(
        self, status: str, data: st.DataObject
    ) -> None:
        stack = data.draw(stacks(status))
        if not stack.has_termination_protection and not stack.deployed.is_protected:
            stack.has_termination_protection = True
        with pytest.raises(BootstrapError, match="is protected"):
            tear_down(Account(Bucket(), stack))

    @given(stack=stacks("DELETE_IN_PROGRESS"))
    def test_for_a_deletion_under_way_it_is_too_late_to_refuse(self, stack: Stack) -> None:
        assert tear_down(Account(Bucket(), stack)) == (AwaitStack(STACK, "DELETE_IN_PROGRESS"),)


class TestForeignStacks:
    @pytest.mark.parametrize(
        "plan",
        [
            lambda observation: plan_setup(RELEASE, observation, ARTIFACTS),
            lambda observation: plan_destroy(STACK, BUCKET, observation, ARTIFACTS),
        ],
        ids=["setup", "destroy"],
    )
    @given(
        status=st.sampled_from(STATUSES),
        tags=st.dictionaries(st.text(max_size=9), st.text(max_size=9)),
        bucket=st.none() | buckets,
    )
    def test_one_without_our_tag_is_never_touched(
        self,
        plan: Callable[[Observation], Plan],
        status: str,
        tags: dict[str, str],
        bucket: Bucket | None,
    ) -> None:
        tags.pop(VERSION_TAG, None)
        foreign = StackState(STACK, "arn", status, "", {}, tags)
        observation = Observation(Account(bucket, None).observe().bucket, foreign)
        with pytest.raises(BootstrapError, match="'plldb' exists already") as raised:
            plan(observation)
        assert "--stack-name" in str(raised.value.hint)


ON = SetTerminationProtection(STACK, enabled=True)
OFF = SetTerminationProtection(STACK, enabled=False)


def found(status: str, release: Release = OLD) -> StackState:
    has_protection = release.is_protected
    tags = release.tags
    return StackState(STACK, "arn", status, "", {}, tags, dict(release.parameters), has_protection)


class TestExamples:
    """Whole plans, as users see them with --dry-run."""

    @pytest.mark.parametrize(
        ("release", "observation", "plan"),
        [
            (
                RELEASE,
                Observation(None, None),
                [
                    CreateBucket(BUCKET),
                    UploadArtifact(BUCKET, FUNCTIONS),
                    UploadArtifact(BUCKET, LAYER),
                    CreateStack(RELEASE),
                ],
            ),
            (
                PROTECTED,
                Observation(
                    BucketState(
                        frozenset({BucketProtection.TLS_ONLY, BucketProtection.ENCRYPTION}),
                        frozenset({OLD_FUNCTIONS.key, LAYER.key}),
                    ),
                    found("CREATE_COMPLETE"),
                ),
                [
                    ProtectBucket(BUCKET, BucketProtection.ENCRYPTION),
                    ProtectBucket(BUCKET, BucketProtection.TLS_ONLY),
                    UploadArtifact(BUCKET, FUNCTIONS),
                    ON,
                    UpdateStack(PROTECTED),
                    DeleteObjects(BUCKET, ARTIFACTS, frozenset({OLD_FUNCTIONS.key})),
                ],
            ),
            (
                RELEASE,
                Observation(
                    BucketState(keys=frozenset({FUNCTIONS.key, LAYER.key})),
                    found("ROLLBACK_FAILED", OLD_PROTECTED),
                ),
                [
                    OFF,
                    UnprotectTables(STACK),
                    DeleteStack(STACK, "ROLLBACK_FAILED"),
                    CreateStack(RELEASE),
                ],
            ),
            (
                RELEASE,
                Observation(None, found("UPDATE_ROLLBACK_FAILED")),
                [ContinueRollback(STACK)],
            ),
        ],
        ids=["fresh", "update", "recovery", "failed rollback"],
    )
    def test_setup(self, release: Release, observation: Observation, plan: list[Step]) -> None:
        assert list(plan_setup(release, observation, ARTIFACTS)) == plan

    @pytest.mark.parametrize(
        ("bucket", "steps"),
        [
            (
                BucketState(keys=frozenset({FUNCTIONS.key}), has_payloads=True),
                [
                    DeleteObjects(BUCKET, ARTIFACTS),
                    DeleteObjects(BUCKET, PAYLOADS),
                    DeleteBucket(BUCKET),
                ],
            ),
            (
                BucketState(keys=frozenset({FUNCTIONS.key}), is_shared=True),
                [DeleteObjects(BUCKET, ARTIFACTS)],
            ),
            (BucketState(is_shared=True), []),
            (None, []),
        ],
        ids=["alone", "beside others", "nothing in it", "no bucket"],
    )
    def test_destroy(self, bucket: BucketState | None, steps: list[Step]) -> None:
        plan = plan_destroy(STACK, BUCKET, Observation(bucket, found("UPDATE_COMPLETE")), ARTIFACTS)
        assert list(plan) == [RestoreStacks(STACK), DeleteStack(STACK, "UPDATE_COMPLETE"), *steps]


def test_each_step_tells_people_what_it_does() -> None:
    steps = [
        CreateBucket("b"),
        *(ProtectBucket("b", protection) for protection in BucketProtection),
        UploadArtifact("b", FUNCTIONS),
        AwaitStack(STACK, "X"),
        ContinueRollback(STACK),
        RestoreStacks(STACK),
        DeleteStack(STACK, "X"),
        CreateStack(RELEASE),
        UpdateStack(RELEASE),
        ON,
        OFF,
        UnprotectTables(STACK),
        DeleteObjects("b", "plldb/"),
        DeleteObjects("b", "plldb/", frozenset({OLD_FUNCTIONS.key})),
        DeleteBucket("b"),
    ]
    texts = [str(step) for step in steps]
    assert len(set(texts)) == len(steps)
    assert not [text for text in texts if "(" in text.split(" (")[0] or "template" in text]
