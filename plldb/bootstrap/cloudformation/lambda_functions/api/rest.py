"""What the REST operations share: bodies, callers, answers, and which operation a request names."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from ..shared.log import LambdaEvent, Record

# One operation: answers a request. It adds to the log's record; the last argument is the time.
Operation = Callable[[LambdaEvent, Record, float], Any]


class BadRequestError(Exception):
    """What is wrong with the request, in words for its sender."""


class RefusedRequestError(Exception):
    """A request that is well-formed, but can't be fulfilled: the status says in which way."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def dispatch(operations: Mapping[str, Operation]) -> Operation:
    """One operation out of several, by ``"<method> <resource>"`` as template.yaml has them.

    A BadRequestError of an operation is answered with 400 ``{"message": …}``, a
    RefusedRequestError with its status, any other exception with 500; the log has its type.
    """

    def handle(event: LambdaEvent, record: Record, now: float) -> Any:
        route = f"{event.get('httpMethod')} {event.get('resource')}"
        operation = operations.get(route)
        if operation is None:
            return rejection(record, 404, "There is no such operation.")
        record["route"] = route
        try:
            return operation(event, record, now)
        except BadRequestError as error:
            return rejection(record, 400, str(error))
        except RefusedRequestError as error:
            return rejection(record, error.status, str(error))
        except Exception as error:  # noqa: BLE001 - not every gateway hides what went wrong inside
            record |= {"level": "ERROR", "outcome": "error", "error": type(error).__name__}
            where = f"its log says why, at request {record.get('requestId')}"
            return response(500, {"message": f"The helper stack failed; {where}."})

    return handle


def caller(event: LambdaEvent) -> str:
    """The ARN of whoever signed the request."""
    return str(event["requestContext"]["identity"].get("userArn") or "unknown")


def path_parameter(event: LambdaEvent, name: str) -> str:
    return str((event.get("pathParameters") or {}).get(name) or "")


def query_parameter(event: LambdaEvent, name: str) -> str | None:
    value = (event.get("queryStringParameters") or {}).get(name)
    return None if value is None else str(value)


def json_body(event: LambdaEvent, max_bytes: int) -> dict[str, Any]:
    """The JSON object that is the request's body. Raises BadRequestError for anything else."""
    body = event.get("body") or ""
    try:
        raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    except ValueError:
        raise BadRequestError("The body is not text.") from None
    if len(raw) > max_bytes:
        raise BadRequestError(f"The body is over {max_bytes} bytes.")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequestError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise BadRequestError("The body is not a JSON object.")
    return value


def rejection(record: Record, status: int, message: str) -> dict[str, Any]:
    """An answer with an error status and ``{"message": …}``, and the same in the log."""
    outcome = "bad_request" if status == 400 else "refused"
    record |= {"level": "WARNING", "outcome": outcome, "reason": message}
    return response(status, {"message": message})


def response(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        # The answer may hold a credential.
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(body),
    }
