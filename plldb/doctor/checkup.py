"""All checks, in the order in which they make sense."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from plldb.doctor import account, deep, helper_stack, leftovers, machine, permissions, requirements
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckResult, CheckStatus, Finding
from plldb.errors import AccessDeniedError, PlldbError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    ``description`` tells people what is looked at; ``needs`` names the checks without which this
    one makes no sense. ``look`` may raise: PlldbError says what is wrong, AccessDeniedError that it
    can't be found out.
    """

    name: str
    description: str
    look: Callable[[Facts], CheckResult]
    needs: tuple[str, ...] = ()


# Also the table of checks in the docs.
CHECKS = (
    Check(
        "settings", "plldb.toml and the environment variables can be read", machine.check_settings
    ),
    Check("target", "where calls go is decided", machine.check_target, ("settings",)),
    Check("Python", "the interpreter and plldb's version", machine.check_python),
    Check("packages", "what plldb can use if it is installed", machine.check_packages),
    Check("emulator", "a local one runs and is healthy; a crash left none", machine.check_emulator),
    Check("Docker", "an engine answers, for those who want LocalStack", machine.check_docker),
    Check("region", "a region is chosen", account.check_region, ("target",)),
    Check("endpoint", "the target answers", account.check_endpoint, ("region",)),
    Check("clock", "this machine's against the target's", account.check_clock, ("endpoint",)),
    Check(
        "credentials",
        "they are accepted, and whose they are",
        account.check_credentials,
        ("endpoint",),
    ),
    Check(
        "stack",
        "the one to debug can be debugged",
        helper_stack.check_debugged_stack,
        ("credentials",),
    ),
    Check(
        "helper stack", "it is deployed and usable", helper_stack.check_deployed, ("credentials",)
    ),
    Check(
        "version",
        "the helper stack's is this plldb's",
        helper_stack.check_version,
        ("helper stack",),
    ),
    Check(
        "drift",
        "its template and parameters are those of now",
        helper_stack.check_drift,
        ("version",),
    ),
    Check(
        "management API",
        "it answers, and reaches its tables",
        helper_stack.check_management_api,
        ("helper stack",),
    ),
    Check("reaper", "its schedule is enabled", helper_stack.check_reaper, ("helper stack",)),
    *(
        Check(
            f"permissions: {purpose.name}",
            purpose.description,
            partial(permissions.check_permissions, purpose),
            ("credentials",),
        )
        for purpose in requirements.CHECKED
    ),
    Check(
        "functions",
        "none is left instrumented by a session that is over",
        leftovers.check_functions,
        ("helper stack",),
    ),
    Check(
        "sessions",
        "none is open past its time",
        leftovers.check_sessions,
        ("helper stack",),
    ),
)

# After those, with --deep: what takes longer, opens a session, or needs rights that few have.
DEEP_CHECKS = (
    Check(
        "session trial",
        "one is opened, spoken with, and closed; no function is touched",
        deep.check_session,
        ("management API",),
    ),
    Check(
        "concurrency",
        "Lambda leaves room for invocations that wait",
        deep.check_concurrency,
        ("credentials",),
    ),
    Check("alarms", "none of the helper stack's is raised", deep.check_alarms, ("helper stack",)),
    Check("log", "the helper stack logged no error lately", deep.check_log, ("helper stack",)),
    Check(
        "AWS Config",
        "it does not record each change of a function",
        deep.check_recorder,
        ("credentials",),
    ),
)


def examine(facts: Facts, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Makes one check after the other, and yields what each has found."""
    # Check that gave nothing to build on → the first check of that chain, which is to blame.
    unfit: dict[str, str] = {}
    for check in checks:
        culprit = next((unfit[name] for name in check.needs if name in unfit), None)
        result = _look(check, facts) if culprit is None else _skip(culprit)
        if result.status in (CheckStatus.PROBLEM, CheckStatus.SKIPPED):
            unfit[check.name] = culprit or check.name
        yield Finding(check.name, result)


def _skip(culprit: str) -> CheckResult:
    return CheckResult.skipped(f"not looked at, because of: {culprit}")


def _look(check: Check, facts: Facts) -> CheckResult:
    started = time.monotonic()
    result = _look_or_explain(check, facts)
    logger.info("%s: %s after %.2f s", check.name, result.status, time.monotonic() - started)
    return result


def _look_or_explain(check: Check, facts: Facts) -> CheckResult:
    try:
        return check.look(facts)
    except AccessDeniedError as error:
        return CheckResult.skipped(f"could not be found out. {error.message}", error.hint)
    except PlldbError as error:
        return CheckResult.problem(error.message, error.hint)
    except Exception as error:  # a bug in one check must not hide the others
        logger.debug("check %s has a bug", check.name, exc_info=error)
        hint = "This is a bug in plldb: please report it."
        return CheckResult.problem(_describe_bug(error), hint)


def _describe_bug(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"the check failed: {type(error).__name__}: {error} ({place})"
