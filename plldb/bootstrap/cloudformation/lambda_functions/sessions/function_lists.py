"""What sessions hold of a "stack" that is a mere list of functions, not known to CloudFormation.

A list lives with the debugger that attaches to it. What is to be restored once the debugger is gone
has to be known here, so it is kept from before the first function is changed until all are
restored. One item has all functions of a list, in entries that each belong to one hold: whoever
restores a session's functions forgets its entries, and touches no other session's.

While functions are being instrumented, a session may end and be restored beside that. So its
entries are kept as long as such work is under way; should that die, they stay.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

# Of the keys of lists, which lie among the sessions. template.yaml has it, too.
KEY_PREFIX = "functions#"


@dataclass(frozen=True)
class ListedFunction:
    """``hold`` is the name under which a session holds it, ``title`` what it is called there, and
    ``name`` what Lambda knows it by.
    """

    hold: str
    title: str
    name: str


class FunctionLists(Protocol):
    """Each change may be repeated. ``work`` names what is under way for a hold."""

    def add(self, stack_name: str, hold: str, functions: Mapping[str, str], work: str) -> None:
        """``functions``, names by titles, are about to be changed."""
        ...

    def end_work(self, stack_name: str, hold: str, work: str) -> None:
        """Nothing more will be changed by that."""
        ...

    def get(self, stack_name: str) -> list[ListedFunction]: ...

    def forget(self, stack_name: str, holds: Collection[str]) -> None:
        """What was restored of these holds, except for those with work under way."""
        ...


class DynamoDbFunctionLists:
    """In the table of sessions. ``client`` is a boto3 DynamoDB client."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def add(self, stack_name: str, hold: str, functions: Mapping[str, str], work: str) -> None:
        entries = [json.dumps([hold, title, name]) for title, name in functions.items()]
        self._change("ADD", stack_name, entries, [json.dumps([hold, work])])

    def end_work(self, stack_name: str, hold: str, work: str) -> None:
        self._change("DELETE", stack_name, [], [json.dumps([hold, work])])

    def get(self, stack_name: str) -> list[ListedFunction]:
        return [ListedFunction(*json.loads(text)) for text in _texts(self._read(stack_name))]

    def forget(self, stack_name: str, holds: Collection[str]) -> None:
        item = self._read(stack_name)
        busy = {json.loads(text)[0] for text in _texts(item, "UnderWay")}
        over = {*holds} - busy
        self._change("DELETE", stack_name, [t for t in _texts(item) if json.loads(t)[0] in over])

    def _read(self, stack_name: str) -> dict[str, Any]:
        found = self._client.get_item(
            TableName=self._table, Key=_key(stack_name), ConsistentRead=True
        )
        item: dict[str, Any] = found.get("Item", {})
        return item

    def _change(
        self, action: str, stack_name: str, functions: list[str], under_way: Iterable[str] = ()
    ) -> None:
        # DynamoDB knows no empty set.
        sets = {
            name: sorted(texts)
            for name, texts in (("Functions", functions), ("UnderWay", under_way))
            if texts
        }
        if sets:
            self._client.update_item(
                TableName=self._table,
                Key=_key(stack_name),
                UpdateExpression=f"{action} " + ", ".join(f"#{name} :{name}" for name in sets),
                ExpressionAttributeNames={f"#{name}": name for name in sets},
                ExpressionAttributeValues={
                    f":{name}": {"SS": texts} for name, texts in sets.items()
                },
            )


def _texts(item: dict[str, Any], name: str = "Functions") -> Iterator[str]:
    yield from sorted(item.get(name, {}).get("SS", ()))


def _key(stack_name: str) -> dict[str, Any]:
    return {"SessionId": {"S": f"{KEY_PREFIX}{stack_name}"}}
