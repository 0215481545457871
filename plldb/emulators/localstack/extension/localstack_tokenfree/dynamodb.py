"""DynamoDB on moto: no Java, one operation at a time, expired items removed.

moto keeps its tables in plain dictionaries. Without the lock, two conditional writes at once
could both find their condition true.

What moto answers about items is passed on as it stands. LocalStack would read it by its model, and
then write the same again, which takes longer than what moto does.
"""

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from localstack.aws.api import RequestContext, ServiceRequest, ServiceResponse
from localstack.aws.forwarder import dispatch_to_backend
from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.http import Response
from localstack.services.moto import call_moto, dispatch_to_moto
from localstack.services.plugins import Service, ServiceLifecycleHook
from moto.core import responses
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table

from .settings import SETTINGS

LOCK = threading.RLock()
FIVE_YEARS = 5 * 365 * 24 * 3600
ABOUT_ITEMS = ("GetItem", "PutItem", "UpdateItem", "Query")
WORDS_OF_CONDITIONS = 1024
CONTENT_TYPE = "application/x-amz-json-1.0"


def create_service() -> Service:
    _spare_moto_what_it_knows()
    model = load_service("dynamodb")
    table = dict.fromkeys(model.operation_names, _call_moto) | dict.fromkeys(ABOUT_ITEMS, _pass_on)
    return Service(
        "dynamodb",
        skeleton=Skeleton(model, table),
        lifecycle_hook=ExpiredItems(SETTINGS.dynamodb_ttl_seconds),
    )


def _spare_moto_what_it_knows() -> None:
    """What it finds out anew for each call, in a third of its time: the methods of a class, and the
    words of a condition.
    """
    responses.method_names_from_class = lru_cache(maxsize=None)(responses.method_names_from_class)
    find_words = ConditionExpressionParser._lex_condition_expression

    @lru_cache(maxsize=WORDS_OF_CONDITIONS)
    def find_words_once(condition: str) -> tuple[Any, ...]:
        return tuple(find_words(ConditionExpressionParser(condition, None, None)))

    ConditionExpressionParser._lex_condition_expression = lambda parser: deque(
        find_words_once(parser.condition_expression)
    )


def call_moto_alone(context: RequestContext, _: ServiceRequest) -> ServiceResponse:
    with LOCK:
        return call_moto(context)


def _pass_on(context: RequestContext, _: ServiceRequest) -> Response | ServiceResponse:
    with LOCK:
        response = dispatch_to_moto(context)
    if response.status_code >= 300:
        return dispatch_to_backend(context, lambda _: response)
    # Whoever looks at it after this need not read it by the model, either.
    context.service_response = json.loads(response.data)
    response.content_type = CONTENT_TYPE
    return response


def _call_moto(context: RequestContext, request: ServiceRequest) -> ServiceResponse:
    response = call_moto_alone(context, request)
    for described in ("Table", "TableDescription"):
        if described in response:
            response[described]["TableId"] = identify(response[described])
    return response


def identify(table: Mapping[str, Any]) -> str:
    """The id of a table, as it is described: another one if it is made again with its name.

    moto has none, and LocalStack's AWS::DynamoDB::GlobalTable asks for it.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{table['TableArn']} {table['CreationDateTime']}"))


class ExpiredItems(ServiceLifecycleHook):
    """Deletes expired items every ``period`` seconds while the service runs."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._stopped = threading.Event()

    def on_before_start(self) -> None:
        threading.Thread(target=self._run, name="dynamodb-ttl", daemon=True).start()

    def on_before_stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._period):
            with LOCK:
                for table in _tables_with_ttl():
                    delete_expired(table, time.time())


def _tables_with_ttl() -> Iterator[Table]:
    for regions in dynamodb_backends.values():
        for backend in regions.values():
            for table in backend.tables.values():
                if table.ttl.get("TimeToLiveStatus") == "ENABLED":
                    yield table


def delete_expired(table: Table, now: float) -> None:
    for item in table.all_items():
        if is_expired(item, table.ttl["AttributeName"], now):
            table.delete_item(item.hash_key, item.range_key)


def is_expired(item: Item, attribute: str, now: float) -> bool:
    """A number in the past, five years at most, as on AWS.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
    """
    value = item.attrs.get(attribute)
    return value is not None and value.type == "N" and now - FIVE_YEARS <= float(value.value) <= now
