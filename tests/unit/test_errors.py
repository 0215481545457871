"""Every error says what went wrong, what to do, and how the process ends."""

from __future__ import annotations

import pytest

from plldb import errors

ERRORS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.PlldbError)
]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_carries_its_message_and_its_hint(kind: type[errors.PlldbError]) -> None:
    error = kind("it broke", "mend it")
    assert (str(error), error.message, error.hint) == ("it broke", "it broke", "mend it")


@pytest.mark.parametrize("kind", ERRORS)
def test_wrong_usage_exits_with_2_and_everything_else_with_1(kind: type[errors.PlldbError]) -> None:
    assert kind("x").exit_code == (2 if kind is errors.UsageError else 1)


def test_a_refusal_keeps_the_services_own_code() -> None:
    assert errors.AwsError("x", code="Throttling").code == "Throttling"
