"""One JSON line on stdout for each invocation.

Handlers add what is worth knowing to the record; ids go in shortened, bodies not at all.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Record = dict[str, Any]
Event = dict[str, Any]
Handler = Callable[[Event, Any], Any]


def logged(route: str, handle: Callable[[Event, Record], Any]) -> Handler:
    """A Lambda handler that runs ``handle(event, record)`` and then writes the record.

    An exception is recorded as its type only (its text may quote what it failed on) and goes on
    to Lambda, which answers the caller with a server error.
    """

    def handler(event: Event, context: Any) -> Any:
        record: Record = {
            "level": "INFO",
            "route": route,
            "outcome": "error",
            "requestId": getattr(context, "aws_request_id", None),
        }
        started = time.perf_counter()
        try:
            return handle(event, record)
        except BaseException as error:
            record |= {"level": "ERROR", "error": type(error).__name__}
            raise
        finally:
            record["durationMs"] = round((time.perf_counter() - started) * 1000, 1)
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()

    return handler
