"""Events as AWS's documentation shows them, whole: what is not promised there may be missing.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
"""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]

HOST = "abcd123.execute-api.us-east-1.amazonaws.com"
_METHOD_ARN = "arn:aws:execute-api:us-east-1:123456789012:abcd123/plldb/$connect"
_UPGRADE = {
    "Connection": "upgrade",
    "Host": HOST,
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Upgrade": "websocket",
    "X-Amzn-Trace-Id": "Root=1-6347c0a1-3d5f8b2a4c6e7f8091a2b3c4",
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
}


def _websocket_context(route: str, kind: str, connection_id: str, **more: Any) -> Event:
    return {
        "routeKey": route,
        "eventType": kind,
        "extendedRequestId": "Z-aBcDeFgHiJk=",
        "requestTime": "14/Oct/2026:18:46:57 +0000",
        "messageDirection": "IN",
        "stage": "plldb",
        "connectedAt": 1665773217145,
        "requestTimeEpoch": 1665773217146,
        "identity": {"sourceIp": "192.0.2.1", "userAgent": None},
        "requestId": "Z-aBcDeFgHiJk=",
        "domainName": HOST,
        "connectionId": connection_id,
        "apiId": "abcd123",
    } | more


def _lists(values: dict[str, str] | None) -> dict[str, list[str]] | None:
    return None if values is None else {name: [value] for name, value in values.items()}


def authorizer_event(query: dict[str, str] | None, headers: dict[str, str] | None = None) -> Event:
    """What a REQUEST authorizer is asked; API Gateway passes on headers in any case."""
    given = _UPGRADE | (headers or {})
    return {
        "type": "REQUEST",
        "methodArn": _METHOD_ARN,
        "headers": given,
        "multiValueHeaders": _lists(given),
        "queryStringParameters": query,
        "multiValueQueryStringParameters": _lists(query),
        "stageVariables": {},
        "requestContext": _websocket_context("$connect", "CONNECT", "L0SM9cOFvHcCIhw="),
    }


def passed_on(answer: Event) -> Event:
    """What an authorizer's answer is in later events: values are text, and there are two more."""
    context = {name: str(value) for name, value in answer.get("context", {}).items()}
    return context | {"principalId": answer["principalId"], "integrationLatency": 42}


def connect_event(connection_id: str, query: dict[str, str], authorizer: Event | None) -> Event:
    more = {} if authorizer is None else {"authorizer": authorizer}
    return {
        "headers": _UPGRADE,
        "multiValueHeaders": _lists(_UPGRADE),
        "queryStringParameters": query,
        "multiValueQueryStringParameters": _lists(query),
        "requestContext": _websocket_context("$connect", "CONNECT", connection_id, **more),
        "isBase64Encoded": False,
    }


def message_event(connection_id: str, body: str | None, **more: Any) -> Event:
    """It has no headers. ``more`` goes into requestContext: an authorizer, or none."""
    context = _websocket_context("$default", "MESSAGE", connection_id, messageId="Z-aBc=", **more)
    return {"requestContext": context, "body": body, "isBase64Encoded": False}


def disconnect_event(connection_id: str, code: int, reason: str, **more: Any) -> Event:
    headers = {"Host": HOST, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    context = _websocket_context(
        "$disconnect",
        "DISCONNECT",
        connection_id,
        disconnectStatusCode=code,
        disconnectReason=reason,
        **more,
    )
    return {
        "headers": headers,
        "multiValueHeaders": _lists(headers),
        "requestContext": context,
        "isBase64Encoded": False,
    }


def rest_event(
    method: str,
    resource: str,
    *,
    path: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    body: str | None = None,
    user_arn: str | None = "arn:aws:iam::123456789012:user/me",
) -> Event:
    """A REST API's proxy event under AWS_IAM. What a request lacks is null, and not missing."""
    filled = resource.format_map(path or {})
    headers = {"Host": HOST, "User-Agent": "plldb", "X-Amz-Date": "20261014T184657Z"}
    return {
        "resource": resource,
        "path": filled,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": _lists(headers),
        "queryStringParameters": query,
        "multiValueQueryStringParameters": _lists(query),
        "pathParameters": path,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "abc123",
            "resourcePath": resource,
            "operationName": None,
            "httpMethod": method,
            "extendedRequestId": "Z-aBcDeFgHiJk=",
            "requestTime": "14/Oct/2026:18:46:57 +0000",
            "path": f"/plldb{filled}",
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": "plldb",
            "domainPrefix": "abcd123",
            "requestTimeEpoch": 1665773217146,
            "requestId": "0b1c2d3e-0000-4000-8000-000000000000",
            "identity": {
                "cognitoIdentityPoolId": None,
                "accountId": "123456789012",
                "cognitoIdentityId": None,
                "caller": "AIDACKCEVSQ6C2EXAMPLE",
                "sourceIp": "192.0.2.1",
                "principalOrgId": None,
                "accessKey": "AKIAIOSFODNN7EXAMPLE",
                "cognitoAuthenticationType": None,
                "cognitoAuthenticationProvider": None,
                "userArn": user_arn,
                "userAgent": "plldb",
                "user": "AIDACKCEVSQ6C2EXAMPLE",
            },
            "domainName": HOST,
            "apiId": "abcd123",
        },
        "body": body,
        "isBase64Encoded": False,
    }


def schedule_event() -> Event:
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-10-08T16:53:06Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/plldb-ReaperRule"],
        "detail": {},
    }
