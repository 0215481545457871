"""The log of a function as Lambda's runtime writes it: records of ``logging``, and errors.

Formats and names are those of awslambdaric's ``bootstrap`` and ``lambda_runtime_log_utils``; like
there, an error in formatting a record is raised to whoever logs it.
https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

from __future__ import annotations

import json
import logging
import os
import time
import traceback
from typing import TYPE_CHECKING, Any

from .encoding import to_json

if TYPE_CHECKING:
    from .standard_streams import LogSink

_DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
_JSON_DATE_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
_NO_BREAK_SPACE = "\u00a0"
# What a record has by itself; anything else in it was given by the user's code.
_RESERVED = frozenset(
    [*vars(logging.makeLogRecord({})), "aws_request_id", "tenant_id", "_frame_type"]
) - {"taskName"}
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


class RequestFilter(logging.Filter):
    """Adds the ids of the request that runs, or ran last, to each record."""

    request_id = ""
    tenant_id: str | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = self.request_id
        record.tenant_id = self.tenant_id
        return True


# Libraries know this handler of the root logger by the name of its class.
class LambdaLoggerHandler(logging.Handler):
    def __init__(self, log_sink: LogSink) -> None:
        super().__init__()
        self.log_sink = log_sink

    def emit(self, record: logging.LogRecord) -> None:
        self.log_sink.log(self.format(record))


class LambdaLoggerHandlerWithFrameType(LambdaLoggerHandler):
    """Lambda's for JSON, or with a level."""


class JsonFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__(datefmt=_JSON_DATE_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        record.levelno = min(50, max(0, record.levelno)) // 10 * 10
        record.levelname = logging.getLevelName(record.levelno)
        is_object = isinstance(record.msg, dict) and not record.args
        fields: dict[str, Any] = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.msg if is_object else record.getMessage(),
            "logger": record.name,
            **_describe_error(record),
            "requestId": getattr(record, "aws_request_id", None),
            "location": _find_location(record),
        }
        if getattr(record, "tenant_id", None) is not None:
            fields["tenantId"] = record.tenant_id  # type: ignore[attr-defined]
        for name, value in record.__dict__.items():
            if name not in _RESERVED:
                fields.setdefault(name, value)
        return _encode({name: value for name, value in fields.items() if value is not None}) + "\n"


def _describe_error(record: logging.LogRecord) -> dict[str, Any]:
    if not record.exc_info:
        return dict.fromkeys(("stackTrace", "errorType", "errorMessage"))
    kind, error, trace = record.exc_info
    return {
        "stackTrace": traceback.format_tb(trace),
        "errorType": kind.__name__,  # type: ignore[union-attr] # so fails awslambdaric
        "errorMessage": str(error),
    }


def _find_location(record: logging.LogRecord) -> str | None:
    if not record.exc_info:
        return None
    return f"{record.pathname}:{record.funcName}:{record.lineno}"


def set_up_logging(sink: LogSink) -> RequestFilter:
    """Gives the root logger its handler, and a level if Lambda's variable has one."""
    # Of all formatters, also those of the user's code.
    logging.Formatter.converter = time.gmtime
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL")
    level = {None: "", "TRACE": "DEBUG"}.get(level, level).upper()  # type: ignore[union-attr]
    has_frame_types = is_json() or level
    handler = (LambdaLoggerHandlerWithFrameType if has_frame_types else LambdaLoggerHandler)(sink)
    handler.setFormatter(
        JsonFormatter() if is_json() else logging.Formatter(_TEXT_FORMAT, _DATE_FORMAT)
    )
    root = logging.getLogger()
    if level in logging._nameToLevel:
        root.setLevel(level)
    request_filter = RequestFilter()
    handler.addFilter(request_filter)
    root.addHandler(handler)
    return request_filter


def log_error(sink: LogSink, error: dict[str, Any]) -> None:
    """Writes an error as the caller gets it to the log. Raises what its encoding does."""
    if is_json():
        now = time.strftime(_JSON_DATE_FORMAT, time.gmtime())
        sink.log_error([to_json({"timestamp": now, "level": "ERROR", **error})])
        return
    kind, message = error["errorType"], error["errorMessage"]
    head = " ".join(["[ERROR]", *([f"{kind}:" if message else kind] if kind else [])])
    lines = [f"{head} {message}" if message else head, "Traceback (most recent call last):"]
    for entry in error["stackTrace"]:
        lines += [_indent(line) for line in entry.splitlines()] if entry else [""]
    sink.log_error(lines)


def _indent(line: str) -> str:
    """With spaces that nobody takes away."""
    text = line.lstrip(" ")
    return _NO_BREAK_SPACE * (len(line) - len(text)) + text


def is_json() -> bool:
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
