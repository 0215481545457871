"""Every hour: which orders nobody has begun to fulfil, as a metric that an alarm can watch."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import TypedDict

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext
from shop.order_table import OrderTable

PATIENCE = timedelta(minutes=15)

logger = Logger()
metrics = Metrics()
orders = OrderTable(boto3.resource("dynamodb").Table(os.environ["ORDERS_TABLE"]))


class Report(TypedDict):
    overdue: list[str]


@metrics.log_metrics
@logger.inject_lambda_context
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> Report:
    overdue = [*orders.list_placed(datetime.fromisoformat(event.time) - PATIENCE)]
    metrics.add_metric("OverdueOrders", MetricUnit.Count, len(overdue))
    if overdue:
        logger.warning("overdue", order_ids=overdue)
    return {"overdue": overdue}
