"""How many request units DynamoDB counts for a call, by what its items were before and after.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Item = Mapping[str, Mapping[str, Any]]
# As DescribeTable has them.
Index = Mapping[str, Any]

_WRITE_BYTES, _READ_BYTES = 1024, 4096


def write_units(before: Item | None, after: Item | None, key: str, indexes: Iterable[Index]) -> int:
    """Of one change: for the table, and for each index whose entry it changes.

    ``key`` is the table's. A change that was refused is one from an item to itself.
    """
    of_table = _units(max(_size(before), _size(after)), _WRITE_BYTES)
    return of_table + sum(_index_units(before, after, key, index) for index in indexes)


def read_units(items: Iterable[Item], *, is_consistent: bool) -> float:
    """Of one call that reads these items, one after the other."""
    units = _units(sum(map(_size, items)), _READ_BYTES)
    return units if is_consistent else units / 2


def _index_units(before: Item | None, after: Item | None, key: str, index: Index) -> int:
    old, new = _entry(before, key, index), _entry(after, key, index)
    if old == new:
        return 0
    of_old, of_new = _units(_size(old), _WRITE_BYTES), _units(_size(new), _WRITE_BYTES)
    if old is None or new is None:
        return of_new if old is None else of_old
    keys = _keys(index)
    is_moved = [old[name] for name in keys] != [new[name] for name in keys]
    return of_old + of_new if is_moved else max(of_old, of_new)


def _entry(item: Item | None, key: str, index: Index) -> Item | None:
    """What the index has of an item; None for what lacks a key of it."""
    if item is None or any(name not in item for name in _keys(index)):
        return None
    projection = index["Projection"]
    if projection["ProjectionType"] == "ALL":
        return item
    names = {key, *_keys(index), *projection.get("NonKeyAttributes", ())}
    return {name: value for name, value in item.items() if name in names}


def _keys(index: Index) -> list[str]:
    return [part["AttributeName"] for part in index["KeySchema"]]


def _units(size: int, of: int) -> int:
    """What is empty, or not there, counts as well."""
    return max(1, math.ceil(size / of))


def _size(item: Item | None) -> int:
    """In bytes, about: numbers take half of their digits."""
    if item is None:
        return 0
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S" | "B":
            return len(content.encode())
        case "N":
            return len(content) // 2 + 1
        case "SS" | "NS" | "BS":
            return sum(len(one.encode()) for one in content)
        case "M":
            return 3 + _size(content)
        case "L":
            return 3 + sum(map(_value_size, content))
        case _:
            return 1
