"""One invocation of a function, as its caller sees it."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ReadTimeoutError

from plldb.aws import Target, aws_errors
from plldb.errors import EndpointError
from plldb.json_text import read_json

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# As long as a function may run, at a breakpoint as well; and the time that a cold start takes.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
_PATIENCE_SECONDS = 960


@dataclass(frozen=True)
class Failure:
    """What the function raised, as Lambda's runtime reports it; ``trace`` has a frame a line."""

    kind: str
    message: str
    trace: tuple[str, ...] = ()

    @classmethod
    def from_payload(cls, payload: bytes) -> Failure:
        """What is not as Lambda's own runtimes write it is the message, whole."""
        try:
            report = json.loads(payload)
            message, trace = report["errorMessage"], report.get("stackTrace") or ()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls("", payload.decode("utf-8", "replace"))
        lines = tuple(line for frame in trace for line in str(frame).rstrip().splitlines())
        return cls(str(report.get("errorType") or ""), str(message), lines)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.kind else self.message


@dataclass(frozen=True)
class Answer:
    """``payload`` is what Lambda gave, byte for byte; ``log`` the last 4 KB of what was logged.

    ``seconds`` is how long the caller waited, ``version`` the one that ran: ``$LATEST``, ``7``.
    """

    payload: bytes
    failure: Failure | None
    log: str
    version: str
    request_id: str
    seconds: float


def invoke(target: Target, function: str, event: bytes, qualifier: str | None) -> Answer:
    """Invokes a function once, and waits for its answer as long as a debugger may take.

    ``function`` is a name or an ARN. The call is never made again: whoever paused at a breakpoint
    would get the same event twice. Raises PlldbError if there is no answer.
    """
    client: LambdaClient = target.patient_client("lambda", _PATIENCE_SECONDS)
    started = time.monotonic()
    with aws_errors(f"invoke {function}"):
        try:
            given = client.invoke(**_make_request(function, event, qualifier), LogType="Tail")
            payload = given["Payload"].read()
        except ReadTimeoutError as error:
            raise EndpointError(
                f"{function} has not answered for {_PATIENCE_SECONDS} seconds.",
                "It may still be running. It was not invoked again.",
            ) from error
    return Answer(
        payload,
        Failure.from_payload(payload) if given.get("FunctionError") else None,
        base64.b64decode(given.get("LogResult", "")).decode("utf-8", "replace"),
        given.get("ExecutedVersion", ""),
        given["ResponseMetadata"].get("RequestId", ""),
        time.monotonic() - started,
    )


def invoke_without_waiting(
    target: Target, function: str, event: bytes, qualifier: str | None
) -> str:
    """Has Lambda invoke a function later, with retries of its own; returns the request id."""
    client: LambdaClient = target.patient_client("lambda", 60)
    with aws_errors(f"invoke {function}"):
        given = client.invoke(**_make_request(function, event, qualifier), InvocationType="Event")
    return given["ResponseMetadata"].get("RequestId", "")


def _make_request(function: str, event: bytes, qualifier: str | None) -> dict[str, Any]:
    request: dict[str, Any] = {"FunctionName": function, "Payload": event}
    return request | ({"Qualifier": qualifier} if qualifier is not None else {})


def describe_payload(payload: bytes) -> dict[str, Any]:
    """For JSON output: the value; or the text or the bytes of what is no JSON."""
    try:
        return {"answer": read_json(payload) if payload else None}
    except ValueError:
        pass
    try:
        return {"answer": None, "answerText": payload.decode()}
    except UnicodeDecodeError:
        return {"answer": None, "answerBase64": base64.b64encode(payload).decode()}
