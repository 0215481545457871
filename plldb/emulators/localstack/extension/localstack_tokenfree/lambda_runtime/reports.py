"""What CloudWatch is told of invocations: their log and a data point, in few calls.

LocalStack makes a call for each, those of data points on a thread of its own. When many invocations
come at once, these calls take longer than the invocations, and hundreds of threads wait for the
interpreter's lock before those that clients wait for. Here what has come meanwhile goes together.
"""

import dataclasses
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Queue
from typing import Any

from localstack.aws.connect import connect_to
from localstack.services.lambda_.invocation import version_manager
from localstack.services.lambda_.invocation.logs import LogHandler, LogItem, ShutdownPill
from localstack.utils.bootstrap import is_api_enabled
from localstack.utils.threads import start_worker_thread

from ..batches import Merging, grouped, take_all

LOG = logging.getLogger(__name__)
AT_ONCE = 500
"""PutMetricData takes 1,000 data points: https://docs.aws.amazon.com/AmazonCloudWatch/latest/
APIReference/API_PutMetricData.html. An invocation that failed has two of them."""


def install() -> None:
    """Before the Lambda service is loaded, which looks these up by their names.

    And threads are let go when they end: LocalStack would keep each, and its 20 KB, for a shutdown
    that stops the threads of all invocations ever.
    """
    metrics = Metrics()
    version_manager.LogHandler = MergingLogHandler
    version_manager.record_cw_metric_invocation = metrics.count_invocation
    version_manager.record_cw_metric_error = metrics.count_error
    version_manager.start_thread = start_unless_counting
    threading.Thread(target=metrics.run, name="lambda-metrics", daemon=True).start()


def start_unless_counting(method: Callable[..., Any], name: str | None = None) -> Any:
    """A thread for ``method``. To count an invocation needs none."""
    if name and name.startswith("record-cloudwatch-metric"):
        return method()
    return start_worker_thread(method, name=name)


@dataclasses.dataclass(frozen=True)
class Count:
    """One invocation, and whether it failed."""

    account_id: str
    region: str
    function_name: str
    failed: bool
    counted_at: datetime

    def data_points(self) -> list[dict[str, Any]]:
        """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"""
        return [
            {
                "MetricName": name,
                "Dimensions": [{"Name": "FunctionName", "Value": self.function_name}],
                "Timestamp": self.counted_at,
                "Value": 1,
            }
            for name in (["Invocations", "Errors"] if self.failed else ["Invocations"])
        ]


class Metrics:
    def __init__(self) -> None:
        self._counts: Queue[Count] = Queue()

    def count_invocation(self, function_name: str, account_id: str, region_name: str) -> None:
        self._count(account_id, region_name, function_name, failed=False)

    def count_error(self, function_name: str, account_id: str, region_name: str) -> None:
        self._count(account_id, region_name, function_name, failed=True)

    def _count(self, account_id: str, region: str, function_name: str, failed: bool) -> None:
        if is_api_enabled("cloudwatch"):
            now = datetime.now(UTC)
            self._counts.put(Count(account_id, region, function_name, failed, now))

    def run(self) -> None:
        while True:
            counts = take_all(self._counts, AT_ONCE)
            for place, those in grouped(counts, _place).items():
                _put(*place, those)


def _place(count: Count) -> tuple[str, str]:
    return count.account_id, count.region


def _put(account_id: str, region: str, counts: list[Count]) -> None:
    """What can't be put is told and lost, whatever the reason: those after it are to be counted."""
    points = [point for count in counts for point in count.data_points()]
    try:
        client = connect_to(aws_access_key_id=account_id, region_name=region).cloudwatch
        client.put_metric_data(Namespace="AWS/Lambda", MetricData=points)
    except Exception as error:  # noqa: BLE001  # as LocalStack
        LOG.info("CloudWatch did not take %d data points: %s", len(points), error)


class MergingLogHandler(LogHandler):
    """LocalStack's, whose thread finds the logs of a stream in one piece."""

    def __init__(self, role_arn: str, region: str) -> None:
        super().__init__(role_arn, region)
        self.log_queue = Merging(merge_logs, AT_ONCE)


def merge_logs(items: list[LogItem | ShutdownPill]) -> list[LogItem | ShutdownPill]:
    """One item for each stream; what else is in the queue ends it, and comes last."""
    logs = [item for item in items if isinstance(item, LogItem)]
    streams = grouped(logs, lambda item: (item.log_group, item.log_stream))
    merged: list[LogItem | ShutdownPill] = [
        LogItem(group, stream, "\n".join(item.logs for item in those))
        for (group, stream), those in streams.items()
    ]
    return merged + [item for item in items if not isinstance(item, LogItem)]
