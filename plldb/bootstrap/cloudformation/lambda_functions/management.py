"""The management API: REST, and signed by AWS_IAM before anything arrives here."""

from __future__ import annotations

import re
from typing import Any

from .log import Event, Record
from .rest import BadRequestError, caller, json_body, response
from .sessions import SessionStore, new_session, shortened

MAX_BODY_BYTES = 8 * 1024
# CloudFormation's own rule for stack names:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


def create_session(event: Event, record: Record, store: SessionStore, now: float) -> Any:
    """``POST /sessions`` ``{"stackName": …}`` → 201 ``{"sessionId": …}``."""
    stack_name = _stack_name(json_body(event, MAX_BODY_BYTES))
    session = new_session(stack_name, caller(event), now)
    store.create(session)
    record |= {
        "outcome": "created",
        "sessionId": shortened(session.session_id),
        "stackName": stack_name,
    }
    return response(201, {"sessionId": session.session_id})


def _stack_name(body: dict[str, Any]) -> str:
    name = body.get("stackName")
    if name is None:
        raise BadRequestError("stackName is missing.")
    if not isinstance(name, str) or not _STACK_NAME.fullmatch(name):
        raise BadRequestError(
            "stackName must be a letter, followed by letters, digits and hyphens, 128 at most."
        )
    return name
