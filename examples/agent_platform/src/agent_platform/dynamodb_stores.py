"""The stores in DynamoDB: a table each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from boto3.dynamodb.conditions import Key

from agent_platform.models import Agent, Job, JobStatus, Session
from agent_platform.stores import Stores

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

_BY_USER, _BY_STATUS = "by-user", "by-status"


@dataclass(frozen=True)
class DynamoDBSessionStore:
    """The table has ``expires_at`` as its time to live, and an index by user."""

    table: Table

    def add(self, session: Session) -> None:
        self.table.put_item(
            Item=session.model_dump(), ConditionExpression="attribute_not_exists(session_id)"
        )

    def find(self, session_id: str) -> Session | None:
        found = self.table.get_item(Key={"session_id": session_id}, ConsistentRead=True)
        return Session.model_validate(found["Item"]) if "Item" in found else None

    def list_of(self, user_id: str) -> list[Session]:
        paginator = self.table.meta.client.get_paginator("query")
        pages = paginator.paginate(
            TableName=self.table.name,
            IndexName=_BY_USER,
            KeyConditionExpression="user_id = :it",
            ExpressionAttributeValues={":it": user_id},
        )
        return [Session.model_validate(item) for page in pages for item in page["Items"]]

    def remove(self, session_id: str) -> bool:
        removed = self.table.delete_item(Key={"session_id": session_id}, ReturnValues="ALL_OLD")
        return "Attributes" in removed


@dataclass(frozen=True)
class DynamoDBAgentStore:
    table: Table

    def keep(self, agent: Agent) -> None:
        self.table.put_item(Item=agent.model_dump())


@dataclass(frozen=True)
class DynamoDBJobStore:
    """The table has an index by status, sorted by the time of creation."""

    table: Table

    def add(self, job: Job) -> None:
        self.table.put_item(Item=job.model_dump())

    def list_with(self, status: JobStatus, limit: int) -> list[Job]:
        found = self.table.query(
            IndexName=_BY_STATUS, KeyConditionExpression=Key("status").eq(status), Limit=limit
        )
        return [Job.model_validate(item) for item in found["Items"]]


def make_dynamodb_stores(environ: Mapping[str, str]) -> Stores:
    dynamodb = boto3.resource("dynamodb")
    return Stores(
        DynamoDBSessionStore(dynamodb.Table(environ["SESSIONS_TABLE"])),
        DynamoDBAgentStore(dynamodb.Table(environ["AGENTS_TABLE"])),
        DynamoDBJobStore(dynamodb.Table(environ["JOBS_TABLE"])),
    )
