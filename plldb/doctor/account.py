"""Checks of where calls go: endpoint, clock, region, credentials."""

from __future__ import annotations

from plldb.clock_skew import TOLERANCE_SECONDS, clock_difference
from plldb.doctor.facts import Facts
from plldb.doctor.findings import Result, ok, problem, warning

# "In most cases, a request must reach AWS within five minutes of the time stamp in the request."
# API Gateway, CloudFormation and Lambda keep to that; S3, STS and some others take fifteen.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
REFUSED_SECONDS = 300
# A Date header is cut to whole seconds: on average, it is half of one behind.
_CUT_SECONDS = 0.5
_SET_CLOCK = "Have this machine's clock set by NTP."


def region(facts: Facts) -> Result:
    return ok(facts.target.region)


def endpoint(facts: Facts) -> Result:
    return ok(f"{facts.greeting.url} answers")


def clock(facts: Facts) -> Result:
    """From an unsigned request: whatever the answer is, it has a Date header."""
    greeting = facts.greeting
    if greeting.date is None:
        return warning(f"{greeting.url} does not tell the time", "Compare the clocks yourself.")
    ahead = -(clock_difference(greeting.date, greeting.local) + _CUT_SECONDS)
    found = f"this machine's clock is {_words(ahead)} that of {greeting.url}"
    if abs(ahead) > REFUSED_SECONDS:
        limit = REFUSED_SECONDS // 60
        return problem(f"{found}; AWS refuses what is signed over {limit} minutes off", _SET_CLOCK)
    if abs(ahead) > TOLERANCE_SECONDS:
        return warning(found, _SET_CLOCK)
    return ok("it is within a minute of the target's")


def _words(ahead: float) -> str:
    amount = abs(round(ahead))
    length = f"{amount} s" if amount < 120 else f"{round(amount / 60)} minutes"
    return f"{length} {'ahead of' if ahead > 0 else 'behind'}"


def credentials(facts: Facts) -> Result:
    return ok(f"they are those of {facts.identity}", identity=facts.identity)
