"""Lines of access logs.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.access_log_line import format_line, integration_variables, outcome

CONTEXT = {
    "requestId": "abc=",
    "identity": {"sourceIp": "10.1.2.3", "user": ""},
    "authorizer": {"principalId": "me", "yes": True, "nothing": None},
    **integration_variables(502, 7, "no such function"),
    **outcome(500, 'Internal "server" error'),
}


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("$context.requestId", "abc="),
        ('{"id":"$context.requestId"}', '{"id":"abc="}'),
        ("[$context.identity.sourceIp]", "[10.1.2.3]"),
        ("$context.identity.user $context.identity.userArn", "- -"),
        ("$context.authorizer.yes.", "true."),
        ("$context.authorizer.nothing", "-"),
        ("$context.status", "500"),
        ("$context.error.message", 'Internal "server" error'),
        ("$context.error.messageString", '"Internal \\"server\\" error"'),
        ("$context.integrationErrorMessage", "no such function"),
        ("$context.integration.status/$context.integrationLatency", "502/7"),
        ("$context.", "$context."),
        ("$requestId", "$requestId"),
    ],
)
def test_lines(form: str, line: str) -> None:
    assert format_line(form, CONTEXT) == line


@given(st.text())
def test_any_format_gives_a_line(form: str) -> None:
    assert isinstance(format_line(form, CONTEXT), str)
