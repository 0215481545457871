"""Operations of services that a route of an HTTP API may call without a function.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
http-api-develop-integrations-aws-services-reference.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operation:
    """``client`` and ``method`` are boto3's names, ``name`` is the service's own."""

    client: str
    name: str
    method: str


# By the IntegrationSubtype. No integration is kept with another.
OPERATIONS = {
    "EventBridge-PutEvents": Operation("events", "PutEvents", "put_events"),
    "Kinesis-PutRecord": Operation("kinesis", "PutRecord", "put_record"),
    "SQS-DeleteMessage": Operation("sqs", "DeleteMessage", "delete_message"),
    "SQS-PurgeQueue": Operation("sqs", "PurgeQueue", "purge_queue"),
    "SQS-ReceiveMessage": Operation("sqs", "ReceiveMessage", "receive_message"),
    "SQS-SendMessage": Operation("sqs", "SendMessage", "send_message"),
    "StepFunctions-StartExecution": Operation("stepfunctions", "StartExecution", "start_execution"),
    "StepFunctions-StartSyncExecution": Operation(
        "stepfunctions", "StartSyncExecution", "start_sync_execution"
    ),
    "StepFunctions-StopExecution": Operation("stepfunctions", "StopExecution", "stop_execution"),
}


def operation_parameters(
    operation: Operation, values: Mapping[str, str | None], shape: Any
) -> dict[str, Any]:
    """What boto3 takes: names as the operation spells them, texts as it types them."""
    given = {name: value for name, value in values.items() if value is not None}
    if operation.name == "PutEvents":
        entry = shape.members["Entries"].member
        return {"Entries": [_typed(given, entry)]}
    return _typed(given, shape)


def _typed(values: Mapping[str, str], shape: Any) -> dict[str, Any]:
    names = {name.lower(): name for name in shape.members}
    return {
        names[name.lower()]: _from_text(value, shape.members[names[name.lower()]])
        for name, value in values.items()
        if name.lower() in names
    }


def _from_text(value: str, shape: Any) -> Any:
    match shape.type_name:
        case "integer" | "long":
            return int(value)
        case "boolean":
            return value.lower() == "true"
        case "structure" | "list" | "map":
            return json.loads(value)
    return value
