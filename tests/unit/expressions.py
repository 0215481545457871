"""DynamoDB's expressions, as far as the stores speak its language: conditions and updates.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Item = dict[str, Any]
Value = dict[str, Any]

_TOKEN = re.compile(r"\s*([(),]|<>|<=|>=|[<>=]|[#:]?\w+)")


class Expressions:
    """The names and values of one request, and what expressions with them mean."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._names: dict[str, str] = request.get("ExpressionAttributeNames", {})
        self._values: dict[str, Value] = request.get("ExpressionAttributeValues", {})

    def holds(self, condition: str, item: Item) -> bool:
        """Whether the item fulfils the condition; an empty one is always fulfilled."""
        if not condition:
            return True
        reader = _Reader(condition)
        result = self._disjunction(reader, item)
        assert reader.next is None, f"not understood: {reader.next!r} in {condition!r}"
        return result

    def updated(self, expression: str, item: Item) -> Item:
        """The item after the update; all that is read is as it was before."""
        changed = dict(item)
        clauses = re.split(r"\b(SET|ADD|DELETE|REMOVE)\b", expression)
        assert not clauses[0].strip()
        for kind, clause in zip(clauses[1::2], clauses[2::2], strict=True):
            for action in clause.split(","):
                _ACTIONS[kind](self, action.split(), changed)
        return changed

    # --- Conditions ---------------------------------------------------------------------------

    def _disjunction(self, reader: _Reader, item: Item) -> bool:
        result = self._conjunction(reader, item)
        while reader.takes("OR"):
            result = self._conjunction(reader, item) or result
        return result

    def _conjunction(self, reader: _Reader, item: Item) -> bool:
        result = self._term(reader, item)
        while reader.takes("AND"):
            result = self._term(reader, item) and result
        return result

    def _term(self, reader: _Reader, item: Item) -> bool:
        if reader.takes("("):
            result = self._disjunction(reader, item)
            reader.expect(")")
            return result
        word = reader.take()
        if word in ("attribute_exists", "attribute_not_exists", "begins_with"):
            return self._call(word, reader.arguments(), item)
        operator = reader.take()
        found = item.get(self._name(word))
        if operator == "IN":
            return found in [self._value(name) for name in reader.arguments()]
        return _compare(found, operator, self._value(reader.take()))

    def _call(self, function: str, arguments: list[str], item: Item) -> bool:
        found = item.get(self._name(arguments[0]))
        if function == "begins_with":
            text = (found or {}).get("S")
            return text is not None and text.startswith(self._value(arguments[1])["S"])
        return (found is not None) is (function == "attribute_exists")

    # --- Updates ------------------------------------------------------------------------------

    def _set(self, action: list[str], item: Item) -> None:
        name, equals, value = action
        assert equals == "="
        item[self._name(name)] = self._value(value)

    def _add(self, action: list[str], item: Item) -> None:
        """To a set; one that is not there begins empty."""
        name, value = action
        added = self._value(value)["SS"]
        present = item.get(self._name(name), {"SS": []})["SS"]
        item[self._name(name)] = {"SS": sorted({*present, *added})}

    def _delete(self, action: list[str], item: Item) -> None:
        """From a set; one that would be empty is not there any more."""
        name, value = action
        present = item.pop(self._name(name), {"SS": []})["SS"]
        if left := {*present} - {*self._value(value)["SS"]}:
            item[self._name(name)] = {"SS": sorted(left)}

    def _remove(self, action: list[str], item: Item) -> None:
        (name,) = action
        item.pop(self._name(name), None)

    def _name(self, name: str) -> str:
        return self._names[name] if name.startswith("#") else name

    def _value(self, name: str) -> Value:
        ((kind, content),) = self._values[name].items()
        assert content != [], "DynamoDB knows no empty set"
        return {kind: str(content) if kind in ("S", "N") else content}


_ACTIONS: dict[str, Callable[[Expressions, list[str], Item], None]] = {
    "SET": Expressions._set,
    "ADD": Expressions._add,
    "DELETE": Expressions._delete,
    "REMOVE": Expressions._remove,
}


def _compare(found: Value | None, operator: str, expected: Value) -> bool:
    """What is not there differs from everything, and is in no order."""
    if operator in ("=", "<>"):
        return (found == expected) is (operator == "=")
    if found is None or found.keys() != expected.keys():
        return False
    difference = Decimal(found["N"]) - Decimal(expected["N"])
    return {
        "<": difference < 0,
        "<=": difference <= 0,
        ">": difference > 0,
        ">=": difference >= 0,
    }[operator]


class _Reader:
    """The words of an expression, one after the other."""

    def __init__(self, expression: str) -> None:
        self._words = _TOKEN.findall(expression)
        assert "".join(self._words) == re.sub(r"\s", "", expression), expression

    @property
    def next(self) -> str | None:
        return self._words[0] if self._words else None

    def take(self) -> str:
        return str(self._words.pop(0))

    def takes(self, word: str) -> bool:
        if self.next != word:
            return False
        self.take()
        return True

    def expect(self, word: str) -> None:
        assert self.takes(word), f"{word!r} is missing"

    def arguments(self) -> list[str]:
        self.expect("(")
        found = [self.take()]
        while self.takes(","):
            found.append(self.take())
        self.expect(")")
        return found
