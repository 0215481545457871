"""Makes orders of messages.

A message that is no order fails alone: the others of its batch are done with, and it comes again,
until the queue gives up and moves it to the dead letters.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from shop.order import Order
from shop.order_table import OrderTable

logger = Logger()
processor = BatchProcessor(
    EventType.SQS,
    raise_on_entire_batch_failure=False,
    logger=logger,  # type: ignore[arg-type]  # Powertools' own serves as well.
)
orders = OrderTable(boto3.resource("dynamodb").Table(os.environ["ORDERS_TABLE"]))


def take(record: SQSRecord) -> None:
    order = Order.model_validate_json(record.body)
    is_new = orders.place(order, datetime.now(UTC))
    logger.info("placed" if is_new else "placed before", order_id=order.order_id)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, take, processor, context)
