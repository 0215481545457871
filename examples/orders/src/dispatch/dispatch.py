"""Has each new order fulfilled.

The execution is called as the order is, so that a record which the stream delivers twice starts
nothing twice.
"""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
processor = BatchProcessor(
    EventType.DynamoDBStreams,
    raise_on_entire_batch_failure=False,
    logger=logger,  # type: ignore[arg-type]  # Powertools' own serves as well.
)
step_functions = boto3.client("stepfunctions")


def fulfil(record: DynamoDBRecord) -> None:
    assert record.dynamodb is not None
    order_id = record.dynamodb.keys["orderId"]
    try:
        step_functions.start_execution(
            stateMachineArn=os.environ["FULFILMENT"],
            name=order_id,
            input=json.dumps({"orderId": order_id}),
        )
    except step_functions.exceptions.ExecutionAlreadyExists:
        logger.info("fulfilled before", order_id=order_id)
    else:
        logger.info("to be fulfilled", order_id=order_id)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, fulfil, processor, context)
