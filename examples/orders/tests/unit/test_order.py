"""What is an order, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from shop.order import Order

BOOKS = {"sku": "BOOK", "quantity": 2, "unitPrice": 990}
PENS = {"sku": "PEN", "quantity": 5, "unitPrice": 150}
ORDER = {"orderId": "A-1", "customer": "Ada", "lines": [BOOKS, PENS]}


def read(**changes: Any) -> Order:
    return Order.model_validate_json(json.dumps(ORDER | changes))


def test_a_message_is_an_order() -> None:
    order = read()
    assert [line.sku for line in order.lines] == ["BOOK", "PEN"]
    assert order.model_dump(mode="json", by_alias=True) == ORDER


def test_its_total_is_in_cents() -> None:
    assert read().total == 2 * 990 + 5 * 150


def test_what_else_a_message_says_does_not_matter() -> None:
    assert read(coupon="SPRING") == read()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"orderId": "A 1"}, id="no name of an execution"),
        pytest.param({"orderId": "A" * 65}, id="a name that is too long"),
        pytest.param({"customer": ""}, id="nobody's"),
        pytest.param({"lines": []}, id="of nothing"),
        pytest.param({"lines": [BOOKS, BOOKS]}, id="of the same twice"),
        pytest.param({"lines": [BOOKS | {"quantity": 0}]}, id="of none of it"),
        pytest.param({"lines": [BOOKS | {"quantity": 1.5}]}, id="of a part"),
        pytest.param({"lines": [BOOKS | {"unitPrice": -1}]}, id="at a negative price"),
        pytest.param(
            {"lines": [BOOKS | {"sku": f"BOOK-{number}"} for number in range(100)]},
            id="of more than a transaction takes",
        ),
    ],
)
def test_this_is_no_order(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**change)


def test_an_error_does_not_tell_what_a_customer_has_said() -> None:
    with pytest.raises(ValidationError) as raised:
        read(orderId="secret words")
    assert "secret" not in str(raised.value)
