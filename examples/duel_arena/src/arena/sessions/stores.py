"""Where sessions are kept: in a table of DynamoDB, or in memory where that can't be had."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

logger = logging.getLogger(__name__)

# Whoever asks for a page waits for it.
_IMPATIENT = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})


@dataclass(frozen=True)
class StoredSession:
    """Times are in seconds since the epoch."""

    data: str
    created_at: int
    expires_at: int


class SessionStore(Protocol):
    """Takes whatever it is given: what has expired may still lie in it."""

    def load(self, session_id: str) -> StoredSession | None: ...

    def create(self, session_id: str, session: StoredSession) -> None: ...

    def replace(self, session_id: str, session: StoredSession) -> bool:
        """Whether it was there. One that was ended meanwhile does not come back."""
        ...

    def prolong(self, session_id: str, expires_at: int) -> bool:
        """Whether it was there. What is in it stays as it is, whoever changed it meanwhile."""
        ...

    def delete(self, session_id: str) -> None:
        """Whether or not it is there."""
        ...


class InMemorySessionStore:
    """Of this process alone, and gone with it."""

    def __init__(self) -> None:
        self._sessions: dict[str, StoredSession] = {}
        self._lock = Lock()

    def load(self, session_id: str) -> StoredSession | None:
        return self._sessions.get(session_id)

    def create(self, session_id: str, session: StoredSession) -> None:
        """Drops what has expired by then."""
        with self._lock:
            self._sessions = {
                id: kept
                for id, kept in self._sessions.items()
                if kept.expires_at > session.created_at
            }
            self._sessions[session_id] = session

    def replace(self, session_id: str, session: StoredSession) -> bool:
        with self._lock:
            if session_id not in self._sessions:
                return False
            self._sessions[session_id] = session
            return True

    def prolong(self, session_id: str, expires_at: int) -> bool:
        with self._lock:
            if session_id not in self._sessions:
                return False
            self._sessions[session_id] = replace(self._sessions[session_id], expires_at=expires_at)
            return True

    def delete(self, session_id: str) -> None:
        with self._lock:
            self._sessions.pop(session_id, None)


class DynamoDBSessionStore:
    """A table whose key is ``session_id`` and whose time to live is ``ttl``."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def load(self, session_id: str) -> StoredSession | None:
        item = self._client.get_item(
            TableName=self._table_name, Key={"session_id": {"S": session_id}}, ConsistentRead=True
        ).get("Item")
        if item is None:
            return None
        return StoredSession(
            data=item["user_data"]["S"],
            created_at=int(item["created_at"]["N"]),
            expires_at=int(item["ttl"]["N"]),
        )

    def create(self, session_id: str, session: StoredSession) -> None:
        self._client.put_item(
            TableName=self._table_name,
            Item={
                "session_id": {"S": session_id},
                "user_data": {"S": session.data},
                "created_at": {"N": str(session.created_at)},
                "ttl": {"N": str(session.expires_at)},
            },
        )

    def replace(self, session_id: str, session: StoredSession) -> bool:
        return self._update(
            session_id,
            "SET user_data = :data, #ttl = :ttl",
            {":data": {"S": session.data}, ":ttl": {"N": str(session.expires_at)}},
        )

    def prolong(self, session_id: str, expires_at: int) -> bool:
        return self._update(session_id, "SET #ttl = :ttl", {":ttl": {"N": str(expires_at)}})

    def _update(
        self, session_id: str, expression: str, values: Mapping[str, AttributeValueTypeDef]
    ) -> bool:
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key={"session_id": {"S": session_id}},
                UpdateExpression=expression,
                ConditionExpression="attribute_exists(session_id)",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues=values,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def delete(self, session_id: str) -> None:
        self._client.delete_item(TableName=self._table_name, Key={"session_id": {"S": session_id}})


def open_store(table_name: str | None) -> SessionStore:
    """The table of that name; memory if there is no name, or the table can't be read.

    That is found out once, when the application starts, and said in the log: on Lambda, such an
    environment knows none of the others' sessions until it is replaced. A table that fails later is
    an error of the request: to go on in memory then would lose the sessions of everybody.
    """
    if table_name is None:
        return InMemorySessionStore()
    try:
        store = DynamoDBSessionStore(boto3.client("dynamodb", config=_IMPATIENT), table_name)
        store.load("probe")
    except (BotoCoreError, ClientError) as error:
        logger.warning("Sessions are kept in memory, table %r can't be read: %s", table_name, error)
        return InMemorySessionStore()
    return store
