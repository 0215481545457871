"""What both stores on DynamoDB share."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


class OverloadedError(Exception):
    """DynamoDB keeps leaving items of a batch unread."""


@dataclass(frozen=True)
class Update:
    """Whether an item was changed, and what it is now; None if there is none."""

    is_applied: bool
    item: dict[str, Any] | None


def update_if(
    client: Any,
    table: str,
    key: dict[str, Any],
    expression: str,
    condition: str,
    names: dict[str, str],
    values: dict[str, Any],
) -> Update:
    """Changes one item if a condition holds.

    botocore repeats a request whose answer got lost. The repetition finds its condition broken by
    the first try, so each call leaves a mark by which it knows its own work, and which comes with
    the refusal. Of ``names``, those are used that occur.
    """
    attempt = {"S": uuid.uuid4().hex}
    mark = "SET #attempt = :attempt"
    is_set = expression.startswith("SET ")
    expression = mark + (", " + expression[4:] if is_set else " " + expression)
    names = names_in(f"{expression} {condition}", names | {"#attempt": "Attempt"})
    try:
        updated = client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values | {":attempt": attempt},
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        found = _item_of(error)
        return Update(bool(found) and found.get("Attempt") == attempt, found or None)
    return Update(True, updated["Attributes"])


def _item_of(error: ClientError) -> dict[str, Any]:
    """The item that did not fulfil the condition; empty if there is none."""
    answer: Mapping[str, Any] = error.response
    item: dict[str, Any] = answer.get("Item", {})
    return item


def names_in(expressions: str, names: dict[str, str]) -> dict[str, str]:
    """Those that occur: DynamoDB refuses a request that declares more."""
    return {name: names[name] for name in sorted(set(re.findall(r"#\w+", expressions)))}
