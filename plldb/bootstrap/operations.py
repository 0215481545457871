"""Setup and destroy: observe, plan, execute, until nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plldb.aws import Target
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.inspector import observe
from plldb.bootstrap.planner import (
    AwaitStack,
    ContinueRollback,
    Observed,
    Plan,
    plan_destroy,
    plan_setup,
)
from plldb.bootstrap.release import (
    Release,
    artifacts_prefix,
    bucket_name,
    build_release,
    check_stack_name,
)
from plldb.errors import BootstrapError

# Waiting, or finishing a rollback, can each be needed before the real work once or twice; more
# often, somebody else is at work on the same stack.
_MAX_ROUNDS = 5


@dataclass(frozen=True)
class Operation:
    """What to do with one helper stack at one target. ``plan`` looks, and changes nothing."""

    target: Target
    stack_name: str
    bucket: str
    release: Release | None

    @classmethod
    def setup(
        cls, target: Target, stack_name: str, parameters: Mapping[str, str] | None = None
    ) -> Operation:
        """``parameters`` are the template's, as ``plldb.bootstrap.parameters`` settles them."""
        check_stack_name(stack_name)
        release = build_release(
            stack_name=stack_name,
            region=target.region,
            account_id=target.account_id,
            execute_api_base_url=target.execute_api_base_url,
            parameters=parameters,
        )
        return cls(target, stack_name, release.bucket, release)

    @classmethod
    def destroy(cls, target: Target, stack_name: str) -> Operation:
        check_stack_name(stack_name)
        return cls(target, stack_name, bucket_name(target.region, target.account_id), None)

    def plan(self) -> Plan:
        prefix = artifacts_prefix(self.stack_name)
        observed: Observed = observe(
            self.target, bucket=self.bucket, prefix=prefix, stack_name=self.stack_name
        )
        if self.release is None:
            return plan_destroy(self.stack_name, self.bucket, observed, prefix)
        return plan_setup(self.release, observed, prefix)

    def run(self, make_executor: Callable[[Target], Executor]) -> bool:
        """Carries the plan out, and says whether anything changed."""
        plan = self.plan()
        if not plan:
            return False
        executor = make_executor(self.target)
        changed = False
        for _ in range(_MAX_ROUNDS):
            changed |= executor.execute(plan)
            if not _must_plan_again(plan):
                return changed
            plan = self.plan()
            if not plan:
                return changed
        raise BootstrapError(
            f"Stack {self.stack_name!r} keeps changing under the hands of somebody else.",
            "Wait until the other operation is over, then run the same command again.",
        )


def _must_plan_again(plan: Plan) -> bool:
    return isinstance(plan[-1], AwaitStack | ContinueRollback)
