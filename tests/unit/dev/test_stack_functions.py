"""Which function of a stack is meant."""

from __future__ import annotations

import pytest

from plldb.dev.stack_functions import StackFunction, match_function

ACCOUNT = "arn:aws:lambda:us-east-1:123456789012:function"
FUNCTIONS = [
    StackFunction("Child/Grandchild/Worker", "shop-Child-1-Worker-X"),
    StackFunction("Child/Greeter", "shop-Child-1-Greeter-Y"),
    StackFunction("Greeter", "shop-Greeter-Z"),
    StackFunction("Mailer0A1B2C3D", f"{ACCOUNT}:the-mailer"),
    StackFunction("MailerService", "mailer-service"),
]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("Greeter", ["Greeter"]),
        ("Child/Greeter", ["Child/Greeter"]),
        ("Worker", ["Child/Grandchild/Worker"]),
        ("Grandchild/Worker", ["Child/Grandchild/Worker"]),
        ("Mailer", ["Mailer0A1B2C3D"]),
        ("the-mailer", ["Mailer0A1B2C3D"]),
        ("shop-Child-1-Greeter-Y", ["Child/Greeter"]),
        ("orker", []),
        ("greeter", []),
        (".*", []),
        ("", []),
    ],
)
def test_by_path_or_its_end_by_the_cdks_name_or_by_lambdas(wanted: str, meant: list[str]) -> None:
    assert [one.name for one in match_function(FUNCTIONS, wanted)] == meant


@pytest.mark.parametrize(
    ("wanted", "logical_id"),
    [
        ("hello", "HelloLambdaFunction"),
        ("hello-world", "HelloDashworldLambdaFunction"),
        ("get_user", "GetUnderscoreuserLambdaFunction"),
    ],
)
def test_by_the_name_that_a_service_of_serverless_has(wanted: str, logical_id: str) -> None:
    functions = [StackFunction(logical_id, "shop-dev-it"), *FUNCTIONS]
    assert match_function(functions, wanted) == functions[:1]


def test_a_name_in_two_nested_stacks_means_both() -> None:
    functions = [StackFunction("A/Fn", "a"), StackFunction("B/Fn", "b")]
    assert match_function(functions, "Fn") == functions
    assert match_function(functions, "B/Fn") == functions[1:]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("LogRetentionaae0aa3c5b4d4f87b02d85b201efdd8aFD4BFC8A", True),
        ("BucketNotificationsHandler050a0587b7544547bf325f094a3db8347ECC3691", True),
        ("AWS679f53fac002430cb0da5b7982bd22872D164C4C", True),
        ("Child/CustomS3AutoDeleteObjectsCustomResourceProviderHandler9D90184F", True),
        ("CustomCDKBucketDeployment8693BB64968944B69AAFB0CC9EB8756C81C01536", True),
        ("ApiF70053CD", False),
        ("WorkersNestedStackWorkersNestedStackResourceCEAEF017/Worker11F36D0F", False),
        ("Greeter", False),
    ],
)
def test_the_cdk_has_functions_of_its_own(name: str, is_one: bool) -> None:
    assert StackFunction(name, "physical").is_of_cdk is is_one
