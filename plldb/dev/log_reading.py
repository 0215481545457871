"""Reads a function's log from CloudWatch Logs: what there is, and what comes."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from plldb.aws import Target, aws_errors, error_code
from plldb.dev.log_lines import LogEvent, is_of_another

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

logger = logging.getLogger(__name__)

# FilterLogEvents may be called 5 times a second by everybody in the account together:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
_PAUSE_SECONDS_AWS = 2.0
_PAUSE_SECONDS_EMULATOR = 0.3
# Events may be seen this much later than they happened.
_OVERLAP_MILLISECONDS = 30_000


class FunctionLog:
    """The log of one function; ``function`` is a name or an ARN at Lambda."""

    def __init__(self, target: Target, function: str) -> None:
        client: LambdaClient = target.client("lambda")
        with aws_errors(f"look up function {function!r}"):
            found = client.get_function_configuration(FunctionName=function)
        self._name = found["FunctionName"]
        self._default_group = f"/aws/lambda/{self._name}"
        self.group = found.get("LoggingConfig", {}).get("LogGroup") or self._default_group
        self._logs: Any = target.client("logs")
        self._pause_seconds = _PAUSE_SECONDS_AWS if target.is_aws else _PAUSE_SECONDS_EMULATOR
        # Those that may come again.
        self._seen: set[tuple[LogEvent, int]] = set()

    def read(self, since_milliseconds: int) -> Iterator[LogEvent]:
        """The events since then that were not read before, page by page, in order.

        There are none as long as nobody has logged anything. Raises AwsError.
        """
        with aws_errors(f"read the log {self.group}"):
            try:
                yield from self._read(since_milliseconds)
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
                logger.debug("there is no log group %s yet", self.group)

    def follow(self, since_milliseconds: int) -> Iterator[LogEvent]:
        """The events since then, and those to come, for ever."""
        while True:
            for event in self.read(since_milliseconds):
                since_milliseconds = max(
                    since_milliseconds, event.milliseconds - _OVERLAP_MILLISECONDS
                )
                yield event
            self._forget(since_milliseconds)
            time.sleep(self._pause_seconds)

    def _read(self, since: int) -> Iterator[LogEvent]:
        # Not every emulator gives events an id: equal ones are told apart by their number.
        count = Counter[LogEvent]()
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self.group, startTime=since
        )
        for page in pages:
            for found in page["events"]:
                event = LogEvent(found["timestamp"], found["logStreamName"], found["message"])
                count[event] += 1
                key = (event, count[event])
                if key not in self._seen and not self._is_of_another(event.stream):
                    self._seen.add(key)
                    yield event

    def _is_of_another(self, stream: str) -> bool:
        return self.group != self._default_group and is_of_another(stream, self._name)

    def _forget(self, since: int) -> None:
        self._seen = {key for key in self._seen if key[0].milliseconds >= since}
