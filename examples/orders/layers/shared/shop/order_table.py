"""The table of orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shop.order import Order, Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


class OrderTable:
    """Orders by their ids; the index ByStatus has those of a status by when they were placed."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def place(self, order: Order, at: datetime) -> bool:
        """Whether it is new: a queue may deliver a message twice."""
        item = order.model_dump(mode="json", by_alias=True) | {
            "status": Status.PLACED.value,
            "placedAt": _as_text(at),
            "total": order.total,
        }
        try:
            self._table.put_item(Item=item, ConditionExpression="attribute_not_exists(orderId)")
        except self._table.meta.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def get(self, order_id: str) -> Order:
        """LookupError if there is no such order."""
        found = self._table.get_item(Key={"orderId": order_id}, ConsistentRead=True)
        if "Item" not in found:
            raise LookupError(f"there is no order {order_id}")
        return Order.model_validate(found["Item"])

    def list_placed(self, before: datetime) -> Iterator[str]:
        """The ids of those that were placed before then, and still are no more; oldest first."""
        pages = self._table.meta.client.get_paginator("query").paginate(
            TableName=self._table.name,
            IndexName="ByStatus",
            KeyConditionExpression="#status = :placed AND placedAt < :before",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":placed": Status.PLACED.value,
                ":before": _as_text(before),
            },
        )
        for page in pages:
            yield from (str(item["orderId"]) for item in page["Items"])


def _as_text(at: datetime) -> str:
    """In an order that is that of time."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
