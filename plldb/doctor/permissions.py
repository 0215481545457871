"""Which permissions are missing: as IAM simulates it, or else as harmless calls tell.

The simulation knows the identity's policies, its permissions boundary and the organization's
service control policies, but no session policies:
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from plldb import __version__
from plldb.aws import aws_errors
from plldb.bootstrap.release import make_bucket_name
from plldb.config import VERSION_TAG
from plldb.doctor import requirements
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckResult
from plldb.doctor.requirements import Permission, Purpose
from plldb.errors import AccessDeniedError, AwsError, EndpointError, PlldbError, SessionError
from plldb.stacks import find_stack

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

logger = logging.getLogger(__name__)

# Of a longer list, people see the beginning; JSON has it whole.
_SHOWN = 8


class Verdict(Enum):
    ALLOWED = auto()
    DENIED = auto()
    # The policies have conditions on what a simulation does not know.
    DEPENDS = auto()
    UNKNOWN = auto()


Verdicts = Mapping[Permission, Verdict]


def check_permissions(purpose: Purpose, facts: Facts) -> CheckResult:
    """Finds out which permissions of a purpose are missing, by their actions and resources."""
    if facts.identity.endswith(":root"):
        return CheckResult.ok("the account's root user may do everything")
    placeholders = Placeholders(facts)
    is_by_role = purpose is requirements.BOOTSTRAP and facts.context.cloudformation_role
    needed = requirements.BOOTSTRAP_BY_ROLE if is_by_role else purpose
    wanted = {
        replace(permission, resource=resource): permission
        for permission in needed.permissions
        if (resource := placeholders.fill(permission.resource)) is not None
    }
    if not wanted:
        return CheckResult.skipped(
            "not looked at: without the helper stack, there is nothing to ask about"
        )
    verdicts = _simulate_all(facts, wanted)
    if verdicts is None:
        logger.debug("permissions for %s are tried: they can't be simulated", purpose.name)
        return _make_result(purpose, _try_all(facts, wanted), facts)
    instead = _find_alternatives(purpose, wanted, verdicts, placeholders)
    others = _simulate_all(facts, instead) if instead else {}
    for other, permission in instead.items():
        if (others or {}).get(other) is Verdict.ALLOWED:
            verdicts[permission] = Verdict.ALLOWED
    return _make_result(purpose, verdicts, facts)


def _find_alternatives(
    purpose: Purpose,
    wanted: Mapping[Permission, Permission],
    verdicts: Verdicts,
    placeholders: Placeholders,
) -> dict[Permission, Permission]:
    """Alternative → the permission that is not there, in whose place it will do."""
    found = {}
    for permission, template in wanted.items():
        other = purpose.alternatives.get(template)
        resource = None if other is None else placeholders.fill(other.resource)
        if resource is not None and verdicts.get(permission) is not Verdict.ALLOWED:
            found[replace(permission, resource=resource)] = permission
    return found


class Placeholders:
    """What the names in braces stand for, in the resource of a permission."""

    def __init__(self, facts: Facts) -> None:
        account = facts.identity.split(":")[4]
        parameters = facts.release.parameters
        self._values = {
            "partition": facts.target.partition,
            "region": facts.target.region,
            "account": account,
            "identity": facts.identity,
            "helper": facts.context.helper_stack,
            "bucket": make_bucket_name(facts.target.region, account),
            "sessions_table": parameters["SessionsTableName"],
            "debugger_table": parameters["DebuggerTableName"],
            "role_path": parameters.get("RolePath", "/"),
        }
        if facts.context.cloudformation_role is not None:
            self._values["cloudformation_role"] = facts.context.cloudformation_role
        if facts.context.stack_name is not None:
            self._values["stack"] = facts.context.stack_name
        with suppress(PlldbError):
            self._values["management_api"] = facts.helper_stack.management_api_id
            self._values["instrumentation_function"] = facts.helper_stack.instrumentation_function

    def fill(self, resource: str) -> str | None:
        """Makes the ARN; None if a name is not known, such as the API of a missing helper stack."""
        try:
            return resource.format_map(self._values)
        except KeyError:
            return None


# --- Simulation -----------------------------------------------------------------------------------


def _simulate_all(facts: Facts, wanted: Iterable[Permission]) -> dict[Permission, Verdict] | None:
    """Has IAM simulate; None if the caller may not, or is nobody whom IAM can simulate."""
    iam: IAMClient = facts.target.client("iam")
    by_resource: dict[str, list[Permission]] = {}
    for permission in wanted:
        by_resource.setdefault(permission.resource, []).append(permission)
    verdicts: dict[Permission, Verdict] = {}
    with aws_errors("have IAM simulate what is allowed"):
        source = _find_policy_source(facts.identity, iam)
        if source is None:
            return None
        try:
            for resource, permissions in by_resource.items():
                verdicts |= _simulate(iam, source, resource, permissions)
        except ClientError:
            # It is not allowed, or the role lies under another path than it seemed.
            return None
    return verdicts


def _find_policy_source(identity: str, iam: IAMClient) -> str | None:
    """Finds the ARN of the user or role that IAM simulates; None for what is neither.

    The ARN of an assumed role lacks the role's path, so it is looked up.
    """
    _, partition, service, _, account, name = identity.split(":", 5)
    if service == "iam":
        return identity
    kind, _, rest = name.partition("/")
    if kind != "assumed-role":
        return None
    role = rest.partition("/")[0]
    try:
        return iam.get_role(RoleName=role)["Role"]["Arn"]
    except ClientError:
        return f"arn:{partition}:iam::{account}:role/{role}"


def _simulate(
    iam: IAMClient, source: str, resource: str, permissions: list[Permission]
) -> dict[Permission, Verdict]:
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=source,
        ActionNames=[permission.action for permission in permissions],
        ResourceArns=[resource],
    )
    return {
        Permission(one["EvalActionName"], resource): _judge(
            one["EvalDecision"], one.get("MissingContextValues")
        )
        for page in pages
        for one in page["EvaluationResults"]
    }


def _judge(decision: str, missing_context: list[str] | None) -> Verdict:
    if decision == "allowed":
        return Verdict.ALLOWED
    return Verdict.DEPENDS if missing_context else Verdict.DENIED


# --- Trial ----------------------------------------------------------------------------------------


def _try_all(facts: Facts, wanted: Mapping[Permission, Permission]) -> Verdicts:
    """Makes a harmless call for each permission that has one.

    ``wanted`` is permission → the same with names in braces, by which its trial is found.
    """
    return {permission: _try(facts, template) for permission, template in wanted.items()}


def _try(facts: Facts, template: Permission) -> Verdict:
    trial = TRIALS.get(template)
    if trial is None:
        return Verdict.UNKNOWN
    try:
        trial(facts)
    except AccessDeniedError:
        return Verdict.DENIED
    except EndpointError:
        return Verdict.UNKNOWN
    except (AwsError, SessionError):
        # Only who may ask is told that there is no such thing.
        return Verdict.ALLOWED
    except PlldbError:
        return Verdict.UNKNOWN
    return Verdict.ALLOWED


def _invoke_dry(facts: Facts) -> None:
    """Lambda checks the permission, and runs nothing."""
    with aws_errors("invoke the instrumentation function"):
        facts.target.client("lambda").invoke(
            FunctionName=facts.helper_stack.instrumentation_function, InvocationType="DryRun"
        )


def _list_bucket(facts: Facts) -> None:
    bucket = facts.release.bucket
    with aws_errors(f"list bucket {bucket}"):
        facts.target.client("s3").list_objects_v2(Bucket=bucket, MaxKeys=1)


def _read_events(facts: Facts) -> None:
    with aws_errors("read the helper stack's events"):
        facts.target.client("cloudformation").describe_stack_events(
            StackName=facts.context.helper_stack
        )


def _list_resources(facts: Facts) -> None:
    with aws_errors("list the stack's resources"):
        facts.target.client("cloudformation").list_stack_resources(
            StackName=facts.context.stack_name or ""
        )


TRIALS: dict[Permission, Callable[[Facts], object]] = {
    requirements.DESCRIBE_HELPER: lambda facts: facts.helper_stack_state,
    requirements.DESCRIBE_STACK: lambda facts: find_stack(
        facts.target, facts.context.stack_name or ""
    ),
    requirements.LIST_RESOURCES: _list_resources,
    requirements.RESTORE_FUNCTIONS: _invoke_dry,
    requirements.GET_HEALTH: lambda facts: facts.api_client.health(),
    requirements.LIST_SESSIONS: lambda facts: facts.attached_sessions,
    requirements.GET_SESSION: lambda facts: facts.api_client.find_session(
        str(uuid.uuid4()), facts.context.stack_name
    ),
    requirements.LIST_BUCKET: _list_bucket,
    requirements.DESCRIBE_EVENTS: _read_events,
}


# --- The result -----------------------------------------------------------------------------------


def _make_result(purpose: Purpose, verdicts: Verdicts, facts: Facts) -> CheckResult:
    def of(verdict: Verdict) -> list[Permission]:
        return [permission for permission, found in verdicts.items() if found is verdict]

    denied, depends, unknown = of(Verdict.DENIED), of(Verdict.DEPENDS), of(Verdict.UNKNOWN)
    data = {
        "missing": [{"action": p.action, "resource": p.resource} for p in denied],
        "unknown": [{"action": p.action, "resource": p.resource} for p in (*depends, *unknown)],
    }
    if denied:
        hint = f"Have an administrator allow them to {facts.identity}."
        if purpose.is_essential or (purpose is requirements.BOOTSTRAP and _is_bootstrap_due(facts)):
            return CheckResult.problem(f"missing: {_describe(denied)}", hint, **data)
        return CheckResult.warning(
            f"missing: {_describe(denied)}",
            f"If you need plldb {purpose.name}: {hint[0].lower()}{hint[1:]}",
            **data,
        )
    if depends:
        return CheckResult.warning(
            f"it depends on conditions of your policies: {_describe(depends)}",
            "Try the command itself: IAM's simulation does not know what the conditions ask for.",
            **data,
        )
    if unknown:
        return CheckResult.skipped(
            f"could not be found out: {_describe(unknown)}",
            "Allow iam:SimulatePrincipalPolicy (and iam:GetRole, for a role) to have it found out.",
            **data,
        )
    return CheckResult.ok(f"nothing is missing of {len(verdicts)}", **data)


def _is_bootstrap_due(facts: Facts) -> bool:
    """Whether somebody has to run ``plldb bootstrap`` now."""
    try:
        state = facts.helper_stack_state
    except PlldbError:
        return False
    return state is None or not state.is_usable or state.tags.get(VERSION_TAG) != __version__


def _describe(permissions: list[Permission]) -> str:
    shown = [f"{p.action} on {p.resource}" for p in permissions[:_SHOWN]]
    if rest := len(permissions) - len(shown):
        shown.append(f"and {rest} more, which --output json lists")
    return "; ".join(shown)
