"""Checks of ``plldb doctor --deep``: what only a helper stack at work on AWS can tell."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from plldb.aws import aws_errors
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckResult

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# A new account may have ten, of which each invocation that waits for a debugger takes one:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_FEW_EXECUTIONS = 100
_LOOK_BACK_SECONDS = 3600
_SHOWN = 5
_FUNCTION_TYPE = "AWS::Lambda::Function"
_ON_EMULATOR = "an emulator tells nothing of it"


def check_session(facts: Facts) -> CheckResult:
    """Opens a session, and closes it. Tells times in milliseconds."""
    trial = facts.session_trial
    milliseconds = {
        "create": _to_milliseconds(trial.creating),
        "connect": _to_milliseconds(trial.connecting),
        "heartbeat": _to_milliseconds(statistics.median(trial.heartbeats)),
        "largeMessage": _to_milliseconds(trial.large_message),
        "close": _to_milliseconds(trial.closing),
    }
    pings = "are" if trial.answers_pings else "are not"
    return CheckResult.ok(
        f"created in {milliseconds['create']} ms, connected in {milliseconds['connect']} ms; a "
        f"heartbeat takes {milliseconds['heartbeat']} ms, a message of 100 KB "
        f"{milliseconds['largeMessage']} ms; closed in {milliseconds['close']} ms; pings {pings} "
        "answered",
        milliseconds=milliseconds,
        answersPings=trial.answers_pings,
    )


def _to_milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def check_concurrency(facts: Facts) -> CheckResult:
    if not facts.target.is_aws:
        return CheckResult.ok(_ON_EMULATOR)
    client: LambdaClient = facts.target.client("lambda")
    with aws_errors("read the account's limits of Lambda"):
        limits = client.get_account_settings()["AccountLimit"]
    total, free = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    found = f"{free} executions at once are left to functions that reserve none, of {total} in all"
    if free < _FEW_EXECUTIONS:
        return CheckResult.warning(
            found,
            "Each invocation that waits for a debugger takes one: while as many wait, nothing else "
            "runs, the helper stack included. Ask for a higher quota of concurrent executions in "
            "Service Quotas, and give --max-concurrency to plldb attach until you have it.",
            concurrentExecutions=total,
            unreserved=free,
        )
    return CheckResult.ok(found, concurrentExecutions=total, unreserved=free)


def check_alarms(facts: Facts) -> CheckResult:
    if not facts.target.is_aws:
        return CheckResult.ok(_ON_EMULATOR)
    client = facts.target.client("cloudwatch")
    pages = client.get_paginator("describe_alarms")
    with aws_errors("read the helper stack's alarms"):
        states = {
            alarm["AlarmName"]: alarm["StateValue"]
            for page in pages.paginate(AlarmNamePrefix=f"{facts.helper_stack.name}-")
            for alarm in page["MetricAlarms"]
        }
    raised = sorted(name for name, state in states.items() if state == "ALARM")
    if raised:
        return CheckResult.warning(
            f"raised: {', '.join(raised)}",
            f"The log group /plldb/{facts.helper_stack.name} says what happened.",
            raised=raised,
        )
    return CheckResult.ok(f"{len(states)} alarms, none of them raised")


def check_log(facts: Facts) -> CheckResult:
    """Looks for errors of the last hour."""
    if not facts.target.is_aws:
        return CheckResult.ok(_ON_EMULATOR)
    group = f"/plldb/{facts.helper_stack.name}"
    errors = list(_read_errors(facts, group))
    if not errors:
        return CheckResult.ok(f"no error in {group} in the last hour")
    shown = "; ".join(errors[:_SHOWN])
    rest = len(errors) - len(errors[:_SHOWN])
    return CheckResult.warning(
        f"{len(errors)} errors in {group} in the last hour: {shown}"
        + (f"; and {rest} more" if rest else ""),
        "See docs/operations.md for what its lines say.",
        errors=errors,
    )


def _read_errors(facts: Facts, group: str) -> Iterator[str]:
    client = facts.target.client("logs")
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        startTime=int((facts.now - _LOOK_BACK_SECONDS) * 1000),
        filterPattern='{ $.level = "ERROR" }',
    )
    with aws_errors(f"read {group}"):
        for page in pages:
            for event in page["events"]:
                yield event["message"].strip()


def check_recorder(facts: Facts) -> CheckResult:
    """Whether AWS Config records each change of a function, which costs more than debugging."""
    if not facts.target.is_aws:
        return CheckResult.ok(_ON_EMULATOR)
    client = facts.target.client("config")
    with aws_errors("read what AWS Config records"):
        recorders: list[Any] = list(
            client.describe_configuration_recorders()["ConfigurationRecorders"]
        )
    recording = [one["name"] for one in recorders if _records_each_change(one)]
    if recording:
        return CheckResult.warning(
            f"AWS Config records each change of a function ({', '.join(recording)}): attaching and "
            "detaching are two for each",
            "It is paid for by the item: docs/cost.md says how much, and what to do.",
            recorders=recording,
        )
    return CheckResult.ok("no recorder of AWS Config takes each change of a function")


def _records_each_change(recorder: dict[str, Any]) -> bool:
    """https://docs.aws.amazon.com/config/latest/APIReference/API_RecordingGroup.html"""
    group, mode = recorder.get("recordingGroup", {}), recorder.get("recordingMode", {})
    excluded = group.get("exclusionByResourceTypes", {}).get("resourceTypes", [])
    is_recorded = (
        group.get("allSupported", False)
        or _FUNCTION_TYPE in group.get("resourceTypes", [])
        or (bool(excluded) and _FUNCTION_TYPE not in excluded)
    )
    frequency = next(
        (
            override["recordingFrequency"]
            for override in mode.get("recordingModeOverrides", [])
            if _FUNCTION_TYPE in override.get("resourceTypes", [])
        ),
        mode.get("recordingFrequency", "CONTINUOUS"),
    )
    return bool(is_recorded and frequency == "CONTINUOUS")
