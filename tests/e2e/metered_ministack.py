"""Started as a program: MiniStack, which writes down all that AWS would ask money for.

It counts inside the emulator, where everything has to pass, whoever called it and by whichever
endpoint: the helper stack's functions, a debugger with a claim that was signed for it, or plldb.
DynamoDB's units are those that the emulator itself counts, as AWS does, where a caller asks for
them; so the meter asks for them on behalf of all callers. See ``metering.py`` for who reads it.

Each line of ``meter.jsonl``, beside the emulator's temporary folder, is an object: ``unit``, how
many (``count``), what they were for (``of``), and when (``at``, seconds since the epoch); of a run,
also the bytes of its log, and how long it took by that.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core.lambda_runtime import Worker
from ministack.services import apigateway, cloudformation, dynamodb, lambda_svc, s3

_METER = Path(os.environ["TMPDIR"]).with_name("meter.jsonl")
_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
_PAID = (*_WRITES, "GetItem", "Query", "Scan")
_FRAME_BYTES = 32 * 1024
_writing = threading.Lock()


def _note(unit: str, count: float, of: str, **more: Any) -> None:
    line = json.dumps({"unit": unit, "count": count, "of": of, "at": time.time(), **more})
    with _writing, _METER.open("a", encoding="utf-8") as meter:
        meter.write(line + "\n")


# --- DynamoDB -------------------------------------------------------------------------------------


async def _metered_dynamodb(
    method: str, path: str, headers: Any, body: bytes, query: Any, *, call: Any
) -> Any:
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    unit = "dynamodb_write" if operation in _WRITES else "dynamodb_read"
    asked = json.loads(body) if body else {}
    # What its signature says of the body was looked at before.
    asked["ReturnConsumedCapacity"] = "TOTAL"
    answer = await call(method, path, headers, json.dumps(asked).encode(), query)
    told = json.loads(answer[2] or "{}")
    if "ConditionalCheckFailed" in str(told.get("__type")):
        # Is paid for as well, by the size of the item, which is small:
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
        _note(unit, 1, f"{operation} {asked['TableName']}, refused")
    elif answer[0] == 200 and operation == "BatchGetItem":
        # The emulator says nothing of these. Each is a read by itself, and the items are small.
        for name, request in asked["RequestItems"].items():
            each = 1 if request.get("ConsistentRead") else 0.5
            _note(unit, each * len(request["Keys"]), f"{operation} {name}")
    elif answer[0] == 200 and operation in _PAID:
        _note(unit, told["ConsumedCapacity"]["CapacityUnits"], f"{operation} {asked['TableName']}")
    return answer


# --- Lambda ---------------------------------------------------------------------------------------


def _metered_run(worker: Any, event: Any, *arguments: Any, call: Any, **options: Any) -> Any:
    result = call(worker, event, *arguments, **options)
    lines = [line for line in result.get("log", "").splitlines() if line.startswith("{")]
    milliseconds = sum(json.loads(line).get("durationMs", 0) for line in lines)
    size = sum(len(line.encode()) + 1 for line in lines)
    _note("run", 1, worker.func_name, log_bytes=size, run_ms=milliseconds)
    return result


# --- API Gateway, and calls of other services -----------------------------------------------------


async def _metered_websocket(
    scope: Any, receive: Any, send: Any, *arguments: Any, call: Any, **options: Any
) -> None:
    def note(message: Any, direction: str) -> None:
        text = message.get("text") or ""
        if message["type"] in ("websocket.receive", "websocket.send") and text:
            _note("websocket_message", math.ceil(len(text.encode()) / _FRAME_BYTES), direction)

    async def received() -> Any:
        message = await receive()
        note(message, "from a client")
        return message

    async def sent(message: Any) -> None:
        note(message, "to a client")
        await send(message)

    await call(scope, received, sent, *arguments, **options)


async def _metered_service(
    method: str, path: str, *arguments: Any, call: Any, unit: str, **options: Any
) -> Any:
    # What runs is counted as such.
    if not path.endswith("/invocations"):
        _note(f"{unit}_{method.lower()}" if unit == "s3" else unit, 1, f"{method} {path}")
    return await call(method, path, *arguments, **options)


def _put_around(module: Any, name: str, meter: Any, **options: Any) -> None:
    """One that MiniStack calls by that name; AttributeError if this version of it has none."""
    call, is_async = getattr(module, name), meter is not _metered_run

    async def awaited(*arguments: Any, **more: Any) -> Any:
        return await meter(*arguments, call=call, **options, **more)

    def called(*arguments: Any, **more: Any) -> Any:
        return meter(*arguments, call=call, **options, **more)

    setattr(module, name, awaited if is_async else called)


if __name__ == "__main__":
    _put_around(dynamodb, "handle_request", _metered_dynamodb)
    _put_around(Worker, "invoke", _metered_run)
    _put_around(apigateway, "handle_websocket", _metered_websocket)
    _put_around(s3, "handle_request", _metered_service, unit="s3")
    _put_around(lambda_svc, "handle_request", _metered_service, unit="control_call")
    _put_around(cloudformation, "handle_request", _metered_service, unit="control_call")
    app.main()
