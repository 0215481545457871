"""Checks of where calls go: endpoint, clock, region, credentials."""

from __future__ import annotations

from plldb.clock_skew import TOLERANCE_SECONDS, clock_difference
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckResult

# "In most cases, a request must reach AWS within five minutes of the time stamp in the request."
# API Gateway, CloudFormation and Lambda keep to that; S3, STS and some others take fifteen.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
REFUSED_SECONDS = 300
# A Date header is cut to whole seconds: on average, it is half of one behind.
_CUT_SECONDS = 0.5
_SET_CLOCK = "Have this machine's clock set by NTP."


def check_region(facts: Facts) -> CheckResult:
    return CheckResult.ok(facts.target.region)


def check_endpoint(facts: Facts) -> CheckResult:
    return CheckResult.ok(f"{facts.endpoint_answer.url} answers")


def check_clock(facts: Facts) -> CheckResult:
    """Compares this machine's clock with the Date header of an answer to an unsigned request."""
    answer = facts.endpoint_answer
    if answer.date is None:
        return CheckResult.warning(
            f"{answer.url} does not tell the time", "Compare the clocks yourself."
        )
    seconds_ahead = -(clock_difference(answer.date, answer.local) + _CUT_SECONDS)
    found = f"this machine's clock is {_describe_offset(seconds_ahead)} that of {answer.url}"
    if abs(seconds_ahead) > REFUSED_SECONDS:
        limit = REFUSED_SECONDS // 60
        return CheckResult.problem(
            f"{found}; AWS refuses what is signed over {limit} minutes off", _SET_CLOCK
        )
    if abs(seconds_ahead) > TOLERANCE_SECONDS:
        return CheckResult.warning(found, _SET_CLOCK)
    return CheckResult.ok("it is within a minute of the target's")


def _describe_offset(seconds_ahead: float) -> str:
    seconds = abs(round(seconds_ahead))
    length = f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} minutes"
    return f"{length} {'ahead of' if seconds_ahead > 0 else 'behind'}"


def check_credentials(facts: Facts) -> CheckResult:
    return CheckResult.ok(f"they are those of {facts.identity}", identity=facts.identity)
