"""Invocations and tokens in the PLLDBDebugger table. Each change, and each look-up, is one call.

Two where ``record`` finds something in its way. ``stale`` and ``unsettled`` read the whole table,
page by page.

The names of the table's attributes are spelled here and in template.yaml (key and TTL), nowhere
else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from ..shared.dynamodb import update_if
from .invocation import (
    RETENTION,
    TOKEN_PREFIX,
    TOKEN_RETENTION,
    Answer,
    Grant,
    Invocation,
    InvocationState,
    token_key,
)
from .store import Recorded

_NAMES = {
    "#state": "State",
    "#session": "SessionId",
    "#owner": "Owner",
    "#deadline": "Deadline",
    "#answer": "Answer",
    "#answered_at": "AnsweredAt",
    "#settled": "Settled",
}


class DynamoDbInvocationStore:
    """``client`` is a boto3 DynamoDB client."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def add_token(self, token: str, grant: Grant, now: float) -> None:
        self._client.put_item(
            TableName=self._table,
            Item={
                "RequestId": {"S": token_key(token)},
                "SessionId": {"S": grant.session_id},
                "StackName": {"S": grant.stack_name},
                "TTL": {"N": str(int(now) + TOKEN_RETENTION)},
            },
        )

    def grant_of(self, token: str) -> Grant | None:
        item = self._get(token_key(token))
        return None if item is None else _grant(item)

    def unsettled(self) -> Iterator[tuple[str, Grant]]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="begins_with(RequestId, :token) AND attribute_not_exists(#settled)",
            ExpressionAttributeNames={"#settled": _NAMES["#settled"]},
            ExpressionAttributeValues={":token": {"S": TOKEN_PREFIX}},
        )
        return ((item["RequestId"]["S"], _grant(item)) for page in pages for item in page["Items"])

    def settle(self, key: str) -> None:
        self._update(
            key,
            "SET #settled = :true",
            "begins_with(RequestId, :token)",
            {":true": {"BOOL": True}, ":token": {"S": TOKEN_PREFIX}},
        )

    def record(self, invocation: Invocation) -> Recorded:
        """A second call tells why, only where the first one finds something in its way."""
        item = _item(invocation)
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(RequestId)"
                " OR #session = :session AND #deadline <> :deadline"
                " OR #session <> :session AND #state <> :waiting"
                " OR #session <> :session AND #deadline <= :now",
                ExpressionAttributeNames={
                    n: _NAMES[n] for n in ("#session", "#deadline", "#state")
                },
                ExpressionAttributeValues={
                    ":session": item["SessionId"],
                    ":deadline": item["Deadline"],
                    ":waiting": {"S": InvocationState.WAITING},
                    ":now": item["CreatedAt"],
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            found = self._get(invocation.request_id) or {}
            is_own = found.get("SessionId") == item["SessionId"]
            return Recorded.REPEATED if is_own else Recorded.REFUSED
        return Recorded.NEW

    def get(self, request_id: str) -> Invocation | None:
        item = self._get(request_id)
        # Tokens lie in the same table, and are no invocations.
        return _invocation(item) if item and "State" in item else None

    def answer(self, request_id: str, owner: str, answer: Answer, now: float) -> bool:
        return self._update(
            request_id,
            "SET #state = :answered, #answer = :answer, #answered_at = :now",
            "#state = :waiting AND #owner = :owner AND #deadline > :now",
            {
                ":answered": {"S": InvocationState.ANSWERED},
                ":waiting": {"S": InvocationState.WAITING},
                ":owner": {"S": owner},
                ":answer": {"M": _answer_item(answer)},
                ":now": {"N": str(round(now, 3))},
            },
        )

    def abandon(self, request_id: str, session_id: str) -> None:
        self._update(
            request_id,
            "SET #state = :abandoned",
            "#state = :waiting AND #session = :session",
            {
                ":abandoned": {"S": InvocationState.ABANDONED},
                ":waiting": {"S": InvocationState.WAITING},
                ":session": {"S": session_id},
            },
        )

    def stale(self, now: float) -> Iterator[str]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="#state = :waiting AND #deadline <= :now",
            ProjectionExpression="RequestId",
            ExpressionAttributeNames={n: _NAMES[n] for n in ("#deadline", "#state")},
            ExpressionAttributeValues={
                ":waiting": {"S": InvocationState.WAITING},
                ":now": {"N": str(round(now, 3))},
            },
        )
        return (str(item["RequestId"]["S"]) for page in pages for item in page["Items"])

    def expire(self, request_id: str, now: float) -> bool:
        return self._update(
            request_id,
            "SET #state = :expired",
            "#state = :waiting AND #deadline <= :now",
            {
                ":expired": {"S": InvocationState.EXPIRED},
                ":waiting": {"S": InvocationState.WAITING},
                ":now": {"N": str(round(now, 3))},
            },
        )

    def _update(
        self, request_id: str, expression: str, condition: str, values: dict[str, Any]
    ) -> bool:
        updated = update_if(
            self._client, self._table, _key(request_id), expression, condition, _NAMES, values
        )
        return updated is not None

    def _get(self, key: str) -> dict[str, Any] | None:
        found = self._client.get_item(TableName=self._table, Key=_key(key), ConsistentRead=True)
        item: dict[str, Any] | None = found.get("Item")
        return item


def _grant(item: dict[str, Any]) -> Grant:
    return Grant(item["SessionId"]["S"], item["StackName"]["S"])


def _key(request_id: str) -> dict[str, Any]:
    return {"RequestId": {"S": request_id}}


def _item(invocation: Invocation) -> dict[str, Any]:
    item = _key(invocation.request_id) | {
        "SessionId": {"S": invocation.session_id},
        "Owner": {"S": invocation.owner},
        "Function": {"S": invocation.function},
        "State": {"S": invocation.state},
        "CreatedAt": {"N": str(round(invocation.created_at, 3))},
        "Deadline": {"N": str(round(invocation.deadline, 3))},
        "TTL": {"N": str(int(invocation.created_at) + RETENTION)},
    }
    if invocation.event is not None:
        item["Event"] = {"S": invocation.event}
    if invocation.event_key is not None:
        item["EventKey"] = {"S": invocation.event_key}
    if invocation.answer is not None:
        item["Answer"] = {"M": _answer_item(invocation.answer)}
    return item


def _invocation(item: dict[str, Any]) -> Invocation:
    return Invocation(
        request_id=item["RequestId"]["S"],
        session_id=item["SessionId"]["S"],
        owner=item["Owner"]["S"],
        function=item["Function"]["S"],
        created_at=float(item["CreatedAt"]["N"]),
        deadline=float(item["Deadline"]["N"]),
        state=InvocationState(item["State"]["S"]),
        event=item.get("Event", {}).get("S"),
        event_key=item.get("EventKey", {}).get("S"),
        answer=_answer(item["Answer"]["M"]) if "Answer" in item else None,
    )


def _answer_item(answer: Answer) -> dict[str, Any]:
    if answer.error is not None:
        return {"Error": {"S": json.dumps(answer.error)}}
    if answer.result_key is not None:
        return {"ResultKey": {"S": answer.result_key}}
    return {"Result": {"S": answer.result or ""}}


def _answer(item: dict[str, Any]) -> Answer:
    if "Error" in item:
        return Answer(error=json.loads(item["Error"]["S"]))
    if "ResultKey" in item:
        return Answer(result_key=item["ResultKey"]["S"])
    return Answer(result=item["Result"]["S"])
