"""Follows a stack operation to its end: every event as it happens, and what failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from plldb.aws import Target, aws_errors
from plldb.deployed import NESTED_STACK_TYPE
from plldb.errors import BootstrapError, DeploymentError
from plldb.stacks import StackState, find_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

logger = logging.getLogger(__name__)

# CloudFormation's own operations are over within this time; API Gateway and DynamoDB take minutes.
_TIMEOUT_SECONDS = 30 * 60
_POLL_SECONDS_AWS = 2.0
_POLL_SECONDS_EMULATOR = 0.05
# CloudFormation says so of resources that failed because another one did: that one is worth naming.
_COLLATERAL = "cancelled"
_GOOD_ENDS = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "DELETE_COMPLETE"}


def choose_poll_seconds(target: Target) -> float:
    """The time between two looks at what CloudFormation is doing."""
    return _POLL_SECONDS_AWS if target.is_aws else _POLL_SECONDS_EMULATOR


@dataclass(frozen=True)
class ResourceEvent:
    """A resource of a stack changed its status; ``physical_id`` is a nested stack's ARN."""

    logical_id: str
    resource_type: str
    status: str
    reason: str
    physical_id: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the resource failed by itself, and not because another one did."""
        return self.status.endswith("_FAILED") and _COLLATERAL not in self.reason.lower()


class StackOperation:
    """One operation on one stack. Make this before the operation starts, then ``follow`` it.

    ``stack_id`` is the stack's ARN where it is known: a deleted stack is found by its ARN only.
    ``failure`` is raised if it fails: BootstrapError is the helper stack's.
    """

    def __init__(
        self,
        target: Target,
        stack_name: str,
        stack_id: str | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        failure: type[DeploymentError] = BootstrapError,
    ) -> None:
        self._target = target
        self._name = stack_name
        self._id = stack_id or stack_name
        self._timeout_seconds = timeout_seconds
        self._failure = failure
        self._poll_seconds = choose_poll_seconds(target)
        self._seen: set[str] = set()
        if stack_id is not None:
            self._seen.update(event["EventId"] for event in self._fetch_new_events())

    def follow(
        self, report: Callable[[ResourceEvent], None], stack_id: str | None = None
    ) -> StackState | None:
        """Waits until nothing is in progress, and reports every event on the way.

        Returns the stack, or None if it is gone. Raises ``failure``, which names the resource and
        the reason, if the operation failed, and if it is not over in time.
        """
        self._id = stack_id or self._id
        failures: list[ResourceEvent] = []

        def collect(event: ResourceEvent) -> None:
            report(event)
            if event.is_failure and event.logical_id != self._name:
                failures.append(event)

        stack = self.await_end(collect)
        if stack is None or stack.status in _GOOD_ENDS:
            return stack
        reason = stack.reason or "CloudFormation gave no reason"
        raise self._failure(
            f"Stack {self._name!r} ended in state {stack.status}: "
            f"{self._explain(failures[0]) if failures else reason}",
            "Mend what the reason names, then run the same command again: it recovers by itself.",
        )

    def await_end(self, report: Callable[[ResourceEvent], None]) -> StackState | None:
        """Like ``follow``, but a failed operation is as good an end as any other."""
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            # The state is read first: once it is final, the events read after it are complete.
            stack = find_stack(self._target, self._id)
            self._report_new_events(report)
            if stack is None or not stack.status.endswith("_IN_PROGRESS"):
                return stack
            if time.monotonic() > deadline:
                raise self._failure(
                    f"Stack {self._name!r} is still in state {stack.status} after "
                    f"{self._timeout_seconds // 60} minutes.",
                    "Look at it in the CloudFormation console, then run the same command again.",
                )
            time.sleep(self._poll_seconds)

    def _report_new_events(self, report: Callable[[ResourceEvent], None]) -> None:
        # Events come newest first. Their times are no order: some engines cut them to seconds.
        for event in reversed(self._fetch_new_events()):
            self._seen.add(event["EventId"])
            resource_event = _read_event(event)
            logger.debug("stack %s: %s", self._name, resource_event)
            report(resource_event)

    def _explain(self, failure: ResourceEvent) -> str:
        """The resource that failed first, in whatever nested stack it is."""
        path = failure.logical_id
        while failure.resource_type == NESTED_STACK_TYPE:
            inner = self._find_first_failure(failure.physical_id)
            if inner is None:
                break
            failure, path = inner, f"{path}/{inner.logical_id}"
        return f"{path} ({failure.resource_type}): {failure.reason}"

    def _find_first_failure(self, stack_id: str) -> ResourceEvent | None:
        """In the last operation on a nested stack, which may be gone by now."""
        if not stack_id.startswith("arn:"):
            return None
        first = None
        with aws_errors(f"read the events of stack {stack_id}"), suppress(ClientError):
            for found in self._list_events(stack_id):
                event = _read_event(found)
                if event.physical_id == stack_id:
                    # It begins by itself, before any of its resources.
                    if event.status in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
                        break
                elif event.is_failure:
                    first = event
        return first

    def _fetch_new_events(self) -> list[StackEventTypeDef]:
        with aws_errors(f"read the events of stack {self._name!r}"):
            try:
                return list(self._fetch_until_seen())
            except ClientError as error:
                # A stack that is gone takes its events along, unless it is asked for by its ARN.
                if "does not exist" in str(error):
                    return []
                raise

    def _fetch_until_seen(self) -> Iterator[StackEventTypeDef]:
        """Fetches events newest first, page by page, until one that was seen before."""
        for event in self._list_events(self._id):
            if event["EventId"] in self._seen:
                return
            yield event

    def _list_events(self, stack: str) -> Iterator[StackEventTypeDef]:
        cloudformation: CloudFormationClient = self._target.client("cloudformation")
        for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
            yield from page["StackEvents"]


def _read_event(event: StackEventTypeDef) -> ResourceEvent:
    return ResourceEvent(
        logical_id=event.get("LogicalResourceId", ""),
        resource_type=event.get("ResourceType", ""),
        status=event.get("ResourceStatus", ""),
        reason=event.get("ResourceStatusReason", ""),
        physical_id=event.get("PhysicalResourceId", ""),
    )
