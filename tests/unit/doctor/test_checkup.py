"""What fails hides no other check; what a check needs and has not, has it skipped."""

from __future__ import annotations

from typing import Any

import pytest

from plldb.doctor.checkup import CHECKS, Check, examine
from plldb.doctor.findings import CheckResult, CheckStatus, Finding
from plldb.errors import AccessDeniedError, StackError
from tests.unit.doctor.patient import patient


def check(name: str, outcome: Any, *needs: str) -> Check:
    def look(_: Any) -> CheckResult:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Check(name, "", look, needs)


def results(*checks: Check) -> dict[str, CheckResult]:
    return {finding.check: finding.result for finding in examine(patient(), checks)}


def test_each_check_is_made_in_order() -> None:
    found = results(check("a", CheckResult.ok("x")), check("b", CheckResult.warning("y", "z")))
    assert list(found) == ["a", "b"]
    assert found["b"] == CheckResult(CheckStatus.WARNING, "y", "z")


def test_an_expected_error_is_a_problem_with_its_hint() -> None:
    found = results(
        check("a", StackError("It is gone.", "Make it.")), check("b", CheckResult.ok(""))
    )
    assert found["a"] == CheckResult.problem("It is gone.", "Make it.")
    assert found["b"].status is CheckStatus.OK


def test_what_may_not_be_looked_at_could_not_be_found_out() -> None:
    found = results(check("a", AccessDeniedError("No entry.", "Ask.")))["a"]
    assert (found.status, found.hint) == (CheckStatus.SKIPPED, "Ask.")
    assert "could not be found out. No entry." in found.found


def test_a_bug_hides_no_other_check_and_says_where_it_is() -> None:
    found = results(check("a", ZeroDivisionError("oh")), check("b", CheckResult.ok("")))
    assert found["a"].status is CheckStatus.PROBLEM
    assert "ZeroDivisionError: oh (test_checkup.py, line" in found["a"].found
    assert found["b"].status is CheckStatus.OK


@pytest.mark.parametrize("bad", [CheckResult.problem("", None), CheckResult.skipped("")])
def test_what_needs_a_failed_check_is_skipped_and_told_the_first_cause(bad: CheckResult) -> None:
    found = results(
        check("root", bad),
        check("child", ZeroDivisionError(), "root"),
        check("grandchild", ZeroDivisionError(), "child"),
        check("stranger", CheckResult.ok("")),
    )
    assert (
        found["child"]
        == found["grandchild"]
        == CheckResult.skipped("not looked at, because of: root")
    )
    assert found["stranger"].status is CheckStatus.OK


def test_a_warning_is_enough_to_build_on() -> None:
    found = results(check("a", CheckResult.warning("", "")), check("b", CheckResult.ok(""), "a"))
    assert found["b"].status is CheckStatus.OK


def test_every_check_has_a_name_of_its_own_and_needs_earlier_ones_only() -> None:
    seen: list[str] = []
    for one in CHECKS:
        assert one.name not in seen
        assert set(one.needs) <= set(seen)
        assert one.description
        seen.append(one.name)


def test_a_finding_as_json() -> None:
    finding = Finding("a", CheckResult.problem("found", "hint", missing=[]))
    assert finding.to_json() == {
        "check": "a",
        "status": "problem",
        "found": "found",
        "hint": "hint",
        "missing": [],
    }
