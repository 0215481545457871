"""Calling the function that an authorizer or an integration points at."""

import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from localstack.aws.connect import connect_to

from .events import Event

STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.([^}]+)\}")


class IntegrationError(Exception):
    """The backend failed, is missing, or isn't one. ``message`` is a function's own, if any."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class FunctionError(IntegrationError):
    """The function raised. ``body`` is its error, as JSON."""

    def __init__(self, message: str, body: str) -> None:
        super().__init__(message)
        self.body = body


def with_stage_variables(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with ``${stageVariables.name}`` filled in, by nothing if the stage lacks it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/stage-variables.html
    """
    return STAGE_VARIABLE.sub(lambda match: variables.get(match[1], ""), text)


def function_of(uri: str) -> str:
    """The ARN of the function behind an API Gateway URI, else IntegrationError."""
    arn = uri.partition("/functions/")[2].partition("/invocations")[0]
    if not arn:
        raise IntegrationError(f"not a Lambda integration: {uri}")
    return arn


def call_function(arn: str, region: str, event: Event) -> Any:
    """Invoke a function and return its decoded answer."""
    return json.loads(invoke(arn, region, json.dumps(event)) or "null")


def invoke(arn: str, region: str, payload: str, invocation_type: str = "RequestResponse") -> str:
    """-> what the function answered, as JSON; nothing when it is not waited for.

    Raises FunctionError when it raised, IntegrationError when it can't be called.
    """
    client = connect_to(region_name=region).lambda_
    try:
        response = client.invoke(FunctionName=arn, Payload=payload, InvocationType=invocation_type)
    except ClientError as error:
        raise IntegrationError(str(error)) from error
    answer: str = response["Payload"].read().decode()
    if response.get("FunctionError"):
        raise FunctionError(_error_message(json.loads(answer)), answer)
    return answer


def status_of(answer: object) -> int:
    """The status of a proxy answer. One without a status that HTTP has is malformed: 502 on AWS."""
    if isinstance(answer, Mapping) and (status := answer.get("statusCode")) is not None:
        try:
            code = int(status)
        except (TypeError, ValueError):
            code = 0
        if 200 <= code <= 599 and not isinstance(status, bool):
            return code
    raise IntegrationError("Malformed Lambda proxy response")


def _error_message(answer: object) -> str:
    return str(answer.get("errorMessage", "")) if isinstance(answer, Mapping) else ""
