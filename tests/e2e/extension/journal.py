"""The events that the playground's function wrote down."""

import json
from typing import Any

from .cloud import Cloud, Stack, wait_for


def journal(
    cloud: Cloud, stack: Stack, connection_id: str, until: str = "$connect"
) -> dict[str, Any]:
    """Events of one connection by route key, once the one of ``until`` is among them."""
    dynamodb = cloud.client("dynamodb")

    def read() -> dict[str, Any]:
        items = dynamodb.query(
            TableName=stack.outputs["JournalName"],
            KeyConditionExpression="ConnectionId = :id",
            ExpressionAttributeValues={":id": {"S": connection_id}},
        )["Items"]
        return {item["Event"]["S"].split("/")[0]: json.loads(item["Body"]["S"]) for item in items}

    return wait_for(read, lambda events: until in events)
