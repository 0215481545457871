"""Calling the function that an authorizer or an integration points at.

LocalStack's Lambda is called as it is here, and not by an SDK's client, which takes as long as the
call itself.
"""

import io
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from localstack.aws.api import RequestContext, ServiceException
from localstack.aws.spec import load_service
from localstack.constants import DEFAULT_AWS_ACCOUNT_ID
from localstack.http import Request
from localstack.services.plugins import SERVICE_PLUGINS
from localstack.utils.xray.trace_header import TraceHeader

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
    try:
        response = _lambda().invoke(
            _context(region),
            function_name=arn,
            payload=io.BytesIO(payload.encode()),
            invocation_type=invocation_type,
        )
    except ServiceException as error:
        raise IntegrationError(f"{error.code}: {error.message}") from error
    answer = bytes(response.get("Payload") or b"").decode()
    if response.get("FunctionError"):
        raise FunctionError(_error_message(json.loads(answer)), answer)
    return answer


def _context(region: str) -> RequestContext:
    """As LocalStack has it when it comes to an operation."""
    context = RequestContext(Request("POST"))
    context.account_id, context.region = DEFAULT_AWS_ACCOUNT_ID, region
    context.service = load_service("lambda")
    context.operation = context.service.operation_model("Invoke")
    context.trace_context["aws_trace_header"] = TraceHeader().ensure_root_exists()
    return context


@cache
def _lambda() -> Any:
    """What LocalStack's Lambda does: the provider of its operations."""
    return SERVICE_PLUGINS.require("lambda")._provider


def _error_message(answer: object) -> str:
    return str(answer.get("errorMessage", "")) if isinstance(answer, Mapping) else ""
