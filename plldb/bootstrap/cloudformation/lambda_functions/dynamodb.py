"""Sessions in the PLLDBSessions table. Each operation is one DynamoDB call.

The names of the table's attributes are spelled here and in template.yaml (keys and TTL), nowhere
else. Every attribute name is aliased in expressions: Status and TTL are reserved words.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from .sessions import Session, Status

_NAMES = {"#status": "Status", "#ttl": "TTL", "#connection": "ConnectionId"}


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
        return self._update(
            session_id,
            UpdateExpression="SET #status = :active, #connection = :connection",
            ConditionExpression="#status = :pending AND #ttl > :now",
            ExpressionAttributeNames=_NAMES,
            ExpressionAttributeValues={
                ":active": {"S": Status.ACTIVE},
                ":pending": {"S": Status.PENDING},
                ":connection": {"S": connection_id},
                ":now": {"N": str(int(now))},
            },
        )

    def close(self, session_id: str, connection_id: str) -> bool:
        # A key of an index can't be NULL: the connection's id is removed.
        return self._update(
            session_id,
            UpdateExpression="SET #status = :closed REMOVE #connection",
            ConditionExpression="#connection = :connection",
            ExpressionAttributeNames={name: _NAMES[name] for name in ("#status", "#connection")},
            ExpressionAttributeValues={
                ":closed": {"S": Status.CLOSED},
                ":connection": {"S": connection_id},
            },
        )

    def _update(self, session_id: str, **update: Any) -> bool:
        try:
            self._client.update_item(TableName=self._table, Key=_key(session_id), **update)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True


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
    )
