"""Request units are counted as AWS's documentation counts them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.capacity import read_units, write_units

SPARSE = {
    "KeySchema": [{"AttributeName": "Open"}],
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["Deadline"]},
}
WHOLE = {
    "KeySchema": [{"AttributeName": "StackName"}, {"AttributeName": "TTL"}],
    "Projection": {"ProjectionType": "ALL"},
}


def item(**values: str) -> dict[str, dict[str, Any]]:
    return {"Id": {"S": "1"}} | {name: {"S": value} for name, value in values.items()}


@pytest.mark.parametrize(
    ("before", "after", "index", "units"),
    [
        (None, item(), None, 1),
        (None, item(Body="x" * 1025), None, 2),
        # A smaller one in the place of a larger one costs as the larger one.
        (item(Body="x" * 1025), item(), None, 2),
        (item(), item(), SPARSE, 1),
        (None, item(Open="s"), SPARSE, 2),
        (item(Open="s"), item(), SPARSE, 2),
        # What the index does not hold does not change it.
        (item(Open="s"), item(Open="s", Body="x"), SPARSE, 1),
        (item(Open="s", Deadline="1"), item(Open="s", Deadline="2"), SPARSE, 2),
        (item(Open="s"), item(Open="t"), SPARSE, 3),
        (item(StackName="a", TTL="1"), item(StackName="a", TTL="1", Body="x"), WHOLE, 2),
        (item(StackName="a", TTL="1"), item(StackName="a", TTL="2"), WHOLE, 3),
    ],
)
def test_writes(before: Any, after: Any, index: Any, units: int) -> None:
    assert write_units(before, after, "Id", [] if index is None else [index]) == units


@pytest.mark.parametrize(
    ("items", "is_consistent", "units"),
    [
        ([], True, 1),
        ([], False, 0.5),
        ([item()], True, 1),
        ([item()], False, 0.5),
        ([item(Body="x" * 4096)], False, 1),
        ([item(Body="x" * 1000)] * 5, True, 2),
    ],
)
def test_reads(items: list[Any], is_consistent: bool, units: float) -> None:
    assert read_units(items, is_consistent=is_consistent) == units
