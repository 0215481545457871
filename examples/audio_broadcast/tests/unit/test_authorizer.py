"""Whom the authorizer lets in."""

from __future__ import annotations

import time

import jwt
import pytest
from broadcast.authorizer import authorize
from broadcast.tokens import AUDIENCE, Identity, issue_token, read_token

KEY, OTHER_KEY = "k" * 64, "o" * 64
ARN = "arn:aws:execute-api:us-east-1:123456789012:api/dev/$connect"
SPEAKER = Identity("ann", "speaker")


def _effect(token: str | None) -> str:
    query = None if token is None else {"token": token}
    answer = authorize({"methodArn": ARN, "queryStringParameters": query}, KEY)
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Resource"] == ARN
    return str(statement["Effect"])


def _sign(**claims: object) -> str:
    complete = {"aud": AUDIENCE, "sub": "ann", "role": "speaker", "exp": time.time() + 60}
    merged = {name: value for name, value in (complete | claims).items() if value is not None}
    return jwt.encode(merged, KEY, algorithm="HS256")


def test_a_token_allows_and_says_who_it_is() -> None:
    token = issue_token(SPEAKER, KEY, int(time.time()) + 60)
    assert read_token(token, KEY) == SPEAKER
    answer = authorize({"methodArn": ARN, "queryStringParameters": {"token": token}}, KEY)
    assert answer["context"] == {"userId": "ann", "role": "speaker"}
    assert _effect(token) == "Allow"


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"exp": None}, {"aud": "another"}, {"role": "owner"}, {"sub": None}],
    ids=str,
)
def test_a_token_that_is_not_good_denies(claims: dict[str, object]) -> None:
    assert _effect(_sign(**claims)) == "Deny"


def test_forged_unsigned_and_missing_tokens_deny() -> None:
    assert _effect(issue_token(SPEAKER, OTHER_KEY, int(time.time()) + 60)) == "Deny"
    assert _effect(jwt.encode({"sub": "ann"}, None, algorithm="none")) == "Deny"
    assert _effect("no token") == "Deny"
    assert _effect(None) == "Deny"
