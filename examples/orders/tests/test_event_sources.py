"""The queue, the stream, the state machine and the schedule call the code here.

Needs no AWS account: `plldb_stack` deploys to an emulator, and starts one if none runs.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plldb.pytest_plugin.fixtures import (
    AttachTo,
    DeployStack,
    PlldbAttached,
    PlldbInvocation,
    PlldbStack,
)

PATIENCE_SECONDS = 60
BOOKS = {"sku": "BOOK", "quantity": 2, "unitPrice": 990}
GLOBES = {"sku": "GLOBE", "quantity": 1, "unitPrice": 4900}


class Shop:
    """The stack as its customers and its owner see it."""

    def __init__(self, stack: PlldbStack, attached: PlldbAttached) -> None:
        self.stack = stack
        self.attached = attached
        self._stock = _table(stack, "StockTable")
        self._orders = _table(stack, "OrdersTable")

    def put_in_stock(self, **available: int) -> None:
        for sku, count in available.items():
            self._stock("put_item", Item={"sku": {"S": sku}, "available": {"N": str(count)}})

    def stock(self, sku: str) -> int:
        found = self._stock("get_item", Key={"sku": {"S": sku}}, ConsistentRead=True)
        return int(found["Item"]["available"]["N"])

    def send(self, *bodies: str) -> list[str]:
        """In one call; the messages' ids."""
        sent = self.stack.client("sqs").send_message_batch(
            QueueUrl=self.stack.outputs["QueueUrl"],
            Entries=[{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)],
        )
        return [one["MessageId"] for one in sorted(sent["Successful"], key=lambda one: one["Id"])]

    def wait_for_message(self, id: str) -> PlldbInvocation:
        """The invocation of Intake that had it."""

        def has_message(event: dict[str, Any]) -> bool:
            return id in [record["messageId"] for record in event["Records"]]

        return self._wait_for("Intake", has_message)

    def wait_for_record(self, order_id: str) -> PlldbInvocation:
        """The invocation of Dispatch that had it."""

        def has_order(event: dict[str, Any]) -> bool:
            keys = [record["dynamodb"]["Keys"] for record in event["Records"]]
            return {"orderId": {"S": order_id}} in keys

        return self._wait_for("Dispatch", has_order)

    def wait_for_reservation(self, order_id: str) -> PlldbInvocation:
        return self._wait_for("Reserve", lambda event: event["orderId"] == order_id)

    def wait_until_settled(self, order_id: str) -> str:
        """The status in which the state machine has left an order."""
        machine = self.stack.outputs["FulfilmentArn"]
        execution = f"{machine.replace(':stateMachine:', ':execution:')}:{order_id}"
        step_functions = self.stack.client("stepfunctions")
        self.wait_for_reservation(order_id)

        def is_over() -> bool:
            found = step_functions.describe_execution(executionArn=execution)
            assert found["status"] in {"RUNNING", "SUCCEEDED"}, found
            return bool(found["status"] == "SUCCEEDED")

        _poll(is_over, f"order {order_id} is settled")
        return self.status(order_id)

    def status(self, order_id: str) -> str:
        found = self._orders("get_item", Key={"orderId": {"S": order_id}}, ConsistentRead=True)
        return str(found["Item"]["status"]["S"])

    def place_again(self, order_id: str) -> None:
        """As if nobody had ever begun to fulfil it."""
        self._orders(
            "update_item",
            Key={"orderId": {"S": order_id}},
            UpdateExpression="SET #status = :placed",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":placed": {"S": "PLACED"}},
        )

    def _wait_for(self, function: str, has: Callable[[Any], bool]) -> PlldbInvocation:
        return self.attached.wait_for_invocation(
            function, where=lambda one: has(one.event), seconds=PATIENCE_SECONDS
        )


def _table(stack: PlldbStack, output: str) -> Callable[..., Any]:
    def call(operation: str, **parameters: Any) -> Any:
        client = stack.client("dynamodb")
        return getattr(client, operation)(TableName=stack.outputs[output], **parameters)

    return call


