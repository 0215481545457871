"""DynamoDB Streams on moto, whose tables record their changes: read by clients and event sources.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

import copy
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.dynamodbstreams import ResourceNotFoundException
from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.services.plugins import Service
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import StreamShard

from .dynamodb import LOCK, call_moto_alone

MOST_RECORDS = 1000


def create_service() -> Service:
    model = load_service("dynamodbstreams")
    table = dict.fromkeys(model.operation_names, call_moto_alone)
    own = {"GetRecords": get_records, "GetShardIterator": get_shard_iterator}
    return Service("dynamodbstreams", skeleton=Skeleton(model, table | own))


def get_shard_iterator(context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
    """An iterator says itself where it is: moto would keep each that it has ever given out.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html
    """
    arn = request["StreamArn"]
    with LOCK:
        shard = _shard(context, arn)
        first = int(shard.starting_sequence_number)
        given = int(request.get("SequenceNumber") or first)
        starts = {
            "AFTER_SEQUENCE_NUMBER": given + 1,
            "AT_SEQUENCE_NUMBER": given,
            "LATEST": first + len(shard.items),
            "TRIM_HORIZON": first,
        }
    return {"ShardIterator": f"{arn}|1|{starts[request['ShardIteratorType']]}"}


def get_records(context: RequestContext, request: dict[str, Any]) -> dict[str, Any]:
    """Records from where the iterator is, each as AWS sends it, and the iterator behind them."""
    arn, _, start = request["ShardIterator"].rsplit("|", 2)
    with LOCK:
        shard = _shard(context, arn)
        found = shard.get(int(start), request.get("Limit") or MOST_RECORDS)
    records = [_as_on_aws(record, context.region) for record in found]
    return {"Records": records, "NextShardIterator": f"{arn}|1|{int(start) + len(records)}"}


def _shard(context: RequestContext, arn: str) -> StreamShard:
    name = arn.partition(":table/")[2].partition("/")[0]
    table = dynamodb_backends[context.account_id][context.region].tables.get(name)
    if table is None or table.stream_shard is None:
        raise ResourceNotFoundException(f"Requested resource not found: Stream: {arn} not found")
    return table.stream_shard


def _as_on_aws(record: dict[str, Any], region: str) -> dict[str, Any]:
    """moto sends empty images where AWS sends none, and names one region."""
    change = copy.deepcopy(record["dynamodb"])
    for image in ("NewImage", "OldImage"):
        if not change.get(image):
            change.pop(image, None)
    return record | {"awsRegion": region, "dynamodb": change}
