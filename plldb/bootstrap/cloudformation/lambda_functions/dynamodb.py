"""Sessions in the PLLDBSessions table. Each operation is one DynamoDB call.

The names of the table's attributes are spelled here and in template.yaml (keys and TTL), nowhere
else. Every attribute name is aliased in expressions: Status and TTL are reserved words.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from botocore.exceptions import ClientError

from .sessions import LIFETIME, Session, Status

_NAMES = {
    "#status": "Status",
    "#ttl": "TTL",
    "#connection": "ConnectionId",
    "#instruments": "Instruments",
}


class DynamoDbSessionStore:
    """``client`` is a boto3 DynamoDB client (the low-level one: typed values, least overhead)."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def create(self, session: Session) -> None:
        self._client.put_item(
            TableName=self._table,
            Item=_item(session),
            ConditionExpression="attribute_not_exists(SessionId)",
        )

    def get(self, session_id: str) -> Session | None:
        """Reads consistently: an id may be used the moment after it was created."""
        found = self._client.get_item(
            TableName=self._table, Key=_key(session_id), ConsistentRead=True
        )
        return _session(found["Item"]) if "Item" in found else None

    def activate(self, session_id: str, connection_id: str, now: float) -> bool:
        activated = self._update(
            session_id,
            "SET #status = :active, #connection = :connection",
            "#status = :pending AND #ttl > :now",
            {
                ":active": {"S": Status.ACTIVE},
                ":pending": {"S": Status.PENDING},
                ":connection": {"S": connection_id},
                ":now": {"N": str(int(now))},
            },
        )
        return activated is not None

    def extend(self, session_id: str, connection_id: str, now: float) -> int | None:
        extended = self._update_held(
            session_id, connection_id, "SET #ttl = :ttl", {":ttl": {"N": str(int(now) + LIFETIME)}}
        )
        return extended.ttl if extended else None

    def mark_instrumenting(self, session_id: str, connection_id: str) -> Session | None:
        return self._update_held(
            session_id, connection_id, "SET #instruments = :true", {":true": {"BOOL": True}}
        )

    def close(self, session_id: str, connection_id: str) -> Session | None:
        # A key of an index can't be NULL: the connection's id is removed.
        return self._update_held(
            session_id,
            connection_id,
            "SET #status = :closed REMOVE #connection",
            {":closed": {"S": Status.CLOSED}},
        )

    def open_sessions(self, stack_name: str, now: float) -> list[Session]:
        """Through GSI-StackName, which is eventually consistent."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="GSI-StackName",
            KeyConditionExpression="#stack = :stack AND #ttl > :now",
            FilterExpression="#status <> :closed",
            ExpressionAttributeNames={"#stack": "StackName", "#ttl": "TTL", "#status": "Status"},
            ExpressionAttributeValues={
                ":stack": {"S": stack_name},
                ":now": {"N": str(int(now))},
                ":closed": {"S": Status.CLOSED},
            },
        )
        return [_session(item) for page in pages for item in page["Items"]]

    def _update_held(
        self, session_id: str, connection_id: str, expression: str, values: dict[str, Any]
    ) -> Session | None:
        return self._update(
            session_id,
            expression,
            "#connection = :connection",
            values | {":connection": {"S": connection_id}},
        )

    def _update(
        self, session_id: str, expression: str, condition: str, values: dict[str, Any]
    ) -> Session | None:
        """The session after the update; None if the condition does not hold."""
        updated = update_if(
            self._client, self._table, _key(session_id), expression, condition, _NAMES, values
        )
        return _session(updated) if updated else None


def update_if(
    client: Any,
    table: str,
    key: dict[str, Any],
    expression: str,
    condition: str,
    names: dict[str, str],
    values: dict[str, Any],
) -> dict[str, Any] | None:
    """The item after ``SET …``; None, and no change, if the condition does not hold.

    botocore repeats a request whose answer got lost. The repetition must not find its condition
    broken by the first try, so each call leaves a mark by which it knows its own work. Of
    ``names``, those are used that occur.
    """
    expression = expression.replace("SET ", "SET #attempt = :attempt, ", 1)
    condition = f"{condition} OR #attempt = :attempt"
    names = names | {"#attempt": "Attempt"}
    used = set(re.findall(r"#\w+", f"{expression} {condition}"))
    try:
        updated = client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames={name: names[name] for name in sorted(used)},
            ExpressionAttributeValues=values | {":attempt": {"S": uuid.uuid4().hex}},
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return None
        raise
    attributes: dict[str, Any] = updated["Attributes"]
    return attributes


def _key(session_id: str) -> dict[str, Any]:
    return {"SessionId": {"S": session_id}}


def _item(session: Session) -> dict[str, Any]:
    item = _key(session.session_id) | {
        "StackName": {"S": session.stack_name},
        "Status": {"S": session.status},
        "TTL": {"N": str(session.ttl)},
        "CreatedAt": {"S": session.created_at},
        "Owner": {"S": session.owner},
    }
    if session.connection_id is not None:
        item["ConnectionId"] = {"S": session.connection_id}
    if session.instruments:
        item["Instruments"] = {"BOOL": True}
    return item


def _session(item: dict[str, Any]) -> Session:
    return Session(
        session_id=item["SessionId"]["S"],
        stack_name=item["StackName"]["S"],
        status=Status(item["Status"]["S"]),
        ttl=int(item["TTL"]["N"]),
        created_at=item["CreatedAt"]["S"],
        owner=item["Owner"]["S"],
        connection_id=item.get("ConnectionId", {}).get("S"),
        instruments=item.get("Instruments", {}).get("BOOL", False),
    )
