"""What the extension's policies allow: actions, resources, conditions.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.websocket.conditions import holds
from localstack_tokenfree.websocket.policy import (
    MalformedAnswerError,
    Verdict,
    context,
    decide,
    evaluate,
)
from localstack_tokenfree.websocket.policy_variables import wildcard_match

ARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/prod/$connect"
INVOKE = "execute-api:Invoke"
KEYS = {
    "aws:sourceip": "10.1.2.3",
    "aws:useragent": "wscat/5",
    "aws:securetransport": "false",
    "aws:epochtime": "1700000000",
    "aws:currenttime": "2023-11-14T22:13:20+00:00",
    "aws:username": "abc123",
    "aws:principalarn": "arn:aws:iam::123456789012:user/staff/ada",
    "aws:principaltag/team": "a*",
}


def statement(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": INVOKE, "Resource": ARN, **elements}


def verdict_of(*statements: dict[str, Any]) -> Verdict:
    return decide([{"Statement": list(statements)}], INVOKE, ARN, KEYS)


ALLOWED = [
    statement(),
    statement(Action="execute-api:*"),
    statement(Action="*"),
    statement(Action="EXECUTE-API:invoke"),
    statement(Action=["s3:GetObject", INVOKE]),
    statement(Resource="*"),
    statement(Resource="arn:aws:execute-api:*:*:abc123/*"),
    statement(Resource="arn:aws:execute-api:eu-west-?:*:abc123/prod/$connect"),
    statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
    statement(Condition={"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "10.1.2.3"]}}),
    statement(Condition={"StringLike": {"aws:UserAgent": "wscat/*"}}),
    statement(Condition={"Bool": {"aws:SecureTransport": False}}),
    statement(Condition={"StringNotEquals": {"aws:Referer": "elsewhere"}}),
    statement(Condition={"StringEqualsIfExists": {"aws:Referer": "elsewhere"}}),
    statement(Condition={"Null": {"aws:Referer": "true"}}),
    statement(Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}),
    statement(Condition={"NumericGreaterThan": {"aws:EpochTime": 1600000000}}),
    statement(Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}),
    statement(Condition={"ArnEquals": {"aws:PrincipalArn": "*"}}),
    statement(Condition={"BinaryEquals": {"aws:username": "abc123"}}),
]
NOT_ALLOWED = [
    statement(Action="execute-api:ManageConnections"),
    statement(Resource="arn:aws:execute-api:*:*:other/*"),
    statement(Effect="allow"),
    statement(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
    statement(Condition={"IpAddress": {"aws:SourceIp": "no address"}}),
    statement(Condition={"StringEquals": {"aws:Referer": "elsewhere"}}),
    statement(Condition={"Bool": {"aws:SecureTransport": "true"}}),
    statement(Condition={"StringSounds": {"aws:UserAgent": "wscat"}}),
    statement(Condition="always"),
    statement(Condition={"StringEquals": "always"}),
    statement(Condition={"StringNotEquals": ["always"]}),
    statement(Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/ada"}}),
    statement(Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:*:ada"}}),
    statement(
        Condition={
            "StringLike": {"aws:UserAgent": "wscat/*"},
            "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
        }
    ),
    {"Effect": "Allow", "NotAction": "execute-api:*", "Resource": "*"},
    {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:execute-api:*:*:abc123/*"},
    {"Effect": "Allow", "Action": "*"},
    {"Effect": "Allow", "Resource": "*"},
]


@pytest.mark.parametrize("allowing", ALLOWED, ids=json.dumps)
def test_allowed(allowing: dict[str, Any]) -> None:
    assert verdict_of(allowing) is Verdict.ALLOW


@pytest.mark.parametrize("other", NOT_ALLOWED, ids=json.dumps)
def test_not_allowed(other: dict[str, Any]) -> None:
    assert verdict_of(other) is Verdict.NOT_ALLOWED


def test_not_action_and_not_resource_cover_the_rest() -> None:
    assert verdict_of({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}) is Verdict.ALLOW
    elsewhere = {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::*"}
    assert verdict_of(elsewhere) is Verdict.ALLOW


def test_one_deny_wins() -> None:
    assert verdict_of(statement(), statement(Effect="Deny")) is Verdict.DENY
    assert verdict_of(statement(Effect="Deny"), statement()) is Verdict.DENY


def test_a_deny_whose_condition_is_false_denies_nothing() -> None:
    elsewhere = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    assert verdict_of(statement(), statement(Effect="Deny", Condition=elsewhere)) is Verdict.ALLOW


def test_a_deny_whose_condition_cannot_be_told_denies() -> None:
    strange = {"StringSounds": {"aws:UserAgent": "wscat"}}
    assert verdict_of(statement(), statement(Effect="Deny", Condition=strange)) is Verdict.DENY


VARIABLES = [
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    (statement(Resource="arn:aws:execute-api:*:*:${aws:username}/prod/$connect"), True),
    (statement(Resource="arn:aws:execute-api:*:*:${AWS:UserName}/*"), True),
    (statement(Resource="arn:aws:execute-api:*:*:${aws:nobody}/*"), False),
    (statement(Resource=["arn:aws:s3:::${aws:nobody}", "*"]), True),
    (statement(Resource="arn:aws:execute-api:*:*:${aws:nobody, 'abc123'}/*"), True),
    (statement(Resource="arn:aws:execute-api:*:*:${aws:nobody,'other'}/*"), False),
    (statement(Resource="arn:aws:execute-api:*:*:${aws:PrincipalTag/Team}bc123/*"), False),
    (statement(Resource="arn:aws:execute-api:*:*:abc${*}/*"), False),
    ({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::${aws:nobody}"}, False),
    (statement(Condition={"StringEquals": {"aws:username": "${aws:username}"}}), True),
    (statement(Condition={"StringEquals": {"aws:PrincipalTag/team": "a${*}"}}), True),
    (statement(Condition={"StringLike": {"aws:username": "${aws:PrincipalTag/team}"}}), False),
    (statement(Condition={"StringEquals": {"aws:username": "${aws:nobody}"}}), False),
    (statement(Condition={"StringNotEquals": {"aws:username": "${aws:nobody}"}}), False),
]


@pytest.mark.parametrize(("allowing", "is_allowed"), VARIABLES, ids=json.dumps)
def test_variables(allowing: dict[str, Any], is_allowed: bool) -> None:
    policy = {"Version": "2012-10-17", "Statement": allowing}
    wanted = Verdict.ALLOW if is_allowed else Verdict.NOT_ALLOWED
    assert decide([policy], INVOKE, ARN, KEYS) is wanted


def test_a_deny_whose_variable_cannot_be_told_denies() -> None:
    unknown = "arn:aws:execute-api:*:*:${aws:nobody}/*"
    statements = [statement(), statement(Effect="Deny", Resource=unknown)]
    policy = {"Version": "2012-10-17", "Statement": statements}
    assert decide([policy], INVOKE, ARN, KEYS) is Verdict.DENY


def test_policies_of_the_first_version_have_no_variables() -> None:
    assert verdict_of(statement(Resource="*${aws:username}*")) is Verdict.NOT_ALLOWED


@given(st.text(), st.text())
def test_wildcards_cover_what_they_stand_for(before: str, after: str) -> None:
    assert wildcard_match(f"{before}*{after}", f"{before}anything{after}")
    assert wildcard_match(before, before)


@given(st.dictionaries(st.text(), st.dictionaries(st.text(), st.text())))
def test_no_condition_is_too_strange(condition: dict[str, Any]) -> None:
    assert holds(condition, KEYS) in (True, False, None)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"principalId": "user"},
        {"policyDocument": {"Statement": []}},
        {"principalId": "user", "policyDocument": "Allow"},
        {"principalId": "user", "policyDocument": {"Statement": ["Allow"]}},
    ],
)
def test_malformed_answers_of_authorizers(answer: object) -> None:
    with pytest.raises(MalformedAnswerError):
        evaluate(answer, ARN, KEYS)


def test_context_of_an_authorizer_is_text() -> None:
    answer = {"principalId": "user", "context": {"number": 7, "yes": True, "nothing": None}}
    assert context(answer) == {
        "principalId": "user",
        "number": "7",
        "yes": "true",
        "nothing": None,
    }
    key = {"principalId": "user", "usageIdentifierKey": "secret"}
    assert context(key)["usageIdentifierKey"] == "secret"
    with pytest.raises(MalformedAnswerError):
        context({"principalId": "user", "context": {"list": [1]}})
