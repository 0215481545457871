"""The state machine's first step: takes an order's goods out of the stock.

Goods that are missing are no error: the state machine goes another way. What it makes again is
what DynamoDB could not do at the moment.
"""

from __future__ import annotations

import os
from typing import TypedDict

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from reservation import Reservation, Tables, plan_reservation, read_refusal
from shop.order_table import OrderTable

logger = Logger()
dynamodb = boto3.resource("dynamodb")
tables = Tables(orders=os.environ["ORDERS_TABLE"], stock=os.environ["STOCK_TABLE"])
orders = OrderTable(dynamodb.Table(tables.orders))


class Input(TypedDict):
    orderId: str


@logger.inject_lambda_context(correlation_id_path="orderId")
def handler(event: Input, context: LambdaContext) -> Reservation:
    order = orders.get(event["orderId"])
    client = dynamodb.meta.client
    try:
        client.transact_write_items(TransactItems=plan_reservation(order, tables))
    except client.exceptions.TransactionCanceledException as error:
        refusal = read_refusal(order, error.response["CancellationReasons"])
        if refusal is None:
            raise
        logger.info("nothing is taken out of the stock", missing=refusal["missing"])
        return refusal
    logger.info("reserved")
    return {"reserved": True, "missing": []}
