"""What takes an order's goods out of the stock: all of them, once, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from shop.order import Line, Order, Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_FAILED = "ConditionalCheckFailed"


class Reservation(TypedDict):
    reserved: bool
    missing: list[str]


class Tables(NamedTuple):
    orders: str
    stock: str


def plan_reservation(order: Order, tables: Tables) -> list[TransactWriteItemTypeDef]:
    """The actions of one transaction: the order's own, then one a line.

    The order's makes sure that a second attempt, after one whose answer was lost, takes nothing.
    """
    return [_reserve(order, tables.orders), *(_take(line, tables.stock) for line in order.lines)]


def read_refusal(order: Order, reasons: Sequence[Mapping[str, Any]]) -> Reservation | None:
    """What the reasons mean for which the transaction was cancelled, one for each of its actions.

    None if it is worth another attempt, as where it met another transaction. An order that is no
    longer placed was reserved by an earlier attempt: nothing else changes it before this step.
    """
    own, *of_lines = codes = [reason["Code"] for reason in reasons]
    if own == _FAILED:
        return {"reserved": True, "missing": []}
    if not {*codes} <= {_FAILED, "None"}:
        return None
    missing = [
        line.sku for line, code in zip(order.lines, of_lines, strict=True) if code == _FAILED
    ]
    return {"reserved": False, "missing": missing}


def _reserve(order: Order, table: str) -> TransactWriteItemTypeDef:
    return {
        "Update": {
            "TableName": table,
            "Key": {"orderId": order.order_id},
            "UpdateExpression": "SET #status = :reserved",
            "ConditionExpression": "#status = :placed",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":reserved": Status.RESERVED.value,
                ":placed": Status.PLACED.value,
            },
        }
    }


def _take(line: Line, table: str) -> TransactWriteItemTypeDef:
    return {
        "Update": {
            "TableName": table,
            "Key": {"sku": line.sku},
            "UpdateExpression": "SET available = available - :quantity",
            "ConditionExpression": "available >= :quantity",
            "ExpressionAttributeValues": {":quantity": line.quantity},
        }
    }
