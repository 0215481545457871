"""``POST /sessions``: REST, and signed by AWS_IAM before anything arrives here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .log import Event, Record
from .pending import PendingCap
from .rest import BadRequestError, caller, json_body, rejection, response
from .sessions import SessionStore, new_session, shortened

# CloudFormation's own rule for stack names:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_NO_STACK_NAME = "stackName must be a letter, followed by letters, digits and hyphens, 128 at most."
_HELPER_STACK = "stackName is plldb's own helper stack, which it can't debug."


@dataclass(frozen=True)
class Management:
    """What the operation acts on, and its limits. ``helper_stack`` is the one that this runs in."""

    sessions: SessionStore
    pending: PendingCap
    max_body_bytes: int
    helper_stack: str


def create_session(event: Event, record: Record, management: Management, now: float) -> Any:
    """``POST /sessions`` ``{"stackName": …}`` → 201 ``{"sessionId": …}``.

    429 with Retry-After where nobody connects to the sessions that the stack has already. Of the
    helper stack there are none: whoever debugged its functions would act with their rights.
    """
    stack_name = _stack_name(json_body(event, management.max_body_bytes))
    record["stackName"] = stack_name
    if stack_name == management.helper_stack:
        raise BadRequestError(_HELPER_STACK)
    seconds = management.pending.retry_after(stack_name, now)
    if seconds is not None:
        refused = rejection(
            record, 429, "The stack has too many sessions that nobody connected to."
        )
        refused["headers"]["Retry-After"] = str(seconds)
        return refused
    session = new_session(stack_name, caller(event), now)
    management.sessions.create(session)
    record |= {"outcome": "created", "sessionId": shortened(session.session_id)}
    return response(201, {"sessionId": session.session_id})


def checked_stack_name(name: str) -> str:
    """The same name. Raises BadRequestError."""
    if not _STACK_NAME.fullmatch(name):
        raise BadRequestError(_NO_STACK_NAME)
    return name


def _stack_name(body: dict[str, Any]) -> str:
    name = body.get("stackName")
    if name is None:
        raise BadRequestError("stackName is missing.")
    if not isinstance(name, str):
        raise BadRequestError(_NO_STACK_NAME)
    return checked_stack_name(name)
