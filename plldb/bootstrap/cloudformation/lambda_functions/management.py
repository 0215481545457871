"""The management API: REST, and signed by AWS_IAM before anything arrives here."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from .log import Event, Record
from .sessions import SessionStore, new_session, shortened

MAX_BODY_BYTES = 8 * 1024
# CloudFormation's own rule for stack names:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


class BadRequestError(Exception):
    """What is wrong with the request, in words for its sender."""


def create_session(event: Event, record: Record, store: SessionStore, now: float) -> Any:
    """``POST /sessions`` ``{"stackName": …}`` → 201 ``{"sessionId": …}`` or 400 ``{"message"}``."""
    try:
        stack_name = _stack_name(_json_body(event))
    except BadRequestError as error:
        record |= {"level": "WARNING", "outcome": "bad_request", "reason": str(error)}
        return _response(400, {"message": str(error)})
    session = new_session(stack_name, _caller(event), now)
    store.create(session)
    record |= {
        "outcome": "created",
        "sessionId": shortened(session.session_id),
        "stackName": stack_name,
    }
    return _response(201, {"sessionId": session.session_id})


def _caller(event: Event) -> str:
    return str(event["requestContext"]["identity"].get("userArn") or "unknown")


def _json_body(event: Event) -> dict[str, Any]:
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    if len(raw) > MAX_BODY_BYTES:
        raise BadRequestError(f"The body is over {MAX_BODY_BYTES} bytes.")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequestError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise BadRequestError("The body is not a JSON object.")
    return value


def _stack_name(body: dict[str, Any]) -> str:
    name = body.get("stackName")
    if name is None:
        raise BadRequestError("stackName is missing.")
    if not isinstance(name, str) or not _STACK_NAME.fullmatch(name):
        raise BadRequestError(
            "stackName must be a letter, followed by letters, digits and hyphens, 128 at most."
        )
    return name


def _response(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        # The answer may hold a credential.
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(body),
    }
