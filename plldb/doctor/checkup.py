"""All checks, in the order in which they make sense."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from plldb.doctor import account, helper, leftovers, machine, permissions, requirements
from plldb.doctor.facts import Facts
from plldb.doctor.findings import Finding, Result, Status, problem, skipped
from plldb.errors import AccessDeniedError, PlldbError


@dataclass(frozen=True)
class Check:
    """``looks_at`` says what to people; ``needs`` names the checks without which it makes no sense.

    ``look`` may raise: PlldbError is what is wrong; AccessDeniedError, that it can't be found out.
    """

    name: str
    looks_at: str
    look: Callable[[Facts], Result]
    needs: tuple[str, ...] = ()


# Also the table of checks in the docs.
CHECKS = (
    Check("settings", "plldb.toml and the environment variables can be read", machine.settings),
    Check("target", "where calls go is decided", machine.target, ("settings",)),
    Check("Python", "the interpreter and plldb's version", machine.python),
    Check("packages", "what plldb can use if it is installed", machine.packages),
    Check("emulator", "a local one runs and is healthy; a crash left none", machine.emulator),
    Check("Docker", "an engine answers, for those who want LocalStack", machine.docker),
    Check("region", "a region is chosen", account.region, ("target",)),
    Check("endpoint", "the target answers", account.endpoint, ("region",)),
    Check("clock", "this machine's against the target's", account.clock, ("endpoint",)),
    Check(
        "credentials", "they are accepted, and whose they are", account.credentials, ("endpoint",)
    ),
    Check("stack", "the one to debug can be debugged", helper.debugged_stack, ("credentials",)),
    Check("helper stack", "it is deployed and usable", helper.deployed, ("credentials",)),
    Check("version", "the helper stack's is this plldb's", helper.version, ("helper stack",)),
    Check("drift", "its template and parameters are those of now", helper.drift, ("version",)),
    Check("management API", "it answers, and reaches its tables", helper.api, ("helper stack",)),
    Check("reaper", "its schedule is enabled", helper.reaper, ("helper stack",)),
    *(
        Check(
            f"permissions: {purpose.name}",
            purpose.description,
            partial(permissions.look, purpose),
            ("credentials",),
        )
        for purpose in requirements.CHECKED
    ),
    Check(
        "functions",
        "none is left instrumented by a session that is over",
        leftovers.functions,
        ("helper stack",),
    ),
    Check(
        "sessions",
        "none is open past its time",
        leftovers.sessions,
        ("helper stack",),
    ),
)


def examine(facts: Facts, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """One finding for each check, as it is made."""
    # Check that gave nothing to build on → the first of its kind, which is to blame.
    unfit: dict[str, str] = {}
    for check in checks:
        culprit = next((unfit[name] for name in check.needs if name in unfit), None)
        result = _look(check, facts) if culprit is None else _not_looked_at(culprit)
        if result.status in (Status.PROBLEM, Status.SKIPPED):
            unfit[check.name] = culprit or check.name
        yield Finding(check.name, result)


def _not_looked_at(culprit: str) -> Result:
    return skipped(f"not looked at, because of: {culprit}")


def _look(check: Check, facts: Facts) -> Result:
    try:
        return check.look(facts)
    except AccessDeniedError as error:
        return skipped(f"could not be found out. {error.message}", error.hint)
    except PlldbError as error:
        return problem(error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - a bug in one check must not hide the others
        return problem(_where(error), "This is a bug in plldb: please report it.")


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"the check failed: {type(error).__name__}: {error} ({place})"
