"""Setup and destroy: observe, plan and execute, until nothing is left to do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plldb.aws import Target
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.observer import observe
from plldb.bootstrap.parameters import settle_parameters
from plldb.bootstrap.planner import (
    AwaitStack,
    ContinueRollback,
    Plan,
    plan_destroy,
    plan_setup,
)
from plldb.bootstrap.release import (
    Release,
    build_release,
    check_helper_stack_name,
    make_artifacts_prefix,
    make_bucket_name,
    read_template,
)
from plldb.config import SettingsResolver
from plldb.errors import BootstrapError

logger = logging.getLogger(__name__)

# Waiting, or finishing a rollback, can each be needed before the real work once or twice. If it is
# needed more often, somebody else is at work on the same stack.
_MAX_ROUNDS = 5


@dataclass(frozen=True)
class BootstrapOperation:
    """What to do with one helper stack at one target.

    ``release`` is the helper stack as it shall be; None if nothing of it shall be left.
    """

    target: Target
    stack_name: str
    bucket: str
    release: Release | None

    @classmethod
    def for_setup(
        cls,
        target: Target,
        stack_name: str,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> BootstrapOperation:
        """Deploys the helper stack, or updates it.

        ``parameters`` are those of the template, as ``plldb.bootstrap.parameters`` settles them;
        ``tags`` go on the stack, what is in it, and the bucket. Raises UsageError for a name that
        no helper stack can have.
        """
        check_helper_stack_name(stack_name)
        release = build_release(
            stack_name=stack_name,
            region=target.region,
            account_id=target.account_id,
            execute_api_base_url=target.execute_api_base_url,
            parameters=parameters,
            tags=tags,
        )
        return cls(target, stack_name, release.bucket, release)

    @classmethod
    def for_destroy(cls, target: Target, stack_name: str) -> BootstrapOperation:
        """Removes the helper stack. Raises UsageError for a name that no helper stack can have."""
        check_helper_stack_name(stack_name)
        return cls(target, stack_name, make_bucket_name(target.region, target.account_id), None)

    def plan(self) -> Plan:
        """Looks at what is there, and plans the steps that are left. It changes nothing."""
        prefix = make_artifacts_prefix(self.stack_name)
        observation = observe(
            self.target, bucket=self.bucket, prefix=prefix, stack_name=self.stack_name
        )
        if self.release is None:
            plan = plan_destroy(self.stack_name, self.bucket, observation, prefix)
        else:
            plan = plan_setup(self.release, observation, prefix)
        logger.info("plan for stack %s: %d steps", self.stack_name, len(plan))
        return plan

    def run(self, make_executor: Callable[[Target], Executor]) -> bool:
        """Carries the plan out, and returns whether anything changed.

        Raises BootstrapError if a step fails, or if somebody else keeps changing the stack.
        """
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


def deploy_helper_stack(target: Target, resolver: SettingsResolver) -> bool:
    """Deploys the helper stack as the settings have it, without a word, and returns whether
    anything changed. Raises UsageError for settings that make no sense, BootstrapError or AwsError.
    """
    file = resolver.file
    settled = settle_parameters(read_template(), resolver.environment.value, file)
    operation = BootstrapOperation.for_setup(
        target,
        resolver.helper_stack.value,
        {name: found.value for name, found in settled.items()},
        file.tags if file else {},
    )
    role = resolver.cloudformation_role.value
    return operation.run(lambda at: Executor(at, lambda _: None, lambda _: None, role=role))


def _must_plan_again(plan: Plan) -> bool:
    return isinstance(plan[-1], AwaitStack | ContinueRollback)
