"""How goods are reserved, and what a refusal means."""

from __future__ import annotations

import pytest
from reservation import Tables, plan_reservation, read_refusal
from shop.order import Line, Order

ORDER = Order(
    order_id="A-1",
    customer="Ada",
    lines=(
        Line(sku="BOOK", quantity=2, unit_price=990),
        Line(sku="PEN", quantity=5, unit_price=150),
    ),
)


def refuse(*codes: str) -> object:
    return read_refusal(ORDER, [{"Code": code} for code in codes])


def test_a_reservation_is_the_order_and_each_of_its_lines() -> None:
    order, book, pen = (
        action["Update"] for action in plan_reservation(ORDER, Tables("orders", "stock"))
    )
    assert (order["TableName"], order["Key"]) == ("orders", {"orderId": "A-1"})
    assert (book["TableName"], book["Key"]) == ("stock", {"sku": "BOOK"})
    assert book["ExpressionAttributeValues"] == {":quantity": 2}
    assert pen["ExpressionAttributeValues"] == {":quantity": 5}


def test_every_action_has_a_condition() -> None:
    for action in plan_reservation(ORDER, Tables("orders", "stock")):
        assert action["Update"]["ConditionExpression"]


def test_goods_that_are_missing_are_named() -> None:
    assert refuse("None", "None", "ConditionalCheckFailed") == {
        "reserved": False,
        "missing": ["PEN"],
    }


@pytest.mark.parametrize("of_pens", ["None", "ConditionalCheckFailed"])
def test_an_order_that_is_reserved_already_stays_so(of_pens: str) -> None:
    assert refuse("ConditionalCheckFailed", "None", of_pens) == {"reserved": True, "missing": []}


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError"])
def test_what_may_pass_is_tried_again(code: str) -> None:
    assert refuse("None", "ConditionalCheckFailed", code) is None
    assert refuse(code, "ConditionalCheckFailed", "None") is None
