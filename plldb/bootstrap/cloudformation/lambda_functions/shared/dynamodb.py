"""What both stores on DynamoDB share: changes of one item, each under a condition.

botocore repeats a request whose answer got lost. The repetition finds its condition broken by the
first try, so each call leaves a mark by which it knows its own work, and which comes with the
refusal.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from .signed_request import SignedRequest
from .signing import sign_post

_MARK = "Attempt"
_METHODS = {"GetItem": "get_item", "PutItem": "put_item"}


class OverloadedError(Exception):
    """DynamoDB keeps leaving items of a batch unread."""


@dataclass(frozen=True)
class Change:
    """Whether an item was changed, and what it is now; None if there is none."""

    is_applied: bool
    item: dict[str, Any] | None


def begin_get(client: Any, table: str, key: dict[str, Any]) -> Callable[[], dict[str, Any] | None]:
    """Asks for an item; what is returned waits for it, and gives None if there is none.

    It is read consistently, at some time until then.
    """
    arguments = {"TableName": table, "Key": key, "ConsistentRead": True}
    answer = _begin(client, "GetItem", arguments)
    return lambda: answer().get("Item")


def begin_put_if(
    client: Any,
    table: str,
    item: dict[str, Any],
    condition: str,
    names: dict[str, str],
    values: dict[str, Any],
) -> Callable[[], Change]:
    """Puts an item in the place of what is there, if a condition holds of that.

    What is returned waits until that is done. Of ``names``, those are used that occur.
    """
    attempt = {"S": uuid.uuid4().hex}
    item = item | {_MARK: attempt}
    # DynamoDB takes values, or no mention of them, but not none.
    given = {"ExpressionAttributeValues": values} if values else {}
    arguments = {
        "TableName": table,
        "Item": item,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names_in(condition, names),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        **given,
    }
    answer = _begin(client, "PutItem", arguments)

    def put() -> dict[str, Any]:
        answer()
        return item

    return lambda: _change(put, attempt)


def update_if(
    client: Any,
    table: str,
    key: dict[str, Any],
    expression: str,
    condition: str,
    names: dict[str, str],
    values: dict[str, Any],
) -> Change:
    """Changes an item if a condition holds of it. Of ``names``, those are used that occur."""
    attempt = {"S": uuid.uuid4().hex}
    mark = "SET #attempt = :attempt"
    is_set = expression.startswith("SET ")
    expression = mark + (", " + expression[4:] if is_set else " " + expression)

    def update() -> dict[str, Any]:
        updated = client.update_item(
            **_update_arguments(
                table,
                key,
                expression,
                condition,
                names | {"#attempt": _MARK},
                values | {":attempt": attempt},
            ),
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        item: dict[str, Any] = updated["Attributes"]
        return item

    return _change(update, attempt)


def sign_update(
    client: Any,
    credentials: Any,
    table: str,
    key: dict[str, Any],
    expression: str,
    condition: str,
    names: dict[str, str],
    values: dict[str, Any],
) -> SignedRequest:
    """The same for somebody else to send, who learns whether the item was changed, and no more.

    It leaves no mark: whoever repeats it is told the same, if the condition says so.
    ``credentials`` are botocore's, and those of whoever answers for it.
    """
    arguments = _update_arguments(table, key, expression, condition, names, values)
    # The host as it is known here: an emulator may be reached by another name.
    url, body = f"{client.meta.endpoint_url}/", json.dumps(arguments)
    region, headers = client.meta.region_name, request_headers("UpdateItem")
    signed = sign_post(credentials, "dynamodb", region, url, headers, body.encode())
    return {"url": url, "headers": signed, "body": body}


def request_headers(operation: str) -> dict[str, str]:
    """What tells DynamoDB which operation a POST is for, and how its body is written.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
    """
    return {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
    }


def _update_arguments(
    table: str,
    key: dict[str, Any],
    expression: str,
    condition: str,
    names: dict[str, str],
    values: dict[str, Any],
) -> dict[str, Any]:
    return {
        "TableName": table,
        "Key": key,
        "UpdateExpression": expression,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names_in(f"{expression} {condition}", names),
        "ExpressionAttributeValues": values,
    }


def _begin(client: Any, operation: str, arguments: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Sends it, if the client can leave a call under way; boto3's make it when it is waited for."""
    if hasattr(client, "begin"):
        answer: Callable[[], dict[str, Any]] = client.begin(operation, arguments)
        return answer
    return partial(getattr(client, _METHODS[operation]), **arguments)


def _change(make: Callable[[], dict[str, Any]], attempt: dict[str, str]) -> Change:
    """``make`` gives the item after the change."""
    try:
        return Change(True, make())
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        found = _item_of(error)
        return Change(bool(found) and found.get(_MARK) == attempt, found or None)


def _item_of(error: ClientError) -> dict[str, Any]:
    """The item that did not fulfil the condition; empty if there is none."""
    answer: Mapping[str, Any] = error.response
    item: dict[str, Any] = answer.get("Item", {})
    return item


def names_in(expressions: str, names: dict[str, str]) -> dict[str, str]:
    """Those that occur: DynamoDB refuses a request that declares more."""
    return {name: names[name] for name in sorted(set(re.findall(r"#\w+", expressions)))}
