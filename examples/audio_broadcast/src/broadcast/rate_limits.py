"""How often a user may do something: counters of fixed windows.

They are the user's, by the token: another address or one more connection has no more of them. At
the end of a window and the begin of the next, there may be twice as many at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol

import boto3

from broadcast.events import Refused

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

Deed = Literal["connect", "begin", "message"]
# The windows, in seconds.
_WINDOWS: Mapping[Deed, int] = {"connect": 60, "begin": 3600, "message": 60}


class Counters(Protocol):
    def increment(self, key: str, expires_at: int) -> int:
        """The number with this one; the counter can be forgotten after ``expires_at``."""


@dataclass(frozen=True)
class RateLimits:
    """``allowed`` is how often each deed may be done in a window."""

    counters: Counters
    allowed: Mapping[Deed, int]

    def check(self, deed: Deed, user_id: str, now: int) -> None:
        """Counts it, and raises Refused (429) if it is one too many."""
        window = _WINDOWS[deed]
        number = now // window
        count = self.counters.increment(f"{deed}#{user_id}#{number}", (number + 2) * window)
        if count > self.allowed[deed]:
            raise Refused(429, f"Only {self.allowed[deed]} times in {window} seconds: {deed}.")


@dataclass(frozen=True)
class DynamoDBCounters:
    table: Table

    def increment(self, key: str, expires_at: int) -> int:
        updated = self.table.update_item(
            Key={"counter": key},
            UpdateExpression="ADD uses :one SET expires_at = :expires_at",
            ExpressionAttributeValues={":one": 1, ":expires_at": expires_at},
            ReturnValues="UPDATED_NEW",
        )
        return int(str(updated["Attributes"]["uses"]))


@cache
def make_rate_limits() -> RateLimits:
    table = boto3.resource("dynamodb").Table(os.environ["COUNTERS_TABLE"])
    allowed: dict[Deed, int] = {
        "connect": int(os.environ["CONNECTS_PER_MINUTE"]),
        "begin": int(os.environ["SESSIONS_PER_HOUR"]),
        "message": int(os.environ["MESSAGES_PER_MINUTE"]),
    }
    return RateLimits(DynamoDBCounters(table), allowed)
