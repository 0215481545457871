"""Sessions in the PLLDBSessions table. Each operation is one DynamoDB call.

The names of the table's attributes are spelled here and in template.yaml (keys and TTL), nowhere
else. Every attribute name is aliased in expressions: Status and TTL are reserved words.
"""

from __future__ import annotations

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
            UpdateExpression="SET #status = :active, #connection = :connection",
            ConditionExpression="#status = :pending AND #ttl > :now",
            ExpressionAttributeNames={n: _NAMES[n] for n in ("#status", "#ttl", "#connection")},
            ExpressionAttributeValues={
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
        """The session after the update; None if this connection does not hold it."""
        names = {name: _NAMES[name] for name in _NAMES if name in expression}
        item = self._update(
            session_id,
            UpdateExpression=expression,
            ConditionExpression="#connection = :connection",
            ExpressionAttributeNames=names | {"#connection": _NAMES["#connection"]},
            ExpressionAttributeValues=values | {":connection": {"S": connection_id}},
        )
        return _session(item) if item else None

    def _update(self, session_id: str, **update: Any) -> dict[str, Any] | None:
        """The item after the update; None if its condition does not hold."""
        try:
            updated = self._client.update_item(
                TableName=self._table, Key=_key(session_id), ReturnValues="ALL_NEW", **update
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
