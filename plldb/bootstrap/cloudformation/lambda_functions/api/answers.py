"""The debuggers' side of the broker: large events, and the answer. Signed by AWS_IAM.

::

    GET  /invocations/{requestId}/event    → 200 {"event" (JSON text)} or {"url"}
    POST /invocations/{requestId}/uploads  → 200 {"key", "url"}: PUT a large result there
    POST /invocations/{requestId}/result   {"result" (JSON text)}, {"resultKey"} or {"error"}
                                           → 200 {"state": "answered"}
    403: another one's session; 404: unknown; 409: answered before; 410: nobody waits any more
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..invocations.invocation import Answer, Invocation, InvocationState
from ..invocations.payloads import Payloads
from ..invocations.store import InvocationStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from .broker import is_text
from .rest import BadRequestError, caller, json_body, path_parameter, rejection, response

# Larger results go through the bucket: an item holds 400 KB.
MAX_RESULT_BYTES = 200_000
# A text may grow sixfold when it is escaped in JSON.
_MAX_BODY_BYTES = 7 * MAX_RESULT_BYTES
_ERROR_TEXTS = ("errorType", "errorMessage")


@dataclass(frozen=True)
class AnswerBackend:
    """What the operations act on."""

    invocations: InvocationStore
    payloads: Payloads


def fetch_event(event: LambdaEvent, record: Record, now: float, backend: AnswerBackend) -> Any:
    """``GET /invocations/{requestId}/event``."""
    invocation = _find(event, record, backend)
    refused = _refusal(invocation, caller(event), record, now)
    if refused is not None or invocation is None:
        return refused
    record["outcome"] = "fetched"
    if invocation.event_key is not None:
        return response(200, {"url": backend.payloads.download_url(invocation.event_key)})
    if invocation.event is None:
        return rejection(record, 404, "The event came with the message.")
    return response(200, {"event": invocation.event})


def upload(event: LambdaEvent, record: Record, now: float, backend: AnswerBackend) -> Any:
    """``POST /invocations/{requestId}/uploads``."""
    refused = _refusal(_find(event, record, backend), caller(event), record, now)
    if refused is not None:
        return refused
    record["outcome"] = "presigned"
    return response(200, backend.payloads.new_upload())


def post_result(event: LambdaEvent, record: Record, now: float, backend: AnswerBackend) -> Any:
    """``POST /invocations/{requestId}/result``. Only the first answer counts."""
    answer = _answer(json_body(event, _MAX_BODY_BYTES), backend.payloads)
    request_id = path_parameter(event, "requestId")
    if backend.invocations.answer(request_id, caller(event), answer, now):
        record["outcome"] = "answered"
        return response(200, {"state": "answered"})
    refused = _refusal(_find(event, record, backend), caller(event), record, now)
    # None is left only if it ended between the two calls.
    return refused or rejection(record, 409, "The invocation has just changed; try again.")


def _find(event: LambdaEvent, record: Record, backend: AnswerBackend) -> Invocation | None:
    invocation = backend.invocations.get(path_parameter(event, "requestId"))
    if invocation is not None:
        record |= {
            "sessionId": shortened(invocation.session_id),
            "function": invocation.function,
            "invocation": invocation.request_id,
        }
    return invocation


def _refusal(invocation: Invocation | None, owner: str, record: Record, now: float) -> Any:
    """Why this caller can do nothing for the invocation; None if nothing speaks against it."""
    if invocation is None:
        return rejection(record, 404, "There is no such invocation.")
    if invocation.owner != owner:
        return rejection(record, 403, "The invocation belongs to another one's session.")
    if invocation.state is InvocationState.ANSWERED:
        return rejection(record, 409, "The invocation has its answer already.")
    if invocation.state is not InvocationState.WAITING or invocation.deadline <= now:
        return rejection(record, 410, "Nobody waits for this invocation any more.")
    return None


def _answer(body: dict[str, Any], payloads: Payloads) -> Answer:
    """Raises BadRequestError unless the body is exactly one kind of answer."""
    given = [name for name in ("result", "resultKey", "error") if body.get(name) is not None]
    if len(given) != 1:
        raise BadRequestError("Exactly one of result, resultKey and error is needed.")
    if given == ["error"]:
        return Answer(error=_error(body["error"]))
    if given == ["resultKey"]:
        key = body["resultKey"]
        if not isinstance(key, str) or not payloads.is_key(key):
            raise BadRequestError("resultKey names no upload.")
        return Answer(result_key=key)
    result = body["result"]
    if not is_text(result, MAX_RESULT_BYTES):
        raise BadRequestError(f"result must be a text of up to {MAX_RESULT_BYTES} bytes.")
    if not _is_json(result):
        raise BadRequestError("result is not JSON.")
    return Answer(result=result)


def _error(error: Any) -> dict[str, Any]:
    if not isinstance(error, dict) or not all(isinstance(error.get(n), str) for n in _ERROR_TEXTS):
        raise BadRequestError("error needs an errorType and an errorMessage.")
    trace = error.get("stackTrace") or []
    if not isinstance(trace, list) or not all(isinstance(line, str) for line in trace):
        raise BadRequestError("stackTrace must be a list of texts.")
    kept = {name: error[name] for name in _ERROR_TEXTS} | {"stackTrace": trace}
    if len(json.dumps(kept)) > MAX_RESULT_BYTES:
        raise BadRequestError(f"error is over {MAX_RESULT_BYTES} bytes.")
    return kept


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
