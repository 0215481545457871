"""Sessions and their connections, and the tables that they are kept in."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import boto3

from broadcast.tokens import Role

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

SESSION_SECONDS = 24 * 3600
# API Gateway ends a connection after 2 hours; the rest is for a $disconnect that comes late.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
CONNECTION_LIMIT_SECONDS = 2 * 3600
_CONNECTION_TTL_SECONDS = CONNECTION_LIMIT_SECONDS + 600
BY_SESSION = "by-session"

_WORDS = (
    ("amber", "brave", "calm", "golden", "lucid", "silver", "swift", "vivid"),
    ("eagle", "falcon", "heron", "lark", "otter", "raven", "tiger", "whale"),
)


@dataclass(frozen=True)
class Connection:
    """``connected_at`` is in epoch seconds."""

    connection_id: str
    session_id: str
    user_id: str
    role: Role
    connected_at: int


@dataclass(frozen=True)
class Session:
    """It lasts as long as the speaker has a connection."""

    session_id: str
    speaker_id: str
    speaker_connection: str
    language: str
    expires_at: int

    def is_open(self, now: int) -> bool:
        """DynamoDB may delete an expired item days later."""
        return now < self.expires_at


_SESSION_ID = re.compile(r"[a-z]{2,20}-[a-z]{2,20}-[0-9]{4}")


def is_session_id(text: str) -> bool:
    return _SESSION_ID.fullmatch(text) is not None


def make_session_id() -> str:
    """One that can be read aloud, such as ``golden-eagle-4271``."""
    return "-".join([*map(secrets.choice, _WORDS), str(1000 + secrets.randbelow(9000))])


class Store(Protocol):
    def begin(self, session: Session, connection: Connection) -> bool:
        """Whether it began: another session may have its id."""

    def join(self, connection: Connection) -> None: ...

    def find_session(self, session_id: str) -> Session | None: ...

    def find_connection(self, connection_id: str) -> Connection | None: ...

    def replace(self, old: Connection, new: Connection) -> None:
        """``new`` is there already; if ``old`` carried the session, ``new`` does from now on."""

    def leave(self, connection_id: str) -> Connection | None:
        """The connection, unless it had left before."""

    def end(self, session_id: str, speaker_connection: str) -> bool:
        """Whether it ended: it goes on if the speaker has another connection by now."""

    def list_connections(self, session_id: str) -> list[Connection]: ...


class DynamoDBStore:
    """``connections`` has an index by session."""

    def __init__(self, sessions: Table, connections: Table) -> None:
        self._sessions = sessions
        self._connections = connections
        self._condition_failed = sessions.meta.client.exceptions.ConditionalCheckFailedException

    def begin(self, session: Session, connection: Connection) -> bool:
        # In this order, no session is ever there without its speaker.
        self.join(connection)
        try:
            self._sessions.put_item(
                Item=asdict(session), ConditionExpression="attribute_not_exists(session_id)"
            )
        except self._condition_failed:
            return False
        return True

    def join(self, connection: Connection) -> None:
        expires_at = connection.connected_at + _CONNECTION_TTL_SECONDS
        self._connections.put_item(Item=asdict(connection) | {"expires_at": expires_at})

    def find_session(self, session_id: str) -> Session | None:
        found = self._sessions.get_item(Key={"session_id": session_id}, ConsistentRead=True)
        return None if "Item" not in found else _read_session(found["Item"])

    def find_connection(self, connection_id: str) -> Connection | None:
        key = {"connection_id": connection_id}
        found = self._connections.get_item(Key=key, ConsistentRead=True)
        return None if "Item" not in found else _read_connection(found["Item"])

    def replace(self, old: Connection, new: Connection) -> None:
        with suppress(self._condition_failed):
            self._sessions.update_item(
                Key={"session_id": old.session_id},
                UpdateExpression="SET speaker_connection = :new",
                ConditionExpression="speaker_connection = :old",
                ExpressionAttributeValues={":new": new.connection_id, ":old": old.connection_id},
            )
        self._connections.delete_item(Key={"connection_id": old.connection_id})

    def leave(self, connection_id: str) -> Connection | None:
        left = self._connections.delete_item(
            Key={"connection_id": connection_id}, ReturnValues="ALL_OLD"
        )
        return None if "Attributes" not in left else _read_connection(left["Attributes"])

    def end(self, session_id: str, speaker_connection: str) -> bool:
        try:
            self._sessions.delete_item(
                Key={"session_id": session_id},
                ConditionExpression="speaker_connection = :it",
                ExpressionAttributeValues={":it": speaker_connection},
            )
        except self._condition_failed:
            return False
        return True

    def list_connections(self, session_id: str) -> list[Connection]:
        paginator = self._connections.meta.client.get_paginator("query")
        pages = paginator.paginate(
            TableName=self._connections.name,
            IndexName=BY_SESSION,
            KeyConditionExpression="session_id = :it",
            ExpressionAttributeValues={":it": session_id},
        )
        return [_read_connection(item) for page in pages for item in page["Items"]]


def _read_session(item: Mapping[str, Any]) -> Session:
    return Session(
        item["session_id"],
        item["speaker_id"],
        item["speaker_connection"],
        item["language"],
        int(item["expires_at"]),
    )


def _read_connection(item: Mapping[str, Any]) -> Connection:
    return Connection(
        item["connection_id"],
        item["session_id"],
        item["user_id"],
        item["role"],
        int(item["connected_at"]),
    )


@cache
def make_store() -> Store:
    dynamodb = boto3.resource("dynamodb")
    return DynamoDBStore(
        dynamodb.Table(os.environ["SESSIONS_TABLE"]),
        dynamodb.Table(os.environ["CONNECTIONS_TABLE"]),
    )
