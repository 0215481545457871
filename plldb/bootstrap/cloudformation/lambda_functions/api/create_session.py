"""``POST /sessions``: REST, and signed by AWS_IAM before anything arrives here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..instrumentation.request import Instrumentation, wake_request
from ..sessions.pending_cap import PendingCap
from ..sessions.session import new_session
from ..sessions.store import SessionStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from .rest import BadRequestError, caller, json_body, rejection, response
from .session_requests import OTHER_STACK, check_stack_name, stack_of_path

_HELPER_STACK = "stackName is plldb's own helper stack, which it can't debug."


@dataclass(frozen=True)
class SessionCreation:
    """What the operation acts on, and its limits. ``helper_stack`` is the one that this runs in."""

    sessions: SessionStore
    pending: PendingCap
    max_body_bytes: int
    helper_stack: str
    instrumentation: Instrumentation


def create_session(
    event: LambdaEvent, record: Record, now: float, creation: SessionCreation
) -> dict[str, Any]:
    """``POST /sessions`` ``{"stackName": …}`` → 201 ``{"sessionId": …}``.

    Below the path of a stack, no body is needed.

    429 with Retry-After where nobody connects to the sessions that the stack has already. Of the
    helper stack there are none: whoever debugged its functions would act with their rights.
    """
    stack_name = _stack_name(event, creation.max_body_bytes)
    record["stackName"] = stack_name
    if stack_name == creation.helper_stack:
        raise BadRequestError(_HELPER_STACK)
    seconds = creation.pending.retry_after(stack_name, now)
    if seconds is not None:
        refused = rejection(
            record, 429, "The stack has too many sessions that nobody connected to."
        )
        refused["headers"]["Retry-After"] = str(seconds)
        return refused
    session = new_session(stack_name, caller(event), now)
    creation.sessions.create(session)
    _wake(creation.instrumentation, record)
    record |= {"outcome": "created", "sessionId": shortened(session.session_id)}
    return response(201, {"sessionId": session.session_id})


def _wake(instrumentation: Instrumentation, record: Record) -> None:
    """Who connects to the session asks for functions next. What instruments them starts meanwhile,
    and if this fails, as late as it is needed.
    """
    try:
        instrumentation.start(wake_request())
    except (BotoCoreError, ClientError) as error:
        record["notWoken"] = type(error).__name__


def _stack_name(event: LambdaEvent, max_body_bytes: int) -> str:
    of_path = stack_of_path(event)
    body = {} if of_path and not event.get("body") else json_body(event, max_body_bytes)
    name = body.get("stackName", of_path)
    if name is None:
        raise BadRequestError("stackName is missing.")
    if of_path not in (None, name):
        raise BadRequestError(OTHER_STACK)
    return check_stack_name(name)
