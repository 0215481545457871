"""Access logs of stages, written to their log groups.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
"""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from localstack.aws.connect import connect_to

from .access_log_line import format_line
from .apigatewayv2.kinds import STAGE, Record
from .apigatewayv2.refusals import BadRequestError
from .apigatewayv2.store import StageView
from .batches import hand_over

LOG = logging.getLogger(__name__)
MOST_WAITING = 10_000
_GROUP = re.compile(
    r"arn:[^:]+:logs:(?P<region>[^:]+):(?P<account>\d+):log-group:(?P<name>[^:]+)(:\*)?"
)


@dataclass(frozen=True)
class LogGroup:
    account_id: str
    region: str
    name: str

    @classmethod
    def of(cls, arn: str) -> "LogGroup | None":
        match = _GROUP.fullmatch(arn)
        return cls(match["account"], match["region"], match["name"]) if match else None

    def is_there(self) -> bool:
        """The service of logs is loaded for it, not at the emulator's start."""
        from localstack.services.logs.models import get_moto_logs_backend

        return self.name in get_moto_logs_backend(self.account_id, self.region).groups


@dataclass(frozen=True)
class Stream:
    """Where the lines of one stage go."""

    group: LogGroup
    name: str


Event = dict[str, Any]
Put = Callable[[Stream, Sequence[Event]], None]


def check_destination(kind: str, record: Record, _api: object) -> None:
    """Raise what is answered when a stage is to write to a log group that isn't there."""
    arn = (record.get("AccessLogSettings") or {}).get("DestinationArn")
    if kind != STAGE.name or not arn:
        return
    group = LogGroup.of(arn)
    if group is None:
        raise BadRequestError(f"Invalid ARN specified in AccessLogSettings: {arn}")
    if not group.is_there():
        raise BadRequestError(f"The log group {group.name} of AccessLogSettings does not exist")


class AccessLogs:
    """Writes lines in the order in which they come, on a thread of its own, several at a time.

    ``put`` writes to a stream. Of more than ``MOST_WAITING`` lines the oldest are lost.
    """

    def __init__(self, put: Put) -> None:
        self._put = put
        self._waiting: deque[tuple[Stream, Event]] = deque(maxlen=MOST_WAITING)
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "access-log")

    def write(self, stage: StageView, *variables: Mapping[str, Any]) -> None:
        """A line for one request; of several ``variables`` later ones go before."""
        settings = stage.settings.get("AccessLogSettings") or {}
        group = LogGroup.of(settings.get("DestinationArn") or "")
        if group is None or not settings.get("Format"):
            return
        context = {name: value for each in variables for name, value in each.items()}
        line = format_line(settings["Format"], context)
        event = {"timestamp": int(time.time() * 1000), "message": line}
        with self._lock:
            is_first = not self._waiting
            self._waiting.append((Stream(group, f"{stage.api_id}-{stage.name}"), event))
        if is_first:
            self._writer.submit(self._write_waiting)

    def _write_waiting(self) -> None:
        """All that has come by now: the first of the next is a task again."""
        with self._lock:
            lines = list(self._waiting)
            self._waiting.clear()
        hand_over(
            lines,
            itemgetter(0),
            lambda stream, those: self._put(stream, [event for _, event in those]),
        )


def put_events(stream: Stream, events: Sequence[Event]) -> None:
    """Write to a log group, whose stream is made at first. What can't be written is told."""
    group = stream.group
    client = connect_to(region_name=group.region, aws_access_key_id=group.account_id).logs
    names = {"logGroupName": group.name, "logStreamName": stream.name}
    try:
        try:
            client.put_log_events(**names, logEvents=events)
        except client.exceptions.ResourceNotFoundException:
            client.create_log_stream(**names)
            client.put_log_events(**names, logEvents=events)
    except (ClientError, BotoCoreError) as error:
        LOG.warning("%d lines of an access log are lost: %s", len(events), error)


ACCESS_LOGS = AccessLogs(put_events)
