"""Which functions a helper stack is limited to, in words."""

from __future__ import annotations

import pytest
from lambda_functions.instrumentation.scope import DebuggingScope

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:dev-orders"


@pytest.mark.parametrize("name", ["dev-orders", "dev-", ARN])
def test_names_of_its_pattern_are_in_it(name: str) -> None:
    assert DebuggingScope("dev-*").find_obstacle(name) is None
    assert DebuggingScope().find_obstacle(name) is None


@pytest.mark.parametrize("name", ["prod-orders", "dev", "a-dev-orders", ARN.replace("dev-", "x-")])
def test_others_are_told_why_not(name: str) -> None:
    assert "dev-*" in str(DebuggingScope("dev-*").find_obstacle(name))


def test_a_refusal_may_be_for_a_tag_that_is_missing() -> None:
    denial = "you are not authorized"
    assert DebuggingScope().explain(denial) == denial
    explained = DebuggingScope(tag="yes").explain(denial)
    assert "plldb:debug = yes" in explained
    assert explained.endswith(denial)
