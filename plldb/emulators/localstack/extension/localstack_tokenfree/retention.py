"""How much is kept of what functions log and measure: the newest, in memory.

moto keeps every log event and every data point for ever, LocalStack reports each invocation with
some of both, and nobody deletes them. AWS forgets by age
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html),
which bounds nothing here: an emulator can have a million invocations in an hour.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from .settings import SETTINGS

if TYPE_CHECKING:
    from localstack.aws.api import RequestContext
    from rolo import Response


def install() -> None:
    from localstack.aws import handlers

    handlers.run_custom_response_handlers.append(forget_the_oldest)


def forget_the_oldest(_chain: Any, context: "RequestContext", response: "Response") -> None:
    """After each call that has brought log events or data points."""
    if context.operation is None or response.status_code != 200:
        return
    match context.operation.name:
        case "PutLogEvents":
            keep_newest_events(_streams_beside(context), SETTINGS.log_events)
        case "PutMetricData":
            keep_newest(_data_points_beside(context), SETTINGS.metric_data)


def _streams_beside(context: "RequestContext") -> list[Any]:
    """Of the log group that the call is about. Imported here, when LocalStack has loaded it."""
    from moto.logs.models import logs_backends

    groups = logs_backends[context.account_id][context.region].groups
    group = groups.get((context.service_request or {}).get("logGroupName"))
    return list(group.streams.values()) if group else []


def _data_points_beside(context: "RequestContext") -> list[Any]:
    from moto.cloudwatch.models import cloudwatch_backends

    data: list[Any] = cloudwatch_backends[context.account_id][context.region].metric_data
    return data


class Events(list[Any]):
    """The events of a stream. Whoever goes through them sees all that were there at the beginning,
    also if the oldest leave meanwhile, which would move the others."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:])


def keep_newest_events(streams: Collection[Any], limit: int) -> None:
    """Of all events in ``streams``, in the order in which they came. moto numbers them."""
    for stream in streams:
        if not isinstance(stream.events, Events):
            stream.events = Events(stream.events)
    excess = _excess(sum(len(stream.events) for stream in streams), limit)
    if not excess:
        return
    numbers = sorted(event.event_id for stream in streams for event in stream.events)
    for stream in streams:
        del stream.events[: bisect_right(stream.events, numbers[excess - 1], key=_number)]


def keep_newest(items: list[Any], limit: int) -> None:
    del items[: _excess(len(items), limit)]


def _number(event: Any) -> int:
    return int(event.event_id)


def _excess(held: int, limit: int) -> int:
    """How many are to go. Nobody looks through all for each one that comes: a tenth may be over."""
    return held - limit if held > limit + limit // 10 else 0
