"""What tests know of AWS's actions tells right from wrong."""

from __future__ import annotations

import pytest

from tests.service_authorization import condition_keys, find_action, takes_resource

_TABLE = "arn:aws:dynamodb:us-east-1:1:table/T"
_FUNCTION = "arn:aws:lambda:us-east-1:1:function:f"


def test_an_action_is_there_or_not() -> None:
    assert find_action("lambda:InvokeFunction")
    assert find_action("lambda:Invoke") is None
    assert find_action("nothing:Invoke") is None


@pytest.mark.parametrize(
    ("action", "resource", "fits"),
    [
        ("dynamodb:Scan", f"{_TABLE}/index/I", True),
        ("dynamodb:PutItem", _TABLE, True),
        ("dynamodb:PutItem", f"{_TABLE}/index/I", False),
        ("lambda:InvokeFunction", _FUNCTION, True),
        ("lambda:InvokeFunction", f"{_FUNCTION}:7", True),
        ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:1:layer:f", False),
        ("lambda:GetLayerVersion", "arn:aws:lambda:us-east-1:*:layer:*", True),
        ("lambda:ListFunctions", "*", True),
        ("lambda:ListFunctions", _FUNCTION, False),
        ("iam:GetRole", "arn:aws:iam::1:role/path/plldb-*", True),
        ("iam:GetRole", "arn:aws:iam::1:user/me", False),
        ("logs:PutLogEvents", "arn:aws:logs:us-east-1:1:log-group:/plldb/plldb:*", True),
        ("execute-api:Invoke", "arn:aws:execute-api:us-east-1:1:api/plldb/POST/sessions/*", True),
    ],
)
def test_an_action_is_for_a_resource_or_not(action: str, resource: str, fits: bool) -> None:
    assert takes_resource(action, resource) is fits


def test_condition_keys_are_the_actions_and_the_resources() -> None:
    assert "dynamodb:LeadingKeys" in condition_keys("dynamodb:UpdateItem")
    assert "aws:ResourceTag/" in condition_keys("lambda:UpdateFunctionConfiguration")
    assert "lambda:Layer" in condition_keys("lambda:UpdateFunctionConfiguration")
    assert "lambda:Layer" not in condition_keys("lambda:GetFunctionConfiguration")