def _poll(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.05)


def _write(order_id: str, *lines: dict[str, object]) -> str:
    return json.dumps({"orderId": order_id, "customer": "Ada", "lines": lines})


@pytest.fixture
def shop(plldb_stack: DeployStack, plldb_attached: AttachTo) -> Shop:
    stack = plldb_stack()
    shop = Shop(stack, plldb_attached(stack))
    shop.put_in_stock(BOOK=10, GLOBE=0)
    return shop


@pytest.fixture
def order_id() -> str:
    return f"order-{uuid.uuid4()}"


def test_an_order_is_shipped(shop: Shop, order_id: str) -> None:
    [message] = shop.send(_write(order_id, BOOKS))
    assert shop.wait_for_message(message).answer == {"batchItemFailures": []}
    assert shop.wait_for_record(order_id).answer == {"batchItemFailures": []}
    assert shop.wait_for_reservation(order_id).answer == {"reserved": True, "missing": []}
    assert shop.wait_until_settled(order_id) == "SHIPPED"
    assert shop.stock("BOOK") == 8


def test_an_order_of_goods_that_are_missing_is_rejected_whole(shop: Shop, order_id: str) -> None:
    shop.send(_write(order_id, BOOKS, GLOBES))
    assert shop.wait_for_reservation(order_id).answer == {"reserved": False, "missing": ["GLOBE"]}
    assert shop.wait_until_settled(order_id) == "REJECTED"
    assert shop.stock("BOOK") == 10


def test_a_message_that_is_no_order_fails_alone(shop: Shop, order_id: str) -> None:
    bad, good = shop.send('{"orderId": "secret words"}', _write(order_id, BOOKS))
    refused = shop.wait_for_message(bad)
    assert refused.answer == {"batchItemFailures": [{"itemIdentifier": bad}]}
    assert "secret" not in "".join(refused.output)
    shop.wait_for_message(good)
    assert shop.wait_until_settled(order_id) == "SHIPPED"


def test_an_order_that_is_sent_twice_is_shipped_once(shop: Shop, order_id: str) -> None:
    for _ in range(2):
        [message] = shop.send(_write(order_id, BOOKS))
        invocation = shop.wait_for_message(message)
        assert invocation.answer == {"batchItemFailures": []}
        assert shop.wait_until_settled(order_id) == "SHIPPED"
    assert "placed before" in "".join(invocation.output)
    assert shop.stock("BOOK") == 8


def test_whatever_is_delivered_twice_is_done_once(shop: Shop, order_id: str) -> None:
    shop.send(_write(order_id, BOOKS))
    record = shop.wait_for_record(order_id)
    assert shop.wait_until_settled(order_id) == "SHIPPED"
    assert shop.stack.invoke("Dispatch", record.event) == {"batchItemFailures": []}
    again = shop.stack.invoke("Reserve", {"orderId": order_id})
    assert again == {"reserved": True, "missing": []}
    assert shop.status(order_id) == "SHIPPED"
    assert shop.stock("BOOK") == 8


def test_orders_that_nobody_fulfils_are_reported(shop: Shop, order_id: str) -> None:
    shop.send(_write(order_id, GLOBES))
    assert shop.wait_until_settled(order_id) == "REJECTED"
    assert order_id not in shop.stack.invoke("Overdue", _schedule(hours=1))["overdue"]
    shop.place_again(order_id)
    assert order_id not in shop.stack.invoke("Overdue", _schedule(hours=0))["overdue"]
    assert order_id in shop.stack.invoke("Overdue", _schedule(hours=1))["overdue"]


def _schedule(hours: int) -> dict[str, object]:
    """What EventBridge sends then.
    https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html
    """
    at = datetime.now(UTC) + timedelta(hours=hours)
    return {
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": [],
        "detail": {},
    }
