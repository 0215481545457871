"""The root logger of a function, as Lambda sets it up."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time


class LogHandler(logging.Handler):
    """The root logger's, as on Lambda: to stdout, with the request's id."""

    request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        record.aws_request_id = self.request_id
        sys.stdout.write(self.format(record) + "\n")


def set_up_logging() -> LogHandler:
    handler = LogHandler()
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s",
        "%Y-%m-%dT%H:%M:%S",
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    with contextlib.suppress(ValueError):
        logging.getLogger().setLevel({"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level))
    return handler
