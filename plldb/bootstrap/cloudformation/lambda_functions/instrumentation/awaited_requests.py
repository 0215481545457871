"""Requests to the instrumentation function whose end is waited for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from .request import UnfinishedError


class AwaitedInstrumentation:
    """As ``LambdaInstrumentation``, but waits for the end, and raises UnfinishedError if there is
    none soon, or no good one. What has begun goes on all the same.

    ``client`` gives a boto3 Lambda client that repeats nothing.
    """

    def __init__(self, client: Callable[[], Any], function_name: str) -> None:
        self._client = client
        self._function_name = function_name

    def start(self, request: dict[str, Any]) -> None:
        payload = json.dumps(request).encode()
        try:
            answer = self._client().invoke(FunctionName=self._function_name, Payload=payload)
        except ReadTimeoutError as error:
            raise UnfinishedError from error
        except ClientError as error:
            # No concurrency is left: nobody has begun, and somebody will ask again.
            if error.response["Error"]["Code"] != "TooManyRequestsException":
                raise
            raise UnfinishedError from error
        if "FunctionError" in answer:
            raise UnfinishedError(answer["FunctionError"])
