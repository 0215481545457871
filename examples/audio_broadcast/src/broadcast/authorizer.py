"""The authorizer of ``$connect``: it answers with a policy.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import boto3
import jwt

from broadcast.telemetry import count
from broadcast.tokens import Identity, read_token


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    answer = authorize(event, _find_key())
    count("TokensRefused" if "context" not in answer else "TokensAccepted")
    return answer


def authorize(event: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Allows whoever has a token; what it says reaches ``$connect`` in
    ``requestContext.authorizer``.

    It is in the query, as browsers can't send headers with a WebSocket. What is in a URL gets into
    logs on the way, so issue tokens that expire within minutes: a connection outlives its token.
    """
    query = event.get("queryStringParameters") or {}
    try:
        identity = read_token(query.get("token", ""), key)
    except jwt.InvalidTokenError:
        return _make_policy("anonymous", "Deny", event["methodArn"])
    return _make_policy(identity.user_id, "Allow", event["methodArn"]) | _make_context(identity)


def _make_policy(principal: str, effect: Literal["Allow", "Deny"], arn: str) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": arn}
    return {
        "principalId": principal,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
    }


def _make_context(identity: Identity) -> dict[str, Any]:
    return {"context": {"userId": identity.user_id, "role": identity.role}}


@cache
def _find_key() -> str:
    secrets = boto3.client("secretsmanager")
    found = secrets.get_secret_value(SecretId=os.environ["TOKEN_KEY_ARN"])
    return str(found["SecretString"])
