"""A function that plldb has instrumented, in this process."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import plldb_shim
import pytest
from plldb_shim import channel, constants, variables

from .helper_stack import REQUEST_ID, HelperStack, Script, helper_stack

OWN_HANDLER = "shop/till.handler"
TOKEN = "the-token"


class Context:
    function_name = "app-Fn"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:1:function:app-Fn"
    memory_limit_in_mb = "128"
    log_group_name = "/aws/lambda/app-Fn"
    log_stream_name = "stream"
    tenant_id = "blue"
    aws_request_id = REQUEST_ID
    client_context = None
    identity = None

    def __init__(self, seconds: float = 30) -> None:
        self._deadline = time.time() + seconds

    def w3c(self) -> dict[str, str]:
        return {"traceparent": "00-a-b-01"}

    def get_remaining_time_in_millis(self) -> int:
        return int((self._deadline - time.time()) * 1000)


@contextmanager
def instrumented(
    monkeypatch: pytest.MonkeyPatch, respond: Script, **changes: str
) -> Iterator[HelperStack]:
    """The function as plldb left it, with a helper stack that answers so."""
    with helper_stack(respond) as stack:
        monkeypatch.setattr(variables, "TAKEN", variables_of(stack.url) | changes)
        try:
            yield stack
        finally:
            channel.hang_up()


def variables_of(websocket_url: str) -> dict[str, str]:
    return {
        constants.ORIGINAL_HANDLER: OWN_HANDLER,
        constants.FUNCTION: "Fn",
        constants.WEBSOCKET_URL: websocket_url,
        constants.TOKEN: TOKEN,
        constants.SESSION: "12345678",
        constants.HELD_BY: "arn:aws:iam::1:user/me",
        constants.WHEN_ABSENT: "original",
    }


def as_lambda_reports(error: BaseException) -> dict[str, Any]:
    """What awslambdaric makes of an exception of the handler.

    https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py
    """
    entries = [
        (frame.filename, frame.lineno, frame.name, frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    for number, entry in enumerate(entries):
        if "/bootstrap.py" not in entry[0]:
            entries = entries[number:]
            break
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_list(entries),
    }


def reported(event: Any = None, context: Any = None) -> dict[str, Any]:
    """The error that the invocation ends with."""
    # As Lambda's own frame, which is called bootstrap.py as well.
    namespace: dict[str, Any] = {"handler": plldb_shim.handler}
    code = "def call(event, context):\n    handler(event, context)\n"
    exec(compile(code, "/var/runtime/awslambdaric/bootstrap.py", "exec"), namespace)
    with pytest.raises(BaseException) as raised:
        namespace["call"](event, context or Context())
    # This test's own frame is not Lambda's.
    raised.value.__traceback__ = raised.value.__traceback__.tb_next  # type: ignore[union-attr]
    return as_lambda_reports(raised.value)
