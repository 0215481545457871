"""Calling what a route or an authorizer points at."""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from localstack.aws.connect import connect_to

from ..apigatewayv2.store import Record
from .events import Event

CLIENT_ERROR_FLOOR = 400


class IntegrationError(Exception):
    """The function failed, is missing, or isn't one. ``message`` is the function's own, if any."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def call_function(uri: str, region: str, event: Event) -> Any:
    """Invoke the function behind an API Gateway URI and return its decoded answer."""
    arn = uri.partition("/functions/")[2].partition("/invocations")[0]
    if not arn:
        raise IntegrationError(f"not a Lambda integration: {uri}")
    client = connect_to(region_name=region).lambda_
    try:
        response = client.invoke(FunctionName=arn, Payload=json.dumps(event))
    except ClientError as error:
        raise IntegrationError(str(error)) from error
    answer = json.loads(response["Payload"].read() or b"null")
    if response.get("FunctionError"):
        raise IntegrationError(_error_message(answer))
    return answer


def call_integration(integration: Record, region: str, event: Event) -> Any:
    """The answer of a route's integration. ``AWS_PROXY`` calls a function, ``MOCK`` says 200."""
    match integration["IntegrationType"]:
        case "AWS_PROXY":
            return call_function(integration["IntegrationUri"], region, event)
        case "MOCK":
            return {"statusCode": 200}
        case other:
            raise IntegrationError(f"integration type {other} is not supported")


def status_of(answer: object) -> int:
    """The status of a proxy answer. One without a status is malformed: 502 on AWS."""
    if isinstance(answer, Mapping) and (status := answer.get("statusCode")) is not None:
        try:
            return int(status)
        except (TypeError, ValueError):
            pass
    raise IntegrationError("Malformed Lambda proxy response")


def _error_message(answer: object) -> str:
    return str(answer.get("errorMessage", "")) if isinstance(answer, Mapping) else ""
