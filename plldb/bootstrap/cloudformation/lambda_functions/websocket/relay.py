"""What actions act on, and how their messages are read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..instrumentation.request import Instrumentation
from ..invocations.grants import Grants
from ..invocations.invocation import Invocation, InvocationId
from ..invocations.payloads import Payloads
from ..invocations.store import Claims, InvocationStore
from ..sessions.ending import Ending
from ..sessions.function_lists import FunctionLists
from ..sessions.store import SessionStore
from ..shared.constants import MAX_FRAME_BYTES
from ..shared.log import Record
from . import wire
from .connections import Connections
from .wire import Action, ErrorCode

Reply = dict[str, Any] | None

_END_OF_TIME = 2**40  # in seconds: what is beyond is no mistake of a clock
# What a function is called in a session: logical ids, or a name in a list.
FUNCTION = re.compile(r"[0-9A-Za-z_/-]{1,1024}")
_REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,128}")


class BadMessageError(Exception):
    """What is wrong with a message, in words for its sender."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.BAD_REQUEST) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Request:
    """One message of a client, and the connection that it came by; ``record`` is for the log."""

    action: Action
    message: dict[str, Any] = field(repr=False)
    record: Record
    connection_id: str
    now: float


@dataclass(frozen=True)
class Relay:
    """Passes invocations and answers on, between functions and debuggers.

    ``clock`` gives the time in seconds since the epoch. Unless it ``allows_credentials``, those of
    functions are neither asked for nor passed on.
    """

    sessions: SessionStore
    invocations: InvocationStore
    claims: Claims
    grants: Grants
    payloads: Payloads
    lists: FunctionLists
    connections: Connections
    instrumentation: Instrumentation
    ending: Ending
    max_message_bytes: int
    allows_credentials: bool
    clock: Callable[[], float] = time.time

    def answer_message(self, invocation: Invocation) -> dict[str, Any]:
        """The answer that was recorded, for the function."""
        answer = invocation.answer
        assert answer is not None  # it is ANSWERED
        id = invocation.id
        if answer.body_key is not None:
            url = self.payloads.download_url(answer.body_key)
            return wire.answer(id.request_id, id.deadline, body_url=url)
        return wire.answer(id.request_id, id.deadline, body=answer.body)

    def upload(self, request: Request) -> Reply:
        """Where a payload goes that is too large for a message. Raises BadMessageError."""
        request_id = request_id_of(request)
        request.record["outcome"] = "presigned"
        presigned = self.payloads.new_upload()
        return wire.upload(request_id, presigned["key"], presigned["url"])


def request_id_of(request: Request) -> str:
    """Raises BadMessageError."""
    request_id = request.message.get("requestId")
    if not matches(_REQUEST_ID, request_id):
        raise BadMessageError("'requestId' is missing or malformed.")
    request.record["invocation"] = request_id
    return str(request_id)


def invocation_id_of(request: Request) -> InvocationId:
    """Raises BadMessageError."""
    deadline = round(time_of(request.message, "deadline"), 3)
    return InvocationId(request_id_of(request), deadline)


def time_of(message: dict[str, Any], name: str) -> float:
    """Seconds since the epoch. Raises BadMessageError."""
    value: Any = message.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < _END_OF_TIME:
        raise BadMessageError(f"'{name}' is missing, or no time.")
    return float(value)


def payload_of(
    message: dict[str, Any], inline: str, key: str, payloads: Payloads
) -> tuple[str | None, str | None]:
    """Either the text ``inline`` or the name of an upload, ``key``. Raises BadMessageError."""
    text, name = message.get(inline), message.get(key)
    if (text is None) == (name is None):
        raise BadMessageError(f"Either '{inline}' or '{key}' is needed.")
    if text is not None and not is_text(text):
        raise BadMessageError(f"'{inline}' must be a text of up to {MAX_FRAME_BYTES} bytes.")
    if name is not None and not (isinstance(name, str) and payloads.is_key(name)):
        raise BadMessageError(f"'{key}' names no upload.")
    return text, name


def is_text(value: Any) -> bool:
    """Whether it is a string that UTF-8 can hold in as many bytes as a message may have."""
    try:
        return isinstance(value, str) and len(value.encode()) <= MAX_FRAME_BYTES
    except UnicodeEncodeError:
        return False


def matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
