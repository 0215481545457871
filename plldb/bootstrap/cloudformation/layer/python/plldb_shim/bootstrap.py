"""The handler that Lambda calls instead of the function's own.

Lambda drops the leading frames of files called ``bootstrap.py`` from the stack traces it reports
(awslambdaric does, for its own). So errors are raised from this file only, and traces look as if
there were no shim.
"""

from __future__ import annotations

import os
from binascii import a2b_base64

from . import (
    channel,
    constants,
    lambda_client,
    original,
    remote,
    termination,
    variables,
)

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from typing import Any

# Emulators collect a function's output by waiting for its first line; MiniStack waits 50 ms. An
# empty line is enough. On AWS, nothing is added to the function's log.
_IS_EMULATED = "AWS_ENDPOINT_URL" in os.environ
_LATEST = "$LATEST"
_FALLBACK = "plldb: no debugger attached, running the original handler"


def handler(event: Any, context: Any) -> Any:
    with _termination:
        return _handle(event, context)


def _handle(event: Any, context: Any) -> Any:
    remote.forget_sources()
    try:
        answer = _ask(event, context)
        if answer is None:
            own_handler = original.load(variables.TAKEN.get(constants.ORIGINAL_HANDLER, ""))
    except remote.ReportedError as error:
        # Without frames, Lambda would report its own.
        fault = lambda_client.make_fault(type(error).__name__, str(error), [])
        raise fault or error.with_traceback(None) from None
    if answer is None:
        return own_handler(event, context)
    if _IS_EMULATED:
        print(flush=True)  # noqa: T201 - into the function's log
    if "error" in answer:
        raise remote.from_answer(answer["error"])
    if "base64" in answer:
        return a2b_base64(answer["base64"])
    return lambda_client.pass_on(answer["result"], answer["text"])


def _ask(event: Any, context: Any) -> dict[str, Any] | None:
    """The debugger's answer; None if the function's own handler is to run."""
    is_latest = getattr(context, "function_version", _LATEST) == _LATEST
    if not is_latest and constants.ALIASES not in variables.TAKEN:
        # A version that was published while a debugger was attached; it stays as it is for ever.
        return None
    try:
        return channel.ask(event, context, variables.TAKEN, _termination.is_due)
    except channel.AbsentError as absent:
        if variables.TAKEN.get(constants.WHEN_ABSENT) in (variables.ERROR, variables.WAIT):
            reason = f"plldb: no debugger attached: {absent}"
            raise remote.error("PlldbNoDebugger", reason) from None
        print(f"{_FALLBACK}: {absent}", flush=True)  # noqa: T201
    return None


_termination = termination.Termination()
if _IS_EMULATED:
    _termination.install()
