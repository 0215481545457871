"""One JSON line on stdout for each invocation, which carries its metrics too.

Handlers add what is worth knowing to the record; ids go in shortened, bodies not at all.

With PLLDB_METRICS "true", the line is in CloudWatch's embedded metric format, from which CloudWatch
Logs takes the metrics without any call:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from . import constants

Record = dict[str, Any]
# What Lambda hands a handler: the request of a gateway, another function or a schedule.
LambdaEvent = dict[str, Any]
Handler = Callable[[LambdaEvent, Any], Any]

NAMESPACE = "plldb"
# Whatever a dimension's value is, its metrics cost: so these are the helper stack's name and the
# name of a handler, and no id.
DIMENSIONS = ["HelperStack", "Function"]
# What a record may count. Each is a metric of the handlers that put it there.
COUNTS = ("closed", "instrumented", "restored", "failed", "reaped", "stale")


def logged(
    function: str,
    handle: Callable[[LambdaEvent, Record, float], Any],
    *,
    is_scheduled: bool = False,
) -> Handler:
    """A Lambda handler that runs ``handle(event, record, now)`` and then writes the record.

    ``now`` is in seconds since the epoch.

    ``function`` is its name in logs and metrics. Where ``is_scheduled``, a run that counted nothing
    and did not fail carries no metrics: a metric costs for each hour in which it is written, and a
    schedule would write it in every one. An exception is recorded as its type only (its
    text may quote what it failed on) and goes on to Lambda, which answers the caller with a server
    error.
    """
    has_metrics = os.environ.get(constants.METRICS) == "true"
    helper_stack = os.environ[constants.HELPER_STACK] if has_metrics else ""

    def handler(event: LambdaEvent, context: Any) -> Any:
        now = time.time()
        record: Record = {
            # Lambda takes times and levels of JSON lines from these two.
            "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
            "level": "INFO",
            "route": function,
            "outcome": "error",
            "requestId": getattr(context, "aws_request_id", None),
        }
        started = time.perf_counter()
        try:
            return handle(event, record, now)
        except BaseException as error:
            record |= {"level": "ERROR", "error": type(error).__name__}
            raise
        finally:
            record["durationMs"] = round((time.perf_counter() - started) * 1000, 1)
            if has_metrics and not (is_scheduled and _is_uneventful(record)):
                record |= _metrics(record, function, helper_stack, now)
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()

    return handler


def _is_uneventful(record: Record) -> bool:
    return record["level"] == "INFO" and not any(record.get(name) for name in COUNTS)


def _metrics(record: Record, function: str, helper_stack: str, now: float) -> Record:
    """What makes metrics of the record's numbers; every name must be on the record's top level."""
    counts = [name for name in COUNTS if type(record.get(name)) is int]
    return {
        "HelperStack": helper_stack,
        "Function": function,
        "errors": int(record["level"] == "ERROR"),
        "_aws": {
            "Timestamp": int(now * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [DIMENSIONS],
                    "Metrics": [
                        {"Name": "durationMs", "Unit": "Milliseconds"},
                        *({"Name": name, "Unit": "Count"} for name in ("errors", *counts)),
                    ],
                }
            ],
        },
    }
