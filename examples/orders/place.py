"""Sends an order to the queue: ``plldb exec -- python place.py A-1 BOOK=2 PEN=5``.

Without goods, the message is no order, as a broken one.
"""

from __future__ import annotations

import argparse
import json

import boto3

STACK = "orders"
UNIT_PRICE = 990


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("order_id")
    parser.add_argument("goods", nargs="*", metavar="SKU=QUANTITY")
    given = parser.parse_args()
    order = {
        "orderId": given.order_id,
        "customer": "Ada",
        "lines": [_read_line(goods) for goods in given.goods],
    }
    boto3.client("sqs").send_message(QueueUrl=_find_queue(), MessageBody=json.dumps(order))


def _read_line(goods: str) -> dict[str, object]:
    sku, _, quantity = goods.partition("=")
    return {"sku": sku, "quantity": int(quantity or 1), "unitPrice": UNIT_PRICE}


def _find_queue() -> str:
    [queue] = boto3.client("cloudformation").describe_stack_resources(
        StackName=STACK, LogicalResourceId="Queue"
    )["StackResources"]
    return queue["PhysicalResourceId"]


if __name__ == "__main__":
    main()
